"""Activations of a vector, and their gradients.

relu(x) = max(x, 0)       relu'(x) = 1 where x > 0, else 0
gelu(x) = x Φ(x)          gelu'(x) = Φ(x) + x φ(x)
"""

from __future__ import annotations

from math import pi, sqrt

from ..layers.gelu_polynomial import COEFFICIENTS, LIMIT
from .erf import OF_QUARTER, OF_SQUARE, normal_distribution, times_ratio
from .softmax import exp
from .vector import Vector, absolute, fma, inlined, maximum, minimum, splat, zero_below

SMALLEST_NUMBER = 1.4e-45
"""smallest positive float32"""
PEAK = 1 / sqrt(2 * pi)
"""φ(0), the density of the normal distribution at 0"""


@inlined
def relu(x: Vector) -> Vector:
    """Rectified linear unit."""
    return maximum(x, splat(0.0))


@inlined
def gelu(x: Vector) -> Vector:
    """Gaussian error linear unit, ``x Φ(x) = x/2 + x² R(x²)``, exact to the rounding of float32.

    Clamped to relu(x): beyond R's range the sum exceeds it, and relu is exact there to rounding.
    """
    square = x * x
    return minimum(fma(x, splat(0.5), times_ratio(square, square, OF_SQUARE)), relu(x))


@inlined
def gelu_of_double(h: Vector) -> Vector:
    """``gelu(2 h)``, the same bits with one multiplication less."""
    square = h * h
    return minimum(h + times_ratio(square, square, OF_QUARTER), relu(h + h))


@inlined
def gelu_polynomial(x: Vector) -> Vector:
    """GELU to 1.4e-4, the same bits as `npformer.layers.gelu_polynomial`."""
    a = minimum(absolute(x), splat(LIMIT))
    r = a * COEFFICIENTS[6] + COEFFICIENTS[5]
    r = r * a + COEFFICIENTS[4]
    r = r * a + COEFFICIENTS[3]
    r = r * a + COEFFICIENTS[2]
    r = r * a + COEFFICIENTS[1]
    r = r * a + COEFFICIENTS[0]
    return relu(x) - a * r


@inlined
def relu_backward(dy: Vector, x: Vector) -> Vector:
    """``dy`` where x is positive, else 0."""
    return zero_below(x, SMALLEST_NUMBER, dy)


@inlined
def gelu_backward(dy: Vector, x: Vector) -> Vector:
    """``dy (Φ(x) + x φ(x))``."""
    density = exp(x * x * -0.5) * PEAK
    return dy * fma(x, density, normal_distribution(x))
