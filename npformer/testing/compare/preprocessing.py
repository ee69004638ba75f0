"""Typical mistakes in preparing a picture, each as a function of what is right.

A mistake is named only if it reproduces the numbers that went in. Colors can be proved wrong even
without the photograph: pixels have 256 values, and only the right mean and deviation turn the
numbers back into whole ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...images.processor import EfficientFormerImageProcessor
from ...layers import Array
from .arrangement import misread_layouts
from .pictures import Pictures, mean_and_std
from .resampling import resampled

NEAR = 2e-5
"""How near two preparations of the same picture are, in units of pixel values; one gray level is
1/255/0.229 = 0.017."""

FITS: tuple[tuple[str, tuple[float, ...], tuple[float, ...]], ...] = (
    ("0.5 and 0.5", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ("CLIP's", (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    ("none", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    ("no mean", (0.0, 0.0, 0.0), (0.229, 0.224, 0.225)),
    ("no deviation", (0.485, 0.456, 0.406), (1.0, 1.0, 1.0)),
    ("CIFAR-10's", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    ("CIFAR-10's", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
)
"""Means and deviations in use, with a name."""


def misread(x: Array, processor: EfficientFormerImageProcessor) -> Iterator[tuple[str, Array]]:
    """Yield what mistakes make of right pixel values.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C)
    processor : EfficientFormerImageProcessor

    Yields
    ------
    word : str
        A key of `CAUSES`, or a sentence about what has no word.
    pixels : ndarray, shape (B, H, W, C)
    """
    yield from (("channels_last", pixels) for pixels in misread_layouts(x))
    if x.shape[-1] != 3:
        return
    mean, std = mean_and_std(processor)
    unit = x * std + mean
    yield "bgr", (unit[..., ::-1] - mean) / std
    yield "bgr", x[..., ::-1]
    yield "mean_std", (x - mean) / std  # normalized twice
    for other_mean in dict.fromkeys((tuple(mean), *(fit[1] for fit in FITS))):
        for other_std in dict.fromkeys((tuple(std), *(fit[2] for fit in FITS))):
            if (other_mean, other_std) != (tuple(mean), tuple(std)):
                yield "mean_std", (unit - np.array(other_mean)) / np.array(other_std)
    yield "mean_std", (unit - std) / mean
    for wrong_mean, wrong_std in ((mean[::-1], std), (mean, std[::-1]), (mean[::-1], std[::-1])):
        yield "mean_std", (unit - wrong_mean) / wrong_std
    yield "the picture is mirrored", x[:, :, ::-1]
    yield "the picture is upside down", x[:, ::-1]
    for weights in (np.full(3, 1 / 3), np.array([0.299, 0.587, 0.114])):
        gray = (unit @ weights)[..., None]
        yield "the picture is gray", (gray - mean) / std + 0 * x
    yield "rescale", (255 * unit - mean) / std
    yield "rescale", (unit / 255 - mean) / std
    yield "rescale", (unit * 255 / 256 - mean) / std
    yield "rescale", 255 * unit
    yield "rescale", 2 * unit - 1 if not np.allclose(mean, 0.5) else 255 * x
    yield "rescale", x / 255


def prepared_otherwise(pictures: Pictures) -> Iterator[tuple[str, Array]]:
    """Yield the given photograph, prepared with other settings than the reference's."""
    if pictures.image is None or getattr(pictures.image, "ndim", 0) == 4:
        return
    processor = pictures.processor
    height, width = pictures.size
    side = min(height, width)

    def prepared(**changes: Any) -> Array:
        made = processor.preprocess(pictures.image, **changes)
        return np.moveaxis(made.pixel_values[0], 0, -1)[None]

    for resample in (2, 0, 1, 4, 5, 3):
        yield "resize", prepared(resample=resample)
    sides = {"height": height, "width": width}
    for resample in (3, 2, 0, 1):
        yield "resize", prepared(size=sides, crop_size=sides, resample=resample, do_resize=True)
    edges = {
        side,
        *(int(side / part) for part in (0.875, 0.9, 0.95, 0.96, 0.97)),
        side * 256 // 224,
    }
    for edge in sorted(edges, reverse=True):
        for resample in (3, 2):
            yield "resize", prepared(size={"shortest_edge": edge}, resample=resample)
    yield from (("resize", pixels) for pixels in _resampled(pictures))
    for edge in range(side, 2 * side + 1):
        yield "resize", prepared(size={"shortest_edge": edge})
    whole = prepared(do_center_crop=False)  # (1, H', W', C), before the crop
    rows, columns = whole.shape[1] - height, whole.shape[2] - width
    if rows < 0 or columns < 0:
        return
    tops = sorted({0, rows, *(rows // 2 + d for d in (-1, 0, 1, 2))} & set(range(rows + 1)))
    lefts = sorted(
        {0, columns, *(columns // 2 + d for d in (-1, 0, 1, 2))} & set(range(columns + 1))
    )
    for top in tops:
        for left in lefts:
            yield "crop", whole[:, top : top + height, left : left + width]


def _resampled(pictures: Pictures) -> Iterator[Array]:
    """Yield the given photograph, resized by what is not Pillow's, and cropped in the middle."""
    processor = pictures.processor
    height, width = pictures.size
    raw = processor.preprocess(
        pictures.image, do_resize=False, do_center_crop=False, do_rescale=False, do_normalize=False
    )
    x = np.moveaxis(np.asarray(raw.pixel_values[0], np.float64), 0, -1)
    short, side = min(x.shape[:2]), min(height, width)
    mean, std = mean_and_std(processor)
    edge = processor.size.get("shortest_edge", side)
    sizes = {(edge * x.shape[0] // short, edge * x.shape[1] // short), (height, width)}
    sizes.add((side * x.shape[0] // short, side * x.shape[1] // short))
    for rows, columns in sorted(sizes, reverse=True):
        top, left = (rows - height) // 2, (columns - width) // 2
        if top < 0 or left < 0:
            continue
        for made in resampled(x, rows, columns):
            part = made[top : top + height, left : left + width]
            yield ((part / 255 - mean) / std)[None]


def crop_of(found: Array, pictures: Pictures) -> bool:
    """Whether pixel values are another part of the resized photograph."""
    if pictures.image is None or getattr(pictures.image, "ndim", 0) == 4:
        return False
    made = pictures.processor.preprocess(pictures.image, do_center_crop=False)
    whole = np.moveaxis(made.pixel_values[0], 0, -1)
    height, width = found.shape[1:3]
    rows, columns = whole.shape[0] - height, whole.shape[1] - width
    if rows < 0 or columns < 0:
        return False
    corner = whole[: rows + 1, : columns + 1]
    near = abs(corner - found[0, 0, 0]).max(-1) < NEAR
    return any(
        np.allclose(whole[top : top + height, left : left + width], found[0], atol=NEAR, rtol=0)
        for top, left in np.argwhere(near)[:50]
    )


def affine_cause(x: Array, found: Array, processor: EfficientFormerImageProcessor) -> str | None:
    """Name a mistake in the values of colors: each is the right one times a factor plus a number.

    Parameters
    ----------
    x, found : ndarray, shape (B, H, W, 3)
        The right pixel values, and those that went in.
    processor : EfficientFormerImageProcessor

    Returns
    -------
    {"mean_std", "rescale", "bgr"} or None
    """
    mean, std = mean_and_std(processor)
    unit = (x * std + mean).reshape(-1, x.shape[-1])
    colors = found.reshape(-1, x.shape[-1]).astype(np.float64)
    for order, reversed_ in ((slice(None), False), (slice(None, None, -1), True)):
        source = unit[:, order]
        centered = source - source.mean(0)
        spread = (centered**2).sum(0)
        if not np.all(spread > 0):
            return None
        factor = (centered * colors).sum(0) / spread
        offset = colors.mean(0) - factor * source.mean(0)
        rest = abs(colors - (factor * source + offset)).max()
        if rest > NEAR * max(1.0, abs(factor).max()):
            continue
        if reversed_:
            return "bgr"
        scale = factor * std
        same = np.allclose(offset, -mean / std, atol=1e-3)
        if same and any(np.allclose(scale, s, rtol=1e-3) for s in (255, 1 / 255, 255 / 256)):
            return "rescale"
        return "rescale" if np.allclose(factor, 255, rtol=1e-3) else "mean_std"
    return None


def levels_cause(found: Array, processor: EfficientFormerImageProcessor) -> str | None:
    """Name a mistake in the values of colors from these alone, if they were whole numbers once.

    Parameters
    ----------
    found : ndarray, shape (B, H, W, 3)
    processor : EfficientFormerImageProcessor

    Returns
    -------
    {"mean_std", "rescale", "bgr"} or None
        None also if nothing can be said, for example about noise.
    """
    if found.shape[-1] != 3 or not processor.do_normalize:
        return None
    mean, std = mean_and_std(processor)
    if _whole(255 * (found * std + mean)):
        return None
    if _whole(255 * (found * std[::-1] + mean[::-1])):
        return "bgr"
    if _whole(found * std + mean) or _whole(found):
        return "rescale"
    others = ((np.array(m), np.array(s)) for _, m, s in FITS)
    if any(_whole(255 * (found * s + m)) for m, s in others):
        return "mean_std"
    return None


def _whole(levels: Array) -> bool:
    """Whether numbers are whole, from 0 to 255, and of more than a few values."""
    rounded = np.round(levels)
    near = abs(levels - rounded).max() < 0.02 and rounded.min() >= 0 and rounded.max() <= 255
    return bool(near and len(np.unique(rounded)) > 8)
