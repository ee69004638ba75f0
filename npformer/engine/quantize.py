"""A folded network in eight bits: its large matrices are `npformer.layers.QuantizedLinear`.

Batch norms, layer scales and the scale of the queries are folded away first, so nothing stands
between a matrix and the rows that it meets. `quantized_forward` runs the tree that comes out with
the plain layers.

What stays in float32, and why: the stem, a thirtieth of the multiplications, since its second
convolution alone would change the logits more than all layers behind the stem together, on the
photographs of ``docs/howto/eight_bits.md``; the residual stream, which adds up what blocks find;
poolings, layer norms and softmax, which have no matrix; and both products of attention, whose
factors are activations, a hundredth of the multiplications. ``python tests/compare_quantized.py``
prints what each kind of layer costs in accuracy.
"""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from ..layers import (
    EVALUATION,
    Array,
    Conv2d,
    Linear,
    Run,
    quantize_conv2d,
    quantize_linear,
)
from ..network import EfficientFormer, Logits, check_input
from ..network.configuration import EfficientFormerConfig
from ..network.tree import build, leaves
from .fold import FoldedNetwork, fold, folded_forward

IN_FLOAT = ("stem",)
"""Paths of what stays in float32."""
NO_TRAINING = "a network in eight bits cannot be trained; train in float32, then quantize"


def quantize(
    p: EfficientFormer, config: EfficientFormerConfig, in_float: tuple[str, ...] = IN_FLOAT
) -> FoldedNetwork:
    """Fold a network and round its matrices to eight bits.

    Parameters
    ----------
    p : EfficientFormer
        Of float32.
    config : EfficientFormerConfig
    in_float : tuple of str
        Paths in the folded tree whose layers, and all below, stay in float32. The compiled kernels
        take the default only.

    Returns
    -------
    FoldedNetwork
        With `QuantizedLinear` and `QuantizedConv2d` in the places of `Linear` and `Conv2d`.

    Raises
    ------
    ConfigError
        If the parameters are not float32.
    """
    dtypes = sorted({str(leaf.dtype) for _, leaf in leaves(p)})
    if dtypes != ["float32"]:
        raise ConfigError(f"parameters to quantize are {', '.join(dtypes)}; expected float32")

    def one(path: str, node: Any) -> Any:
        if is_below(path, in_float):
            return node
        if isinstance(node, Linear):
            return quantize_linear(node)
        return quantize_conv2d(node) if isinstance(node, Conv2d) else node

    return build(one, fold(p, config), is_leaf=lambda node: isinstance(node, (Linear, Conv2d)))


def is_below(path: str, places: tuple[str, ...]) -> bool:
    """Whether a path is one of some places of a tree, or below one."""
    return any(f"{path}.".startswith(f"{place}.") for place in places)


def float_layers(p: EfficientFormer | FoldedNetwork) -> list[str]:
    """Paths of the layers that are in float32."""
    kinds = Linear, Conv2d
    found: list[str] = []

    def one(path: str, node: Any) -> Any:
        found.extend([path] * isinstance(node, kinds))
        return node

    build(one, p, is_leaf=lambda node: isinstance(node, kinds))
    return found


def quantized_forward(
    x: Array, p: FoldedNetwork, config: EfficientFormerConfig, run: Run = EVALUATION
) -> Logits:
    """Run a network in eight bits with the plain layers.

    Parameters
    ----------
    x : ndarray, shape (B, H, W, C₀)
    p : FoldedNetwork
        What `quantize` returned.
    config : EfficientFormerConfig
    run : Run
        Records what `npformer.engine.fold.folded_forward` does.

    Returns
    -------
    Logits

    Raises
    ------
    ConfigError
        If the network cannot take such images, or the run is in training mode.
    TypeError
        If the images are not floating point numbers.
    """
    check_input(x, p, config)
    if run.mode != EVALUATION.mode:
        raise ConfigError(NO_TRAINING)
    return folded_forward(x.astype("float32", copy=False), p, config, run)
