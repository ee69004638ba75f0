"""Antialiased resizing: the plain definition is Pillow's, and the kernels have the same bits."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_cases import network
from PIL import Image

import npformer
from npformer.images import antialias, compiled, memory
from npformer.images.antialias import FILTERS, columns_first, resize, taps
from npformer.images.processor import EfficientFormerImageProcessor
from npformer.scale.pipeline import rows
from npformer.scale.reading import read_image

ORIENTATION = 0x0112
PHOTOGRAPHS = Path(__file__).parents[1] / "notebooks" / "images"
KINDS = sorted(FILTERS)
NEW = int(PIL.__version__.split(".")[0]) >= 13
"""Whether Pillow begins with the columns where much of the height goes."""


def picture(height: int, width: int, *colors: int) -> np.ndarray:
    """Noise on a slope, with both ends of the range, where sums are clipped."""
    rng = np.random.default_rng([height, width, *colors])
    noise = rng.integers(-99, 99, (height, width, *colors))
    slope = np.linspace(-40, 300, width).reshape(1, -1, *[1] * len(colors))
    return np.clip(noise + slope, 0, 255).astype(np.uint8)


# The plain definition is Pillow's -----------------------------------------------------------------


@st.composite
def parts_of(draw: st.DrawFn, side: int) -> tuple[float, float]:
    low = draw(st.floats(0, side - 0.5))
    return low, draw(st.floats(low + 0.25, side))


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_the_definition_is_pillows_to_the_last_bit(data: st.DataObject) -> None:
    height, width, h, w = (data.draw(st.integers(1, 40)) for _ in range(4))
    resample = data.draw(st.sampled_from(KINDS))
    x = picture(height, width, *data.draw(st.sampled_from([(), (3,)])))
    part = None
    if data.draw(st.booleans()):
        (left, right), (top, bottom) = data.draw(parts_of(width)), data.draw(parts_of(height))
        part = left, top, right, bottom
    want = np.asarray(Image.fromarray(x).resize((w, h), resample, part))
    down_first = NEW and columns_first((height, width), (h, w))
    order = (0, 1) if down_first else (1, 0)
    np.testing.assert_array_equal(resize(x, (h, w), resample, part, order), want)


@pytest.mark.parametrize("resample", KINDS)
@pytest.mark.parametrize(
    ("old", "new"), [(4000, 341), (3000, 256), (500, 146), (333, 128), (127, 300), (6000, 7)]
)
def test_the_weights_are_pillows(resample: int, old: int, new: int) -> None:
    """Of images of 32 bits, where Pillow multiplies one pixel of 2²² by each, and rounds alike."""
    found = taps(old, new, resample)
    period = found.weights.shape[1]  # farther apart than a new pixel sees
    lone = np.zeros((period, old), np.int32)
    lone[np.arange(old) % period, np.arange(old)] = 2**antialias.BITS
    theirs = np.asarray(Image.fromarray(lone).resize((new, period), resample))
    pixel = found.start[:, None] + np.arange(period)
    want = theirs[pixel % period, np.arange(new)[:, None]]
    np.testing.assert_array_equal(found.weights, want)


def test_every_filter_of_pillow_that_has_weights_is_defined() -> None:
    """NEAREST has none; what later releases add is left to them."""
    assert {*KINDS} == {Image.Resampling[name] for name in (
        "BOX", "BILINEAR", "HAMMING", "BICUBIC", "LANCZOS"
    )}  # fmt: skip


# The compiled way has the same bits ---------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was computed by a kernel."""
    pytest.importorskip("numba")
    names: list[str] = []
    call = compiled.call
    for resample in KINDS:
        assert compiled.agrees(resample)

    def watched(name: str, *values: Any) -> None:
        names.append(name)
        call(name, *values)

    monkeypatch.setattr(compiled, "call", watched)
    return names


def encoded(x: np.ndarray, orientation: int, kind: str = "PNG") -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = io.BytesIO()
    Image.fromarray(x).save(file, kind, exif=exif)
    return file.getvalue()


@st.composite
def processors(draw: st.DrawFn) -> EfficientFormerImageProcessor:
    side = st.integers(8, 30)
    size = draw(st.one_of(st.tuples(side, side), side.map(lambda s: {"shortest_edge": s})))
    return EfficientFormerImageProcessor(
        size=size,
        crop_size=draw(st.tuples(st.integers(3, 12), st.integers(3, 12))),
        resample=draw(st.sampled_from(KINDS)),
        do_center_crop=draw(st.booleans()),
        do_rescale=draw(st.booleans()),
        do_normalize=draw(st.booleans()),
        image_mean=draw(st.sampled_from([0.5, [0.4, 0.5, 0.6]])),
        crop_rounding=draw(st.sampled_from(["floor", "torchvision"])),
    )


def assert_same(processor: Any, image: Any, decode: str = "exact") -> None:
    want = processor.pixels(image, decode=decode)
    found = processor.pixels(image, decode=decode, kernels=True)
    assert found.dtype == want.dtype
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, want)


def test_kernels_give_the_bits_of_pillow(calls: list[str]) -> None:
    computed = []

    @settings(deadline=None, max_examples=150)
    @given(processors(), st.integers(9, 60), st.integers(9, 60), st.integers(1, 8))
    def check(processor: Any, height: int, width: int, orientation: int) -> None:
        calls.clear()
        assert_same(processor, encoded(picture(height, width, 3), orientation))
        computed.append("look_up" in calls)

    check()
    assert np.mean(computed) > 0.3, "the kernels were hardly ever used"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shape", [(150, 221), (221, 150)])
def test_kernels_turn_photographs_upright(
    kind: int, orientation: int, shape: tuple[int, int], calls: list[str]
) -> None:
    processor = EfficientFormerImageProcessor(
        size={"shortest_edge": 37}, crop_size=31, resample=kind, crop_rounding="torchvision"
    )
    assert_same(processor, encoded(picture(*shape, 3), orientation))
    order = ["weigh_along", "weigh_down"]
    assert [*dict.fromkeys(calls)][-3:] == [*(order[::-1] if orientation > 4 else order), "look_up"]


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("side", [90, 130, 250, 700])
def test_jpegs_that_are_decoded_at_a_smaller_scale(
    side: int, orientation: int, calls: list[str]
) -> None:
    processor = EfficientFormerImageProcessor(size={"shortest_edge": 20}, crop_size=16)
    data = encoded(picture(side, side + 33, 3), orientation, "JPEG")
    assert_same(processor, data, "fast")
    # Pillow turns it, or averages it before, where it is still large.
    assert ("look_up" in calls) == (orientation == 1 and side < 400)


def test_the_photographs_of_the_package(calls: list[str]) -> None:
    for name in ("tiny", "l1"):
        processor = EfficientFormerImageProcessor.from_pretrained(name)
        for photograph in sorted(PHOTOGRAPHS.glob("*.[jp][pn]g")):
            assert_same(processor, photograph)
    assert calls.count("look_up") >= 8


# What is left to Pillow ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"do_resize": False},
        {"do_rescale": False, "do_normalize": False},
        {"resample": Image.Resampling.NEAREST},
        {"crop_size": 40},
        {"size": (3, 3), "crop_size": 3},
        {"size": {"shortest_edge": 30}, "image": (2, 900)},
        {"size": (16, 16), "crop_size": 16, "image": (40, 5)},
        {"size": {"shortest_edge": 4000}, "image": (2, 300)},
        {"image": "gray"},
        {"size": {"shortest_edge": 16}, "image": (130, 40)},
    ],
    ids=str,
)
def test_what_is_unusual(changes: dict[str, Any], calls: list[str]) -> None:
    arguments = {"size": 20, "crop_size": 16} | changes
    shape = arguments.pop("image", (50, 60))
    image = picture(50, 60) if shape == "gray" else Image.fromarray(picture(*shape, 3))
    assert_same(EfficientFormerImageProcessor(**arguments), image)
    assert "look_up" not in calls


@pytest.fixture
def fresh() -> Iterator[None]:
    for cached in (compiled.agrees, compiled._weights):
        cached.cache_clear()
    yield
    for cached in (compiled.agrees, compiled._weights):
        cached.cache_clear()


def test_a_pillow_that_rounds_otherwise_keeps_its_bits(
    calls: list[str], fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Pillow-SIMD does, whose weights have fewer bits."""
    monkeypatch.setattr(antialias, "BITS", 14)
    assert not compiled.agrees(Image.Resampling.BICUBIC)
    calls.clear()
    assert_same(
        EfficientFormerImageProcessor(size=20, crop_size=16), Image.fromarray(picture(50, 60, 3))
    )


def test_who_uses_the_kernels(tmp_path: Any, calls: list[str]) -> None:
    """Models on the compiled kernels, and nobody else."""
    image = Image.fromarray(picture(50, 60, 3))
    path = network(tmp_path)
    found = {}
    for engine in ("numpy", "numba"):
        model = npformer.load(path, engine=engine)
        calls.clear()
        found[engine] = model.preprocess(image)
        model.classify([image, image], top=1)
        model.classify(image, top=1)
        model.trace(image)
        assert calls.count("look_up") == (5 if engine == "numba" else 0)
    np.testing.assert_array_equal(found["numba"], found["numpy"])


# Memory of Pillow ---------------------------------------------------------------------------------


def has_arrow() -> bool:
    return hasattr(Image.Image, "__arrow_c_array__")


def test_a_view_shows_the_pixels_and_keeps_them() -> None:
    x = picture(7, 9, 3)
    image = Image.fromarray(x)
    shown = memory.view(image)
    if not has_arrow():
        assert shown is None
        return
    assert shown is not None
    assert not shown.flags.writeable
    del image
    others = [Image.new("RGB", (9, 7), (i, i, i)) for i in range(50)]
    np.testing.assert_array_equal(shown.reshape(7, 9, 4)[..., :3], x)
    del others


@pytest.fixture(params=["blocks", "aligned", "no Arrow"])
def no_view(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Pillow that cannot show the memory of an image as a whole."""
    monkeypatch.setattr(memory, "PART", 4096)
    if request.param == "no Arrow":
        monkeypatch.setattr(Image.Image, "__arrow_c_array__", None, raising=False)
        monkeypatch.delattr(Image.Image, "__arrow_c_array__")
        yield
    elif request.param == "aligned":
        monkeypatch.setattr(Image.core, "get_alignment", lambda: 32)
        yield
    else:
        size = Image.core.get_block_size()
        Image.core.set_block_size(4096)
        yield
        Image.core.set_block_size(size)


def settings_of_pillow() -> tuple[int, int]:
    return Image.core.get_block_size(), Image.core.get_blocks_max()


def written(count: int, tmp_path: Path) -> list[str]:
    """Write photographs of more than a block of 16 MB; return their names."""
    picture = Image.new("RGB", (2400, 2000), "teal")
    names = [str(tmp_path / f"{i}.jpg") for i in range(count)]
    for name in names:
        picture.save(name)
    return names


def by_rows(model: npformer.Classifier, names: list[str]) -> None:
    read = partial(read_image, model, "exact")
    assert all(row.error is None for row in rows(names, read, model.predict, threads=2))


def by_stream(model: npformer.Classifier, names: list[str]) -> None:
    assert len(list(model.stream(names))) == len(names)


@pytest.mark.parametrize("read_all", [by_rows, by_stream])
def test_many_photographs_reuse_memory(read_all: Any, tmp_path: Path) -> None:
    names, model = written(6, tmp_path), npformer.load(network(tmp_path / "network"))
    before, state = Image.core.get_stats(), settings_of_pillow()
    read_all(model, names)
    after = Image.core.get_stats()
    taken = {key: after[key] - before[key] for key in ("allocated_blocks", "reused_blocks")}
    assert taken["allocated_blocks"] < taken["reused_blocks"], taken
    assert state == settings_of_pillow()


def test_memory_is_reused_until_the_last_has_ended() -> None:
    before, meanwhile = settings_of_pillow(), (memory.BLOCK, memory.BLOCKS)
    with memory.reused():
        with memory.reused():
            assert settings_of_pillow() == meanwhile
        assert settings_of_pillow() == meanwhile
    assert settings_of_pillow() == before


@pytest.mark.parametrize("orientation", [1, 2, 6, 7])
@pytest.mark.parametrize("shape", [(97, 131), (131, 97), (64, 65), (150, 300)])
def test_pixels_that_do_not_lie_in_one_block(
    shape: tuple[int, int], orientation: int, calls: list[str], no_view: None
) -> None:
    processor = EfficientFormerImageProcessor(size={"shortest_edge": 37}, crop_size=31)
    data = encoded(picture(*shape, 3), orientation)
    assert memory.view(Image.open(io.BytesIO(data))) is None
    assert_same(processor, data)
    first = "weigh_down" if orientation > 4 else "weigh_along"
    assert calls.count(first) > 3
