"""What `check_layer` returns: a report that prints as an explanation."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap

from ..teach.report import Report
from .laws import Law


@dataclass(frozen=True)
class LayerReport(Report):
    """What `check_layer` found. It is true if nothing is wrong, and prints as an explanation.

    It has the attributes of `npformer.teach.report.Report`, among them `mistake` and `hint`, and
    `inputs`, the smallest input that shows what is wrong; `cases` counts the inputs on which
    everything was tried until the first that failed.

    Attributes
    ----------
    ratio : float
        The largest error ÷ its bound: below 1 if all is right; infinite if there is no number to
        compare.
    dtype : str
        The type that was computed in where the error was largest.
    worst : str
        Where the error is largest beside its bound, in words.
    broken : tuple of Law
        The laws that the function breaks.
    """

    ratio: float = 0.0
    dtype: str = ""
    worst: str = ""
    broken: tuple[Law, ...] = ()

    def __repr__(self) -> str:
        if self.passed:
            near = f"the largest error is {self.ratio:.2g} of its bound, in {self.dtype}"
            return f"✓ {self.layer}: right on all {self.cases} inputs; {near}"
        first, *rest = super().__repr__().split("\n")
        start = next(i for i, line in enumerate(rest) if not line)
        lines = [first, *rest[:start]]
        said = [self.worst] if self.worst else []
        for text in [*said, *(f"It breaks a law: {law.says}" for law in self.broken)]:
            lines += wrap(text, 90, initial_indent="  ", subsequent_indent="  ")
        return "\n".join([*lines, *rest[start:]])
