"""The image processor: transformers' numbers from golden files, its own rules, its JSON file."""

import copy
import inspect
import json
import pickle
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.image_processing import CASES, FILE, HUB, excerpt, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from npformer.errors import ConfigError, ImageError, MissingWeights
from npformer.images import transforms as image_transforms
from npformer.images.layout import channels_first, channels_last
from npformer.images.processor import EfficientFormerImageProcessor
from npformer.images.transforms import center_crop, crop_start, resize
from npformer.testing.array_strategies import arrays, sizes

ROOT = Path(__file__).parents[1]
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (12, 17, 3), dtype=np.uint8)
RAW: dict[str, Any] = {
    "do_resize": False, "do_center_crop": False, "do_rescale": False, "do_normalize": False,
    "data_format": "channels_last",
}  # fmt: skip
"""No step at all."""


@pytest.fixture(scope="module")
def golden() -> Any:
    with np.load(FILE) as file:
        return dict(file)


@pytest.fixture
def processor() -> EfficientFormerImageProcessor:
    return EfficientFormerImageProcessor()


def run(image: Any, **arguments: Any) -> np.ndarray:
    return EfficientFormerImageProcessor()(image, **arguments)["pixel_values"][0]


# ----------------------------------------------------------------------------- the numbers


def test_every_golden_case_is_compared(golden: Any) -> None:
    assert list(golden) == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_pixels_are_those_of_transformers_to_the_last_bit(name: str, golden: Any) -> None:
    kind, size, arguments = CASES[name]
    got = excerpt(run(picture(kind, size), **arguments))
    assert got.dtype == golden[name].dtype
    np.testing.assert_array_equal(got, golden[name])


def test_settings_of_the_constructor_and_of_a_call_are_the_same(golden: Any) -> None:
    _, size, arguments = CASES["filter 4"]
    processor = EfficientFormerImageProcessor(**arguments)
    image = picture("PIL", size)
    np.testing.assert_array_equal(processor(image).pixel_values[0], golden["filter 4"])
    processor = EfficientFormerImageProcessor()
    processor.size, processor.crop_size, processor.resample = {"shortest_edge": 9}, 7, 4  # type: ignore[assignment]
    np.testing.assert_array_equal(
        processor.preprocess(image)["pixel_values"][0], golden["filter 4"]
    )


def test_the_formula() -> None:
    x = run(RGB, do_resize=False, do_center_crop=False, image_mean=[0.1, 0.2, 0.3], image_std=0.5)
    expected = (RGB / 255 - [0.1, 0.2, 0.3]) / 0.5
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, expected.transpose(2, 0, 1), atol=1e-6)


# ----------------------------------------------------------------------------- where it does better


@pytest.mark.parametrize(("old", "new"), [(133, 224), (134, 224), (7, 8), (8, 7), (5, 5), (1, 4)])
def test_a_crop_always_has_its_size(old: int, new: int) -> None:
    x = RNG.integers(1, 256, (old, 6, 3), dtype=np.uint8)
    assert center_crop(x, new, 7, "torchvision").shape == (new, 7, 3)
    cropped = center_crop(x, new, 6)
    assert cropped.shape == (new, 6, 3)
    if new > old:
        above = (new - old + 1) // 2
        np.testing.assert_array_equal(cropped[above : above + old], x)
        assert cropped.sum() == x.sum()  # zeros elsewhere
    else:
        np.testing.assert_array_equal(cropped, x[(old - new) // 2 :][:new])


@pytest.mark.parametrize(
    ("old", "new", "floor", "torchvision"),
    # torchvision: int(round((old - new) / 2)), and a left padding of (new - old) // 2
    [(10, 3, 3, 4), (12, 3, 4, 4), (11, 4, 3, 4), (8, 7, 0, 0), (9, 9, 0, 0), (3, 8, -3, -2)],
)
def test_crop_rounding(old: int, new: int, floor: int, torchvision: int) -> None:
    assert crop_start(old, new) == floor
    assert crop_start(old, new, "torchvision") == torchvision
    x = np.arange(1, old + 1, dtype=np.uint8)[:, None, None].repeat(3, 2)
    for rounding, start in (("floor", floor), ("torchvision", torchvision)):
        processor = EfficientFormerImageProcessor(crop_size=(new, 1), crop_rounding=rounding)
        row = processor(x, input_data_format="channels_last", **{**RAW, "do_center_crop": True})
        assert row.pixel_values[0][max(0, -start), 0, 0] == x[max(0, start), 0, 0]


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 30), st.integers(1, 30),
       st.integers(1, 30), st.sampled_from(sorted(Image.Resampling)),
       st.sampled_from(["floor", "torchvision"]))  # fmt: skip
def test_resizing_only_what_the_crop_keeps(
    height: int, width: int, edge: int, h: int, w: int, resample: int, rounding: str
) -> None:
    """As the whole, but for Pillow's float32 coordinates: one level in each direction."""
    # Where two pixels are equally near, these filters take the one or the other: on a slope of one
    # level a pixel that is at most one to the side in each direction.
    choosy = resample in (Image.Resampling.NEAREST, Image.Resampling.BOX)
    slope = np.add.outer(np.arange(height), np.arange(width)).astype(np.uint8)
    image = Image.fromarray(slope).convert("RGB") if choosy else picture("PIL", (height, width))
    size = {"shortest_edge": edge}
    whole = center_crop(np.asarray(resize(image, size, resample)), h, w, rounding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_transforms, "MAX_RESIZED", 0)
        part = resize(image, size, resample, (h, w), rounding)
    assert part.height <= h
    assert part.width <= w
    got = center_crop(np.asarray(part), h, w, rounding)
    assert np.abs(got.astype(int) - whole).max() <= 2


@pytest.mark.case(10)
@pytest.mark.parametrize("rounding", ["floor", "torchvision"])
def test_strips_are_cut_where_the_crop_begins(
    rounding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = picture("PIL", (10, 40))
    arguments = {"size": {"shortest_edge": 10}, "crop_size": 9}
    processor = EfficientFormerImageProcessor(**arguments, crop_rounding=rounding)
    whole = processor(image).pixel_values[0]
    monkeypatch.setattr(image_transforms, "MAX_RESIZED", 0)
    np.testing.assert_array_equal(processor(image).pixel_values[0], whole)


@pytest.mark.case(10)
@pytest.mark.parametrize("shape", [(1, 5000, 3), (5000, 1, 3), (2, 3_000_000, 3)])
def test_strips_take_little_memory(
    shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    whole = Image.Image.resize

    def recorded(self: Image.Image, *args: Any, **kwargs: Any) -> Image.Image:
        result = whole(self, *args, **kwargs)
        sizes.append(result.size)
        return result

    image = Image.fromarray(np.full(shape, 77, np.uint8))
    processor = EfficientFormerImageProcessor(**HUB)
    monkeypatch.setattr(Image.Image, "resize", recorded)
    x = processor(image, do_normalize=False, do_rescale=False)["pixel_values"][0]
    assert sizes == [(224, 224)]
    assert x.shape == (3, 224, 224)
    assert (x == 77).all()
    with pytest.raises(ImageError, match=r"would be resized to .* crop it first"):
        processor(image, do_center_crop=False)


def test_gray_alpha_and_files_become_rgb(tmp_path: Path) -> None:
    gray = RGB[:, :, 0]
    expected = run(np.repeat(gray[:, :, None], 3, axis=2))
    Image.fromarray(gray).save(tmp_path / "gray.png")
    for image in (gray, gray[None], Image.fromarray(gray), tmp_path / "gray.png",
                  (tmp_path / "gray.png").read_bytes()):  # fmt: skip
        np.testing.assert_array_equal(run(image), expected)
    np.testing.assert_array_equal(run(gray, input_data_format="none"), expected)
    clear = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    np.testing.assert_array_equal(run(clear), run(RGB))
    np.testing.assert_array_equal(run((clear / 255).astype("f4")), run(RGB))
    unit = {"do_rescale": False, "do_normalize": False}
    np.testing.assert_array_equal(run(clear / 255, **unit), run(RGB / 255, **unit))
    white = np.dstack([RGB, np.zeros(RGB.shape[:2], np.uint8)])
    np.testing.assert_array_equal(run(white), run(np.full_like(RGB, 255)))


def test_one_color_stays_one_where_no_number_asks_for_three() -> None:
    gray = RGB[:, :, :1]
    assert run(gray).shape == (3, 224, 224)
    assert run(gray, do_normalize=False).shape == (1, 224, 224)
    assert run(gray / 255, image_mean=0.5, image_std=[0.5]).shape == (1, 224, 224)
    assert run(gray / 255, image_mean=0.5).shape == (3, 224, 224)
    assert run(gray / 255, **RAW).shape == (12, 17, 1)
    assert run(gray[:, :, 0], do_normalize=False).shape == (3, 224, 224)


def test_a_photograph_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    expected = run(np.rot90(RGB, -1))
    np.testing.assert_array_equal(run(tmp_path / "a.png"), expected)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(run(image), expected)


@pytest.mark.case(30)
def test_low_pictures_are_not_taken_for_channels() -> None:
    for height in (1, 3):
        x = RGB[:height]
        expected = run(Image.fromarray(x))
        np.testing.assert_array_equal(run(x, input_data_format="channels_last"), expected)
        assert np.ptp(expected, axis=2).any()
    with pytest.raises(ImageError, match="for a processor, input_data_format"):
        run(RGB[:, :3][:3])


@pytest.mark.case(37)
def test_floats_of_unit_range_are_rescaled_once() -> None:
    expected = run(RGB)
    for dtype in ("f4", "f8"):
        np.testing.assert_array_equal(run((RGB / 255).astype(dtype)), expected)
    small = {"do_resize": False, "crop_size": 6}
    np.testing.assert_allclose(run(RGB / 255, **small), run(RGB, **small), atol=1e-6)
    other = {"rescale_factor": 1 / 127.5, "image_mean": 1, "image_std": 1}
    np.testing.assert_allclose(run(RGB / 255, **other), run(RGB, **other), atol=1e-6)
    white = np.ones((8, 8, 3))
    np.testing.assert_array_equal(run(white), run(np.full((8, 8, 3), 255, np.uint8)))
    np.testing.assert_array_equal(run(0 * white), run(np.zeros((8, 8, 3), np.uint8)))
    dark = np.zeros((8, 8, 4))
    dark[..., 3], dark[..., :3] = 255, 0.6  # almost black: the alpha says that white is 255
    near_black = np.full((8, 8, 3), 1, np.uint8)
    np.testing.assert_array_equal(
        run(dark, do_normalize=False), run(near_black, do_normalize=False)
    )


def test_floats_are_not_rounded_unless_they_are_resized() -> None:
    x = np.full((8, 8, 3), 100.25)
    assert run(x, **RAW)[0, 0, 0] == 100.25
    assert run(x, **RAW).dtype == np.float64
    assert run(x, **{**RAW, "do_resize": True})[0, 0, 0] == 100


def test_a_whole_rescale_factor_does_not_overflow() -> None:
    x = np.full((2, 2, 3), 200, np.uint8)
    assert (run(x, **{**RAW, "do_rescale": True}, rescale_factor=2) == 400).all()


def test_layouts_of_results() -> None:
    first = RGB.transpose(2, 0, 1)
    assert run(RGB, crop_size=6).shape == (3, 6, 6)
    assert run(first, crop_size=6, data_format="channels_last").shape == (6, 6, 3)
    assert run(RGB, crop_size=6, data_format=None).shape == (6, 6, 3)
    assert run(Image.fromarray(RGB), crop_size=6, data_format=None).shape == (6, 6, 3)
    assert run(first, crop_size=6, data_format=None).shape == (3, 6, 6)
    assert run(first).flags.c_contiguous


# ----------------------------------------------------------------------------- lists and results


@pytest.mark.case(42)
def test_each_image_of_a_list_is_handled_alone(processor: Any) -> None:
    images = [RGB, RGB.transpose(2, 0, 1), Image.fromarray(RGB[:5]), RGB[:, :, 0], RGB / 255]
    together = processor(images, return_tensors="np").pixel_values
    assert together.shape == (5, 3, 224, 224)
    for one, image in zip(together, images, strict=True):
        np.testing.assert_array_equal(one, run(image))
    batch = np.stack([RGB, RGB[::-1]])
    np.testing.assert_array_equal(
        processor(batch, return_tensors="np").pixel_values,
        processor(list(batch), return_tensors="np").pixel_values,
    )


def test_results_are_a_mapping_with_attributes(processor: Any) -> None:
    result = processor(RGB)
    assert list(result.keys()) == ["pixel_values"]
    assert isinstance(result["pixel_values"], list)
    assert result.pixel_values is result["pixel_values"]
    assert {**result}.keys() == {"pixel_values"}
    assert list(copy.deepcopy(pickle.loads(pickle.dumps(result)))) == ["pixel_values"]
    with pytest.raises(AttributeError, match="no key 'pixels'; there is pixel_values"):
        result.pixels  # noqa: B018


@pytest.mark.case(33)
def test_lists_that_give_nothing(processor: Any) -> None:
    for nothing in ([], (), np.zeros((0, 3, 8, 8), np.uint8)):
        with pytest.raises(ImageError, match="no images"):
            processor(nothing)
    with pytest.raises(ImageError, match=r"\(3, 5, 17\).*\(3, 12, 17\).*do not make one array"):
        processor([RGB, RGB[:5]], do_resize=False, do_center_crop=False, return_tensors="np")
    assert len(processor([RGB, RGB[:5]], do_resize=False, do_center_crop=False).pixel_values) == 2


@pytest.mark.case(44)
@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        (None, TypeError, "image 1: an image cannot be a NoneType"),
        (np.full((4, 4), np.nan), ImageError, "image 1: of 16 values 16 are NaN"),
        (np.zeros((2, 2, 9), np.uint8), ImageError, "image 1: an array of shape"),
        ("nowhere.png", FileNotFoundError, "nowhere.png"),
    ],
)
def test_errors_in_a_list_say_where(
    bad: object, error: type[Exception], words: str, processor: Any
) -> None:
    with pytest.raises(error, match=words):
        processor([RGB, bad])
    with pytest.raises(error) as caught:
        processor(bad)
    assert not str(caught.value).startswith("image")


def test_tensors_need_pytorch(processor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    processor(RGB, return_tensors="np")
    with pytest.raises(ImportError, match=r"'pt' needs torch.*pip install"):
        processor(RGB, return_tensors="pt")


def test_a_call_changes_nothing_so_threads_may_share(processor: Any) -> None:
    before = processor.to_dict()
    sizes = [(5 + i, 9) for i in range(8)]
    results: dict[int, np.ndarray] = {}

    def work(i: int) -> None:
        results[i] = processor(RGB, size=sizes[i], do_center_crop=False).pixel_values[0]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert processor.to_dict() == before
    for i, size in enumerate(sizes):
        np.testing.assert_array_equal(results[i], run(RGB, size=size, do_center_crop=False))


def test_the_source_is_left_alone(processor: Any) -> None:
    x = RGB.copy()
    x.flags.writeable = False
    processor(x)
    image = Image.fromarray(RGB)
    processor(image)
    np.testing.assert_array_equal(np.asarray(image), RGB)


# ----------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("size", v) for v in (0, -3, 2.5, True, "224", None, [1, 2, 3], {"height": 3},
                                {"longest_edge": 9}, {"shortest_edge": 0}, {"shortest_edge": 1.5},
                                {"shortest_edge": 9, "longest_edge": None}, {}, 5000, 10**9)),
        *(("crop_size", v) for v in (0, 1.5, {"shortest_edge": 7}, [5], (10**6, 10**6))),
        *(("resample", v) for v in (-1, 99, True, "bicubic", 2.5, None)),
        *(("rescale_factor", v) for v in ("x", True, float("nan"), -1e31, 10**400, [1], None)),
        *(("image_std", v) for v in (0, [0.1, 0.0, 0.1], -1, [1, 2], [], "x", [None] * 3)),
        *(("image_mean", v) for v in ([1, 2, 3, 4], float("nan"), "x", True, 1e40)),
        *((f"do_{v}", 1) for v in ("resize", "center_crop", "rescale", "normalize")),
        ("crop_rounding", "up"),
    ],
)  # fmt: skip
def test_impossible_settings_are_refused_by_name(field: str, value: object, processor: Any) -> None:
    if value is not None:  # None is the default of a call, and of some settings
        with pytest.raises(ConfigError, match=f"^{field} is "):
            EfficientFormerImageProcessor(**{field: value})  # type: ignore[arg-type]
        if field != "crop_rounding":
            with pytest.raises(ConfigError, match=f"^{field} is "):
                processor(RGB, **{field: value})
    setattr(processor, field, value)
    with pytest.raises(ConfigError, match=f"^{field} is "):
        processor(RGB)


@pytest.mark.parametrize(
    ("field", "value"),
    [("data_format", "none"), ("input_data_format", "HWC"), ("return_tensors", "tf")],
)
def test_impossible_arguments_of_a_call(field: str, value: str, processor: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{field} is '{value}'; expected"):
        processor(RGB, **{field: value})


def test_spellings_of_settings() -> None:
    spelled = EfficientFormerImageProcessor(
        size=(30, 20), crop_size=np.int64(9), resample=np.int64(1), rescale_factor=1,
        image_mean=np.array([0, 1, 2]), image_std=(1, 2, 3),
    )  # fmt: skip
    assert spelled.size == {"height": 30, "width": 20}
    assert spelled.crop_size == {"height": 9, "width": 9}
    assert spelled.resample is Image.Resampling.LANCZOS
    assert spelled.image_mean == [0, 1, 2]
    assert spelled.image_std == [1, 2, 3]


def test_unknown_arguments_give_a_warning(processor: Any) -> None:
    with pytest.warns(UserWarning, match="not used: do_pad, padding"):
        processor(RGB, padding=True, do_pad=False)
    with pytest.warns(UserWarning, match="'do_resise' is kept but not used; did you mean 'do_resi"):
        EfficientFormerImageProcessor(do_resise=False)
    assert EfficientFormerImageProcessor(do_convert_rgb=True).extra == {"do_convert_rgb": True}


def test_the_interface() -> None:
    names = list(inspect.signature(EfficientFormerImageProcessor.preprocess).parameters)
    assert names == [
        "self", "images", "do_resize", "size", "resample", "do_center_crop", "crop_size",
        "do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std",
        "return_tensors", "data_format", "input_data_format", "unknown",
    ]  # fmt: skip
    assert EfficientFormerImageProcessor().to_dict() == {
        "do_resize": True, "size": {"height": 224, "width": 224}, "resample": 3,
        "do_center_crop": True, "crop_size": {"height": 224, "width": 224}, "do_rescale": True,
        "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "image_processor_type": "EfficientFormerImageProcessor",
    }  # fmt: skip


# ----------------------------------------------------------------------------- files


HUB_FILE = (
    '{"crop_size":{"height":224,"width":224},"do_center_crop":true,"do_normalize":true,'
    '"do_rescale":true,"do_resize":true,"image_mean":[0.485,0.456,0.406],'
    '"image_processor_type":"EfficientFormerImageProcessor","image_std":[0.229,0.224,0.225],'
    '"resample":3,"rescale_factor":0.00392156862745098,"size":{"shortest_edge":256}}'
)
"""As it lies in the repositories of the published networks."""


def test_files_of_the_hub(tmp_path: Path) -> None:
    path = tmp_path / "preprocessor_config.json"
    values = json.loads(HUB_FILE)
    path.write_text(json.dumps({**values, "_valid_processor_keys": ["images"], "other": [1]}))
    for source in (tmp_path, str(tmp_path), path):
        processor = EfficientFormerImageProcessor.from_pretrained(source)
        assert processor.to_dict() == {**values, "other": [1]}
    changed = EfficientFormerImageProcessor.from_pretrained(tmp_path, do_normalize=False, size=9)
    assert changed.to_dict() == {
        **values, "other": [1], "do_normalize": False, "size": {"height": 9, "width": 9}
    }  # fmt: skip


@pytest.mark.parametrize("name", ["l1", "l3", "snap-research/efficientformer-l7-300"])
def test_names_of_published_networks(name: str) -> None:
    processor = EfficientFormerImageProcessor.from_pretrained(name)
    assert processor.to_dict() == json.loads(HUB_FILE)


def test_the_default_weights_by_name_and_folder() -> None:
    by_name = EfficientFormerImageProcessor.from_pretrained("tiny")
    folder = EfficientFormerImageProcessor.from_pretrained(ROOT / "weights" / "tiny")
    assert by_name.to_dict() == folder.to_dict()


def test_saving_and_loading(tmp_path: Path) -> None:
    processor = EfficientFormerImageProcessor(
        size={"shortest_edge": 9}, crop_size=8, image_mean=0.5, crop_rounding="torchvision", other=1
    )
    (written,) = processor.save_pretrained(tmp_path / "new" / "folder")
    assert Path(written) == tmp_path / "new" / "folder" / "preprocessor_config.json"
    again = EfficientFormerImageProcessor.from_pretrained(tmp_path / "new" / "folder")
    assert again.to_dict() == processor.to_dict()
    assert again.crop_rounding == "torchvision"
    assert again.extra == {"other": 1}
    assert repr(again) == f"EfficientFormerImageProcessor {Path(written).read_text()}"


def test_the_dictionary_is_a_copy(processor: Any) -> None:
    processor.to_dict()["size"]["height"] = 1
    assert processor.size == {"height": 224, "width": 224}


@pytest.mark.case(52)
def test_a_key_named_as_python_names_the_object_is_a_key() -> None:
    assert EfficientFormerImageProcessor.from_dict({"self": 1}).to_dict()["self"] == 1


def test_files_that_are_not_usable(tmp_path: Path) -> None:
    path = tmp_path / "preprocessor_config.json"
    with pytest.raises(MissingWeights, match=r"no such folder.*names are tiny, l1"):
        EfficientFormerImageProcessor.from_pretrained(tmp_path)
    path.write_text("{")
    with pytest.raises(ConfigError, match=r"preprocessor_config\.json, line 1"):
        EfficientFormerImageProcessor.from_pretrained(tmp_path)
    path.write_text('{"size": 0}')
    with pytest.raises(ConfigError, match=r"preprocessor_config\.json: size is 0"):
        EfficientFormerImageProcessor.from_json_file(path)
    path.write_text("{}")
    with pytest.warns(UserWarning, match="not used: antialias"):
        EfficientFormerImageProcessor.from_pretrained(path, antialias=True)


# Where the channels are


@given(st.data())
def test_axes_are_turned_and_turned_back(data: st.DataObject) -> None:
    shape = data.draw(st.lists(sizes(), min_size=3, max_size=5))
    x = data.draw(arrays(*shape))
    y = channels_last(x)
    assert y.shape == (*shape[:-3], *shape[-2:], shape[-3])
    assert y.flags.c_contiguous
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, np.moveaxis(x, -3, -1))
    np.testing.assert_array_equal(channels_first(y), x)
    assert np.shares_memory(channels_last(channels_first(y)), y)


@pytest.mark.parametrize("source", ["gray", "color", "float"])
def test_pixels_are_pixel_values_with_their_channels_last(source: str) -> None:
    rng = np.random.default_rng(0)
    image = {
        "gray": rng.integers(0, 256, (30, 40), np.uint8),
        "color": rng.integers(0, 256, (3, 30, 40), np.uint8),
        "float": rng.random((30, 40, 3)),
    }[source]
    for changes in ({}, {"do_normalize": False}, {"do_rescale": False, "do_normalize": False}):
        processor = EfficientFormerImageProcessor(size=20, crop_size=16, **changes)
        expected = processor(image, return_tensors="np").pixel_values
        found = processor.pixels(image)
        assert found.dtype == expected.dtype
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, expected[0].transpose(1, 2, 0))
