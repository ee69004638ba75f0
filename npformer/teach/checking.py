"""Compare a student's layer with npformer's, and say what kind of mistake it has.

    verdict(f) = the first m in (right, known mistakes, small changes of the layer's own source …)
                 with f(x) = m(x) for all x

Both run on the same drawn inputs, from tiny arrays of small whole numbers to larger ones of odd
shapes. Where they differ, the student's answers are compared with those of the typical mistakes of
that layer (`npformer.teach.mistakes`): the same wrong numbers everywhere mean the same mistake. If
none fits, the layer's own source is edited (`npformer.teach.search`): a term left out, two fields
exchanged, another axis. If none of the edits gives the student's numbers on every input, the
numbers themselves are examined (`npformer.teach.comparing`, `npformer.teach.facts`): which results
are right, at which places, for which inputs.

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
from .facts import factors, facts, missing_results
from .mistakes import EXERCISES, Exercise, Mistake
from .report import Report
from .search import Clock, Finding, search


def check(
    layer: str,
    function: Callable[..., Any],
    *,
    cases: int = 24,
    seed: int = 0,
    seconds: float = 2.0,
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
    seconds : float
        How long to search for the mistake, at most, if it is none of the known ones; 0 for no
        search.
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
    __tracebackhide__ = True  # IPython and pytest then show the student's lines alone
    if layer not in EXERCISES:
        raise ValueError(f"no exercise is called {layer!r}; there are {', '.join(EXERCISES)}")
    report = examine(layer, function, cases, seed, Clock(seconds))
    return report.require() if raises else report


def examine(
    layer: str, function: Callable[..., Any], cases: int, seed: int, clock: Clock
) -> Report:
    """Check a function, with a clock that says when the search for its mistake is over."""
    exercise = EXERCISES[layer]
    drawn = draw_cases(exercise, cases, seed, function=function)
    outcomes = [call(function, case.args, exercise) for case in drawn]
    return explained(layer, exercise, function, drawn, outcomes, clock)


def explained(
    layer: str,
    exercise: Exercise,
    function: Callable[..., Any],
    drawn: list[Case],
    outcomes: list[Outcome],
    clock: Clock,
) -> Report:
    """Explain what a function made of its inputs."""
    problems = [problem(o, case, exercise) for o, case in zip(outcomes, drawn, strict=True)]
    failures = [i for i, (kind, _) in enumerate(problems) if kind]
    if not failures:
        return Report(layer, True, len(drawn))
    named: Mistake | Finding | None = diagnose(exercise, drawn, outcomes)
    named = named or search(exercise, function, drawn, outcomes, clock)
    if named is None and (missing := missing_results(exercise, drawn, outcomes)):
        named = Finding("number of results", missing)
    if named is None and (factor := factors(exercise, drawn, outcomes)):
        named = Finding("wrong sign" if "wrong sign" in factor else "constant factor", factor)
    if named is None:
        shown, mistake, hint = describe(problems)
        hint = " ".join([hint, *facts(exercise, drawn, outcomes)])
    else:
        shown, mistake, hint = failures[0], named.kind, named.hint
    return Report(
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
        named is not None,
    )


def diagnose(exercise: Exercise, drawn: list[Case], outcomes: list[Outcome]) -> Mistake | None:
    """Find the typical mistake that gives the same answer for every input."""
    for mistake in exercise.mistakes:
        if all(fits(mistake, exercise, drawn, outcomes)):
            return mistake
    return None


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
