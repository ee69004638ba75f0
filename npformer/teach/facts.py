"""What is true of every wrong answer, where no mistake is found that explains them.

Which results are right, for which inputs, at which places; whether the wrong numbers are the right
ones times a factor (and which count of the input that factor is), plus an argument, in another
order, or rounded. A fact is stated only if it holds for all wrong answers.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from ..layers import Array
from ..network.tree import leaves
from .cases import Case, Outcome, parameter_names
from .comparing import as_float, close, result_names
from .mistakes import Exercise

DEPENDS = "a factor that depends on the input"


class Pair(NamedTuple):
    """One array of a wrong answer, and what it should be."""

    case: Case
    got: Array
    expected: Array

    def is_right(self, part: Any = ...) -> bool:
        """Whether the array, or a part of it, is right."""
        return close(self.got[part], self.expected[part], self.case.tolerance)


def facts(exercise: Exercise, drawn: list[Case], outcomes: list[Outcome]) -> list[str]:
    """Return sentences about the wrong answers, the most telling first."""
    names = result_names(drawn[0].expected, exercise)
    rows = [pairs_of(case, outcome) for case, outcome in zip(drawn, outcomes, strict=True)]
    whole = [row for row in rows if row is not None and len(row) == len(names)]
    if not whole:
        return []
    found = []
    wrong = [k for k in range(len(names)) if not all(row[k].is_right() for row in whole)]
    if 0 < len(wrong) < len(names):
        right = [n for k, n in enumerate(names) if k not in wrong]
        found.append(f"{listed(right)} {'are' if len(right) > 1 else 'is'} right.")
    for k in wrong[:2]:
        some = [row[k] for row in whole if not row[k].is_right()]
        start = f"{names[k]}: " if len(names) > 1 else ""
        found += [start + sentence for sentence in of_result(some, exercise)][:2]
    if whole == rows:
        found += which_inputs(exercise, drawn, [all(p.is_right() for p in row) for row in whole])
    return found[:4]


def factors(exercise: Exercise, drawn: list[Case], outcomes: list[Outcome]) -> str:
    """Say by which factors the wrong results differ, if that explains every answer."""
    names = result_names(drawn[0].expected, exercise)
    rows = [pairs_of(case, outcome) for case, outcome in zip(drawn, outcomes, strict=True)]
    whole = [row for row in rows if row is not None and len(row) == len(names)]
    if len(whole) < len(rows):
        return ""
    found = []
    for k, name in enumerate(names):
        if some := [row[k] for row in whole if not row[k].is_right()]:
            sentence = factor(some, exercise)
            if not sentence or DEPENDS in sentence or len(some) < 3:
                return ""
            found.append(f"{name}: {sentence}" if len(names) > 1 else sentence)
    return " ".join(found)


def missing_results(exercise: Exercise, drawn: list[Case], outcomes: list[Outcome]) -> str:
    """Say which results are missing, if all that are returned are right."""
    names = result_names(drawn[0].expected, exercise)
    returned: set[tuple[str, ...]] = set()
    for case, outcome in zip(drawn, outcomes, strict=True):
        right = [np.asarray(leaf) for _, leaf in leaves(case.expected)]
        found = [leaf for _, leaf in leaves(outcome.value)]
        if outcome.error or not 0 < len(found) < len(right) or len(right) != len(names):
            return ""
        places = []
        for leaf in found:
            if not isinstance(leaf, np.ndarray) or leaf.dtype.kind != "f":
                return ""
            places += [n for n, r in zip(names, right, strict=True)
                       if leaf.shape == r.shape and close(leaf, r, case.tolerance)][:1]  # fmt: skip
        if len(places) < len(found):
            return ""
        returned.add(tuple(places))
    if len(returned) != 1:
        return ""
    (have,) = returned
    lack = [n for n in names if n not in have]
    are = "are" if len(lack) > 1 else "is"
    return f"Your function returns only {listed(list(have))}; {listed(lack)} {are} missing."


def pairs_of(case: Case, outcome: Outcome) -> list[Pair] | None:
    """Return the arrays of an answer with the right ones; None if they cannot be compared."""
    if outcome.error is not None:
        return None
    right, found = list(leaves(case.expected)), list(leaves(outcome.value))
    if len(found) != len(right):
        return None
    if not all(np.asarray(leaf).dtype.kind in "fiub" for _, leaf in found):
        return None
    pairs = [Pair(case, as_float(np.asarray(g)), as_float(np.asarray(e)))
             for (_, g), (_, e) in zip(found, right, strict=True)]  # fmt: skip
    alike = all(p.got.shape == p.expected.shape for p in pairs)
    return pairs if alike else None


def of_result(some: list[Pair], exercise: Exercise) -> Iterator[str]:
    """Yield what holds for one result in all wrong answers."""
    for fact in (rounding, whole_numbers, factor, argument_added, places, another_order, related):
        if sentence := fact(some, exercise):
            yield sentence


def rounding(some: list[Pair], exercise: Exercise) -> str:
    """Say whether the numbers are right but for rounding."""
    double = [p for p in some if p.expected.dtype == np.float64]
    largest = 0.0
    for p in double:
        scale = max(1.0, float(abs(p.expected).max(initial=0)))
        with np.errstate(all="ignore"):
            largest = max(largest, float(abs(p.got - p.expected).max(initial=0)) / scale)
    if not double or not largest < 5e-3:
        return ""
    for dtype, limit in ((np.float32, 1e-5), (np.float16, 5e-3)):
        if largest < limit and all(np.array_equal(p.got.astype(dtype), p.got) for p in double):
            return (
                f"right but for rounding: the numbers are {np.dtype(dtype).name}, too few digits."
            )
    return (
        f"nearly right: never off by more than {largest:.1g} of the largest number. Rounding (a "
        "step in low precision), or an approximation?"
    )


def whole_numbers(some: list[Pair], exercise: Exercise) -> str:
    """Say whether all numbers are whole although they should not be."""
    whole = all(np.array_equal(np.rint(p.got), p.got) for p in some)
    if whole and any(not np.array_equal(np.rint(p.expected), p.expected) for p in some):
        return "all numbers are whole: a dtype int or bool, or `//`?"
    return ""


def factor(some: list[Pair], exercise: Exercise) -> str:
    """Say which factor lies between the wrong numbers and the right ones, if there is one."""
    ratios = []
    for p in some:
        scale = float(np.vdot(p.expected, p.expected))
        ratio = float(np.vdot(p.expected, p.got)) / scale if scale else 0.0
        if not np.isfinite(ratio) or abs(ratio) < 1e-12:
            return ""
        if not close(p.got / ratio, p.expected, p.case.tolerance / min(1, abs(ratio))):
            return ""
        ratios.append(ratio)
    if np.allclose(ratios, -1, rtol=1e-4):
        return "every number has the right size but the wrong sign."
    if np.ptp(ratios) < 1e-4 * abs(ratios[0]):
        return f"every number is {ratios[0]:.4g} times the right one, for every input."
    for words, values in counts(some, exercise):
        if np.allclose(ratios, values, rtol=1e-4):
            return f"every number is {words} times the right one."
    return f"every number is the right one times {DEPENDS}, {ratios[0]:.4g} here."


def counts(some: list[Pair], exercise: Exercise) -> Iterator[tuple[str, Array]]:
    """Yield what can be counted in the inputs, and reciprocals, products and quotients of it."""
    single: dict[str, Array] = {}
    rows = [numbers_of(p.case, exercise) for p in some]
    for name in rows[0]:
        if all(name in row for row in rows):
            single[name] = np.array([row[name] for row in rows], float)
    single = {n: v for n, v in single.items() if (v > 0).all() and np.ptp(v) > 0}
    for name, v in single.items():
        yield name, v
        yield f"1/({name})", 1 / v
    for name, v in single.items():
        yield f"√({name})", np.sqrt(v)
        yield f"1/√({name})", 1 / np.sqrt(v)
        yield f"({name} − 1)/({name})", (v - 1) / v
        if (v > 1).all():
            yield f"({name})/({name} − 1)", v / (v - 1)
    for (a, u), (b, v) in combinations(single.items(), 2):
        yield f"({a})/({b})", u / v
        yield f"({b})/({a})", v / u
        yield f"1/({a} · {b})", 1 / (u * v)
        yield f"{a} · {b}", u * v


def numbers_of(case: Case, exercise: Exercise) -> dict[str, float]:
    """Return the numbers and the sizes of axes among the arguments, by name."""
    parameters = inspect.signature(exercise.reference).parameters.values()
    found = {p.name: p.default for p in parameters if type(p.default) in (int, float)}
    for name, value in zip(parameter_names(exercise), case.args, strict=False):
        for path, leaf in leaves(value, name):
            if isinstance(leaf, (int, float)) and not isinstance(leaf, bool):
                found[path] = leaf
            elif isinstance(leaf, np.ndarray):
                found.update({f"{path}.shape[{i}]": size for i, size in enumerate(leaf.shape)})
                found[f"{path}.size"] = leaf.size
                if leaf.ndim > 1:
                    found[f"{path}.size // {path}.shape[-1]"] = leaf.size // max(leaf.shape[-1], 1)
    return found


def argument_added(some: list[Pair], exercise: Exercise) -> str:
    """Say whether the difference is an argument, or a constant."""
    if all(p.got.size > 1 for p in some):
        offsets = [p.got - p.expected for p in some]
        if all(close(d, np.full_like(d, d.flat[0]), p.case.tolerance)
               for d, p in zip(offsets, some, strict=True)):  # fmt: skip
            values = {f"{d.flat[0]:.4g}" for d in offsets}
            amount = f"by {values.pop()}" if len(values) == 1 else "by a number that depends on it"
            return f"for each input, all numbers are off {amount}."
    names = [name for name, _ in arguments_of(some[0], exercise)]
    for name in names:
        for times in (1, -1, 2, -2, 0.5, -0.5):
            if all(differs_by(p, name, times, exercise) for p in some):
                amount = {1: "", -1: "−", 2: "2 · ", -2: "−2 · ", 0.5: "½ · ", -0.5: "−½ · "}[times]
                return f"what you have too much is {amount}{name}."
    return ""


def arguments_of(p: Pair, exercise: Exercise) -> Iterator[tuple[str, Array]]:
    """Yield the arrays among the arguments, by name."""
    for name, value in zip(parameter_names(exercise), p.case.args, strict=False):
        for path, leaf in leaves(value, name):
            if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f":
                yield path, leaf


def differs_by(p: Pair, name: str, times: float, exercise: Exercise) -> bool:
    """Whether an answer is the right one plus a multiple of an argument."""
    argument = dict(arguments_of(p, exercise)).get(name)
    if argument is None:
        return False
    try:
        off = np.broadcast_to(times * argument, p.got.shape)
    except ValueError:
        return False
    return close(p.got, p.expected + off, p.case.tolerance)


def places(some: list[Pair], exercise: Exercise) -> str:
    """Say at which places the numbers are right in every wrong answer."""
    ndim = some[0].expected.ndim
    if ndim == 4:
        inside = np.s_[:, 1:-1, 1:-1]
        if shown_by(some, inside):
            return "right inside the image, wrong at its border."
    options: list[tuple[str, Any]] = []
    for axis in range(ndim):
        before = (slice(None),) * axis
        thing = axis_name(axis, ndim)
        options += [
            (f"right for the first {thing}, wrong for others", (*before, slice(0, 1))),
            (f"right for the last {thing}, wrong for others", (*before, slice(-1, None))),
            (f"right for all but the first {thing}", (*before, slice(1, None))),
            (f"right for all but the last {thing}", (*before, slice(None, -1))),
        ]
    for words, part in options:
        if shown_by(some, part):
            return f"{words}."
    return ""


def shown_by(some: list[Pair], part: Any) -> bool:
    """Whether a part is right in all wrong answers, and is there and not all in some of them."""
    sizes = [(p.expected[part].size, p.expected.size) for p in some]
    telling = sum(0 < part_size < size for part_size, size in sizes)
    return telling >= max(2, len(some) // 2) and all(p.is_right(part) for p in some)


def axis_name(axis: int, ndim: int) -> str:
    """Return what lies along an axis of a result."""
    names = {4: ("image", "row", "column", "channel"), 3: ("image", "token", "channel")}
    return names.get(ndim, tuple(f"index of axis {i}" for i in range(ndim)))[axis]


def another_order(some: list[Pair], exercise: Exercise) -> str:
    """Say whether the numbers are right but in another order."""
    if all(p.got.size > 1 and close(np.sort(p.got, None), np.sort(p.expected, None),
                                    p.case.tolerance) for p in some):  # fmt: skip
        for axis in range(some[0].expected.ndim):
            if all(close(np.flip(p.got, axis), p.expected, p.case.tolerance) for p in some):
                return f"the right numbers in reverse order along axis {axis}."
        return (
            "the right numbers, all of them, in other places: a reshape, a transposition, an index?"
        )
    for axis in range(some[0].expected.ndim):
        if all(close(np.sort(p.got, axis), np.sort(p.expected, axis), p.case.tolerance)
               for p in some):  # fmt: skip
            return f"the right numbers in another order along axis {axis}."
    return ""


def related(some: list[Pair], exercise: Exercise) -> str:
    """Say whether the error goes along with an argument."""
    for name, _ in arguments_of(some[0], exercise):
        values = []
        for p in some:
            argument = dict(arguments_of(p, exercise)).get(name)
            error = p.got - p.expected
            if argument is None or argument.shape != error.shape or error.size < 4:
                continue
            with np.errstate(all="ignore"):
                values.append(np.corrcoef(argument.ravel(), error.ravel())[0, 1])
        if len(values) > 2 and min(map(abs, values)) > 0.9 and np.ptp(np.sign(values)) == 0:
            return f"the error grows with {name}."
    return ""


def which_inputs(exercise: Exercise, drawn: list[Case], right: list[bool]) -> Iterator[str]:
    """Yield what sets the inputs with a right answer apart from the others."""
    if all(right) or not any(right):
        return
    rows = [numbers_of(case, exercise) for case in drawn]
    for name in rows[0]:
        values = [row.get(name) for row in rows]
        if any(v is None for v in values):
            continue
        good = {v for v, r in zip(values, right, strict=True) if r}
        bad = {v for v, r in zip(values, right, strict=True) if not r}
        if len(good) == 1 and sum(right) > 2 and not good & bad:
            yield f"It is right wherever {name} is {next(iter(good))}, and wrong otherwise."
            return


def listed(words: list[str]) -> str:
    """Join words: a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
