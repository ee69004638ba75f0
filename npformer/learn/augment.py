"""Augmentation: a photograph never looks the same twice.

    random resized crop    a part of the picture, resized to the network's input
    flip                   left becomes right
    color jitter           brightness, contrast and saturation, each times a random factor
    random erasing         a rectangle becomes noise                        Zhong et al. 2020
    mixup                  λ · one image + (1 − λ) · another, labels too    Zhang et al. 2018

Each image has a random generator of its own, so neither the order of reading nor the number of
threads matters. Reference: torchvision's transforms of the same names.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
from PIL import Image

from ..checks import real_number, require
from ..layers import Array
from ..layers.arrays import Rng

GRAY = np.array([0.299, 0.587, 0.114], np.float32)
"""Weight of each color in brightness (ITU-R BT.601), as in Pillow."""


@dataclass(frozen=True)
class Augmentation:
    """How strongly images are changed; `NONE` changes nothing.

    Raises
    ------
    ConfigError
        If a value is out of range, or of another type.
    """

    scale: tuple[float, float] = (0.35, 1.0)
    """smallest and largest share of the picture that a crop keeps"""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """smallest and largest width ÷ height of a crop; (0, 0): resize the whole picture"""
    flip: float = 0.5
    """probability of a flip"""
    jitter: float = 0.2
    """the factors of color jitter lie within 1 ± this"""
    erase: float = 0.0
    """probability that a rectangle is erased"""
    mixup: float = 0.0
    """α: λ ~ Beta(α, α) for each batch; 0: no mixup"""

    def __post_init__(self) -> None:
        for name, high in (("flip", 1), ("jitter", 1e3), ("erase", 1), ("mixup", 1e3)):
            object.__setattr__(self, name, real_number(name, getattr(self, name), 0, high))
        for name, high in (("scale", 1), ("ratio", 1e3)):
            pair = getattr(self, name)
            two = isinstance(pair, (tuple, list)) and len(pair) == 2
            require(two, name, pair, "two numbers, the smaller first")
            low, top = (real_number(f"{name}[{i}]", pair[i], 0, high) for i in (0, 1))
            usable = 0 < low <= top or (name == "ratio" and low == top == 0)
            require(usable, name, pair, "two numbers above 0, the smaller first")
            object.__setattr__(self, name, (low, top))


NONE = Augmentation((1.0, 1.0), (0.0, 0.0), 0.0, 0.0, 0.0, 0.0)


def random_resized_crop(
    image: Image.Image,
    size: tuple[int, int],
    augmentation: Augmentation,
    rng: Rng,
    resample: int = Image.Resampling.BICUBIC,
) -> Image.Image:
    """Cut out a random part and resize it.

    Parameters
    ----------
    image : PIL.Image.Image
    size : (int, int)
        Height and width of the result.
    augmentation : Augmentation
        Gives the scale and the ratio.
    rng : numpy.random.Generator
    resample : int
        Pillow's filter.

    Returns
    -------
    PIL.Image.Image
    """
    box = random_box(image.width, image.height, augmentation, rng)
    return image.resize(size[::-1], Image.Resampling(resample), box=box)


def random_box(
    width: int, height: int, augmentation: Augmentation, rng: Rng
) -> tuple[int, int, int, int]:
    """Draw a crop of uniform area and log-uniform ratio.

    Parameters
    ----------
    width, height : int
        Of the image.
    augmentation : Augmentation
        Gives the scale and the ratio.
    rng : numpy.random.Generator

    Returns
    -------
    (int, int, int, int)
        Left, top, right and bottom. After ten draws that do not fit into the image: the largest
        central part of an allowed ratio.
    """
    low, high = augmentation.ratio
    if high <= 0:
        return 0, 0, width, height
    for _ in range(10):
        area = width * height * rng.uniform(*augmentation.scale)
        ratio = exp(rng.uniform(log(low), log(high)))
        w, h = round(sqrt(area * ratio)), round(sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            return left, top, left + w, top + h
    w, h = min(width, round(height * high)), min(height, round(width / low))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + max(w, 1), top + max(h, 1)


def color_jitter(x: Array, strength: float, rng: Rng) -> Array:
    """Change brightness, contrast and saturation of an image, (H, W, 3), values in [0, 1]."""
    brightness, contrast, saturation = rng.uniform(max(0.0, 1 - strength), 1 + strength, 3).astype(
        np.float32
    )
    x = np.clip(x * brightness, 0, 1)
    mean = (x @ GRAY).mean()
    x = np.clip(mean + (x - mean) * contrast, 0, 1)
    gray = (x @ GRAY)[:, :, None]  # (H, W, 1)
    return np.clip(gray + (x - gray) * saturation, 0, 1)


def random_erasing(x: Array, rng: Rng) -> Array:
    """Replace a rectangle, 2 to 33 % of a normalized image (H, W, C), with Gaussian noise."""
    H, W, C = x.shape
    left, top, right, bottom = random_box(
        W, H, Augmentation(scale=(0.02, 0.33), ratio=(0.3, 3.3)), rng
    )
    x = x.copy()
    noise = rng.standard_normal((bottom - top, right - left, C))
    x[top:bottom, left:right] = noise.astype(x.dtype)
    return x


def mixup(x: Array, targets: Array, alpha: float, rng: Rng) -> tuple[Array, Array]:
    """Mix each image of a batch with another one, and their targets likewise.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C)
    targets : ndarray, shape (B, K)
        A probability for each class.
    alpha : float
        λ ~ Beta(α, α), one for the batch.
    rng : numpy.random.Generator

    Returns
    -------
    x, targets : ndarray
    """
    share = x.dtype.type(rng.beta(alpha, alpha))
    other = rng.permutation(len(x))
    return share * x + (1 - share) * x[other], share * targets + (1 - share) * targets[other]
