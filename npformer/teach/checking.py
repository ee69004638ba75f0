"""Compare a student's layer with npformer's, and say what kind of mistake it has.

    verdict(f) = the first m in (right, known mistakes of this layer …) with f(x) = m(x) for all x

Both run on the same drawn inputs, from tiny arrays of small whole numbers to larger ones of odd
shapes. Where they differ, the student's answers are compared with those of the typical mistakes of
that layer (`npformer.teach.mistakes`): the same wrong numbers everywhere mean the same mistake. If
no known mistake fits, the numbers themselves are examined (`npformer.teach.comparing`): a wrong
sign, a constant factor, a border.

>>> import npformer
>>> print(npformer.check("relu", lambda x: abs(x)))  # doctest: +ELLIPSIS
✗ relu: absolute value
  Negative numbers become 0, they do not become positive.
...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .cases import Case, Outcome, call, draw_cases, parameter_names
from .comparing import problem, same
from .mistakes import EXERCISES, Exercise, Mistake
from .report import Report


def check(
    layer: str,
    function: Callable[..., Any],
    *,
    cases: int = 24,
    seed: int = 0,
    raises: bool = False,
) -> Report:
    """Check a function that is meant to do what a layer of npformer does.

    Parameters
    ----------
    layer : str
        Name of the layer, such as ``"pooling"`` or ``"pooling_backward"``.
    function : callable
        Takes the arguments of ``npformer.layers.<layer>`` by position. ``run`` and options with a
        default for every network may be left out.
    cases : int
        How many inputs to draw.
    seed : int
        The same seed gives the same inputs.
    raises : bool
        Whether to raise an error if the function does not pass.

    Returns
    -------
    Report
        True if the function passed; otherwise it says what kind of mistake was made.

    Raises
    ------
    ValueError
        If no exercise has this name; the message lists all names.
    AssertionError
        If the function does not pass and `raises` is true.

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
    outcomes = [call(function, case.args, exercise) for case in drawn]
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


def diagnose(
    exercise: Exercise, drawn: list[Case], outcomes: list[Outcome], failures: list[int]
) -> tuple[int, str, str] | None:
    """Find the typical mistake that gives the same answers.

    Returns
    -------
    (index, kind, hint), or None
        The first mistake that gives the same answer for every input. If there is none, the mistake
        that explains the most wrong answers, at least a quarter of them: then the function has more
        than one mistake. The index is that of the first input that shows it.
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
    """Yield for each input whether a typical mistake gives the same answer as the student."""
    for case, outcome in zip(drawn, outcomes, strict=True):
        yield same(call(mistake.function, case.args, exercise), outcome, case)


def describe(problems: list[tuple[str, str]]) -> tuple[int, str, str]:
    """Return the most frequent kind of problem, with the smallest input that shows it."""
    kinds = [kind for kind, _ in problems]
    usual = max(filter(None, kinds), key=kinds.count)
    shown = kinds.index(usual)
    return shown, *problems[shown]
