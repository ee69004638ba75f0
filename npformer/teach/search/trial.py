"""Running candidates, and comparing what they give with what the student's function gave."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from ...layers import Array, Trace
from ...network.tree import leaves
from ..cases import Case, Outcome, arrays, call
from ..mistakes import Exercise
from .candidates import Candidate
from .program import Program

Answer = tuple[str, str] | list[Array]
"""The arrays of an answer; or the type and the message of an exception."""


class Target(NamedTuple):
    """What the student's function gave."""

    drawn: list[Case]
    answers: list[Answer | None]
    """None where the input does not count"""
    expected: list[list[Array]]
    screen: int
    """the input that candidates run on first"""
    wrong_results: tuple[int, ...]
    """which of the arrays that are returned differ from the right ones"""
    order: list[int]
    """the other inputs"""
    seed: int = 100_003

    @classmethod
    def of(cls, drawn: list[Case], outcomes: list[Outcome]) -> Target | None:
        """Return the target, or None if there is nothing that numbers could explain."""
        answers = [answer_of(outcome) for outcome in outcomes]
        expected = [list(arrays(case.expected)) for case in drawn]
        wrong, failing = set(), []
        for i, (case, answer) in enumerate(zip(drawn, answers, strict=True)):
            if answer is None:
                return None
            if isinstance(answer, tuple) or len(answer) != len(expected[i]):
                failing.append(i)
            else:
                off = [k for k, (a, b) in enumerate(zip(answer, expected[i], strict=True))
                       if not near(a, b, case.tolerance)]  # fmt: skip
                wrong |= set(off)
                if off:
                    failing.append(i)
        if not failing:
            return None

        def rank(i: int) -> tuple[bool, bool, bool, int]:
            numbers = sum(a.size for a in expected[i])
            raised = isinstance(answers[i], tuple)
            return (
                raised,
                drawn[i].tolerance > 1e-6,
                numbers < 12,
                sum(a.size for a in arrays(drawn[i].args)),
            )

        screen = min(failing, key=rank)
        rest = sorted((i for i in range(len(drawn)) if i != screen), key=rank)
        return cls(drawn, answers, expected, screen, tuple(sorted(wrong)), rest)


def answers_to(
    function: Callable[..., Any], drawn: list[Case], exercise: Exercise
) -> list[tuple[Case, Answer | None]]:
    """Call the student's function on new inputs."""
    return [(case, answer_of(call(function, case.args, exercise))) for case in drawn]


class Score(NamedTuple):
    """How far a candidate explains what the student's function gave."""

    whole: bool = False
    results: tuple[int, ...] = ()
    """wrong results that it explains on all inputs"""
    share: float = 0.0
    """share of the wrong numbers that it gives, on the first input"""
    neutral: bool = False
    """whether it changes nothing, on the first input"""
    fitting: bool = False
    """whether it gives arrays of the same shapes as the student's, on the first input"""
    value: bytes = b""
    """the numbers that it gives there"""


class Trial:
    """Runs candidates."""

    def __init__(self, program: Program, target: Target) -> None:
        self.program, self.target = program, target
        self.args = [frozen(case.args) for case in target.drawn]
        self.seen: set[Any] = set()

    def reproduces_reference(self) -> bool:
        """Whether the program, not edited, gives the right answers."""
        return all(
            same_answer(self._run(args), case_expected, case.tolerance)
            for args, case_expected, case in zip(
                self.args, self.target.expected, self.target.drawn, strict=True
            )
        )

    def _run(self, args: tuple[Any, ...]) -> Answer | None:
        if any(isinstance(a, np.random.Generator) for a in args):
            args = deepcopy(args)
        try:
            with np.errstate(all="ignore"):
                return arrays_of(self.program(*args))
        except Exception as error:
            return type(error).__name__, str(error)

    def attempt(self, edits: tuple[Candidate, ...]) -> Score | None:
        """Try edits; None if they were tried before, or explain nothing."""
        target = self.target
        with Edited(edits) as codes:
            if codes is None or codes in self.seen:
                return None
            self.seen.add(codes)
            i = target.screen
            score = self._compare(self._run(self.args[i]), i)
            if not score.whole and not score.results:
                return score
            whole, results = score.whole, set(score.results)
            for i in target.order:
                more = self._compare(self._run(self.args[i]), i, set(results))
                whole &= more.whole
                results &= set(more.results)
                if not whole and not results:
                    break
            return score._replace(whole=whole, results=tuple(sorted(results)))

    def fits(
        self,
        edits: tuple[Candidate, ...],
        fresh: list[tuple[Case, Answer | None]],
        result: int | None = None,
    ) -> bool:
        """Whether edits give the student's answers, or one result of them, for other inputs too."""

        def part(answer: Answer | None) -> Answer | None:
            if result is None or answer is None or isinstance(answer, tuple):
                return answer
            return answer[result : result + 1]

        with Edited(edits):
            return all(
                answer is not None
                and same_answer(part(self._run(frozen(case.args))), part(answer), case.tolerance)
                for case, answer in fresh
            )

    def _compare(self, got: Answer | None, i: int, only: set[int] | None = None) -> Score:
        """Compare with the student's answer to input i."""
        wanted, tolerance = self.target.answers[i], self.target.drawn[i].tolerance
        if isinstance(got, tuple) or isinstance(wanted, tuple) or got is None or wanted is None:
            return Score(got == wanted)
        if len(got) != len(wanted):
            return Score()
        fits = [near(a, b, tolerance) for a, b in zip(got, wanted, strict=True)]
        if all(fits):
            return Score(True, self.target.wrong_results, 1.0, fitting=True)
        # a result that this input does not have, without its parameter, speaks for no one
        results = tuple(k for k in self.target.wrong_results if k >= len(fits) or fits[k])
        if only is None:
            results = tuple(k for k in results if k < len(fits))
            expected = self.target.expected[i]
            results = tuple(k for k in results if not near(wanted[k], expected[k], tolerance))
            neutral = all(near(a, b, tolerance) for a, b in zip(got, expected, strict=False))
            fitting = all(a.shape == b.shape for a, b in zip(got, wanted, strict=True))
            part = 0.0 if neutral else share(got, wanted, expected, tolerance)
            value = b"".join(map(rounded, got)) if fitting else b""
            return Score(False, results, part, neutral, fitting, value)
        return Score(False, results)


class Edited:
    """A program while edits are made in it."""

    def __init__(self, edits: tuple[Candidate, ...]) -> None:
        self.edits = edits
        self.before: list[list[Any]] = []
        self.codes: list[tuple[Any, CodeType]] = []

    def __enter__(self) -> tuple[Any, ...] | None:
        try:
            for candidate in self.edits:
                self.before.append(candidate.edit.apply())
            keys = []
            for candidate in self.edits:
                first = candidate.copies[0]
                old = [copy.function.__code__ for copy in candidate.copies]
                code = first.compile()
                for copy, one in zip(candidate.copies, old, strict=True):
                    self.codes.append((copy, one))
                    copy.function.__code__ = code
                keys.append((id(first), len(candidate.copies), code.co_code, repr(code.co_consts),
                             code.co_names, code.co_varnames))  # fmt: skip
        except (SyntaxError, ValueError, TypeError):
            return None
        return tuple(keys)

    def __exit__(self, *_: object) -> None:
        for copy, code in reversed(self.codes):
            copy.function.__code__ = code
        for candidate, before in reversed(list(zip(self.edits, self.before, strict=False))):
            candidate.edit.undo(before)


def answer_of(outcome: Outcome) -> Answer | None:
    """Return what counts of an outcome; None if an argument was modified or nothing returned."""
    if outcome.error is not None:
        return type(outcome.error).__name__, str(outcome.error)
    if outcome.modified:
        return None
    return arrays_of(outcome.value)


def arrays_of(value: Any) -> Answer | None:
    """Return the arrays of an answer; None if there is anything else in it."""
    found = [leaf for _, leaf in leaves(value)]
    if not found or any(isinstance(leaf, Trace) for leaf in found):
        return None
    if not all(isinstance(leaf, (np.ndarray, np.generic, float, int)) for leaf in found):
        return None
    return [np.asarray(leaf) for leaf in found]


def same_answer(a: Answer | None, b: Answer | None, tolerance: float) -> bool:
    """Whether two answers are the same: equal arrays, or the same exception."""
    if isinstance(a, tuple) or isinstance(b, tuple) or a is None or b is None:
        return a is not None and a == b
    return len(a) == len(b) and all(near(x, y, tolerance) for x, y in zip(a, b, strict=True))


def near(a: Array, b: Array, tolerance: float) -> bool:
    """Whether two arrays have the same shape and numbers, but for rounding."""
    if a.shape != b.shape:
        return False
    if not a.size:
        return True
    if a.dtype.kind not in "fiub" or b.dtype.kind not in "fiub":
        return False
    if a.dtype == bool or b.dtype == bool or a.dtype.kind == "u":
        a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(all="ignore"):
        largest = abs(a - b).max()
        scale = abs(b).max()
        if np.isfinite(largest) and np.isfinite(scale):
            return bool(largest <= tolerance * max(1.0, scale))
        finite = abs(b[np.isfinite(b)])
        scale = max(1.0, float(finite.max(initial=0)))
        return bool(np.allclose(a, b, rtol=0, atol=tolerance * scale, equal_nan=True))


def rounded(a: Array) -> bytes:
    """Return the numbers of an array without what rounding makes different."""
    with np.errstate(all="ignore"):
        return bytes((np.round(a, 9) if a.dtype.kind == "f" else a).tobytes())


def share(got: list[Array], wanted: list[Array], expected: list[Array], tolerance: float) -> float:
    """Return which share of the student's wrong numbers a candidate gives."""
    wrong = right = 0
    for a, b, c in zip(got, wanted, expected, strict=False):
        if a.shape == b.shape == c.shape and a.dtype.kind in "fi" and b.dtype.kind in "fi":
            with np.errstate(all="ignore"):
                limit = tolerance * max(1.0, float(abs(b).max(initial=0)))
                off = abs(b - c) > limit
                wrong += int(off.sum())
                right += int((off & (abs(a - b) <= limit)).sum())
    return right / wrong if wrong else 0.0


def frozen(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a copy of the arguments whose arrays cannot be written to."""
    copies = deepcopy(args)
    for array in arrays(copies):
        array.flags.writeable = False
    return copies
