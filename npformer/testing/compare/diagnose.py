"""Which step is the first wrong one, and by which mistake.

The walk leaves suspects: steps whose results were not found, and that no later result proves right.
First mistakes are asked that reproduce the other's numbers (`mistakes`). Where none fits, an array
is still recognized as the result of a step by what follows from it, and only then by its name or
its likeness (`unexplained`); a parameter may explain it.
"""

from __future__ import annotations

from .case import NEAR, Case, Finding
from .certain import by_entrance, by_half
from .mistakes import SECONDS, by_habit, by_insertion, by_mistake
from .unexplained import (
    by_answer,
    by_claim,
    by_likeness,
    by_name,
    by_use,
    by_weights,
    left_over,
    not_finite,
)

DENSE = 14
"""How many suspects are looked at where everything was recorded."""


def diagnose(case: Case) -> Finding | None:
    """Return the first wrong step; None if nothing shows that one is wrong.

    Parameters
    ----------
    case : Case

    Returns
    -------
    Finding or None
    """
    if not case.suspects or not case.free:
        return by_answer(case)
    until = case.horizon()
    near = until[:DENSE]
    return (
        by_entrance(case)
        or by_half(case, near)
        or by_mistake(case, near, NEAR)
        or by_insertion(case, near)
        or (by_use(case, near) if case.source.is_graph else None)
        or by_habit(case, until)
        or by_mistake(case, until, len(case.walk.chain), SECONDS)
        or _earliest(case, by_weights(case, near), by_use(case, near), by_name(case))
        or not_finite(case)
        or by_likeness(case)
        or left_over(case)
        or by_answer(case)
        or by_claim(case)
    )


def _earliest(case: Case, *found: Finding | None) -> Finding | None:
    """Return the finding at the earliest step: what comes later follows from it."""
    some = [finding for finding in found if finding is not None]
    return min(some, key=lambda finding: case.place(finding.step), default=None)
