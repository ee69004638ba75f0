"""Typical mistakes, each as a variant of a step: what it computes instead of the right result.

A cause is never guessed from symptoms. A variant is run on what the other network recorded; if it
gives the other's numbers where the right step does not, the cause is proved. A mistake without a
word among the causes is told by a sentence in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ....layers import Array
from ....network.configuration import EfficientFormerConfig
from ...steps import Step
from ..causes import CAUSES
from . import attention, elementwise, norms, products, spatial

Mistakes = Callable[[Step, list[Array], EfficientFormerConfig], Iterator[tuple[str, Array]]]

MISTAKES: dict[str, tuple[Mistakes, ...]] = {
    "conv2d": (products.conv2d_mistakes, products.rounded_weights),
    "linear": (products.linear_mistakes, products.rounded_weights),
    "batch_norm": (norms.batch_norm_mistakes,),
    "layer_norm": (norms.layer_norm_mistakes,),
    "activation": (elementwise.activation_mistakes,),
    "layer_scale": (elementwise.layer_scale_mistakes,),
    "residual": (elementwise.residual_mistakes,),
    "average": (elementwise.average_mistakes,),
    "average_pool": (spatial.pool_mistakes,),
    "subtract": (spatial.subtract_mistakes,),
    "flat": (spatial.flat_mistakes,),
    "token_mean": (spatial.mean_mistakes,),
    "scores": (attention.scores_mistakes,),
    "position_bias": (attention.bias_mistakes,),
    "softmax": (attention.softmax_mistakes,),
    "weighted_sum": (attention.context_mistakes,),
}
"""By the kind of step; `split_head` has mistakes of three steps together."""


class Variant(NamedTuple):
    """A mistake, and what it computes."""

    word: str | None
    """a key of `CAUSES`; None if there is no word for it"""
    more: str
    """what it is, if there is no word for it"""
    arrays: dict[str, Array]
    """by path; usually that of one step"""
    number: int
    """which it is of the mistakes of a step with the same word or sentence"""


def variants(step: Step, inputs: list[Array], config: EfficientFormerConfig) -> Iterator[Variant]:
    """Yield the mistakes that can be made in a step, the likeliest first.

    Parameters
    ----------
    step : Step
        In float64.
    inputs : list of ndarray
        Of float64, what the other network gave to this step.
    config : EfficientFormerConfig

    Yields
    ------
    Variant
    """
    counts: dict[str, int] = {}
    mistakes = _mistakes(step, inputs, config)
    while True:
        # Not around the yield: a generator that waits would change the state of its caller.
        with np.errstate(all="ignore"):
            made = next(mistakes, None)
        if made is None:
            return
        said, arrays = made
        counts[said] = number = counts.get(said, -1) + 1
        known = said in CAUSES
        yield Variant(said if known else None, "" if known else said, arrays, number)


def _mistakes(
    step: Step, inputs: list[Array], config: EfficientFormerConfig
) -> Iterator[tuple[str, dict[str, Array]]]:
    """Yield what each mistake is called, and the arrays that it makes."""
    if step.layer == "split_head":
        stem = step.path[:-1]
        for said, parts in attention.split_mistakes(step, inputs[0]):
            yield said, {f"{stem}{n}": a for n, a in zip("qkv", parts, strict=True)}
    for mistakes in MISTAKES.get(step.layer, ()):
        for said, array in mistakes(step, inputs, config):
            yield said, {step.path: array}
