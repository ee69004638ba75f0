"""What `npformer.check` returns: a report that prints as an explanation."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

import numpy as np

from ..layers import Trace
from ..network.tree import leaves
from .comparing import result_name
from .mistakes import EXERCISES, Exercise


@dataclass(frozen=True)
class Report:
    """What `check` found. It is true if the function passed, and prints as an explanation.

    Attributes
    ----------
    layer : str
    passed : bool
    cases, failures : int
        How many inputs were tried, and how many of the answers were wrong.
    mistake : str
        The kind of mistake; empty if the function passed.
    hint : str
        What to think about.
    named : bool
        Whether the mistake explains every answer; otherwise it only describes them.
    inputs : dict
        The smallest input that shows the mistake, by argument name.
    got, expected : object
        The student's answer for it, and the right one.
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
    named: bool = False

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        if self.passed:
            return f"✓ {self.layer}: right on all {self.cases} inputs"
        exercise = EXERCISES[self.layer]
        lines = [
            f"✗ {self.layer}: {self.mistake}",
            *wrap(
                self.hint,
                90,
                initial_indent="  ",
                subsequent_indent="  ",
                break_long_words=False,
                break_on_hyphens=False,
            ),
            "",
            f"Wrong on {self.failures} of {self.cases} inputs. The smallest of these:",
            *_show(_inputs(self.inputs)),
        ]
        if self.error is None:
            lines += ["", "Yours:", *_show(_named(self.got, exercise))]
        lines += ["", "Right:", *_show(_named(self.expected, exercise))]
        return "\n".join(lines)

    def require(self) -> Report:
        """Return the report if the function passed, for pytest and nbgrader.

        Raises
        ------
        AssertionError
            If the function did not pass; the message is the explanation.
        """
        __tracebackhide__ = True  # IPython and pytest then show the student's lines alone
        if not self.passed:
            raise AssertionError(f"\n{self!r}") from self.error
        return self


def _show(named: dict[str, Any]) -> list[str]:
    """Print arrays by name, without their axes of length 1; small ones in full."""
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
    """Return the arguments by name, with each parameter of a layer by itself."""
    spread: dict[str, Any] = {}
    for name, value in inputs.items():
        spread.update(dict(leaves(value, name)) or {name: value})
    return spread


def _named(tree: Any, exercise: Exercise) -> dict[str, Any]:
    """Return the results by name."""
    return {result_name(path, exercise): leaf for path, leaf in leaves(tree)} or {"": tree}
