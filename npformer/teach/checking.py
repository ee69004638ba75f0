"""Judge a student's layer against npformer's, and say what kind of mistake it is.

    verdict(f) = the first m in (right, known mistakes of this layer …) with f(x) = m(x) for all x

Both run on the same drawn inputs, from tiny ones of small whole numbers to odd shapes. Where they
differ, the student's answers are compared with those of the typical mistakes of that layer
(`npformer.teach.mistakes`): who gives the same wrong numbers everywhere has made the same mistake.
If no known mistake fits, the numbers themselves are looked at: a wrong sign, a constant factor, a
border.

>>> import npformer
>>> print(npformer.check("relu", lambda x: abs(x)))  # doctest: +ELLIPSIS
✗ relu: absolute value
  Negative numbers become 0, they do not become positive.
...
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from ..layers import Array, Trace
from ..network.tree import leaves
from .mistakes import EXERCISES, Draw, Exercise, Mistake

FLOAT64_TOLERANCE = 1e-9
"""Largest difference allowed, relative to the largest number of the right answer (or to 1)."""
FLOAT32_TOLERANCE = 1e-4
DAMAGE = "in-place damage"


class Outcome(NamedTuple):
    """What a function did with one input."""

    value: Any = None
    error: Exception | None = None
    damaged: str = ""
    """name of an argument that was changed"""


class Case(NamedTuple):
    """One drawn input, with the right answer."""

    args: tuple[Any, ...]
    expected: Any
    tolerance: float


@dataclass(frozen=True)
class Report:
    """What `check` found. True when the function passed; prints as an explanation.

    Attributes
    ----------
    layer : str
    passed : bool
    mistake : str
        Kind of mistake; empty when passed.
    hint : str
        What to think about.
    inputs : dict
        The smallest input that shows the mistake, by the name of the argument.
    got, expected : object
        The answers for it: the student's and the right one.
    error : Exception or None
        What the student's function raised.
    """

    layer: str
    passed: bool
    cases: int
    failures: int = 0
    mistake: str = ""
    hint: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    got: Any = None
    expected: Any = None
    error: Exception | None = None

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        if self.passed:
            return f"✓ {self.layer}: right on all {self.cases} inputs"
        exercise = EXERCISES[self.layer]
        lines = [
            f"✗ {self.layer}: {self.mistake}",
            f"  {self.hint}",
            "",
            f"Wrong on {self.failures} of {self.cases} inputs. The smallest of these:",
            *_show(_inputs(self.inputs)),
        ]
        if self.error is None:
            lines += ["", "Yours:", *_show(_named(self.got, exercise))]
        lines += ["", "Right:", *_show(_named(self.expected, exercise))]
        return "\n".join(lines)

    def require(self) -> Report:
        """Return itself when passed, for plain pytest and nbgrader.

        Raises
        ------
        AssertionError
            If the function did not pass; the message is the explanation.
        """
        if not self.passed:
            raise AssertionError(f"\n{self!r}") from self.error
        return self


def check(
    layer: str,
    function: Callable[..., Any],
    *,
    cases: int = 24,
    seed: int = 0,
    raises: bool = False,
) -> Report:
    """Judge a function that is meant to do what a layer of npformer does.

    Parameters
    ----------
    layer : str
        Name of the layer, such as ``"pooling"`` or ``"pooling_backward"``.
    function : callable
        Takes the arguments of ``npformer.layers.<layer>`` by position. ``run`` and
        options that have a default for every network may be left out.
    cases : int
        How many inputs to draw.
    seed : int
        Same seed, same inputs.
    raises : bool
        Whether to raise `AssertionError` when the function does not pass.

    Returns
    -------
    Report
        True when passed; says what kind of mistake was made otherwise.

    Raises
    ------
    ValueError
        If there is no such exercise; the message lists those that there are.

    Examples
    --------
    >>> from npformer import check
    >>> check("layer_scale", lambda x, p: x if p is None else x * p.gamma)
    ✓ layer_scale: right on all 24 inputs
    """
    if layer not in EXERCISES:
        raise ValueError(f"no exercise is called {layer!r}; there are {', '.join(EXERCISES)}")
    exercise = EXERCISES[layer]
    drawn = draw_cases(exercise, cases, seed)
    outcomes = [run(function, case.args, exercise) for case in drawn]
    problems = [problem(o, case, exercise) for o, case in zip(outcomes, drawn, strict=True)]
    failures = [i for i, (kind, _) in enumerate(problems) if kind]
    if not failures:
        return Report(layer, True, len(drawn))
    shown, mistake, hint = diagnose(exercise, drawn, outcomes, failures) or describe(problems)
    report = Report(
        layer,
        False,
        len(drawn),
        len(failures),
        mistake,
        hint,
        dict(zip(parameter_names(exercise), drawn[shown].args, strict=False)),
        outcomes[shown].value,
        drawn[shown].expected,
        outcomes[shown].error,
    )
    return report.require() if raises else report


def draw_cases(exercise: Exercise, count: int, seed: int) -> list[Case]:
    """Draw inputs, the smallest first; the last quarter of them in float32."""
    drawn = []
    for i in range(count):
        single = i >= count - count // 4
        draw = Draw(seed + i, level=min(i // 3, 5), dtype="float32" if single else "float64")
        args = exercise.draw(draw)
        expected = run(exercise.reference, args, exercise).value
        drawn.append(Case(args, expected, FLOAT32_TOLERANCE if single else FLOAT64_TOLERANCE))
    return sorted(drawn, key=lambda case: (case.tolerance, sum(a.size for a in arrays(case.args))))


def run(function: Callable[..., Any], args: tuple[Any, ...], exercise: Exercise) -> Outcome:
    """Call a function on copies of the arguments, and see whether it changed them."""
    copies = deepcopy(args)
    try:
        with np.errstate(all="ignore"):
            value = function(*copies)
    except Exception as error:
        return Outcome(error=error)
    for name, before, after in zip(parameter_names(exercise), args, copies, strict=False):
        pairs = zip(arrays(before), arrays(after), strict=True)
        if not all(np.array_equal(a, b, equal_nan=True) for a, b in pairs):
            return Outcome(value, damaged=name)
    return Outcome(value)


def diagnose(
    exercise: Exercise, drawn: list[Case], outcomes: list[Outcome], failures: list[int]
) -> tuple[int, str, str] | None:
    """Find the typical mistake that gives the same answers.

    Returns
    -------
    (case, kind, hint), or None
        The first mistake that fits on every input; else the one that explains most of the wrong
        answers, if it explains a quarter: then there is more than one mistake.
    """
    for mistake in exercise.mistakes:
        if all(fits(mistake, exercise, drawn, outcomes)):
            return failures[0], mistake.kind, mistake.hint
    best, most = None, max(3, len(failures) / 4)
    for mistake in exercise.mistakes:
        fitting = list(fits(mistake, exercise, drawn, outcomes))
        explained = [i for i in failures if fitting[i]]
        if len(explained) >= most:
            most = len(explained) + 1
            more = (
                f"(That explains {len(explained)} of {len(failures)} wrong answers: there is more.)"
            )
            best = explained[0], mistake.kind, f"{mistake.hint} {more}"
    return best


def fits(
    mistake: Mistake, exercise: Exercise, drawn: list[Case], outcomes: list[Outcome]
) -> Iterator[bool]:
    """Yield for each input whether a typical mistake gives the student's answer."""
    for case, outcome in zip(drawn, outcomes, strict=True):
        yield same(run(mistake.function, case.args, exercise), outcome, case)


def describe(problems: list[tuple[str, str]]) -> tuple[int, str, str]:
    """Pick the kind of problem that most wrong answers have, and the smallest input with it."""
    kinds = [kind for kind, _ in problems]
    usual = max(filter(None, kinds), key=kinds.count)
    shown = kinds.index(usual)
    return shown, *problems[shown]


def same(a: Outcome, b: Outcome, case: Case) -> bool:
    """Whether two functions did the same: the same numbers, or the same kind of exception."""
    if a.error or b.error or a.damaged or b.damaged:
        return type(a.error) is type(b.error) and a.damaged == b.damaged
    left, right = list(arrays(a.value)), list(arrays(b.value))
    return len(left) == len(right) and all(
        x.shape == y.shape and close(x, y, case.tolerance) for x, y in zip(left, right, strict=True)
    )


def problem(outcome: Outcome, case: Case, exercise: Exercise) -> tuple[str, str]:
    """Say what is wrong with an answer by looking at it: its kind and a hint; empty if right."""
    if outcome.error is not None:
        return "exception", f"{type(outcome.error).__name__}: {outcome.error}"
    if outcome.damaged:
        return DAMAGE, (
            f"Your function writes into its argument {outcome.damaged}. Whoever called it may need "
            "that array: make a new one (x = x + 1 instead of x += 1)."
        )
    if outcome.value is None:
        return "nothing returned", "Your function returns None. Is there a return statement?"
    right, found = dict(leaves(case.expected)), list(leaves(outcome.value))
    if len(found) != len(right):
        return "number of results", f"{len(found)} arrays returned; expected {len(right)}."
    for (path, expected), (_, got) in zip(right.items(), found, strict=True):
        if trouble := trouble_with(got, np.asarray(expected), case.tolerance):
            kind, hint = trouble
            name = result_name(path, exercise)
            return kind, f"{name}: {hint}" if name else hint
    return "", ""


def trouble_with(got: Any, expected: Array, tolerance: float) -> tuple[str, str] | None:
    """Compare one array with the right one."""
    if not isinstance(got, (np.ndarray, np.generic)):
        return "not an array", f"got a {type(got).__name__}; expected a numpy array."
    got = np.asarray(got)
    if got.shape != expected.shape:
        for axes in permutations(range(got.ndim)):
            if got.transpose(axes).shape == expected.shape:
                return "axes in another order", f"shape {got.shape}; expected {expected.shape}."
        return "shape", f"shape {got.shape}; expected {expected.shape}."
    if not close(got, expected, tolerance):
        return values(got, expected, tolerance)
    if got.dtype != expected.dtype:
        return "dtype", (
            f"dtype {got.dtype}; expected {expected.dtype}, that of the input. An array that you "
            "make yourself (np.zeros, np.array) is float64 unless you say dtype=x.dtype."
        )
    return None


def values(got: Array, expected: Array, tolerance: float) -> tuple[str, str]:
    """Describe how the numbers of an array differ from the right ones."""
    if not np.isfinite(got).all() and np.isfinite(expected).all():
        return "not finite", (
            "NaN or infinity came out: a division by zero, or an exp of something large?"
        )
    if close(-got, expected, tolerance):
        return "wrong sign", "every number has the right size and the wrong sign."
    scale = np.vdot(expected, expected)
    factor = float(np.vdot(expected, got) / scale) if scale else 0.0
    if factor and close(got / factor, expected, tolerance):
        return "constant factor", f"every number is {factor:.4g} times the right one."
    inside = (slice(None), slice(1, -1), slice(1, -1))
    has_inside = expected.ndim == 4 and expected[inside].size > 0
    if has_inside and close(got[inside], expected[inside], tolerance):
        return "border", "right inside the image, wrong at its border."
    if expected.ndim > 1 and len(expected) > 1 and close(got[0], expected[0], tolerance):
        return "batch", "right for the first image of the batch, wrong for others."
    difference = got - expected
    if close(difference, np.broadcast_to(difference.flat[0], got.shape), tolerance):
        return "constant offset", f"every number is off by {difference.flat[0]:.4g}."
    axes = tuple(range(got.ndim - 1))
    if (
        got.ndim > 1
        and got.size > got.shape[-1]
        and close(np.ptp(difference, axes), np.zeros(1), tolerance)
    ):
        return (
            "offset per channel",
            "each channel is off by a constant: is it about a bias or mean?",
        )
    if close(np.sort(got, None), np.sort(expected, None), tolerance):
        return "order", "the right numbers in the wrong places: a reshape or transpose?"
    where = tuple(int(i) for i in np.unravel_index(np.argmax(abs(difference)), got.shape))
    return "values", f"the largest difference is {abs(difference).max():.4g}, at {list(where)}."


def close(a: Array, b: Array, tolerance: float) -> bool:
    """Whether all numbers agree, relative to the largest of them; NaN agrees with NaN."""
    finite = abs(b[np.isfinite(b)])
    scale = max(1.0, float(finite.max(initial=0)))
    return bool(np.allclose(a, b, rtol=0, atol=tolerance * scale, equal_nan=True))


def arrays(tree: Any) -> Iterator[Array]:
    """Every array among arguments or results, those on a tape included."""
    for _, leaf in leaves(tree):
        if isinstance(leaf, Trace):
            yield from leaf.values()
        elif isinstance(leaf, (np.ndarray, np.generic)):
            yield np.asarray(leaf)


def parameter_names(exercise: Exercise) -> list[str]:
    """Names of the arguments of a layer."""
    return list(inspect.signature(exercise.reference).parameters)


def result_name(path: str, exercise: Exercise) -> str:
    """Name a result: in a backward function 0 is dx and 1.weight is dp.weight."""
    head, dot, tail = path.partition(".")
    return f"{exercise.results[int(head)]}{dot}{tail}" if head.isdigit() else path


def _show(named: dict[str, Any]) -> list[str]:
    """Print arrays by name, small ones in full, without their axes of length 1."""
    lines = []
    for name, value in named.items():
        start = f"  {name}: " if name else "  "
        if isinstance(value, Trace):
            lines.append(f"{start}what forward kept ({', '.join(value) or 'nothing'})")
        elif isinstance(value, (np.ndarray, np.generic)):
            text = np.array2string(
                np.squeeze(value), precision=4, suppress_small=True, threshold=64, edgeitems=2
            )
            lines.append(f"{start}shape {value.shape}, {value.dtype}")
            lines += [f"    {line}" for line in text.split("\n")]
        else:
            lines.append(f"{start}{getattr(value, '__name__', repr(value))}")
    return lines


def _inputs(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments by name, with the parameters spread out."""
    spread: dict[str, Any] = {}
    for name, value in inputs.items():
        spread.update(dict(leaves(value, name)) or {name: value})
    return spread


def _named(tree: Any, exercise: Exercise) -> dict[str, Any]:
    """Return the results by name."""
    return {result_name(path, exercise): leaf for path, leaf in leaves(tree)} or {"": tree}
