"""Pictures of nothing, with the edges and shades that photographs have: dead leaves.

Disks of all sizes fall on one another, each of one color with a little shade, and cover what lies
below. Their statistics are near those of photographs: large areas that vary slowly, and sharp edges
between them at every scale. So they can stand in where a network has to see something like a
photograph, and there is none.

Reference: Lee, Mumford and Huang 2001, "Occlusion models for natural images", International Journal
of Computer Vision 41, section 3: radii with a density of 1/r³.
"""

from __future__ import annotations

import numpy as np

from ..layers.arrays import Array

LEAVES = 150
SMALLEST = 0.02
"""Radius of the smallest disk, relative to the shorter side."""


def dead_leaves(count: int, height: int, width: int, channels: int = 3, seed: int = 0) -> Array:
    """Draw pictures.

    Parameters
    ----------
    count, height, width, channels : int
    seed : int

    Returns
    -------
    ndarray of float32, shape (count, height, width, channels)
        As preprocessed images are: with a mean near 0, a deviation near 1, and within ±2.6.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    side = min(height, width)
    pictures = np.empty((count, height, width, channels), np.float32)
    for picture in pictures:
        picture[:] = color(rng, channels)
        for _ in range(LEAVES):
            radius = min(side * SMALLEST / np.sqrt(rng.uniform(1e-3, 1)), side / 2)
            y, x = rows - rng.uniform(0, height), columns - rng.uniform(0, width)
            leaf = y * y + x * x < radius**2
            dy, dx = rng.standard_normal(2) * 0.5 / side
            picture[leaf] = color(rng, channels) + (dy * y + dx * x)[leaf][:, None]
        picture += rng.standard_normal(picture.shape) * 0.03
    return pictures.clip(-2.6, 2.6)


def color(rng: np.random.Generator, channels: int) -> Array:
    """Draw a color, (channels,): mostly a brightness, which all channels share."""
    return rng.standard_normal() * 0.9 + rng.standard_normal(channels) * 0.35
