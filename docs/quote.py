"""Keep the code that the documentation quotes equal to the source.

    python docs/quote.py            rewrite every quoted block from the source
    python docs/quote.py --check    list the blocks that differ; exit code 1 if there are any

A comment right above a block of Python names a file and what to quote from it, in this order:

    <!-- source: npformer/layers/mlp.py Mlp mlp -->

The block shows these functions, classes or constants as they are in the file, without docstrings.
`Class.method` names a method. In a notebook's source the same lines stand in a Markdown cell.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

DIRECTIVE = re.compile(r"^(?:# )?<!-- source: (?P<file>\S+) (?P<names>.+?) -->$", re.M)
BLOCK = re.compile(
    r"^(?P<margin>(?:# )?)<!-- source: (?P<file>\S+) (?P<names>.+?) -->\n"
    r"(?P=margin)```python\n(?P<code>.*?)^(?P=margin)```$",
    re.M | re.S,
)


def pages() -> list[Path]:
    """Every document that may quote source."""
    docs = (
        page
        for page in (ROOT / "docs").rglob("*.md")
        if page.relative_to(ROOT / "docs").parts[0] not in ("reference", "notebooks", "_build")
    )
    return [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted(docs),
        *sorted((ROOT / "notebooks").glob("[0-9]*.py")),
        *sorted((ROOT / "notebooks/exercises/solutions").glob("*.py")),
    ]


def refreshed(text: str, where: str = "page") -> str:
    """Return a document with every quoted block as it is in the source.

    Raises
    ------
    ValueError
        If no block of Python follows a directive, or the source has no such name.
    """
    followed = {block.start() for block in BLOCK.finditer(text)}
    for directive in DIRECTIVE.finditer(text):
        if directive.start() not in followed:
            line = text.count("\n", 0, directive.start()) + 1
            raise ValueError(f"{where}:{line}: no block of Python follows {directive[0]}")

    def replacement(block: re.Match[str]) -> str:
        margin = block["margin"]
        code = quoted(ROOT / block["file"], block["names"].split())
        first = block[0].split("\n")[0]
        lines = [
            first,
            f"{margin}```python",
            *(margin + c for c in code.split("\n")),
            margin + "```",
        ]
        return "\n".join(line.rstrip() for line in lines)

    return BLOCK.sub(replacement, text)


def quoted(file: Path, names: list[str]) -> str:
    """Return functions, classes and constants of a file, without docstrings."""
    text = file.read_text("utf-8")
    tree, lines = ast.parse(text), text.split("\n")
    parts = []
    for name in names:
        node = found(tree, name)
        if node is None:
            raise ValueError(f"{file.relative_to(ROOT)} defines no {name}")
        decorators = getattr(node, "decorator_list", [])
        start = min([node.lineno, *(d.lineno for d in decorators)])
        hidden = set(docstring_lines(node, lines))
        shown = [lines[i - 1] for i in range(start, node.end_lineno + 1) if i not in hidden]
        parts.append(textwrap.dedent("\n".join(shown)).rstrip())
    gap = "\n\n\n" if any("\n" in part for part in parts) else "\n"
    return gap.join(parts)


def found(tree: ast.AST, name: str) -> ast.stmt | None:
    """Return the statement that defines a name, such as ``f``, ``Class.method`` or ``CONSTANT``."""
    first, _, rest = name.partition(".")
    for node in getattr(tree, "body", []):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        defined = [getattr(node, "name", None), *(getattr(t, "id", None) for t in targets)]
        if first in defined:
            return found(node, rest) if rest else node
    return None


def docstring_lines(node: ast.stmt, lines: list[str]) -> Iterator[int]:
    """Yield the numbers of the lines of all docstrings, and of the blank line after the first.

    A body that would be empty keeps its docstring.
    """
    for inner in ast.walk(node):
        body = getattr(inner, "body", None)
        if not isinstance(body, list):
            continue
        strings = [
            statement
            for statement in body
            if isinstance(statement, ast.Expr)
            and isinstance(statement.value, ast.Constant)
            and isinstance(statement.value.value, str)
        ]
        if len(strings) == len(body):
            continue
        for statement in strings:
            last = statement.end_lineno or statement.lineno
            yield from range(statement.lineno, last + 1)
            if statement is body[0] and not lines[last].strip():
                yield last + 1


def main(words: list[str]) -> int:
    """Rewrite all pages, or only compare them."""
    differing = 0
    for page in pages():
        text = page.read_text("utf-8")
        new = refreshed(text, str(page.relative_to(ROOT)))
        if new != text:
            differing += 1
            print(page.relative_to(ROOT))
            if "--check" not in words:
                page.write_text(new, "utf-8")
    return int(differing > 0 and "--check" in words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
