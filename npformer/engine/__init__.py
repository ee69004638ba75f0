"""Which code computes: the plain functions, or what is faster and proved equal to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ..configuration import EfficientFormerConfig
from ..layers import FORGET, Array, Keep
from ..model import EfficientFormer, Logits, forward

Forward: TypeAlias = Callable[..., Logits]
"""``(x, keep=FORGET) -> Logits`` for channels-last images."""


def make_forward(
    params: EfficientFormer, config: EfficientFormerConfig, engine: str = "auto"
) -> Forward:
    """Return the function that runs a network.

    Parameters
    ----------
    params : EfficientFormer
    config : EfficientFormerConfig
    engine : {"auto", "numpy"}

    Returns
    -------
    callable
    """
    if engine not in ("auto", "numpy"):
        raise ValueError(f"engine is {engine!r}; expected 'auto' or 'numpy'")

    def run(x: Array, keep: Keep = FORGET) -> Logits:
        return forward(x, params, config, keep)

    return run
