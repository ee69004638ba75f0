"""Layer scale (Touvron et al. 2021, "Going deeper with image transformers", equation 3).

    layer_scale(x) = γ · x                                     per channel

A learned factor on each residual branch. It starts at 1e-5, so that a deep network begins as the
identity and lets its branches in one by one. The paper's formulas leave it out; its code has it.
References: ``layer_scale_1``, ``layer_scale_2`` of transformers, ``LayerScale`` of timm.
"""

from __future__ import annotations

from typing import NamedTuple

from .arrays import Array
from .precision import sum64


class LayerScale(NamedTuple):
    """A factor for each channel of a residual branch."""

    gamma: Array
    """(C,)"""


def layer_scale(x: Array, p: LayerScale | None) -> Array:
    """Scale each channel.

    Parameters
    ----------
    x : ndarray, shape (B, ..., C)
    p : LayerScale or None
        None, in a network without layer scale, does nothing.

    Returns
    -------
    ndarray of the shape of `x`
    """
    return x if p is None else x * p.gamma


def layer_scale_backward(
    dy: Array, x: Array, p: LayerScale | None
) -> tuple[Array, LayerScale | None]:
    """Gradient of `layer_scale`: ``dx = γ · dy``, ``dγ = Σ dy · x`` over all but the channels.

    Parameters
    ----------
    dy, x : ndarray, shape (B, ..., C)
    p : LayerScale or None

    Returns
    -------
    dx : ndarray of the shape of `x`
    dp : LayerScale or None
    """
    if p is None:
        return dy, None
    return dy * p.gamma, LayerScale(sum64((dy * x).reshape(-1, x.shape[-1]), 0))
