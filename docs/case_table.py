"""Bad and odd inputs: what is put in, and what must happen. ``docs/cases.py`` makes the page."""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """A row of the page."""

    number: int
    given: str
    answer: str


def cases(first: int, *rows: tuple[str, str]) -> tuple[Case, ...]:
    """Number rows."""
    return tuple(Case(number, *row) for number, row in enumerate(rows, first))


TOPICS = {
    "Image files": cases(
        1,
        ("a path where there is no file", "`FileNotFoundError`, which names the path"),
        ("a folder in the place of a file", "`IsADirectoryError`, which names the path"),
        ("an empty file", "`ImageError`: empty (0 bytes)"),
        ("text, a web page or a Git LFS pointer named `.jpg`",
         "`ImageError`: what it is, its first bytes, and what to do"),
        ("half of an image, in any format",
         "`ImageError`: truncated or damaged; get the file again"),
        ("a PNG whose header has a wrong checksum", "`ImageError`: damaged"),
        ("a PNG of 0×0 pixels", "`ImageError`"),
        ("more than 89,478,485 pixels",
         "`ImageError` with the number of pixels and the limit, which is the argument "
         "`max_pixels`; nothing is decoded"),
        ("more than 178,956,970 pixels, which Pillow itself refuses", "`ImageError`, as above"),
        ("a strip of 1×5000 pixels, of which resizing would make gigabytes",
         "the usual result; only what the crop keeps is computed"),
        ("PostScript, PDF and other files that are programs",
         "`ImageError`; they are not run, only listed formats are opened"),
        ("a name that lies, such as a TIFF named `.png`",
         "read, if its true format is one of the listed"),
        ("an animation: GIF, WebP, PNG, TIFF of several pages",
         "the first frame, and one warning with the number of frames"),
        ("EXIF orientation 1 to 8; 99", "turned upright; ignored"),
        ("damaged EXIF; a damaged color profile",
         "the image, with a warning; the image, as profiles are not used"),
        ("a file that may not be read", "`PermissionError`, which names the path"),
        ("a named pipe, a device, a stream without end",
         "`ImageError`; nothing is waited for, and no more is read than a limit"),
        ("files that are deleted or replaced after a folder was listed",
         "an error for each of them; the others are answered; `npformer classify` exits with 1"),
    ),
    "Image modes": cases(
        19,
        ("gray, gray with alpha, black and white", "three equal colors"),
        ("a palette, also with a transparent color",
         "looked up; what is transparent becomes white"),
        ("RGB with alpha", "composited over white, so hidden colors stay hidden"),
        ("CMYK and YCCK, also inverted as Adobe writes them", "RGB"),
        ("16 bits of gray", "scaled: 65535 is white, nothing is cut off"),
        ("32 bits: whole numbers or floats",
         "scaled if a value exceeds 255; `ImageError` with the range if no range fits"),
        ("Pillow's modes HSV, LAB and YCbCr", "converted to RGB, never taken for it"),
        ("a PNG with 16 bits for each color", "the upper 8 bits, as Pillow decodes it"),
    ),
    "Arrays as images": cases(
        27,
        ("two dimensions", "a gray image"),
        ("four channels", "RGB with alpha, over white"),
        ("two channels, or five", "`ImageError` with the shape"),
        ("a shape that fits two layouts, such as (3, 5, 3)",
         "`ImageError`, which asks for `data_format`"),
        ("four dimensions", "several images"),
        ("five dimensions, one, or none", "`ImageError` with the shape"),
        ("an empty list, or an array of no images, for the image processor",
         "`ImageError`: no images"),
        ("an axis of length zero", "`ImageError` with the shape"),
        ("NaN or infinity", "`ImageError` with how many there are"),
        ("floats below 0 or above 255", "`ImageError` with the range"),
        ("floats from 0 to 1", "taken as such, and rescaled only once"),
        ("whole numbers below 0 or above 255 (65535 in uint16)", "`ImageError` with the range"),
        ("truth values", "0 and 255"),
        ("objects, text, complex numbers", "`TypeError` with the type"),
        ("any layout of memory: strided, reversed, read-only, Fortran order, big-endian, mapped "
         "from a file", "the same bits as a contiguous array"),
        ("a list of images of several sizes and layouts", "each handled by itself"),
        ("a tensor of another library",
         "read by `__array__`; `TypeError`, which names `.numpy()`, if that fails"),
        ("None or another object in a list", "`TypeError` with its index in the list"),
    ),
    "Inputs of the network": cases(
        45,
        ("another number of channels",
         "`ImageError` or `ConfigError` with the shape and the number of channels expected"),
        ("images of another size",
         "`ConfigError` with the grid that they give, the grid of the weights, and both remedies"),
        ("images whose tokens are as many, in another grid, such as 1×49 for 7×7",
         "`ConfigError`, as above (transformers answers)"),
        ("one image without a batch axis", "an error with the shape, and (batch, 3, H, W)"),
        ("a batch of no images", "an answer of shape (0, classes)"),
        ("whole numbers: pixels that were not preprocessed",
         "`TypeError`, which names the image processor"),
        ("a batch larger than the memory",
         "computed a few images at a time (`batch_size`); the numbers stay the same"),
    ),
    "Configurations": cases(
        52,
        ("JSON that is broken, no object, begins with a byte order mark, or repeats a key",
         "`ConfigError` with the path, and the line where there is one"),
        ("values that are negative, huge, or of the wrong type",
         "`ConfigError` with the key, before memory is taken"),
        ("values that contradict each other, an even `pool_size`, an unknown activation",
         "`ConfigError` with the key, and the known names"),
        ("another type of model, such as EfficientNet or EfficientFormerV2",
         "`ConfigError`, which names it"),
        ("class names that are too many, too few, for one index twice, or no UTF-8",
         "`ConfigError` with the numbers; two classes may share a name: answers have indices"),
    ),
    "Weights: safetensors": cases(
        57,
        ("0 to 7 bytes", "`WeightsError` with the number of bytes"),
        ("a header of impossible length: a web page, a Git LFS pointer, another format",
         "`WeightsError`: what it is, and what to do"),
        ("a header longer than the file", "`WeightsError`: truncated"),
        ("a header that is no UTF-8, no JSON, no object, or padded with zero bytes",
         "`WeightsError`, which says so"),
        ("a header nested very deep", "`WeightsError`; the stack is safe"),
        ("a file cut off anywhere, or with bytes after its end",
         "`WeightsError` with both sizes: download it again"),
        ("tensors that overlap, leave a gap, share bytes, or end before they begin",
         "`WeightsError`, which names the tensor"),
        ("shapes or offsets that are negative or no whole numbers",
         "`WeightsError`, which names the tensor"),
        ("a shape too large for 64 bits", "`WeightsError`, which names the tensor"),
        ("a shape that does not fit the number of bytes",
         "`WeightsError` with the tensor and both numbers"),
        ("an unknown type of numbers", "`WeightsError` with the tensor and the type"),
        ("bfloat16; 8-bit and 4-bit floats",
         "read exactly; `WeightsError` with the tensor and the type"),
        ("a name that appears twice", "`WeightsError` (the safetensors library takes the last)"),
        ("unknown fields in the header", "ignored"),
        ("a tensor of no elements", "read"),
        ("a name that is empty, or holds a zero byte", "read, and reported as unexpected"),
        ("a folder in the place of the file", "`IsADirectoryError`, which names the path"),
        ("more than 100,000 tensors", "`WeightsError` with the limit"),
    ),
    "Weights: contents": cases(
        75,
        ("missing tensors", "`WeightsError` with their number and the first five"),
        ("unexpected tensors, or those of another program or another network",
         "`WeightsError` with their names, and what they belong to if that is known"),
        ("a tensor of another shape",
         "`WeightsError` with both shapes, and the network that would fit"),
        ("NaN or infinity", "`WeightsError` with the tensor and how many there are"),
        ("a negative variance", "`WeightsError`, which names the tensor"),
        ("a table of attention biases that is not the one of the grid",
         "`WeightsError`, which names the tensor"),
        ("weights in float16, bfloat16, float64; whole numbers",
         "converted to the `dtype` asked for; `WeightsError` with the tensor and the type"),
        ("a head for another number of classes than there are names",
         "`WeightsError` with both numbers"),
    ),
    "Weights: PyTorch's files": cases(
        83,
        ("a pickle that would run code",
         "it is not run: what is not needed for the weights is passed over; where there are no "
         "weights, `UnsafeCheckpointError`, which names the function"),
        ("a file from before PyTorch 1.6, which is a stream of pickles; any other bare pickle",
         "read without running it, and refused if it is damaged; `UnsafeCheckpointError`, which "
         "says what to do"),
        ("a tensor that reaches beyond its storage, repeats it enormously often, or has a negative "
         "or enormous offset, shape or stride",
         "`WeightsError`, which names the tensor where it has a name"),
        ("an archive that is compressed or nested; records that are missing, "
         "of another length, named twice, or named to land elsewhere", "`WeightsError`"),
        ("a pickle made to use up memory or the stack, or to change what it should not",
         "`WeightsError`; work and memory are bounded"),
    ),
    "Downloads, commands, the system": cases(
        88,
        ("no connection, and the model is not in the cache",
         "`OfflineError` with repository, revision, cache, `HF_HUB_OFFLINE`, and how to fetch it "
         "beforehand"),
        ("a download with another SHA-256 than the recorded one",
         "`WeightsError` with both; the file does not stay in the cache"),
        ("a server that refuses, fails or is silent", "`OfflineError` with the address"),
        ("a full disk; a process killed while it writes or downloads",
         "the old file or none, never half a file"),
        ("two processes that download the same model", "one download; both succeed"),
        ("no photographs; an empty or closed standard input; a closed pipe; an output that cannot "
         "be written",
         "usage and exit code 2; an error in one line and 1; silence and 141; the path and 1"),
        ("Ctrl-C", "exit code 130; every line of JSON that was printed is whole"),
        ("Numba that is missing or broken; a cache that cannot be written",
         "plain NumPy, or kernels compiled anew; one warning, the same answers"),
        ("fork after kernels have run; calls from several Python threads", "the same answers"),
    ),
}  # fmt: skip
"""The table."""
