"""Many photographs: the pipeline, fast decoding, and which files are looked at."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import npformer
from npformer.engine import get_num_threads
from npformer.engine.threads import limited
from npformer.errors import ConfigError, ImageError
from npformer.images import files, heif
from npformer.images.open import open_stored
from npformer.images.reduced import needed, resize_reduced
from npformer.layers.arrays import Array
from npformer.scale.paths import BLOCK, Paths
from npformer.scale.pipeline import Row, rows
from npformer.scale.run import run
from npformer.scale.task import answers

IMAGES = Path(__file__).parents[1] / "notebooks" / "images"
NAMES = ("astronaut.png", "cat.png", "coffee.png", "rocket.jpg")


@pytest.fixture(scope="module")
def tiny() -> npformer.Classifier:
    return npformer.load("tiny")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(11):
        shutil.copy(IMAGES / NAMES[i % 4], tmp_path / f"{i:02}{Path(NAMES[i % 4]).suffix}")
    (tmp_path / "05.png").write_text("no picture")
    return tmp_path


# The pipeline


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_answers_have_the_order_and_the_bits_of_one_at_a_time(
    tiny: npformer.Classifier, folder: Path, batch_size: int
) -> None:
    images = Paths(str(path) for path in sorted(folder.iterdir()))
    task = answers(tiny, top=3)
    with limited(3):
        found = list(rows(images, task.read, task.ask, batch_size=batch_size, threads=3))
    assert [row.image for row in found] == list(images)
    for row in found:
        if row.image.endswith("05.png"):
            assert row.answer is None
            assert row.error is not None
            assert row.error.startswith(f"{row.image}: ")
        else:
            assert row == Row(row.image, tiny.classify(row.image, top=3))
    assert list(run(task, images, 4, batch_size)) == found[4:]


def one(name: str) -> Array:
    return np.full((1, 2, 2), float(name))


def first(x: Array) -> list[float]:
    return [float(image[0, 0, 0]) for image in x]


def test_images_of_several_sizes_and_those_that_the_network_refuses() -> None:
    def read(name: str) -> Array:
        return np.full((1, 2, 2 + int(name) % 3), float(name))

    def ask(x: Array) -> list[float]:
        if x.shape[-1] == 4:
            raise ConfigError("too wide")
        return first(x)

    found = list(rows(map(str, range(9)), read, ask, batch_size=4, threads=2))
    assert [row.answer for row in found] == [None if i % 3 == 2 else i for i in range(9)]
    assert [row.error for row in found if row.error] == [f"{i}: too wide" for i in (2, 5, 8)]


def test_no_more_names_are_taken_than_a_few_batches() -> None:
    taken: list[int] = []

    def names() -> Iterator[str]:
        for i in range(10_000):
            taken.append(i)
            yield str(i)

    found = rows(names(), one, first, batch_size=5, threads=2)
    for done in range(1, 500):
        assert next(found).answer == done - 1
        assert len(taken) <= done + 5 * (2 * 2 + 2)
    found.close()


def test_who_stops_early_does_not_wait_and_the_threads_end() -> None:
    before = set(threading.enumerate())
    free, read_names = threading.Event(), []

    def read(name: str) -> Array:
        read_names.append(name)
        if int(name) >= 4:
            free.wait(20)
        return one(name)

    found = rows(map(str, range(1000)), read, first, batch_size=4, threads=2)
    assert next(found).answer == 0
    while len(read_names) < 6:  # both threads are held up in their next batches
        time.sleep(0.001)
    found.close()
    assert len(set(threading.enumerate()) - before) == 2  # they are still held up
    free.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
    assert len(read_names) <= 8  # of no batch was another photograph begun


def test_each_thread_runs_the_network_alone_and_one_photograph_has_all_threads() -> None:
    seen: list[int] = []

    def ask(x: Array) -> list[float]:
        seen.append(get_num_threads())
        return first(x)

    npformer.set_num_threads(3)
    try:
        list(rows(map(str, range(20)), one, ask, batch_size=4, total=20))
        assert set(seen) == {1}
        seen.clear()
        list(rows(["0"], one, ask, total=1))
        assert seen == [3]
        with limited(2), limited(5):
            assert get_num_threads() == 2
        assert get_num_threads() == 3
    finally:
        npformer.set_num_threads(None)


def test_a_few_photographs_are_shared_among_the_threads() -> None:
    sizes: list[int] = []

    def ask(x: Array) -> list[float]:
        sizes.append(len(x))
        return first(x)

    list(rows(map(str, range(6)), one, ask, batch_size=8, total=6, threads=2))
    assert max(sizes) == 1
    sizes.clear()
    list(rows(map(str, range(640)), one, ask, batch_size=8, total=640, threads=2))
    assert max(sizes) == 8


def test_an_error_that_is_nobodys_file_is_raised() -> None:
    def read(name: str) -> Array:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(rows(map(str, range(9)), read, first, threads=2))


def test_names_in_little_memory() -> None:
    names = [f"folder/é{i:07}.jpg" for i in range(2 * BLOCK + 3)] + ["not UTF-8 \udcff.jpg"]
    paths = Paths(names)
    assert len(paths) == len(names)
    assert list(paths) == names
    for start in (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 2, len(names)):
        assert list(paths.since(start)) == names[start:]
    assert paths.digest() == Paths(iter(names)).digest()
    assert paths.digest() != Paths(names[::-1]).digest()
    assert Paths(["a", "b"]).digest() != Paths(["ab"]).digest()
    assert not Paths()
    with pytest.raises(ImageError, match="null character"):
        Paths(["a\0b"])


# Fast decoding


def smooth(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """A photograph without detail, different in each corner."""
    corners = Image.new("RGB", (2, 2))
    corners.putdata([(230, 30, 30), (30, 200, 60), (40, 60, 220), (240, 230, 200)])
    return corners.resize((width, height), Image.Resampling.BILINEAR).convert(mode)


def differences(a: Array, b: Array, std: float = 0.225) -> Array:
    """Differences of preprocessed images, where white is 255."""
    return np.abs(a - b) * std * 255


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(1200, 900), (901, 1283), (3001, 700)])
def test_fast_decoding_moves_pixels_little(
    tiny: npformer.Classifier, tmp_path: Path, size: tuple[int, int], orientation: int
) -> None:
    path = tmp_path / "1.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth(*size).save(path, quality=95, exif=exif)
    exact, fast = tiny.preprocess(path), tiny.preprocess(path, "fast")
    assert fast.shape == exact.shape
    assert (fast != exact).any()
    assert differences(fast, exact).max() < 4


@pytest.mark.parametrize(("mode", "progressive"), [("L", False), ("CMYK", False), ("RGB", True)])
def test_every_kind_of_jpeg_is_decoded_fast(
    tiny: npformer.Classifier, tmp_path: Path, mode: str, progressive: bool
) -> None:
    path = tmp_path / "1.jpg"
    smooth(1200, 900, mode).save(path, quality=95, progressive=progressive)
    exact, fast = tiny.preprocess(path), tiny.preprocess(path.read_bytes(), "fast")
    assert (fast != exact).any()
    assert differences(fast, exact).max() < 4


def test_the_smallest_scale_is_taken_that_has_twice_the_sides(tmp_path: Path) -> None:
    path = tmp_path / "1.jpg"
    for side, scale in ((511, 1), (512, 2), (1023, 2), (1024, 4), (2047, 4), (2048, 8), (4097, 8)):
        smooth(side + 8, side).save(path)
        stored = open_stored(path, at_least=needed({"shortest_edge": 128}))
        assert stored.rgb.size == (-(-(side + 8) // scale), -(-side // scale))
        assert stored.size == (side + 8, side)
        assert min(stored.rgb.size) >= 256 or scale == 1
        assert (stored.part is None) == (scale == 1)
    wide = needed({"height": 100, "width": 300})
    assert wide == (200, 600)
    exif = Image.Exif()
    exif[0x0112] = 6
    smooth(900, 2400).save(path, exif=exif)  # lying: upright it is 2400 × 900
    assert open_stored(path, at_least=wide).rgb.size == (225, 600)
    smooth(900, 2400).save(path)
    assert open_stored(path, at_least=wide).rgb.size == (900, 2400)


def test_what_a_small_picture_has_beyond_the_edge_does_not_count(tmp_path: Path) -> None:
    """At an eighth, 2049 pixels become 257, the last of which is seven eighths beyond."""
    path, size = tmp_path / "1.jpg", {"height": 128, "width": 128}
    picture = smooth(2049, 2049)
    picture.save(path, quality=97)
    stored = open_stored(path, at_least=needed(size))
    assert stored.part == (2049 / 8, 2049 / 8)
    exact, whole = (
        np.asarray(image.resize((128, 128), Image.Resampling.BICUBIC), float)
        for image in (picture, stored.rgb)
    )
    fast = np.asarray(resize_reduced(stored, size, Image.Resampling.BICUBIC), float)
    assert np.abs(fast - exact).mean() < np.abs(whole - exact).mean()


@pytest.mark.parametrize("name", ["small.jpg", "1.png", "1.webp"])
def test_what_is_small_or_no_jpeg_keeps_its_bits(
    tiny: npformer.Classifier, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    smooth(*((500, 400) if name == "small.jpg" else (1200, 900))).save(path)
    np.testing.assert_array_equal(tiny.preprocess(path, "fast"), tiny.preprocess(path))


def test_an_image_that_is_decoded_already_is_left_alone(
    tiny: npformer.Classifier, tmp_path: Path
) -> None:
    path = tmp_path / "1.jpg"
    smooth(1200, 900).save(path)
    with Image.open(path) as opened:
        np.testing.assert_array_equal(tiny.preprocess(opened, "fast"), tiny.preprocess(path))
        assert opened.size == (1200, 900)
    with Image.open(path) as opened:
        pixels = np.asarray(opened)
    np.testing.assert_array_equal(tiny.preprocess(pixels, "fast"), tiny.preprocess(path))


def test_fast_decoding_reports_damage_and_odd_words(
    tiny: npformer.Classifier, tmp_path: Path
) -> None:
    path = tmp_path / "half.jpg"
    smooth(1200, 900).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    for decode in ("exact", "fast"):
        with pytest.raises(ImageError, match=r"half\.jpg: truncated"):
            tiny.preprocess(path, decode)
    with pytest.raises(ConfigError, match="decode is 'quick'; expected one of"):
        tiny.preprocess(path, "quick")
    shutil.copy(IMAGES / "rocket.jpg", path)
    assert tiny.classify([path], decode="fast")[0] == tiny.classify(path, decode="fast")


def test_what_open_image_returns_is_new_and_plain(tmp_path: Path) -> None:
    path = tmp_path / "1.jpg"
    smooth(40, 30).save(path, comment="about")
    for source in (path, Image.open(path), smooth(40, 30)):
        image = npformer.open_image(source)
        assert type(image) is Image.Image
        assert image is not source
        assert image.info == {}
    own = smooth(40, 30)
    npformer.open_image(own).putpixel((0, 0), (0, 0, 0))
    assert own.getpixel((0, 0)) != (0, 0, 0)


# Folders as they are


def test_kinds_that_are_left_out_are_counted(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in [
        "1.jpg",
        "a.txt",
        "b.txt",
        "B.MOV",
        "README",
        ".hidden.txt",
        "sub/2.PNG",
        "sub/c.txt",
    ]:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "sub")
    left_out: Counter[str] = Counter()
    found = list(files.walk(str(tmp_path), left_out))
    assert found == [str(tmp_path / "1.jpg"), str(tmp_path / "sub" / "2.PNG")]
    assert left_out == {".txt": 3, ".MOV": 1, "": 1}
    said = files.words_about(left_out)
    assert said == "left out: 5 files of kinds not read (.txt, .MOV, without a suffix)"
    assert files.words_about(Counter({".x": 1})) == "left out: 1 file of kinds not read (.x)"
    many = files.words_about(Counter({f".{i}": 1 for i in range(30)}))
    assert many.endswith(", …)")


@pytest.fixture
def no_heif(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(heif, "installed", lambda: False)
    files.photograph_suffixes.cache_clear()
    yield
    files.photograph_suffixes.cache_clear()


@pytest.mark.usefixtures("no_heif")
def test_without_pillow_heif_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "1.HEIC"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    left_out: Counter[str] = Counter()
    assert list(files.walk(str(tmp_path), left_out)) == []
    said = files.words_about(left_out)
    assert said.startswith("left out: 1 file of kinds not read (.HEIC); for HEIC, pillow-heif is")
    with pytest.raises(ImageError, match=r"this is HEIC, for which .*npformer\[heif\]"):
        npformer.open_image(path)


def test_heic_is_read_and_upright(tiny: npformer.Classifier, tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    before = dict(Image.registered_extensions())
    upright = smooth(200, 300)
    lying = pillow_heif.from_pillow(upright.transpose(Image.Transpose.ROTATE_90))
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.info["exif"] = exif.tobytes()
    lying.save(tmp_path / "1.HEIC", quality=95)
    assert list(files.walk(str(tmp_path))) == [str(tmp_path / "1.HEIC")]
    image = npformer.open_image(tmp_path / "1.HEIC")
    assert (image.size, image.mode, type(image)) == ((200, 300), "RGB", Image.Image)
    assert np.abs(np.asarray(image, int) - np.asarray(upright, int)).mean() < 4
    assert len(tiny.classify((tmp_path / "1.HEIC").read_bytes())) == 5
    assert dict(Image.registered_extensions()) == before  # nothing is registered with Pillow
