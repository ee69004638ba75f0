"""Bounds of a step, and of steps one after the other.

The error of a result has two sources, which add up: the roundings of the step itself, and the
errors of what it was given. A recorded array is given exactly: whoever recorded it went on from
these very numbers. So the bound of a step does not depend on what came before it, and a wrong step
does not accuse those behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...errors import ConfigError
from ...layers import Array, BatchNorm, Conv2d
from ..steps import LAYERS, Params, Step
from . import elementwise, products
from .arithmetic import Error, arithmetic, exact, unknown
from .elementwise import Rule
from .integers import OF_INTEGERS
from .passing import PASSING
from .sums import of_quarters, started

ROUNDING: dict[str, Rule] = {
    "identity": elementwise.nothing,
    "conv2d": products.conv2d,
    "batch_norm": elementwise.batch_norm,
    "activation": elementwise.activation,
    "average_pool": products.average_pool,
    "subtract": elementwise.one_operation,
    "layer_scale": elementwise.layer_scale,
    "residual": elementwise.one_operation,
    "flat": elementwise.nothing,
    "layer_norm": elementwise.layer_norm,
    "linear": products.linear,
    "split_head": elementwise.nothing,
    "scores": products.scores,
    "position_bias": elementwise.position_bias,
    "softmax": elementwise.softmax,
    "weighted_sum": products.weighted_sum,
    "token_mean": products.token_mean,
    "average": elementwise.one_operation,
}
"""The roundings of each kind of step."""


class Estimate(NamedTuple):
    """An array as it should be, and how far rounding may have taken it from that."""

    value: Array
    """float64"""
    error: Error
    terms: int = 0
    """of how many terms it is the sum, if what follows may be folded into that sum"""

    def bound(self, probability: float = 1e-12) -> Array:
        """Return what the error of an element exceeds with this probability at most."""
        return self.error.bound(probability)


def error_bound(
    step: Step | str,
    inputs: Sequence[Array],
    params: Params = None,
    dtype: str = "float32",
    probability: float = 1e-12,
    **options: object,
) -> Array:
    """Return how far a right implementation of a step can be from the exact result.

    It holds for any order of summation, with and without fused multiply-add, and for layers that
    were folded into one another.

    Parameters
    ----------
    step : Step or str
        A step, or the name of its kind, such as ``"conv2d"``.
    inputs : sequence of ndarray
        What the implementation was given, with channels last; its own numbers, not ours.
    params : optional
        Its parameters, if `step` is a name.
    dtype : {"float32", "float16", "bfloat16", "float64", "float32 strassen", "int8"}
        What it computes in, and keeps its parameters in: that these were rounded to it is not
        counted. In the 16-bit types sums are added up in float32. ``"float32
        strassen"`` is for npformer's kernels, which multiply large matrices by Strassen's method.
        In ``"int8"``, matrices and the rows that they meet are rounded as in
        `npformer.layers.quantized_linear`.
    probability : float
        With which an element may exceed the bound, if roundings are independent; at least 1e-12.
        With 0, the bound that none can exceed.
    **options
        ε, stride …, if `step` is a name.

    Returns
    -------
    ndarray of float64, of the shape of the result

    Raises
    ------
    ConfigError
        If there is no such step or dtype, or no such probability.

    References
    ----------
    Higham 2002, "Accuracy and Stability of Numerical Algorithms", chapters 2 to 4; Higham & Mary
    2019, "A new approach to probabilistic rounding error analysis".

    Examples
    --------
    >>> import numpy as np
    >>> from npformer.layers import Linear
    >>> from npformer.testing import error_bound
    >>> rng = np.random.default_rng(0)
    >>> x, w = rng.normal(size=(1, 448)), rng.normal(size=(448, 2))
    >>> error_bound("linear", [x], Linear(w, np.zeros(2))).shape
    (1, 2)
    """
    if isinstance(step, str):
        if step not in LAYERS:
            raise ConfigError(f"step is {step!r}; expected one of {', '.join(LAYERS)}")
        step = Step("y", step, tuple(f"x{i}" for i in range(len(inputs))), params, dict(options))
    arrays = dict(zip(step.inputs, inputs, strict=True))
    return propagate([step], arrays, dtype)[step.path].bound(probability)


def propagate(
    chain: Sequence[Step], arrays: Mapping[str, Array], dtype: str = "float32"
) -> dict[str, Estimate]:
    """Run steps one after the other, each result with what is known of its error.

    Parameters
    ----------
    chain : sequence of Step
        In the order of computation; not all of a network need be there.
    arrays : mapping of str to ndarray
        What was recorded, by path. Where a path is also the result of a step, the step is not run:
        the recorded array is taken, without an error.
    dtype : str
        As in `error_bound`.

    Returns
    -------
    dict of str to Estimate
        Of all arrays and all results.

    Raises
    ------
    KeyError
        If a step reads an array that is neither recorded nor computed before.
    ConfigError
        If nothing is known of the dtype.
    """
    found = {path: _recorded(array) for path, array in arrays.items()}
    for step in chain:
        if step.path not in found:
            found[step.path] = estimate(step, [found[path] for path in step.inputs], dtype)
    return found


def walk(
    chain: Sequence[Step], arrays: Mapping[str, Array], dtype: str = "float32"
) -> Iterator[tuple[Step, Estimate]]:
    """Run steps one after the other, each on recorded arrays as far as there are some.

    Parameters
    ----------
    chain : sequence of Step
        In the order of computation.
    arrays : mapping of str to ndarray
        What was recorded, by path. A recorded result is estimated too, from what was recorded
        before it, and then given to the steps behind it in the place of the estimate.
    dtype : str
        As in `error_bound`.

    Yields
    ------
    step : Step
    estimate : Estimate
        Of its result.

    Raises
    ------
    KeyError
        If a step reads an array that is neither recorded nor computed before.
    ConfigError
        If nothing is known of the dtype.
    """
    known = {path: _recorded(array) for path, array in arrays.items()}
    for step in chain:
        found = estimate(step, [known[path] for path in step.inputs], dtype)
        known.setdefault(step.path, found)
        yield step, found


def estimate(step: Step, inputs: Sequence[Estimate], dtype: str = "float32") -> Estimate:
    """Run one step on arrays that may have errors; arguments and errors as in `propagate`."""
    a = arithmetic(dtype)
    step = step.astype(np.float64)
    values = tuple(x.value for x in inputs)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        y = step(*values)
        error = ROUNDING[step.layer](step, y, values, a)
        if dtype == "int8" and step.layer in OF_INTEGERS:
            error += OF_INTEGERS[step.layer](step, y, values, a)
        if dtype == "float64":  # y itself is no better
            error = error.scaled(2)
        errors = tuple(x.error for x in inputs)
        if any(e.hard.any() for e in errors):
            error += PASSING[step.layer](step, y, values, errors)
        if isinstance(step.params, BatchNorm) and inputs[0].terms:
            start = elementwise.shift(step.params, step.options["eps"])
            error = started(error, inputs[0].terms, start, a)
        if a.strassen and step.layer in ("batch_norm", "layer_scale"):  # folded: before the product
            error = Error(of_quarters(error.hard), of_quarters(error.variance))
        error = _within_range(y, error, a.tiny, a.huge)
    terms = step.params.weight[..., 0].size if isinstance(step.params, Conv2d) else 0
    return Estimate(y, error, terms)


def _within_range(y: Array, error: Error, tiny: float, huge: float) -> Error:
    """Very small results may become 0, and those near the largest number may become infinite."""
    finite = np.abs(y) + error.hard < huge
    return (error + unknown(np.full_like(y, tiny))).within(finite)


def _recorded(array: Array) -> Estimate:
    value = array.astype(np.float64, copy=False)
    return Estimate(value, exact(value))
