"""Which parameters a class of `npformer.hf` needs, and whether those are the ones it got."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import WeightsError
from ..layers import Linear
from ..network import EfficientFormer
from ..network.configuration import EfficientFormerConfig
from ..network.tree import leaves


def with_heads(params: EfficientFormer, heads: Sequence[str]) -> EfficientFormer:
    """Leave out the heads that are not named."""
    return params._replace(
        head=params.head if "head" in heads else None,
        head_dist=params.head_dist if "head_dist" in heads else None,
    )


def with_fitting_heads(
    params: EfficientFormer, config: EfficientFormerConfig, seed: int
) -> EfficientFormer:
    """Replace heads that are missing or have another number of classes by fresh ones."""
    rng = np.random.default_rng(seed)
    shape, dtype = (config.hidden_size, config.num_labels), params.norm.weight.dtype

    def fit(head: Linear | None) -> Linear | None:
        if config.num_labels == 0 or (head is not None and head.weight.shape == shape):
            return head if config.num_labels else None
        weight = rng.standard_normal(shape) * config.initializer_range
        return Linear(weight.astype(dtype), np.zeros(shape[1], dtype))

    return params._replace(head=fit(params.head), head_dist=fit(params.head_dist))


def check_shapes(params: EfficientFormer, plan: EfficientFormer) -> None:
    """Refuse parameters that are not those of the planned network."""
    found = {path: array.shape for path, array in leaves(params)}
    expected = {path: leaf.shape for path, leaf in leaves(plan)}
    for path in [*expected, *found]:
        shape = found.get(path, ())
        if path.endswith("attention_biases"):
            shape = shape[:3]  # biases by pair of places have more
        if shape != expected.get(path, ()):
            raise WeightsError(
                f"the weights have {path} of shape {shape}, their configuration demands "
                f"{expected.get(path, ())}; () means that there is none. Take the configuration "
                "that belongs to the weights, or, for other heads, begin with fresh ones: "
                "from_pretrained(…, ignore_mismatched_sizes=True)"
            )


def refuse_biases_by_pair(params: EfficientFormer) -> None:
    """Refuse to write what only this package could read."""
    if any(path.endswith("attention_biases") and array.ndim == 5 for path, array in leaves(params)):
        raise WeightsError(
            "the attention biases are one for each pair of places (method='original'), which no "
            "format of checkpoints holds; save the network before it is resized, or resize it by "
            "method='offsets'"
        )
