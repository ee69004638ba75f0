"""Numbers in 16 bits: as files hold them, and what is left of others when they are stored so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..checkpoints.dtypes import BFLOAT16, widen
from ..layers import Array


def bfloat16(x: Array) -> Array:
    """Round numbers to bfloat16, those in the middle to the even one; as their 16 bits."""
    bits = x.astype("<f4").view("<u4")
    upper = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return upper.astype("<u2").view(BFLOAT16)


ENCODERS: dict[str, Callable[[Array], Array]] = {
    "float16": lambda x: x.astype("<f2"),
    "bfloat16": bfloat16,
}
"""What makes of other numbers those that a file holds, by type."""


def rounded(x: Array, dtype: str) -> Array:
    """Return what is left of numbers once they are stored in a type, in float64."""
    with np.errstate(over="ignore"):
        return widen(ENCODERS[dtype](x)).astype(np.float64)
