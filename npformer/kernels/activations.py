"""Activations of a vector.

relu(x) = max(x, 0)
gelu(x) = x Φ(x)
"""

from __future__ import annotations

from .erf import normal_distribution
from .vector import Vector, at_least, inlined, splat


@inlined
def relu(x: Vector) -> Vector:
    """Rectified linear unit."""
    return at_least(x, splat(0.0))


@inlined
def gelu(x: Vector) -> Vector:
    """Gaussian error linear unit, exact to the rounding of float32."""
    return x * normal_distribution(x)
