"""Which parameters a class of `npformer.hf` needs, and whether it was given these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import numpy as np

from ..engine.fold import FoldedNetwork
from ..errors import WeightsError
from ..layers import Linear
from ..network import EfficientFormer
from ..network.configuration import EfficientFormerConfig
from ..network.tree import leaves

Params = TypeVar("Params", bound="EfficientFormer | FoldedNetwork")


def with_heads(params: Params, heads: Sequence[str]) -> Params:
    """Remove the heads that are not named."""
    result: Any = params._replace(
        head=params.head if "head" in heads else None,
        head_dist=params.head_dist if "head_dist" in heads else None,
    )
    return cast(Params, result)


def with_fitting_heads(
    params: EfficientFormer, config: EfficientFormerConfig, seed: int
) -> EfficientFormer:
    """Replace heads that are missing, or have another number of classes, by random ones."""
    rng = np.random.default_rng(seed)
    shape, dtype = (config.hidden_size, config.num_labels), params.norm.weight.dtype

    def fit(head: Linear | None) -> Linear | None:
        if config.num_labels == 0 or (head is not None and head.weight.shape == shape):
            return head if config.num_labels else None
        weight = rng.standard_normal(shape) * config.initializer_range
        return Linear(weight.astype(dtype), np.zeros(shape[1], dtype))

    return params._replace(head=fit(params.head), head_dist=fit(params.head_dist))


def check_shapes(
    params: EfficientFormer | FoldedNetwork, specs: EfficientFormer | FoldedNetwork
) -> None:
    """Check that parameters have the shapes that their configuration demands.

    Parameters
    ----------
    params : EfficientFormer or FoldedNetwork
    specs : EfficientFormer or FoldedNetwork
        As from `npformer.network.params.param_specs` or `npformer.checkpoints.quantized.specs`.

    Raises
    ------
    WeightsError
        If an array is missing, not expected, or has another shape.
    """
    found = {path: array.shape for path, array in leaves(params)}
    expected = {path: spec.shape for path, spec in leaves(specs)}
    for path in [*expected, *found]:
        shape = found.get(path, ())
        if path.endswith("attention_biases"):
            shape = shape[:3]  # biases by pair of tokens have two more axes
        if shape != expected.get(path, ()):
            raise WeightsError(
                f"the weights have {path} of shape {shape}, their configuration demands "
                f"{expected.get(path, ())}; () means that there is none. Use the configuration "
                "that belongs to the weights, or, for new heads, "
                "from_pretrained(…, ignore_mismatched_sizes=True)"
            )


def refuse_biases_by_pair(params: EfficientFormer) -> None:
    """Refuse attention biases that only this package could read from a file.

    Raises
    ------
    WeightsError
        If the biases are one for each pair of tokens.
    """
    if any(path.endswith("attention_biases") and array.ndim == 5 for path, array in leaves(params)):
        raise WeightsError(
            "there is an attention bias for each pair of tokens (method='original'), which no "
            "format of checkpoints holds; save the network before resizing it, or resize it with "
            "method='offsets'"
        )
