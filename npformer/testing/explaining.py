"""Say what is wrong with an implementation, from the inputs on which it is right and wrong."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..layers import Trace
from ..network.tree import build, transform
from ..teach.cases import Case, arrays, call, parameter_names
from ..teach.checking import explained
from ..teach.mistakes import EXERCISES, Draw
from ..teach.search import Clock
from .adapters.port import Port
from .laws import LAWS, broken_laws
from .layer_table import BACKWARD, LAYERS, reference
from .report import LayerReport
from .tolerance import right_result
from .trial import Trial, attempt, ratio, worst


class Cause(NamedTuple):
    """What is wrong."""

    kind: str
    hint: str
    is_proved: bool = True
    """whether it explains every answer; otherwise it only describes them"""


EPSILONS = (0.0, 1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-12)
"""Values of ε that libraries use, which a layer may have been made with."""


def explain(layer: str, port: Port, trials: list[Trial], seconds: float) -> LayerReport:
    """Explain what is wrong.

    Parameters
    ----------
    layer : str
    port : Port
    trials : list of Trial
        Inputs that were tried, the smallest that fails first.
    seconds : float
        How long to search for a mistake that is none of the known ones.

    Returns
    -------
    LayerReport
    """
    first = trials[0]
    named = _of_memory(layer, port, first) or _of_epsilon(layer, trials)
    if named is None:
        named = _by_the_checker(layer, port, trials, seconds)
    broken = broken_laws(layer, port.function, 10) if port.any_size and layer in LAWS else ()
    with np.errstate(all="ignore"):
        expected = reference(layer)(*first.args)
    return LayerReport(
        layer,
        passed=False,
        cases=len(trials),
        failures=sum(trial.is_wrong for trial in trials),
        mistake=named.kind,
        hint=named.hint,
        inputs=dict(zip(parameter_names(EXERCISES[layer]), first.args, strict=False)),
        got=first.outcome.value,
        expected=expected,
        error=first.outcome.error,
        named=named.is_proved,
        ratio=first.ratio,
        worst=worst(first),
        dtype=first.dtype,
        broken=broken,
    )


def _by_the_checker(layer: str, port: Port, trials: list[Trial], seconds: float) -> Cause:
    """Let `npformer.check` say what is wrong."""
    exercise = EXERCISES[layer]
    if layer not in BACKWARD:  # whose inputs hang together
        largest = max(trials, key=lambda trial: sum(a.size for a in arrays(trial.args)))
        exercise = exercise._replace(draw=lambda d: _redrawn(largest.args, d, port.dtypes))
    elif not port.any_size:
        seconds = 0
    cases = [_case(layer, trial) for trial in trials]
    outcomes = [call(port.function, case.args, exercise) for case in cases]
    with np.errstate(all="ignore"):
        report = explained(layer, exercise, port.function, cases, outcomes, Clock(seconds))
    if report.passed:
        return Cause("values", "Single numbers differ by more than rounding can do.", False)
    if report.mistake == "values":  # the place is that of another input
        return Cause("values", report.hint.partition("]. ")[2], False)
    return Cause(report.mistake, report.hint, report.named)


def _case(layer: str, trial: Trial) -> Case:
    """Return an input with npformer's result in the same type, for the search of the checker.

    A candidate is rounded too, so that it may differ by twice the bound.
    """
    with np.errstate(all="ignore"):
        expected = reference(layer)(*trial.args)
    shares = [
        float(2 * np.max(bound, initial=0.0, where=np.isfinite(bound)))
        / max(1.0, float(np.max(np.abs(array), initial=0.0, where=np.isfinite(array))))
        for array, bound in zip(trial.right.arrays, trial.right.bounds, strict=True)
    ]
    return Case(trial.args, expected, max(shares, default=0.0))


def _of_memory(layer: str, port: Port, first: Trial) -> Cause | None:
    """Tell whether the numbers are right once the arrays are ordinary ones that may be written."""
    if any(isinstance(arg, Trace) for arg in first.args):
        return None
    copied = transform(
        lambda leaf: np.array(leaf, order="C") if isinstance(leaf, np.ndarray) else leaf, first.args
    )
    if attempt(layer, port.function, copied, first.dtype).is_wrong:
        return None
    if first.outcome.error is not None and "read-only" in str(first.outcome.error):
        return Cause(
            "argument modified",
            "The function writes into an array that it is given, which its caller may still need. "
            "Make a new array: x = x + 1 instead of x += 1.",
        )
    x = first.args[0]
    return Cause(
        "arrangement in memory",
        "The result is right where the numbers of the input lie in memory one after the other, and "
        "wrong where they do not, as in an array that was transposed or sliced: here the shape is "
        f"{x.shape} and the strides are {x.strides} bytes. Use the strides, or copy the array.",
    )


def _of_epsilon(layer: str, trials: list[Trial]) -> Cause | None:
    """Tell whether a layer with another ε gives the same numbers on every input."""
    names = list(LAYERS[layer].options) if layer in LAYERS else []
    if "eps" not in names:
        return None
    place = names.index("eps") - len(names)
    expected = {float(trial.args[place]) for trial in trials}
    for eps in EPSILONS:
        if expected != {eps} and all(_agrees(layer, trial, place, eps) for trial in trials):
            hint = f"The results are those of ε = {eps:g}"
            if len(expected) > 1:
                return Cause("eps ignored", f"{hint} whatever ε is given: use the argument.")
            return Cause(
                "another eps",
                f"{hint}; expected ε = {expected.pop():g}. If {eps:g} is meant, say so: "
                f'options={{"eps": {eps:g}}}.',
            )
    return None


def _agrees(layer: str, trial: Trial, place: int, eps: float) -> bool:
    """Whether an implementation gave, within the bound, the result for another ε."""
    args = list(trial.args)
    args[place] = eps
    return ratio(trial.outcome, right_result(layer, tuple(args), trial.dtype)) <= 1


def _redrawn(args: tuple[Any, ...], d: Draw, dtypes: tuple[str, ...]) -> tuple[Any, ...]:
    """Draw other numbers for the same sizes, in a type that the implementation computes in."""
    dtype = d.dtype if d.dtype in dtypes else dtypes[0]

    def fill(path: str, leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        drawn = d.positive if path.endswith("running_var") else d.array
        return drawn(*leaf.shape).astype(dtype)

    return build(fill, args)
