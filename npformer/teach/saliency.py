"""Which places speak for a class, from the backward pass.

    Grad-CAM            cam = max(0, A g),    g = mean over tokens of ∂ logit / ∂ A
    input gradient      ∂ logit / ∂ x

A, of shape (N, C), is the output of the last stage. Sources: Selvaraju et al. 2017, equations 1
and 2; Simonyan et al. 2014, section 3.
"""

from __future__ import annotations

import numpy as np

from ..engine.fold import FoldedNetwork
from ..layers import Array, Trace, layer_norm_backward
from ..layers.precision import mean64
from ..network import EfficientFormer, Logits, backward, forward, heads_backward
from ..network.configuration import EfficientFormerConfig


def grad_cam(
    index: int, tape: Trace, p: EfficientFormer | FoldedNetwork, config: EfficientFormerConfig
) -> Array:
    """Return how strongly each token of the last stage speaks for a class.

    Parameters
    ----------
    index : int
        The class.
    tape : Trace
        What forward recorded, for one image.
    p : EfficientFormer or FoldedNetwork
        Only its last norm and its heads, of real weights, count.
    config : EfficientFormerConfig

    Returns
    -------
    ndarray, shape (N,)
        0 or more.
    """
    dlogits = _only(index, tape["pooled"], p)
    dpooled, _, _ = heads_backward(dlogits, tape["pooled"], p)
    N = tape["norm"].shape[1]
    dy = np.broadcast_to(dpooled[:, None] / N, tape["norm"].shape)  # (1, C) -> (1, N, C)
    maps = tape[f"stages.{len(p.stages) - 1}"]
    dmaps, _ = layer_norm_backward(dy, maps, p.norm, config.layer_norm_eps)
    return np.maximum(maps[0] @ mean64(dmaps[0], 0), 0)


def input_gradient(
    index: int, x: Array, p: EfficientFormer, config: EfficientFormerConfig
) -> Array:
    """Return how the logit of a class responds to a change of each pixel.

    Parameters
    ----------
    index : int
        The class.
    x : ndarray, shape (1, H, W, C₀)
        A preprocessed image.
    p : EfficientFormer
    config : EfficientFormerConfig

    Returns
    -------
    ndarray, shape (H, W, C₀)
        Usually shown as its largest absolute value over the colors.
    """
    tape = Trace()
    forward(x, p, config, tape)
    dx, _ = backward(_only(index, tape["pooled"], p), x, p, config, tape)
    return dx[0]


def _only(index: int, pooled: Array, p: EfficientFormer | FoldedNetwork) -> Logits:
    """Return the gradient of one logit with respect to all logits."""
    K = pooled.shape[-1] if p.head is None else p.head.weight.shape[-1]
    dlogits = np.zeros((1, K), pooled.dtype)
    dlogits[0, index] = 1
    return Logits(dlogits, None, None)
