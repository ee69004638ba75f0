"""How long a first reader takes for each layer, by a simple model.

    minutes = words of docstrings / 220 + lines of code · 5 s

Lines of code are neither blank nor comment, docstring or import; words are what spaces separate.
``python tests/reading_time.py`` prints a table of all files of `npformer.layers`.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

LAYERS = Path(__file__).parents[1] / "npformer" / "layers"
WORDS_A_MINUTE = 220
SECONDS_A_LINE = 5


class ReadingTime(NamedTuple):
    """What there is to read in a file."""

    words: int
    lines: int

    @property
    def minutes(self) -> float:
        """Minutes of a first reader."""
        return self.words / WORDS_A_MINUTE + self.lines * SECONDS_A_LINE / 60


def reading_time(source: str) -> ReadingTime:
    """Count the words of docstrings and the lines of code of a module."""
    tree = ast.parse(source)
    strings = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    skipped = {
        number
        for node in [*strings, *imports]
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = [line.strip() for i, line in enumerate(source.splitlines(), 1) if i not in skipped]
    words = sum(len(node.value.value.split()) for node in strings)
    return ReadingTime(words, sum(1 for line in lines if line and not line.startswith("#")))


def table() -> dict[str, ReadingTime]:
    """Return the reading time of each file of `npformer.layers`, by its name."""
    files = sorted(LAYERS.glob("[!_]*.py"))
    return {file.stem: reading_time(file.read_text("utf-8")) for file in files}


if __name__ == "__main__":
    print(f"{'file':20} words  lines  minutes")
    for name, time in table().items():
        print(f"{name:20} {time.words:5}  {time.lines:5}  {time.minutes:7.1f}")
