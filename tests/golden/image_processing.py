"""What transformers 4.40.2 makes of small images: ``python -m tests.golden.image_processing``.

Writes ``image_processing.npz``; needs the extra ``reference``. Only cases in which the reference is
right; where it is not, the live comparison shows what it does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from npformer.layers import Array

FILE = Path(__file__).with_suffix(".npz")

HUB = {"size": {"shortest_edge": 256}, "crop_size": 224}
"""The settings of the published networks."""
EDGE = {"size": {"shortest_edge": 9}, "crop_size": 7}

CASES: dict[str, tuple[str, tuple[int, int], dict[str, Any]]] = {
    # name: (kind of image, (height, width), arguments)
    "defaults": ("PIL", (31, 45), {}),
    "hub, wide": ("PIL", (31, 45), HUB),
    "hub, tall": ("PIL", (70, 40), HUB),
    "hub, photograph": ("PIL", (427, 640), HUB),
    **{f"filter {code}": ("PIL", (40, 29), EDGE | {"resample": code}) for code in range(6)},
    "larger by filter 3": ("PIL", (5, 6), {"size": (14, 17), "crop_size": (13, 11)}),
    "shorter edge, odd rests": ("PIL", (20, 37), {"size": {"shortest_edge": 13}, "crop_size": 6}),
    "longest edge": ("PIL", (8, 9), {"size": {"shortest_edge": 5, "longest_edge": 5},
                                     "crop_size": 5}),
    "even padding": ("PIL", (8, 6), {"do_resize": False, "crop_size": (10, 12)}),
    "crop and padding": ("PIL", (17, 6), {"do_resize": False, "crop_size": (10, 12)}),
    "resize only": ("PIL", (9, 8), {"size": 5, "do_center_crop": False, "do_rescale": False,
                                    "do_normalize": False}),
    "rescale only": ("PIL", (6, 5), {"do_resize": False, "do_center_crop": False,
                                     "rescale_factor": 1 / 127.5, "do_normalize": False}),
    "normalize only": ("PIL", (6, 5), {"do_resize": False, "do_center_crop": False,
                                       "do_rescale": False, "image_mean": 120, "image_std": 60.5}),
    "channels last": ("PIL", (20, 30), EDGE | {"data_format": "channels_last"}),
    "array": ("HWC", (20, 30), EDGE),
    "array, channels first": ("CHW", (20, 30), EDGE),
    "array of whole floats": ("float64", (20, 30), EDGE),
    "array of int64": ("int64", (20, 30), EDGE),
    "unit range": ("unit float32", (20, 30), EDGE | {"do_rescale": False}),
    "unit range, not resized": ("unit float64", (9, 8), EDGE | {"do_rescale": False,
                                                                "do_resize": False}),
    "gray array, one number": ("gray", (20, 30), EDGE | {"image_mean": 0.5, "image_std": 0.5}),
}  # fmt: skip


def picture(kind: str, size: tuple[int, int]) -> Any:
    """Draw an image; the stream of RandomState is frozen."""
    rng = np.random.RandomState(sum(size))
    noise = rng.randint(0, 256, (*size, 3))
    slope = np.add.outer(np.arange(size[0]) * 3, np.arange(size[1]) * 2)[:, :, None] % 256
    x = ((noise + 3 * slope) // 4).astype(np.uint8)
    match kind.split():
        case ["PIL"]:
            return Image.fromarray(x)
        case ["HWC"]:
            return x
        case ["CHW"]:
            return np.ascontiguousarray(x.transpose(2, 0, 1))
        case ["gray"]:
            return x[:, :, :1]
        case ["unit", dtype]:
            return (x / 255).astype(dtype)
        case [dtype]:
            return x.astype(dtype)


def excerpt(result: Array) -> Array:
    """At most 20 rows and columns of a result, spread over it."""
    channels_first = result.shape[0] in (1, 3)
    height, width = result.shape[1:] if channels_first else result.shape[:2]
    rows = slice(None, None, -(-height // 20))
    columns = slice(None, None, -(-width // 20))
    return result[:, rows, columns] if channels_first else result[rows, columns]


if __name__ == "__main__":
    from transformers import EfficientFormerImageProcessor

    processor = EfficientFormerImageProcessor()
    results = {
        name: excerpt(processor(picture(kind, size), **arguments)["pixel_values"][0])
        for name, (kind, size, arguments) in CASES.items()
    }
    np.savez_compressed(FILE, **results)
    print(f"{FILE}: {len(results)} cases, {FILE.stat().st_size} bytes")
