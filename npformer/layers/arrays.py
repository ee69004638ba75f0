"""The two types that every layer speaks of."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
"""A floating point array: float32 for use, float64 for proofs."""

Rng: TypeAlias = "np.random.Generator"
"""The only source of randomness: passed in, never global. In quotes, so that NumPy loads its
generators only for who uses them."""
