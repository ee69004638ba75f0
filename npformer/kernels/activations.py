"""Activations of a vector, and their gradients.

relu(x) = max(x, 0)       relu'(x) = 1 where x > 0, else 0
gelu(x) = x Φ(x)          gelu'(x) = Φ(x) + x φ(x)
"""

from __future__ import annotations

from math import pi, sqrt

from .erf import OF_QUARTER, OF_SQUARE, normal_distribution, times_ratio
from .softmax import exp
from .vector import Vector, fma, inlined, maximum, minimum, splat, zero_below

SMALLEST_NUMBER = 1.4e-45
"""the first float32 above 0"""
PEAK = 1 / sqrt(2 * pi)
"""φ(0), the density of the normal distribution at its middle"""


@inlined
def relu(x: Vector) -> Vector:
    """Rectified linear unit."""
    return maximum(x, splat(0.0))


@inlined
def gelu(x: Vector) -> Vector:
    """Gaussian error linear unit, ``x Φ(x) = x/2 + x² R(x²)``, exact to the rounding of float32.

    It is never above relu(x), which the sum passes where R ends, and which is as good from there.
    """
    square = x * x
    return minimum(fma(x, splat(0.5), times_ratio(square, square, OF_SQUARE)), relu(x))


@inlined
def gelu_of_double(h: Vector) -> Vector:
    """``gelu(2 h)``, the same bits for one multiplication less."""
    square = h * h
    return minimum(h + times_ratio(square, square, OF_QUARTER), relu(h + h))


@inlined
def relu_backward(dy: Vector, x: Vector) -> Vector:
    """``dy`` where x is positive, else 0."""
    return zero_below(x, SMALLEST_NUMBER, dy)


@inlined
def gelu_backward(dy: Vector, x: Vector) -> Vector:
    """``dy (Φ(x) + x φ(x))``."""
    density = exp(x * x * -0.5) * PEAK
    return dy * fma(x, density, normal_distribution(x))
