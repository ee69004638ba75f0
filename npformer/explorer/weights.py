"""Put the weights of a network into a page.

Matrices and kernels travel in float16, all else in float32, as in the weights that come with
npformer, whose values this keeps exactly. All first bytes of a tensor's numbers come before
all second bytes: bytes of one kind are alike, which deflate makes use of.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any, NamedTuple

import numpy as np

from ..layers import Array
from ..network import EfficientFormer
from ..network.tree import build, leaves


class Packed(NamedTuple):
    """The weights of a network as text."""

    manifest: list[dict[str, Any]]
    """path, shape and type of each tensor, in their order"""
    text: str
    """base64 of the deflated bytes"""
    exact: bool
    """whether every number is kept as it is, in float32"""


def pack(params: EfficientFormer) -> Packed:
    """Write parameters as text.

    Matrices are written as PyTorch has them, with the output first, as the page reads them.

    Parameters
    ----------
    params : EfficientFormer

    Returns
    -------
    Packed
    """
    manifest, blocks, exact = [], [], True
    for path, leaf in leaves(params):
        single = np.asarray(leaf, np.float32)
        stored = _stored(path, single)
        exact = exact and bool(np.array_equal(stored.astype(np.float32), _turned(path, single)))
        manifest.append({"path": path, "shape": list(stored.shape), "type": stored.dtype.name})
        little = stored.astype(stored.dtype.newbyteorder("<"), order="C")
        planes = little.reshape(-1).view(np.uint8).reshape(-1, stored.dtype.itemsize).T
        blocks.append(np.ascontiguousarray(planes).tobytes())
    text = base64.b64encode(zlib.compress(b"".join(blocks), 9)).decode("ascii")
    return Packed(manifest, text, exact)


def rounded(params: EfficientFormer) -> EfficientFormer:
    """Return the parameters that a page computes with: those of `pack`, in float32."""

    def back(path: str, leaf: Array) -> Array:
        single = np.asarray(leaf, np.float32)
        half = _stored(path, single).dtype == np.float16
        return single.astype(np.float16).astype(np.float32) if half else single

    return build(back, params)


def _stored(path: str, single: Array) -> Array:
    """Return a tensor in the order and type in which it travels."""
    turned = _turned(path, single)
    matrix = path.endswith("weight") and turned.ndim > 1
    if not matrix or np.abs(turned).max(initial=0) > np.finfo(np.float16).max:
        return turned
    return turned.astype(np.float16)


def _turned(path: str, x: Array) -> Array:
    """Return the weight of a linear layer or convolution with its output axis first."""
    return np.moveaxis(x, -1, 0) if path.endswith("weight") and x.ndim > 1 else x
