"""Attention biases for another grid of tokens, so that a network takes images of any size.

Attention knows where tokens are only through its biases, one for each distance (|Δy|, |Δx|) on the
grid of its training: 7×7 for images of 224 pixels. Images of another size make another grid, with
distances that have no bias yet. There are two ways to find one:

"offsets" (the default) interpolates over distances. A distance d on a grid of R' rows is looked up
at

    d (R − 1) / (R' − 1)

so that 0 stays 0 (a token and itself), the largest distance stays the largest, and an enlarged
picture keeps its geometry. Between two learned distances the bias is linear. Nothing is
extrapolated, and the same grid gives the same biases.

"original" does what the authors' code for detection does (``detection/backbone.py``). It treats the
whole table, with a bias for each pair of tokens i and j, as a picture of N×N pixels and enlarges it
bicubically. The picture mixes the end of one row of tokens with the start of the next, so the
result no longer depends on distance alone: two neighbors at the end of a row get another bias than
two in its middle. The result needs one bias for each pair of tokens. It is here for comparison.

Both are linear, with a matrix of weights on either side: W_rows b W_columnsᵀ.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from math import prod
from typing import Literal, TypeAlias

import numpy as np

from ..errors import ConfigError
from ..layers import Array, AttentionBlock, relative_position_bias
from .configuration import EfficientFormerConfig
from .model import EfficientFormer
from .stage import stage_sizes

Method: TypeAlias = Literal["offsets", "original"]


def resize(
    params: EfficientFormer,
    config: EfficientFormerConfig,
    image_size: int | Sequence[int],
    method: Method = "offsets",
) -> tuple[EfficientFormer, EfficientFormerConfig]:
    """Adapt a network to images of another size.

    Parameters
    ----------
    params : EfficientFormer
    config : EfficientFormerConfig
    image_size : int or pair of int
        Side of a square, or height and width, in pixels.
    method : {"offsets", "original"}
        How to find biases for new distances.

    Returns
    -------
    params : EfficientFormer
        With new attention biases; everything else is shared with the old tree.
    config : EfficientFormerConfig
        With this ``image_size`` and the ``resolution`` that follows from it.

    Raises
    ------
    ConfigError
        If the size is invalid or too small for the network, the method is unknown, or the
        biases have been resized by "original" already.
    """
    config = copy.deepcopy(config)
    config.image_size = list(image_size) if isinstance(image_size, tuple) else image_size
    config.validate()
    height, width = config.image_shape
    sizes = stage_sizes(height, width, config)
    if min(min(size) for size in sizes) < 1:
        raise ConfigError(f"images of {height}×{width} pixels are too small for this network")
    rows, columns = sizes[-1]
    config.resolution = rows if rows == columns else [rows, columns]
    config.validate()

    *stages, last = params.stages
    blocks = tuple(
        _resize_block(block, (rows, columns), method)
        if isinstance(block, AttentionBlock)
        else block
        for block in last.blocks
    )
    return params._replace(stages=(*stages, last._replace(blocks=blocks))), config


def resize_biases(biases: Array, grid: tuple[int, int], method: Method = "offsets") -> Array:
    """Interpolate attention biases for another grid of tokens.

    Parameters
    ----------
    biases : ndarray, shape (heads, rows, columns)
    grid : pair of int
        Rows and columns of the new grid.
    method : {"offsets", "original"}

    Returns
    -------
    ndarray, read-only, of the same dtype
        "offsets": shape (heads, rows', columns'). "original": (heads, rows', columns', rows',
        columns'), or `biases` if the grid is the old one.

    Raises
    ------
    ConfigError
        If the method is unknown, or the biases have been resized by "original" already.
    """
    if biases.ndim != 3:
        raise ConfigError(
            "there is an attention bias for each pair of tokens, as method='original' makes them, "
            "which cannot be resized again; load the weights from their file instead"
        )
    heads, rows, columns = biases.shape
    if (rows, columns) == tuple(grid):
        return biases
    if method == "offsets":
        down, across = linear_weights(rows, grid[0]), linear_weights(columns, grid[1])
        resized = down @ biases @ across.T  # (heads, rows, columns) -> (heads, rows', columns')
    elif method == "original":
        weights = bicubic_weights(rows * columns, prod(grid))  # (N', N)
        table = (
            weights @ relative_position_bias(biases) @ weights.T
        )  # (heads, N, N) -> (heads, N', N')
        resized = table.reshape(heads, *grid, *grid)
    else:
        raise ConfigError(f"method is {method!r}; expected 'offsets' or 'original'")
    resized = resized.astype(biases.dtype)
    resized.flags.writeable = False
    return resized


def linear_weights(old: int, new: int) -> Array:
    """Weights of linear interpolation from `old` points to `new` ones, with the same end points.

    Parameters
    ----------
    old, new : int
        Numbers of points, ≥ 1.

    Returns
    -------
    ndarray of float64, shape (new, old)
    """
    at = np.arange(new) * (old - 1) / max(new - 1, 1)  # (new,): new distances in old steps
    return np.maximum(0, 1 - abs(at[:, None] - np.arange(old)))


def bicubic_weights(old: int, new: int) -> Array:
    """Weights of cubic interpolation from `old` pixels to `new` ones.

    Keys' kernel with a = −3/4. Pixel centers are at halves, and the border pixel is repeated
    outside, as in torch's ``interpolate(mode="bicubic", align_corners=False)``.

    Parameters
    ----------
    old, new : int
        Numbers of pixels, ≥ 1.

    Returns
    -------
    ndarray of float64, shape (new, old)

    References
    ----------
    Keys 1981, "Cubic convolution interpolation for digital image processing", equation 15.
    """
    a = -0.75
    center = (np.arange(new) + 0.5) * (old / new) - 0.5  # (new,): new pixels in old coordinates
    first = np.floor(center).astype(int) - 1
    weights = np.zeros((new, old))
    for tap in range(4):
        pixel = first + tap
        s = abs(center - pixel)  # distance, from 0 to 2
        near = (a + 2) * s**3 - (a + 3) * s**2 + 1
        far = a * (s**3 - 5 * s**2 + 8 * s - 4)
        inside = np.clip(pixel, 0, old - 1)
        np.add.at(weights, (np.arange(new), inside), np.where(s <= 1, near, far))
    return weights


def _resize_block(block: AttentionBlock, grid: tuple[int, int], method: Method) -> AttentionBlock:
    mixer = block.token_mixer
    biases = resize_biases(mixer.attention_biases, grid, method)
    return block._replace(token_mixer=mixer._replace(attention_biases=biases))
