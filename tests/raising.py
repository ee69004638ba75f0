"""Which errors public functions raise without saying so in their docstrings.

``python tests/raising.py`` lists them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "npformer"


def undocumented(source: str) -> list[str]:
    """Return a line for each error that a public function raises and its docstring does not name.

    Methods count if their class is public, and ``__init__`` and ``__call__`` may be documented by
    the class. What a private function of the module raises counts for those that call it. Errors
    that a function catches itself do not count.
    """
    tree = ast.parse(source)
    private = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name[0] == "_"}
    return [
        f"{node.lineno}: {name} raises {error}"
        for name, node, text in functions(tree)
        for error in dict.fromkeys(raised(node, private))
        if not re.search(rf"\b{error}\b", raises_section(text))
    ]


def functions(
    tree: ast.AST, prefix: str = "", text: str = ""
) -> Iterator[tuple[str, ast.FunctionDef, str]]:
    """Yield name, definition and docstring of each public function and method."""
    for node in getattr(tree, "body", []):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from functions(node, f"{node.name}.", ast.get_docstring(node) or "")
        elif isinstance(node, ast.FunctionDef):
            special = prefix and node.name in ("__init__", "__new__", "__call__")
            if special or not node.name.startswith("_"):
                own = ast.get_docstring(node) or ""
                yield prefix + node.name, node, own + (f"\n\n{text}" if special else "")


def raised(
    node: ast.AST, private: dict[str, ast.FunctionDef], caught: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Yield the names of the errors that leave a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(child, ast.Try):
            types = [t for h in child.handlers if h.type is not None for t in ast.walk(h.type)]
            names = {t.id for t in types if isinstance(t, ast.Name)}
            yield from raised(ast.Module(child.body, []), private, caught | names)
            rest: list[ast.stmt] = [*child.orelse, *child.finalbody]
            for handler in child.handlers:
                rest += handler.body
            yield from raised(ast.Module(rest, []), private, caught)
            continue
        if isinstance(child, ast.Raise) and child.exc is not None:
            exc = child.exc.func if isinstance(child.exc, ast.Call) else child.exc
            name = ast.unparse(exc).rpartition(".")[2]
            if name[:1].isupper() and name not in caught:
                yield name
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Name):
            others = dict(private)
            if helper := others.pop(child.func.id, None):
                yield from raised(helper, others, caught)
        yield from raised(child, private, caught)


def raises_section(text: str) -> str:
    """Return the section "Raises" of a docstring, or all of a docstring without sections."""
    if not re.search(r"^-{3,}$", text, re.M):
        return text
    section = re.search(r"^(?:Raises)\n-{3,}\n(.*?)(?=^\w[^\n]*\n-{3,}$|\Z)", text, re.M | re.S)
    return section[1] if section else ""


def listed(folder: Path) -> list[str]:
    """Return the lines of all files in a folder or of one file."""
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder]
    return [
        f"{file.relative_to(PACKAGE.parent)}:{line}"
        for file in files
        for line in undocumented(file.read_text("utf-8"))
    ]


if __name__ == "__main__":
    print("\n".join(listed(PACKAGE)))
