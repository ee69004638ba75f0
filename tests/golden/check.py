"""npformer's side of the comparison: every array that a forward pass shows, held against PyTorch's.

`Examiner` is a run, the last argument of every layer, that objects to the first array that is not
what PyTorch found under the same name. Needs no PyTorch.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import safe_open

from npformer.layers import Array, Run
from npformer.network import forward

from . import cases

FOLDER = Path(__file__).parent
FLOAT64 = 1e-12
"""largest absolute difference of any number in float64"""
FLOAT32 = 5e-6
"""largest difference of a layer's numbers in float32, relative to the largest of them"""
LOGITS = 2e-5
"""largest absolute difference of logits in float32"""

POOL = ".token_mixer.pool"
"""the one module of PyTorch's whose result npformer does not show"""


class Overheard(NamedTuple):
    """What each layer, by timm's path, was given and returned, in the order of computation."""

    inputs: dict[str, Array]
    outputs: dict[str, Array]


class Golden(NamedTuple):
    """A golden file of a small network."""

    case: dict[str, Any]
    heard: Overheard
    state: dict[str, list[int]]
    """shapes of PyTorch's state dict, under the names of the library that made it"""


def golden(name: str) -> Golden:
    arrays, notes = read(name)
    heard = Overheard({}, {})
    for path, given, returned in notes["layers"]:
        if given is not None:
            heard.inputs[path] = arrays[given]
        heard.outputs[path] = arrays[returned]
    return Golden(notes["case"], heard, notes["state"])


def read(name: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Arrays and notes of ``tests/golden/NAME.safetensors``."""
    with safe_open(FOLDER / f"{name}.safetensors", framework="numpy") as file:
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return arrays, json.loads(file.metadata()["notes"])


class Examiner(Run):
    """A run that compares.

    Parameters
    ----------
    expected : dict
        By module path.
    difference : callable
        ``difference(found, expected)`` is a number.
    tolerance : float
        The largest difference that passes.
    teach : bool
        Whether to answer every array by the expected one, so that the next layer works with that.
    view : callable
        What is compared of an array.

    Raises
    ------
    AssertionError
        By the first call with a wrong array; the message begins with its path.
    """

    def __init__(
        self,
        expected: dict[str, Array],
        difference: Callable[[Array, Array], float],
        tolerance: float,
        teach: bool = False,
        view: Callable[[Array], Array] = np.asarray,
    ) -> None:
        super().__init__()
        self.expected, self.difference, self.tolerance = expected, difference, tolerance
        self.teach, self.view = teach, view
        self.prefix = ""
        self.seen: set[str] = set()

    def __call__(self, name: str, value: Array) -> Array:
        path = self.prefix + name
        assert path in self.expected, f"{path}: PyTorch has no such layer"
        found, expected = self.view(value), self.expected[path]
        assert found.shape == expected.shape, f"{path}: {found.shape}, expected {expected.shape}"
        error = self.difference(found, expected)
        # Written so that a NaN does not pass.
        assert error <= self.tolerance, f"{path}: off by {error:.1e}, allowed {self.tolerance}"
        self.seen.add(path)
        return expected.astype(value.dtype) if self.teach else value

    def within(self, name: str) -> Examiner:
        child = copy.copy(self)
        child.prefix = f"{self.prefix}{name}."
        return child

    def wants(self, name: str) -> bool:
        return True

    def finish(self) -> None:
        """Object if anything expected was not shown."""
        missing = [path for path in self.expected if path not in self.seen]
        assert not missing, f"{missing[0]}: never computed, and {len(missing) - 1} others"


def absolute(found: Array, expected: Array) -> float:
    return float(np.abs(found - expected).max())


def relative(found: Array, expected: Array) -> float:
    """Largest error, relative to the largest number."""
    scale = np.abs(expected).max()
    error = np.abs(found - expected).max()
    return float(error / scale) if scale else float(error)


def check_float64(case: dict[str, Any], heard: Overheard, seed: int = 0) -> None:
    """A whole forward pass in float64, with every array compared."""
    examiner = Examiner(counterparts(heard), absolute, FLOAT64)
    run(case, examiner, seed, "float64")


def check_float32(case: dict[str, Any], heard: Overheard, seed: int = 0) -> None:
    """Every layer by itself in float32, given what PyTorch's was given."""
    examiner = Examiner(counterparts(heard), relative, FLOAT32, teach=True)
    run(case, examiner, seed, "float32")


def run(case: dict[str, Any], examiner: Examiner, seed: int, dtype: str) -> Array:
    """Logits of a network, after every array has passed the examiner."""
    params = cases.parameters(case, seed, dtype)
    pixels = cases.pixels(case, seed).astype(dtype)
    pixels.flags.writeable = False
    logits = forward(pixels, params, cases.configuration(case), examiner).logits
    examiner("logits", logits)
    examiner.finish()
    return logits


def counterparts(heard: Overheard) -> dict[str, Array]:
    """What npformer shows, made of what PyTorch's modules were given and returned.

    The average inside a pooling is no step of its own in npformer (it is compared by itself),
    and a layer scale is no module in transformers: it is what was added to the residual.
    """
    inputs, outputs = heard
    expected = {path: x for path, x in outputs.items() if not path.endswith(POOL)}
    for block in [path.removesuffix(".mlp") for path in outputs if path.endswith(".mlp")]:
        if f"{block}.ls1" not in expected:
            between = inputs.get(f"{block}.norm2", inputs[f"{block}.mlp"])
            expected[f"{block}.ls1"] = between - inputs[block]
            expected[f"{block}.ls2"] = outputs[block] - between
    return expected


def summary(x: Array) -> Array:
    """A few numbers for an array that is too large to keep: shape, samples, mean and peak."""
    where = np.arange(8) * 2654435761 % x.size
    shape = (1,) * (4 - x.ndim) + x.shape
    return np.array([*shape, *x.reshape(-1)[where], x.mean(), np.abs(x).max()], np.float64)
