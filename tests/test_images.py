"""Any photograph becomes upright RGB, or is refused by name; nothing else ever comes out."""

import io
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from npformer.errors import ImageError
from npformer.images import open as opening
from npformer.images.arrays import layout_of
from npformer.images.open import open_image

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
"""A picture without any symmetry."""
LOSSLESS = ("PNG", "BMP", "PPM", "TIFF", "GIF", "WEBP", "JPEG2000")


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    if kind == "PPM" and image.mode == "I;16":  # older Pillows read this but do not write it
        values = np.asarray(image).astype(">u2").tobytes()
        return f"P5 {image.width} {image.height} 65535\n".encode() + values
    if kind == "WEBP":
        options = {"lossless": True, "exact": True, **options}
    image.save(file, kind, **options)  # type: ignore[arg-type]
    return file.getvalue()


def pixels(source: object, **options: object) -> np.ndarray:
    image = open_image(source, **options)  # type: ignore[arg-type]
    assert image.mode == "RGB"
    assert not image.info
    return np.asarray(image)


def near(got: np.ndarray, expected: object, levels: int) -> None:
    assert np.abs(got.astype(int) - np.asarray(expected, int)).max() <= levels


# ----------------------------------------------------------------------------- sources


def test_every_kind_of_source_gives_the_same_pixels(tmp_path: Path) -> None:
    data = encode(Image.fromarray(RGB), "PNG")
    path = tmp_path / "a photograph.png"
    path.write_bytes(data)
    late = io.BytesIO(data)
    late.seek(30)  # a file is read from its beginning wherever it stands
    read, write = os.pipe()
    os.write(write, data)
    os.close(write)
    with path.open("rb") as file, open(read, "rb", buffering=0) as pipe, Image.open(path) as lazy:
        for source in (
            path, str(path), os.fsencode(path).decode(), data, bytearray(data), memoryview(data),
            file, late, pipe, lazy, Image.fromarray(RGB), RGB,
        ):  # fmt: skip
            np.testing.assert_array_equal(pixels(source), RGB)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_formats(kind: str) -> None:
    image = Image.fromarray(RGB)
    expected = image.quantize(256).convert("RGB") if kind == "GIF" else image
    stored = image.quantize(256) if kind == "GIF" else image
    np.testing.assert_array_equal(pixels(encode(stored, kind)), np.asarray(expected))


def test_jpeg_is_what_pillow_decodes() -> None:
    data = encode(Image.fromarray(RGB), "JPEG")
    np.testing.assert_array_equal(pixels(data), np.asarray(Image.open(io.BytesIO(data))))


def test_the_result_is_new_and_plain() -> None:
    image = Image.fromarray(RGB)
    image.info["dpi"] = (72, 72)
    image.getexif()[0x0112] = 6
    upright = open_image(image)
    assert image.size == (7, 5)
    assert image.info  # the source is left alone
    assert upright.size == (5, 7)
    np.testing.assert_array_equal(pixels(upright), np.asarray(upright))  # not turned twice


@pytest.mark.parametrize("source", [None, 3, ["a.png"], {"path": "a.png"}, io.StringIO("text")])
def test_what_is_no_source_is_a_type_error(source: object) -> None:
    with pytest.raises(TypeError, match=r"expected a path|mode 'rb'"):
        open_image(source)


# ----------------------------------------------------------------------------- files that are not


@pytest.mark.case(1, 2)
def test_missing_file_and_folder_name_the_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg"):
        open_image(tmp_path / "nowhere.jpg")
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        open_image(tmp_path)
    with pytest.raises(ImageError, match="not a path"):
        open_image("a\0b.png")


@pytest.mark.case(16)
def test_unreadable_file_names_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.png"
    path.touch()

    def refuse(path: str, mode: str) -> None:  # root, as in a container, may read everything
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(opening, "open", refuse, raising=False)
    with pytest.raises(PermissionError, match=r"secret\.png"):
        open_image(path)


EMPTY, HTML, LFS, PDF, HEIC = (
    b"",
    b"\xef\xbb\xbf\n<!DOCTYPE html><title>404</title>",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    b"%PDF-1.7 \n",
    b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
)


@pytest.mark.case(3, 4, 11)
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (EMPTY, r"empty \(0 bytes\)"),
        (HTML, r"web page.*first bytes.*DOCTYPE"),
        (LFS, "Git LFS pointer.*git lfs pull"),
        (PDF, "PDF document.*%PDF"),
        (HEIC, "HEIC.*ftypheic"),
        (b"hello, world", "not an image.*expected JPEG, PNG.*hello"),
    ],
)
def test_what_is_not_an_image_is_named(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=rf"photo\.jpg: .*{words}"):
        open_image(path)
    with pytest.raises(ImageError, match=rf"these bytes: .*{words}"):
        open_image(data)


@pytest.mark.case(11)
def test_programs_are_not_run(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encode(Image.fromarray(RGB), "EPS"))  # opening it would start Ghostscript
    with pytest.raises(ImageError, match="PostScript program"):
        open_image(path)


@pytest.mark.case(12)
def test_only_listed_formats_are_read_whatever_the_name_says(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encode(Image.fromarray(RGB), "TIFF"))
    np.testing.assert_array_equal(pixels(path), RGB)
    path.write_bytes(encode(Image.fromarray(RGB), "PCX"))
    with pytest.raises(ImageError, match="not an image"):
        open_image(path)


@pytest.mark.case(5)
@pytest.mark.parametrize("kind", [*LOSSLESS, "JPEG"])
def test_half_a_file_is_refused(kind: str, tmp_path: Path) -> None:
    noise = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), kind)
    path = tmp_path / "half"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"half: .*(truncated|damaged).*get the file again"):
        open_image(path)


def png(width: int, height: int) -> bytes:
    """The beginning of a PNG file of any size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
        + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    )  # fmt: skip


@pytest.mark.case(6, 7)
def test_damaged_png() -> None:
    data = bytearray(encode(Image.fromarray(RGB), "PNG"))
    data[30] ^= 1  # checksum of the header
    with pytest.raises(ImageError, match="damaged"):
        open_image(data)
    with pytest.raises(ImageError, match=r"damaged|pixels"):
        open_image(png(0, 0))


@pytest.mark.case(8, 9)
@pytest.mark.parametrize("side", [9460, 13_500, 60_000])
@pytest.mark.parametrize("action", ["error", "ignore"])  # Pillow warns of some, refuses others
def test_too_many_pixels_are_refused_before_decoding(side: int, action: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter(action)  # type: ignore[arg-type]
        with pytest.raises(
            ImageError, match=rf"{side}×{side} .*max_pixels|{side**2} pixels.*make it smaller"
        ):
            open_image(png(side, side))


@pytest.mark.case(8)
def test_the_limit_is_an_argument() -> None:
    for source in (RGB, Image.fromarray(RGB), encode(Image.fromarray(RGB), "PNG")):
        pixels(source, max_pixels=35)
        with pytest.raises(ImageError, match=r"7×5 is 35 pixels; expected 1 to 34 \(max_pixels\)"):
            open_image(source, max_pixels=34)


@pytest.mark.case(17)
def test_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (fifo, "/dev/zero"):
        with pytest.raises(ImageError, match="not a regular file"):
            open_image(path)
    with open("/dev/zero", "rb") as zero, pytest.raises(ImageError, match="not an image"):
        open_image(zero)


@pytest.mark.case(17)
def test_an_endless_stream_is_not_read_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "MAX_STREAM", 2**21)

    class Endless:
        def read(self, size: int) -> bytes:
            return bytes(size)

    with pytest.raises(ImageError, match="Endless: more than 2,097,152 bytes"):
        open_image(Endless())


def test_closed_files(tmp_path: Path) -> None:
    file = io.BytesIO(encode(Image.fromarray(RGB), "PNG"))
    image = Image.open(file)
    file.close()
    for source in (file, image):
        with pytest.raises(ImageError, match="closed"):
            open_image(source)
    with (tmp_path / "out").open("wb") as writable, pytest.raises(ImageError, match="cannot be"):
        open_image(writable)


Image.init()
WRITTEN = [kind for kind in (*LOSSLESS, "JPEG", "AVIF") if kind in Image.SAVE]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(WRITTEN), st.data())
def test_damage_never_gives_anything_but_an_image_or_an_image_error(
    kind: str, data: st.DataObject
) -> None:
    image = Image.fromarray(np.tile(RGB, (3, 3, 1)))
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = bytearray(encode(image, kind, **({} if kind in ("BMP", "PPM") else {"exif": exif})))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)) | st.just(len(whole)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pixels(bytes(whole[:cut]), max_pixels=10_000)
        except ImageError as error:
            assert str(error)  # noqa: PT017 - both outcomes are right


# ----------------------------------------------------------------------------- EXIF, animation


def turned(orientation: int) -> np.ndarray:
    """RGB stored so that `orientation` turns it upright; EXIF 2.3, figure 6."""
    x = RGB
    if orientation >= 5:
        x = x.transpose(1, 0, 2)
    rows, columns = {1: (1, 1), 2: (1, -1), 3: (-1, -1), 4: (-1, 1),
                     5: (1, 1), 6: (-1, 1), 7: (-1, -1), 8: (1, -1)}[orientation]  # fmt: skip
    return np.ascontiguousarray(x[::rows, ::columns])


@pytest.mark.case(14)
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_orientation(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    data = encode(Image.fromarray(turned(orientation)), kind, exif=exif, **options)
    loaded = Image.open(io.BytesIO(data))
    near(pixels(data), RGB, 8 if kind == "JPEG" else 0)
    near(pixels(loaded), RGB, 8 if kind == "JPEG" else 0)
    near(pixels(loaded), RGB, 8 if kind == "JPEG" else 0)  # the same image once more


@pytest.mark.case(14)
@pytest.mark.parametrize("orientation", [0, 9, 99])
def test_impossible_orientation_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(pixels(encode(Image.fromarray(RGB), "PNG", exif=exif)), RGB)


@pytest.mark.case(15)
def test_damaged_exif_does_not_cost_the_image() -> None:
    data = encode(Image.fromarray(RGB), "PNG", exif=b"Exif\0\0nonsense, not a TIFF header")
    with pytest.warns(UserWarning, match="these bytes: damaged EXIF is ignored"):
        np.testing.assert_array_equal(pixels(data), RGB)


@pytest.mark.case(15)
def test_damaged_color_profile_does_not_cost_the_image() -> None:
    data = encode(Image.fromarray(RGB), "PNG", icc_profile=b"nonsense")
    np.testing.assert_array_equal(pixels(data), RGB)


@pytest.mark.case(13)
@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_animation_gives_the_first_frame_and_one_warning(kind: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "green", "blue")]
    path = tmp_path / "moving"
    path.write_bytes(encode(frames[0], kind, save_all=True, append_images=frames[1:]))
    with pytest.warns(UserWarning, match="moving: has 3 frames; only the first") as caught:
        near(pixels(path), [255, 0, 0], 0)
    assert len(caught) == 1
    assert caught[0].filename == __file__  # the place is ours: this test's helper


def test_previews_in_a_telephone_photograph_are_no_animation() -> None:
    image = Image.fromarray(np.tile(RGB, (4, 4, 1)))
    data = encode(image, "MPO", save_all=True, append_images=[image.resize((8, 8))])
    assert Image.open(io.BytesIO(data)).format == "MPO"
    assert pixels(data).shape == (20, 28, 3)


# ----------------------------------------------------------------------------- modes


GRAY = RGB[:, :, 0]


@pytest.mark.case(19)
def test_gray_and_bits() -> None:
    three = np.repeat(GRAY[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(pixels(encode(Image.fromarray(GRAY), "PNG")), three)
    bits = Image.fromarray(GRAY > 127)
    assert bits.mode == "1"
    np.testing.assert_array_equal(pixels(encode(bits, "PNG")), np.where(three > 127, 255, 0))


@pytest.mark.case(19, 21)
@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La", "RGBX"])
def test_what_is_transparent_becomes_white(mode: str) -> None:
    layers = {"RGBA": (200, 10, 10), "RGBa": (200, 10, 10), "RGBX": (200, 10, 10)}
    color = layers.get(mode, (100, 100, 100))
    image = Image.new("RGBA", (3, 1), (*color, 255))
    image.putpixel((1, 0), (*color, 0))  # hidden
    image.putpixel((2, 0), (*color, 51))  # a fifth
    if mode in ("LA", "La"):
        image = image.convert("LA")
    elif mode == "PA":
        image = Image.frombytes("PA", (3, 1), bytes([5, 255, 5, 0, 5, 51]))
        image.putpalette([20 * (i // 3) % 256 for i in range(768)])
    if mode != image.mode:
        image = image.convert(mode)
    fifth = [round(0.2 * v + 0.8 * 255) for v in color]
    expected = [color] * 3 if mode == "RGBX" else [color, (255, 255, 255), fifth]
    near(pixels(image), [expected], 2)


@pytest.mark.case(20)
def test_transparent_color_of_palette_gray_and_rgb() -> None:
    image = Image.fromarray(RGB).quantize(8)
    hidden = np.asarray(image) == 3
    got = pixels(encode(image, "PNG", transparency=3))
    assert (got[hidden] == 255).all()
    np.testing.assert_array_equal(got[~hidden], np.asarray(image.convert("RGB"))[~hidden])
    assert (pixels(encode(Image.new("L", (2, 2), 7), "PNG", transparency=7)) == 255).all()
    color = Image.new("RGB", (2, 2), (9, 8, 7))
    assert (pixels(encode(color, "PNG", transparency=(9, 8, 7))) == 255).all()


@pytest.mark.case(22)
@pytest.mark.parametrize("ycck", [False, True])
def test_printing_inks_in_jpeg_as_adobe_writes_them(ycck: bool) -> None:
    color = np.array([200, 60, 30])
    planes = np.append(255 - color, 0)
    if ycck:  # what is stored is inverted, and so is libjpeg's RGB of a YCCK file
        y, cb, cr = Image.new("RGB", (1, 1), tuple(255 - color)).convert("YCbCr").getpixel((0, 0))
        planes = np.array([255 - y, 255 - cb, 255 - cr, 0])
    image = Image.new("CMYK", (16, 16), tuple(int(v) for v in planes))
    data = bytearray(encode(image, "JPEG", quality=100))
    if ycck:
        data[data.index(b"Adobe") + 11] = 2  # the field "color transform"
    near(pixels(bytes(data)), color, 3)


@pytest.mark.case(22)
def test_printing_inks_in_tiff_and_by_hand() -> None:
    image = Image.new("CMYK", (2, 2), (55, 195, 225, 0))
    for source in (image, encode(image, "TIFF")):
        near(pixels(source), [200, 60, 30], 0)


@pytest.mark.case(25)
@pytest.mark.parametrize("mode", ["HSV", "YCbCr", "LAB"])
def test_other_color_spaces_are_converted(mode: str) -> None:
    image = Image.new("RGB", (2, 2), (200, 60, 30))
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        converted = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
    else:
        converted = image.convert(mode)
    assert converted is not None
    assert converted.mode == mode
    near(pixels(converted), [200, 60, 30], 4)


@pytest.mark.case(23)
@pytest.mark.parametrize(
    ("mode", "kind"),
    [*(("I;16", kind) for kind in ("PNG", "TIFF", "PPM", "JPEG2000", None)),
     *(("I;16B", kind) for kind in ("TIFF", None))],
)  # fmt: skip
def test_sixteen_bits_are_scaled_and_not_cut(mode: str, kind: str | None) -> None:
    wide = np.array([[0, 128, 129, 300, 32768, 65535]], ">u2" if mode == "I;16B" else "<u2")
    image = Image.frombytes(mode, (6, 1), wide.tobytes())
    expected = np.array([[0, 0, 1, 1, 128, 255]])[:, :, None]
    np.testing.assert_array_equal(
        pixels(encode(image, kind) if kind else image), expected.repeat(3, axis=2)
    )


@pytest.mark.case(23)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_dark_sixteen_bits_remain_dark(kind: str) -> None:
    image = Image.fromarray(np.full((2, 2), 255, np.uint16))
    assert (pixels(encode(image, kind)) == 1).all()


@pytest.mark.case(24)
def test_thirty_two_bits() -> None:
    def gray(values: object, dtype: str) -> Image.Image:
        return Image.fromarray(np.array([values], dtype))

    for source in (gray([0, 200, 255], "i4"), encode(gray([0, 200, 255], "i4"), "TIFF")):
        assert pixels(source)[0, :, 0].tolist() == [0, 200, 255]
    assert pixels(gray([0, 300, 65535], "i4"))[0, :, 0].tolist() == [0, 1, 255]
    for values in ([-1, 5], [0, 65536]):
        with pytest.raises(ImageError, match=f"I.*: the values go from {min(values)}"):
            open_image(gray(values, "i4"))
    assert pixels(gray([0, 0.5, 1], "f4"))[0, :, 0].tolist() == [0, 127, 255]
    assert pixels(encode(gray([0, 99.6, 255], "f4"), "TIFF"))[0, :, 0].tolist() == [0, 100, 255]
    with pytest.raises(ImageError, match=r"the values go from 0\.0 to 300\.0"):
        open_image(gray([0, 300], "f4"))
    with pytest.raises(ImageError, match="1 are NaN"):
        open_image(gray([0, np.nan], "f4"))


@pytest.mark.case(26)
def test_sixteen_bits_in_color_are_cut_by_pillow() -> None:
    raw = b"".join(b"\0" + struct.pack(">3H", *rgb) for rgb in [(65535, 300, 511)])
    header = b"IHDR" + struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(raw)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c))
        for c in (header, body, b"IEND")
    )
    assert pixels(data).tolist() == [[[255, 1, 1]]]


@pytest.mark.case(34)
def test_an_image_without_pixels_is_refused() -> None:
    with pytest.raises(ImageError, match="0×4 is 0 pixels"):
        open_image(Image.new("RGB", (0, 4)))


# ----------------------------------------------------------------------------- arrays


@pytest.mark.case(27, 28)
def test_shapes_of_arrays() -> None:
    np.testing.assert_array_equal(pixels(RGB), RGB)
    np.testing.assert_array_equal(pixels(RGB.transpose(2, 0, 1)), RGB)
    three = np.repeat(GRAY[:, :, None], 3, axis=2)
    for gray in (GRAY, GRAY[None], GRAY[:, :, None]):
        np.testing.assert_array_equal(pixels(gray), three)
    alpha = np.dstack([RGB, np.full((5, 7), 255, np.uint8)])
    np.testing.assert_array_equal(pixels(alpha), RGB)
    np.testing.assert_array_equal(pixels(alpha.transpose(2, 0, 1)), RGB)
    alpha[2, 2, 3] = 0
    assert pixels(alpha)[2, 2].tolist() == [255, 255, 255]


@pytest.mark.case(30)
@pytest.mark.parametrize("shape", [(3, 5, 3), (1, 9, 3), (3, 3, 3), (4, 100, 3), (1, 5, 1)])
def test_shapes_of_two_meanings_are_asked_about(shape: tuple[int, int, int]) -> None:
    x = RNG.integers(0, 256, shape, dtype=np.uint8)
    with pytest.raises(ImageError, match="may have its colors first or last; say which"):
        open_image(x)
    height, width = shape[:2]
    assert pixels(x, data_format="channels_last").shape == (height, width, 3)
    assert pixels(x, data_format="channels_first").shape == (*shape[1:], 3)


@pytest.mark.case(29, 32, 34)
@pytest.mark.parametrize(
    ("shape", "data_format", "words"),
    [
        ((6, 7, 2), None, "1, 3 or 4 colors; select or add"),
        ((6, 5, 5), None, "1, 3 or 4 colors"),
        ((2, 3, 4, 3), None, "images of a batch one by one"),
        ((1, 2, 3, 4, 3), None, r"expected \(H, W\)"),
        ((12,), None, r"expected \(H, W\)"),
        ((), None, r"expected \(H, W\)"),
        ((0, 4, 3), None, r"\(0, 4, 3\) is not an image"),
        ((4, 0), None, r"\(4, 0\) is not an image"),
        ((5, 7, 3), "channels_first", "can be 'channels_last'"),
        ((3, 5, 7), "channels_last", "can be 'channels_first'"),
        ((5, 7), "channels_last", "can be 'none'"),
        ((5, 7, 3), "none", "can be 'channels_last'"),
    ],
)
def test_shapes_that_are_no_image(shape: tuple[int, ...], data_format: str, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        open_image(np.zeros(shape, np.uint8), data_format=data_format)


def test_a_gray_array_may_be_said_to_have_no_channels() -> None:
    assert layout_of(GRAY, "none") == "none"
    assert pixels(GRAY, data_format="none").shape == (5, 7, 3)


@pytest.mark.case(38, 41)
@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i4", "i8", "u4", "u8"])
def test_whole_numbers(dtype: str) -> None:
    np.testing.assert_array_equal(pixels(RGB.astype(dtype)), RGB)


@pytest.mark.case(37, 41)
@pytest.mark.parametrize("dtype", ["f2", "<f4", ">f4", "f8", "longdouble"])
def test_floats_by_the_declared_rule(dtype: str) -> None:
    np.testing.assert_array_equal(pixels(RGB.astype(dtype)), RGB)
    np.testing.assert_array_equal(pixels((RGB / 255).astype(dtype)), RGB)
    assert (pixels(np.ones((2, 2, 3), dtype)) == 255).all()
    assert (pixels(np.zeros((2, 2, 3), dtype)) == 0).all()
    assert pixels(np.array([[0, 1, 1.5, 254.75]], dtype))[0, :, 0].tolist() == [0, 1, 2, 255]


@pytest.mark.case(39)
def test_bools_and_sixteen_bits() -> None:
    assert pixels(np.array([[False, True]]))[0, :, 0].tolist() == [0, 255]
    wide = np.array([[[0, 300, 65535]]], ">u2")
    assert pixels(wide, data_format="channels_last").tolist() == [[[0, 1, 255]]]


@settings(deadline=None)
@given(st.integers(0, 65535))
def test_sixteen_bits_are_rounded_to_the_nearest(value: int) -> None:
    got = pixels(np.full((1, 2), value, np.uint16))[0, 0, 0]
    assert abs(int(got) - value * 255 / 65535) <= 0.5


@pytest.mark.case(35, 36, 38)
@pytest.mark.parametrize(
    ("values", "dtype", "words"),
    [
        ([-1, 3], "i2", "from -1 to 3; expected 0 to 255"),
        ([0, 256], "i8", r"from 0 to 256; expected 0 to 255 \(uint16"),
        ([-0.1, 0.5], "f4", "from -0.1.* to 0.5; expected 0 to 1 or 0 to 255"),
        ([0, 255.5], "f8", "from 0.0 to 255.5"),
        ([np.nan, np.inf, -np.inf, 3, np.nan, 3], "f4", "of 6 values 2 are NaN and 2 infinite"),
    ],
)
def test_values_out_of_range(values: list[float], dtype: str, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        open_image(np.array([values], dtype))


@pytest.mark.case(40)
@pytest.mark.parametrize("dtype", ["O", "U3", "c8", "M8[s]", "V3"])
def test_other_types_are_a_type_error(dtype: str) -> None:
    with pytest.raises(TypeError, match="an image cannot be of type"):
        open_image(np.zeros((4, 4), dtype))


@pytest.mark.case(41)
@settings(deadline=None)
@given(st.sampled_from(["u1", "i8", ">u2", "f4", ">f8", "?"]), st.data())
def test_memory_layout_does_not_matter(dtype: str, data: st.DataObject) -> None:
    kind = np.dtype(dtype).kind
    x = (RGB / 255).astype(dtype) if kind == "f" else RGB.astype(dtype)
    expected = pixels(x)
    steps = data.draw(st.tuples(*[st.sampled_from([1, -1])] * 3))
    flip = tuple(slice(None, None, step) for step in steps)
    strided = np.zeros((10, 14, 6), dtype)[::2, ::2, ::2]
    strided[:] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    for other in (np.asfortranarray(x), x[flip].copy()[flip], strided, read_only):
        np.testing.assert_array_equal(pixels(other), expected)


@pytest.mark.case(41)
def test_memory_mapped_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", RGB)
    np.testing.assert_array_equal(pixels(np.load(tmp_path / "x.npy", mmap_mode="r")), RGB)


@pytest.mark.case(43)
def test_anything_with_an_array_inside() -> None:
    class Tensor:
        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            return RGB

    class Remote:
        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            raise RuntimeError("it is on a graphics card")

    np.testing.assert_array_equal(pixels(Tensor()), RGB)
    with pytest.raises(TypeError, match=r"Remote .*graphics card.*detach\(\).cpu\(\).numpy\(\)"):
        open_image(Remote())


def test_threads(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(Image.fromarray(RGB), "PNG"))
    results: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: results.extend(pixels(path) for _ in range(20)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 80
    assert all((x == RGB).all() for x in results)


# Memory


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_a_memoryview_may_have_steps() -> None:
    data = saved(Image.new("RGB", (3, 2), "red"))
    spread = memoryview(np.repeat(np.frombuffer(data, np.uint8), 2))[::2]
    assert open_image(spread).tobytes() == open_image(data).tobytes()


def any_mode(mode: str) -> Image.Image:
    """An image of 5×7 random pixels; the brightest of the float ones is in the last row."""
    rng = np.random.default_rng(0)
    if mode == "F":
        wide = rng.random((7, 5)).astype(np.float32)
        wide[-1] *= 200
        return Image.fromarray(wide)
    if mode == "I":
        return Image.fromarray(rng.integers(0, 300, (7, 5)).astype(np.int32))
    if mode.startswith("I;16"):
        data = rng.integers(0, 65536, (7, 5)).astype(">u2" if mode == "I;16B" else "<u2")
        return Image.frombytes(mode, (5, 7), data.tobytes())
    rgba = Image.fromarray(rng.integers(0, 256, (7, 5, 4)).astype(np.uint8))
    if mode == "transparent palette":
        image = rgba.convert("RGB").quantize(9)
        image.info["transparency"] = 3
        return image
    if mode == "PA":
        return rgba.convert("P").convert("PA")
    if mode == "La":
        return rgba.convert("LA").convert("La")
    if mode in ("HSV", "LAB", "YCbCr", "CMYK", "1", "L", "P"):
        rgba = rgba.convert("RGB")
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.applyTransform(rgba, ImageCms.buildTransform(*profiles, "RGB", "LAB"))
    return rgba.convert(mode)


@pytest.mark.parametrize(
    "mode",
    ["1", "L", "P", "RGB", "RGBA", "RGBa", "LA", "La", "PA", "CMYK", "YCbCr", "HSV", "LAB", "I",
     "F", "I;16", "I;16B", "transparent palette"],
)  # fmt: skip
def test_strips_give_the_same_pixels_as_the_whole(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = any_mode(mode)
    whole = open_image(image).tobytes()
    for strip in (1, 5, 11):
        monkeypatch.setattr(opening, "STRIP", strip)
        assert open_image(image).tobytes() == whole


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory as Linux tells it")
@pytest.mark.parametrize(
    ("mode", "turned", "bytes_a_pixel"),
    [("RGB", False, 4), ("RGB", True, 8), ("RGBA", False, 8), ("RGBA", True, 8), ("I;16", False, 6),
     ("L", False, 5), ("P", False, 5), ("CMYK", False, 8)],
)  # fmt: skip
def test_memory_while_a_picture_is_read(
    mode: str, turned: bool, bytes_a_pixel: int, tmp_path: Path
) -> None:
    """A small file can hold a large picture; Pillow has four bytes for a pixel of color."""
    side, path, exif = 3000, tmp_path / "picture", Image.Exif()
    if turned:
        exif[0x0112] = 6
    kind = "JPEG" if mode == "CMYK" else "PNG"
    Image.new(mode, (side, side)).save(path, kind, exif=exif)
    script = r"""
import re, sys
from pathlib import Path
from npformer.images import open_image
# Unlike `ru_maxrss`, this begins anew in a new process.
peak = lambda: 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1])
open_image(sys.argv[2])
before = peak()
open_image(sys.argv[1])
print(peak() - before)
"""
    small = tmp_path / "small"
    Image.new(mode, (8, 8)).save(small, kind)
    run = [sys.executable, "-c", script, str(path), str(small)]
    out = subprocess.run(run, capture_output=True, text=True, check=True, timeout=120).stdout
    assert int(out) <= (bytes_a_pixel + 1) * side**2 + 2**24  # and some strips
