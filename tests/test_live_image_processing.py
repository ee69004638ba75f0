"""The image processor beside transformers': the same bits, or a fault of theirs on this list.

    odd padding      a crop larger than the image by an odd number comes out one pixel short
    low pictures     height 1 or 3 is taken for the number of colors
    unit range       floats up to 1 are rescaled twice; zeros and ones are taken for nearly black
    whole factors    a whole rescale_factor multiplies within 8 bits

`right_answer` asks transformers in a way that avoids the fault. Below, each fault is shown.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.image_processing import CASES, FILE, excerpt, picture
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from PIL import Image

from npformer.errors import ImageError
from npformer.images.processor import EfficientFormerImageProcessor as Ours
from npformer.images.transforms import center_crop, crop_start

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
hf = pytest.importorskip("transformers.image_transforms")
Theirs = transformers.EfficientFormerImageProcessor

SIDES = st.integers(1, 40)
SIZES = st.one_of(
    st.integers(1, 30),
    st.tuples(SIDES, SIDES),
    st.fixed_dictionaries({"height": SIDES, "width": SIDES}),
    st.fixed_dictionaries({"shortest_edge": st.integers(1, 30)}),
    st.fixed_dictionaries({"shortest_edge": SIDES, "longest_edge": SIDES}),
)
CROPS = st.one_of(SIDES, st.tuples(SIDES, SIDES),
                  st.fixed_dictionaries({"height": SIDES, "width": SIDES}))  # fmt: skip
NUMBERS = st.floats(-2, 2, width=32)
SPREADS = st.floats(0.125, 300, width=32)
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "do_resize": st.booleans(),
        "size": SIZES,
        "resample": st.integers(0, 5),
        "do_center_crop": st.booleans(),
        "crop_size": CROPS,
        "do_rescale": st.booleans(),
        "rescale_factor": st.sampled_from([1 / 255, 1 / 127.5, 0.1, 1, 2, 0]),
        "do_normalize": st.booleans(),
        "image_mean": st.one_of(NUMBERS, st.lists(NUMBERS, min_size=3, max_size=3)),
        "image_std": st.one_of(SPREADS, st.lists(SPREADS, min_size=3, max_size=3)),
    },
)
KINDS = ("PIL", "HWC", "CHW", "int64", "float32", "float64", "unit float32", "unit float64")


def right_answer(image: Any, kind: str, arguments: dict[str, Any]) -> np.ndarray:
    """What transformers answers when it is spared what it does wrongly."""
    layout = "channels_first" if kind == "CHW" else "channels_last"  # low pictures
    a = {**Theirs().to_dict(), **arguments}
    if isinstance(a["rescale_factor"], int):
        event("whole factor")
        a["rescale_factor"] = float(a["rescale_factor"])
    unit = kind.startswith("unit")
    step = {name: a[name] for name in ("do_resize", "size", "resample", "do_center_crop",
                                       "crop_size")}  # fmt: skip
    processor = Theirs(**step, do_rescale=False, do_normalize=False)
    x = processor(image, input_data_format=layout)["pixel_values"][0]
    if a["do_rescale"]:
        event("unit range" if unit else "rescaled")
        x = hf.rescale(x, a["rescale_factor"] * (255 if unit else 1))
    if a["do_normalize"]:
        x = hf.normalize(x, a["image_mean"], a["image_std"], input_data_format="channels_first")
    return x


def same_bits(got: np.ndarray, expected: np.ndarray) -> None:
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(KINDS), st.tuples(SIDES, SIDES), ARGUMENTS, st.booleans())
def test_the_same_bits(
    kind: str, size: tuple[int, int], arguments: dict[str, Any], in_constructor: bool
) -> None:
    image = picture(kind, size)
    layout = None if kind == "PIL" else "channels_first" if kind == "CHW" else "channels_last"
    if in_constructor:
        got = Ours(**arguments)(image, input_data_format=layout)
    else:
        got = Ours()(image, **arguments, input_data_format=layout)
    x, expected = got["pixel_values"][0], right_answer(image, kind, arguments)
    if x.dtype == np.uint8 and kind == "int64":
        expected = expected.astype(np.uint8)  # nothing was done to it: whole numbers are 8 bits
    if x.shape != expected.shape:  # odd padding: theirs lacks the first row or column
        event("odd padding")
        rows, columns = (a - b for a, b in zip(x.shape[1:], expected.shape[1:], strict=True))
        assert {rows, columns} <= {0, 1}
        crop = Ours(**arguments).crop_size
        assert x.shape[1:] == (crop["height"], crop["width"])
        x = x[:, rows:, columns:]
    same_bits(x, expected)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["PIL", "HWC", "CHW"]), st.integers(5, 40), st.integers(5, 40), CROPS,
       st.sampled_from(["channels_first", "channels_last"]))  # fmt: skip
def test_the_plain_call_without_any_help(
    kind: str, height: int, width: int, crop: Any, data_format: str
) -> None:
    arguments = {"size": {"shortest_edge": 40}, "crop_size": crop, "return_tensors": "np",
                 "data_format": data_format}  # fmt: skip
    images = [picture(kind, (height, width)), picture(kind, (width, height))]
    same_bits(
        Ours()(images, **arguments)["pixel_values"], Theirs()(images, **arguments)["pixel_values"]
    )


def test_golden_files_are_what_transformers_answers() -> None:
    with np.load(FILE) as golden:
        for name, (kind, size, arguments) in CASES.items():
            answer = Theirs()(picture(kind, size), **arguments)["pixel_values"][0]
            same_bits(golden[name], excerpt(answer))


# ----------------------------------------------------------------------------- faults of theirs


def test_odd_padding_is_one_pixel_short_there() -> None:
    image = picture("HWC", (100, 133))
    arguments = {"do_resize": False, "crop_size": 224}
    theirs = Theirs()(image, **arguments)["pixel_values"][0]
    ours = Ours()(image, **arguments)["pixel_values"][0]
    assert theirs.shape == (3, 224, 223)
    assert ours.shape == (3, 224, 224)
    same_bits(ours[:, :, 1:], theirs)


def test_low_pictures_are_misread_there() -> None:
    with pytest.raises(ValueError, match="mean must have 1 elements"):
        Theirs()(picture("PIL", (1, 20)))
    theirs = Theirs()(picture("PIL", (3, 20)))["pixel_values"][0]
    ours = Ours()(picture("PIL", (3, 20)))["pixel_values"][0]
    assert theirs.shape == ours.shape
    assert not np.array_equal(theirs, ours)
    with pytest.raises(ImageError, match="say which"):
        Ours()(picture("HWC", (3, 20)))


@pytest.mark.parametrize("mode", ["L", "1", "P", "I", "F", "I;16", "LA", "RGBA", "CMYK"])
def test_other_modes_are_refused_there(mode: str) -> None:
    image = Image.new(mode, (20, 30))
    with pytest.raises(ValueError, match=r"number of image dimensions|infer channel dimension"):
        Theirs()(image)
    assert Ours()(image)["pixel_values"][0].shape == (3, 224, 224)


@pytest.mark.parametrize("mode", ["HSV", "YCbCr", "LAB"])
def test_other_color_spaces_are_taken_for_rgb_there(mode: str) -> None:
    image = Image.new(mode, (20, 30), (200, 100, 50))
    as_if = Image.frombytes("RGB", image.size, image.tobytes())
    theirs = Theirs()(image)["pixel_values"][0]
    same_bits(theirs, Theirs()(as_if)["pixel_values"][0])
    assert not np.array_equal(Ours()(image)["pixel_values"][0], theirs)


def test_orientation_is_ignored_there() -> None:
    image = picture("PIL", (20, 30))
    plain = Theirs()(image)["pixel_values"][0]
    image.getexif()[0x0112] = 3
    same_bits(Theirs()(image)["pixel_values"][0], plain)
    upright = Theirs()(image.transpose(Image.Transpose.ROTATE_180))["pixel_values"][0]
    same_bits(Ours()(image)["pixel_values"][0], upright)


def test_the_first_image_decides_for_all_there() -> None:
    images = [picture("HWC", (20, 30)), picture("CHW", (20, 30))]
    with pytest.raises(TypeError):
        Theirs()(images)
    first, second = Ours()(images)["pixel_values"]
    same_bits(first, second)


def test_unit_range_is_rescaled_twice_there() -> None:
    image = picture("unit float32", (20, 30))
    arguments = {"do_normalize": False}
    theirs = Theirs()(image, **arguments)["pixel_values"][0]
    ours = Ours()(image, **arguments)["pixel_values"][0]
    assert theirs.max() < 1 / 255 + 1e-6
    assert ours.max() > 0.5
    white = np.ones((9, 8, 3))
    assert Theirs()(white, do_rescale=False, do_normalize=False)["pixel_values"][0].max() == 1
    assert Theirs()(white, do_normalize=False)["pixel_values"][0].max() < 0.004
    assert Ours()(white, do_normalize=False)["pixel_values"][0].min() == 1


def test_floats_that_are_not_whole_are_refused_there() -> None:
    image = picture("float64", (20, 30)) + 0.25
    image = np.minimum(image, 255)
    with pytest.raises(ValueError, match="outside the range"):
        Theirs()(image)
    same_bits(Ours()(image).pixel_values[0], Ours()(np.rint(image)).pixel_values[0])


def test_whole_factors_overflow_there() -> None:
    image = np.full((5, 5, 3), 200, np.uint8)
    arguments = {"rescale_factor": 2, "do_normalize": False}
    assert Theirs()(image, **arguments)["pixel_values"][0].max() == 144
    assert Ours()(image, **arguments)["pixel_values"][0].min() == 400


def test_documented_formats_fail_there() -> None:
    image = picture("CHW", (20, 30))
    with pytest.raises(ValueError, match="None is not a valid"):
        Theirs()(image, data_format=None)
    same_bits(Ours()(image, data_format=None).pixel_values[0], Ours()(image).pixel_values[0])
    gray = picture("gray", (20, 30))[:, :, 0]
    with pytest.raises(ValueError, match="axes don't match array"):
        Theirs()(gray, input_data_format="none")
    assert Ours()(gray, input_data_format="none").pixel_values[0].shape == (3, 224, 224)


def test_impossible_settings_are_accepted_there() -> None:
    with np.errstate(all="ignore"):
        theirs = Theirs()(picture("PIL", (20, 30)), image_std=[0, 1, 1])["pixel_values"][0]
    assert not np.isfinite(theirs).all()
    with pytest.raises(ValueError, match=r"^image_std is"):
        Ours()(picture("PIL", (20, 30)), image_std=[0, 1, 1])


def test_batches_and_empty_lists_fail_obscurely_there() -> None:
    with pytest.raises(TypeError, match="Cannot handle this data type"):
        Theirs()(np.zeros((2, 20, 30, 3), np.uint8))
    with pytest.raises(IndexError):
        Theirs()([])


# ----------------------------------------------------------------------------- files, tensors


def test_each_reads_the_files_of_the_other(tmp_path: Path) -> None:
    arguments = {"size": {"shortest_edge": 20}, "crop_size": 15, "resample": 2, "image_mean": 0.5,
                 "do_normalize": False}  # fmt: skip
    for first, second in ((Ours, Theirs), (Theirs, Ours)):
        first(**arguments).save_pretrained(tmp_path)
        got = second.from_pretrained(tmp_path).to_dict()
        expected = first(**arguments).to_dict()
        for values in (got, expected):
            values.pop("_valid_processor_keys", None)
            values.pop("_processor_class", None)
        assert got == expected
    theirs = json.loads(Theirs(**arguments).to_json_string())
    del theirs["_valid_processor_keys"]
    assert json.loads(Ours(**arguments).to_json_string()) == theirs
    Ours().save_pretrained(tmp_path)
    found = transformers.AutoImageProcessor.from_pretrained(tmp_path)
    assert type(found) is Theirs


def test_enumerations_of_transformers_are_understood() -> None:
    from transformers.image_utils import ChannelDimension, PILImageResampling
    from transformers.utils import TensorType

    image = picture("CHW", (20, 30))
    arguments = {"resample": PILImageResampling.BOX, "return_tensors": TensorType.NUMPY,
                 "data_format": ChannelDimension.LAST,
                 "input_data_format": ChannelDimension.FIRST}  # fmt: skip
    same_bits(
        Ours()(image, **arguments)["pixel_values"], Theirs()(image, **arguments)["pixel_values"]
    )


def test_tensors_in_and_out() -> None:
    image = torch.from_numpy(picture("CHW", (20, 30)))
    ours, theirs = (P()(image, return_tensors="pt")["pixel_values"] for P in (Ours, Theirs))
    assert isinstance(ours, torch.Tensor)
    assert torch.equal(ours, theirs)
    assert torch.equal(Ours()(torch.stack([image]), return_tensors="pt")["pixel_values"], ours)
    with pytest.raises(TypeError, match=r"Tensor.*detach\(\).cpu\(\).numpy\(\)"):
        Ours()(image.float().requires_grad_())


@settings(deadline=None)
@given(SIDES, SIDES, SIDES, SIDES)
def test_torchvision_rounding_is_torchvisions(old_h: int, old_w: int, h: int, w: int) -> None:
    functional = pytest.importorskip("torchvision.transforms.functional")
    image = picture("PIL", (old_h, old_w))
    expected = np.asarray(functional.center_crop(image, [h, w]))
    np.testing.assert_array_equal(center_crop(np.asarray(image), h, w, "torchvision"), expected)
    assert crop_start(10, 3) != crop_start(10, 3, "torchvision")
