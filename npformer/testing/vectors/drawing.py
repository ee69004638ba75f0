"""Numbers for test vectors: the same on every machine and with every version of NumPy.

A number depends only on the name of its array. `numpy.random.RandomState` is used because its
stream is frozen, and uniform numbers because they need no logarithm, of which platforms differ in
the last bit. All are exact in float32, with all of its 24 bits in use.
"""

from __future__ import annotations

from math import prod, sqrt
from typing import Any, TypeVar
from zlib import crc32

import numpy as np

from ...layers import Array
from ...network.tree import build

Tree = TypeVar("Tree")


def numbers(name: str, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> Array:
    """Draw numbers between two limits, as float64 that float32 holds exactly."""
    u = np.random.RandomState(crc32(name.encode())).random_sample(shape)
    return (low + (high - low) * u).astype(np.float32).astype(np.float64)


def parameters(name: str, tree: Tree) -> Tree:
    """Draw the parameters of a layer or a network.

    Layer scales are around 1 and the statistics of batch norms are random: with the values of a
    fresh network (1e-5; 0 and 1) a fault inside a block would hide behind the residual connection.

    Parameters
    ----------
    name : str
        What the numbers depend on, besides the path of each array.
    tree : NamedTuple
        With a `ParamSpec` in place of each array.

    Returns
    -------
    NamedTuple
        Of arrays.
    """

    def fill(path: str, spec: Any) -> Array:
        shape = spec.shape
        last = path.rpartition(".")[2]
        if last == "running_var":
            low, high = 1.0, 5.0
        elif last == "attention_biases":
            low, high = -2.0, 2.0
        elif len(shape) > 1:
            high = sqrt(3 / prod(shape[:-1]))  # a variance of 1 / (inputs of a neuron)
            low = -high
        elif last in ("weight", "gamma"):
            low, high = 0.5, 1.5
        else:
            low, high = -0.5, 0.5
        return numbers(f"{name}/{path}", shape, low, high)

    return build(fill, tree)
