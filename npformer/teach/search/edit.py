"""What an edit of a syntax tree is, and where one can be made."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from .program import GIVEN, arguments, stores
from .words import quoted


class Change(NamedTuple):
    """One place of a tree with what stands there instead."""

    parent: ast.AST
    field: str
    position: int | None
    """position, if the field is a list"""
    new: Any

    def get(self) -> Any:
        """Return what stands there now."""
        value = getattr(self.parent, self.field)
        return value if self.position is None else value[self.position]

    def put(self, value: Any) -> None:
        """Put something there."""
        if self.position is None:
            setattr(self.parent, self.field, value)
        else:
            getattr(self.parent, self.field)[self.position] = value


class Slot(NamedTuple):
    """A place of a tree where an expression stands."""

    parent: ast.AST
    field: str
    position: int | None
    node: ast.expr

    def become(self, new: ast.expr) -> Change:
        """Return the change to another expression."""
        return Change(self.parent, self.field, self.position, new)


class Edit(NamedTuple):
    """A small change of a function, with its words."""

    cost: float
    """the higher the less likely"""
    kind: str
    what: str
    """what the formula is like with this edit; {0}, {1} … are the nodes"""
    nodes: tuple[ast.AST, ...]
    changes: tuple[Change, ...]
    group: str = ""
    """what edits have in common that may be made together, as the words for all of them"""

    def sentence(self) -> str:
        """Say what the formula is like with this edit."""
        return re.sub(r"\{(\d)\}", lambda m: quoted(self.nodes[int(m[1])]), self.what)

    def apply(self) -> list[Any]:
        """Make the changes; return what stood there before, for `undo`."""
        before = []
        for change in self.changes:
            before.append(change.get())
            locate(change.new)
            change.put(change.new)
        return before

    def undo(self, before: list[Any]) -> None:
        """Put back what stood there."""
        for change, old in reversed(list(zip(self.changes, before, strict=True))):
            change.put(old)


class Scope(NamedTuple):
    """The names that a function has to do with."""

    arguments: list[str]
    locals: list[str]
    """in the order in which they are assigned"""
    fields: dict[str, tuple[str, ...]]
    """for the source of each structure, such as ``p.fc1``, its fields"""
    keys: tuple[str, ...]
    """names on the tape, if there is one"""
    defaults: dict[str, Any]
    """of the arguments that have one"""
    kinds: dict[str, str]
    """what sort of thing each variable holds, as far as known"""

    def like(self, variable: str) -> list[str]:
        """Return the other variables that hold the same sort of thing."""
        kind = self.kinds.get(variable.removesuffix(GIVEN))
        names = (*self.locals, *self.arguments)
        return [n for n in names if n != variable and n not in self.fields
                and self.kinds.get(n.removesuffix(GIVEN)) == kind]  # fmt: skip

    def arrays_inside(self) -> list[ast.expr]:
        """Return the fields of structures that are no structures, as trees."""
        return [
            formula(f"{source}.{field}")
            for source, fields in self.fields.items()
            for field in fields
            if f"{source}.{field}" not in self.fields
        ]

    def all_of(self, kind: str) -> list[str]:
        """Return the variables that hold one sort of thing."""
        names = (*self.arguments, *self.locals)
        return [n for n in names if self.kinds.get(n) == kind and n not in self.fields]


def slots(tree: ast.FunctionDef) -> Iterator[Slot]:
    """Yield every place where the value of an expression is used."""
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if field in ("func", "args") and isinstance(parent, (ast.FunctionDef, ast.arguments)):
                continue
            if field == "func" or isinstance(parent, (ast.arguments, ast.arg)):
                continue
            several = value if isinstance(value, list) else [value]
            for index, node in enumerate(several):
                if isinstance(node, ast.expr) and not stores(node):
                    yield Slot(parent, field, index if isinstance(value, list) else None, node)


def local_names(tree: ast.FunctionDef) -> list[str]:
    """Return the names that a function assigns, without its arguments, in order."""
    given = set(arguments(tree))
    found = [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and stores(n)]
    return [name for name in dict.fromkeys(found) if name not in given and name != "_"]


def name(identifier: str) -> ast.Name:
    """Return a node that reads a variable."""
    return ast.Name(identifier, ast.Load())


def constant(value: Any) -> ast.expr:
    """Return a node for a number, None, or a tuple of numbers."""
    if isinstance(value, tuple):
        return ast.Tuple([constant(v) for v in value], ast.Load())
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)


@cache
def tool_itself(function: str) -> ast.expr:
    """Return the node of a function of `npformer.teach.search.tools`, one for all its calls."""
    return ast.fix_missing_locations(ast.Attribute(name("tools"), function, ast.Load()))


def tool(function: str, *args: ast.expr) -> ast.Call:
    """Return a call of a function of `npformer.teach.search.tools`."""
    return ast.Call(tool_itself(function), list(args), [])


def formula(source: str, **parts: ast.expr) -> ast.expr:
    """Return the tree of a formula, with other trees in the places of some of its names."""
    if not parts:
        return plain(source)
    return Replaced(parts).visit(ast.parse(source, mode="eval").body)


@cache
def plain(source: str) -> ast.expr:
    """Return the tree of a formula, one for all its uses."""
    return ast.parse(source, mode="eval").body


class Replaced(ast.NodeTransformer):
    """Puts trees in the places of names; the trees themselves, not copies."""

    def __init__(self, parts: dict[str, ast.expr]) -> None:
        self.parts = parts

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Replace one name."""
        return self.parts.get(node.id, node)


def operation(left: ast.expr, operator: ast.operator, right: ast.expr) -> ast.BinOp:
    """Return a node that computes ``left operator right``."""
    return ast.BinOp(left, operator, right)


def locate(new: Any) -> None:
    """Give new nodes a line, which the compiler asks for; what is below an old node has one."""
    if isinstance(new, list):
        for one in new:
            locate(one)
    elif isinstance(new, ast.AST) and not hasattr(new, "lineno"):
        if isinstance(new, (ast.expr, ast.stmt, ast.keyword)):
            new.lineno = new.end_lineno = 1
            new.col_offset = new.end_col_offset = 0
        for _, value in ast.iter_fields(new):
            locate(value)


def number(node: ast.AST) -> float | None:
    """Return the value of a number that stands in the source, with its sign; else None."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inside = number(node.operand)
        return None if inside is None else -inside
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return None if isinstance(node.value, bool) else node.value
    return None
