"""Ports of the fresh set that are right but for the photograph's preparation, and right ones."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from npformer.layers import Array

from .fresh import right, wrong
from .photo_ports import BARE, MEAN, STD, changed, cut, normal, raw, settings
from .plain import plain
from .recordings import (
    BLOCKS,
    as_core_ml,
    as_flax,
    as_graph,
    as_ncnn,
    as_rust,
    every,
    last,
    shuffled,
)
from .shop import Reference, Shop

IN = "pixel_values"


def from_095(shop: Shop, reference: Reference) -> Array:
    """Resize so that the crop is 95 % of the shorter side, as timm does."""
    side = int(min(reference.config.image_shape) / 0.95)
    return shop.photo_pixels(reference, size={"shortest_edge": side})


def gray(x: Array) -> Array:
    return normal(np.repeat((raw(x) @ np.array([0.299, 0.587, 0.114]))[..., None], 3, -1))


def compressed(x: Array) -> Array:
    """Save the crop as a JPEG between."""
    file = io.BytesIO()
    Image.fromarray((raw(x[0]) * 255).round().clip(0, 255).astype(np.uint8)).save(
        file, "jpeg", quality=60
    )
    return normal(np.asarray(Image.open(file), np.float64)[None] / 255)


CLIP = {"image_mean": [0.4815, 0.4578, 0.4082], "image_std": [0.2686, 0.2613, 0.2758]}

wrong("photograph: mean and deviation of CLIP", "lake", IN, "mean_std",
      plain(photo=settings(**CLIP), dress=as_flax))  # fmt: skip
wrong("photograph: mean in the order of BGR, picture not recorded", "hill", IN, "mean_std",
      plain(photo=settings(image_mean=[*MEAN[::-1]], image_std=[*STD[::-1]]), dress=as_ncnn,
            keep=BARE))  # fmt: skip
wrong("photograph: one mean for all colors", "tiny", IN, "mean_std",
      plain(photo=settings(image_mean=[0.449] * 3, image_std=[0.226] * 3), dress=as_graph,
            keep=BLOCKS))  # fmt: skip
wrong("photograph: from −1 to 1, and then normalized", "lake", IN, ("rescale", "mean_std"),
      plain(photo=changed(lambda x: normal(2 * raw(x) - 1)), dress=as_rust))  # fmt: skip
wrong("photograph: BGR from OpenCV, every third array", "hill", IN, "bgr",
      plain(photo=changed(lambda x: normal(raw(x)[..., ::-1])), dress=as_ncnn,
            keep=every(3)))  # fmt: skip
wrong("photograph: Lanczos", "lake", IN, "resize",
      plain(photo=settings(resample=1), dress=as_rust))  # fmt: skip
wrong("photograph: averages of boxes, picture not recorded", "hill", IN, "resize",
      plain(photo=settings(resample=4), dress=as_graph, keep=BARE))  # fmt: skip
wrong("photograph: nearest pixels", "tiny", IN, "resize",
      plain(photo=settings(resample=0), dress=as_core_ml, keep=BLOCKS))  # fmt: skip
wrong("photograph: 95 % of the shorter side, as timm crops", "lake", IN, ("resize", "crop"),
      plain(photo=from_095, dress=last))  # fmt: skip
wrong("photograph: lower right corner", "hill", IN, "crop",
      plain(photo=cut(1, 1), dress=as_flax))  # fmt: skip
wrong("photograph: left part of the middle, picture not recorded", "lake", IN, "crop",
      plain(photo=cut(0.5, 0), dress=as_ncnn, keep=BARE))  # fmt: skip
wrong("photograph: not divided by 255", "hill", IN, "rescale",
      plain(photo=changed(lambda x: normal(255 * raw(x))), dress=as_core_ml))  # fmt: skip
wrong("photograph: mirrored", "lake", IN, None,
      plain(photo=changed(lambda x: x[:, :, ::-1]), dress=shuffled))  # fmt: skip
wrong("photograph: gray", "hill", IN, None,
      plain(photo=changed(gray), dress=as_flax))  # fmt: skip
wrong("photograph: saved as JPEG between", "lake", IN, None,
      plain(photo=changed(compressed), dress=as_rust))  # fmt: skip

right("photograph: in Flax's names", "lake", plain(photo=settings(), dress=as_flax))
right("photograph: mean and deviation times 255", "hill",
      plain(photo=settings(do_rescale=False, image_mean=[*(255 * MEAN)],
                           image_std=[*(255 * STD)]), dress=as_ncnn))  # fmt: skip
