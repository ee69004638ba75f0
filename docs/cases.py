"""Rewrite the tables of ``docs/cases.md``: ``python docs/cases.py``. A test compares them.

Rows are in ``docs/case_table.py``. Tests say which rows they hold: ``@pytest.mark.case(17)``.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from case_table import TOPICS, Case

PAGE = Path(__file__).with_name("cases.md")
TESTS = Path(__file__).parents[1] / "tests"
MARKS = ("<!-- tables: made by docs/cases.py -->", "<!-- end of tables -->")


class Holder(NamedTuple):
    """A test that holds rows of the table."""

    file: str
    function: str
    numbers: tuple[int, ...]
    fault: str | None
    """why it fails today, if it is known to"""


def holders() -> Iterator[Holder]:
    """Yield the tests with the mark ``case``."""
    for file in sorted(TESTS.glob("test_*.py")):
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                marks = {
                    decorator.func.attr: decorator
                    for decorator in node.decorator_list
                    if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute)
                }
                if "case" in marks:
                    numbers = tuple(map(ast.literal_eval, marks["case"].args))
                    options = marks["xfail"].keywords if "xfail" in marks else []
                    fault = {option.arg: option.value for option in options}.get("reason")
                    yield Holder(file.name, node.name, numbers, fault and ast.literal_eval(fault))


def tables() -> str:
    """Write everything between the two marks."""
    held = defaultdict(list)
    for holder in holders():
        for number in holder.numbers:
            held[number].append(holder)
    return "\n\n".join(
        f"## {topic}\n\n| | what is put in | what happens |\n|---|---|---|\n"
        + "\n".join(row(case, held[case.number]) for case in rows)
        + "\n\n```text\n"
        + "\n".join(line for case in rows for line in lines(case, held[case.number]))
        + "\n```"
        for topic, rows in TOPICS.items()
    )


def row(case: Case, held: list[Holder]) -> str:
    """Write a row, with what is known to be wrong."""
    faults = "".join(f". **Not yet**: {holder.fault}" for holder in held if holder.fault)
    return f"| {case.number} | {case.given} | {case.answer}{faults} |"


def lines(case: Case, held: list[Holder]) -> list[str]:
    """Name the tests of a row, as differences.md does."""
    named = [f"{holder.file}::{holder.function}" for holder in held]
    return [f"{'' if i else case.number:<4}{name}" for i, name in enumerate(named)]


def renewed(page: str) -> str:
    """Return the page with new tables."""
    start, end = MARKS
    pattern = re.compile(f"{re.escape(start)}.*{re.escape(end)}", re.S)
    return pattern.sub(lambda _: f"{start}\n\n{tables()}\n\n{end}", page)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text("utf-8")), "utf-8")
