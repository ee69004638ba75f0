"""Find the edit of a layer whose results are the student's.

    named(f) = the likeliest edit m of the layer with f(x) = m(x) ≠ layer(x) for all inputs x

Each candidate runs on one input first; the few that give the student's numbers there run on all
others, and on new inputs that are drawn to tell them apart. First come single edits, then single
edits for each wrong result by itself (the gradient of the weight has one mistake, that of the bias
another), then pairs of edits, until the time is over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..cases import Case, Outcome
from ..comparing import result_names
from ..mistakes import Exercise
from .attempts import Attempts, Clock, Found
from .candidates import tiers
from .program import Program
from .trial import Target, Trial, frozen

FEW, MANY = 70, 400
"""How many of the likeliest edits are tried in pairs, at first and at last."""


class Finding(NamedTuple):
    """A mistake that explains every answer."""

    kind: str
    hint: str


def search(
    exercise: Exercise,
    function: Callable[..., Any],
    drawn: list[Case],
    outcomes: list[Outcome],
    clock: Clock,
) -> Finding | None:
    """Search for edits of the layer that give the student's results.

    Parameters
    ----------
    exercise : Exercise
    function : callable
        The student's, to be called on new inputs.
    drawn : list of Case
    outcomes : list of Outcome
        What the student's function made of each.
    clock : Clock

    Returns
    -------
    Finding, or None
        None if no edit that was tried gives the same results on every input.
    """
    target = Target.of(drawn, outcomes)
    if target is None or clock.is_over():
        return None
    args = frozen(drawn[target.screen].args)
    try:
        program = Program(exercise.reference, args)
        inlined = Program(exercise.reference, args, inline=True)
    except (OSError, TypeError, SyntaxError):
        return None  # no source to search
    trial = Trial(program, target)
    if not trial.reproduces_reference():
        return None
    attempts = Attempts(exercise, function, trial, clock)
    names = result_names(drawn[target.screen].expected, exercise)
    for stage in stages(attempts, program, inlined, args):
        if found := stage():
            return finding(found, names, target) if isinstance(found, list) else parts(found, names)
        if clock.is_over():
            break
    return None


def stages(
    attempts: Attempts, program: Program, inlined: Program, args: tuple[Any, ...]
) -> list[Callable[[], list[Found] | dict[int, Found]]]:
    """Return what is tried, one after the other."""
    more = tiers(program, args, attempts.clock.is_over)

    def singles() -> list[Found]:
        return attempts.singles(next(more))

    return [
        singles,
        singles,
        attempts.parts,
        singles,
        lambda: attempts.rewritten(program.root, args),
        lambda: attempts.elsewhere(inlined, args),
        attempts.parts,
        lambda: attempts.pairs(FEW, 0.5),
        singles,
        singles,
        attempts.parts,
        lambda: attempts.pairs(MANY, 1.0),
    ]


def finding(found: list[Found], names: list[str], target: Target) -> Finding:
    """Put what was found into words; of several that no input tells apart, two."""
    first, wrong = found[0], [names[k] for k in target.wrong_results]
    hint = f"Your result equals the formula {sentence(first)}, on every input."
    if 0 < len(wrong) < len(names):
        hint += f" Only {listed(wrong)} {'is' if len(wrong) == 1 else 'are'} wrong."
    others = dict.fromkeys(s for s in map(sentence, found[1:]) if s != sentence(first))
    if others:
        hint += f" No input tells this from the formula {next(iter(others))}."
    return Finding(kinds(first), hint)


def parts(found: dict[int, Found], names: list[str]) -> Finding:
    """Put into words what explains each wrong result by itself."""
    places: dict[str, list[str]] = {}
    for result, edits in found.items():
        places.setdefault(sentence(edits), []).append(names[result])
    texts = [f"{listed(where)}: the formula {what}." for what, where in places.items()]
    every = tuple(candidate for edits in found.values() for candidate in edits)
    return Finding(kinds(every), "On every input your results equal: " + " ".join(texts))


def kinds(edits: Found) -> str:
    """Return the kinds of mistakes, each once."""
    return " and ".join(dict.fromkeys(candidate.edit.kind for candidate in edits))


def sentence(edits: Found) -> str:
    """Return the words of one edit, or of two."""
    return ", and ".join(candidate.sentence() for candidate in edits)


def listed(words: list[str]) -> str:
    """Join words: a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
