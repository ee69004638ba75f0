"""The source of a layer as a program that can be edited and run.

A `Program` holds a copy of the layer's function and of every function of npformer that it calls,
one copy for each place where it is called, each with its syntax tree. To edit one is to change its
tree and to compile it again; the package itself is never touched. The recorder (``run("fc1", x)``)
is left out, as in the exercises.
"""

from __future__ import annotations

import ast
import copy
import inspect
import re
import sys
import textwrap
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, TypeAlias

import numpy as np

from . import tools

PRIMITIVES = frozenset({"erf"})
"""Functions that students are given, so that no mistake is looked for inside them."""
DEEPEST = 5
"""How many calls deep functions are copied."""
PRECISE = re.compile("(sum|mean|var)64")
"""The reductions of `npformer.layers.precision`, which differ from NumPy's in rounding only."""
GIVEN = "__given"
"""What is appended to the name of an argument that the function assigns anew: its first value."""


Kinds: TypeAlias = dict[str, str]
"""What sort of thing each variable of a function holds."""


class Copy:
    """A copy of one function, as called at one place."""

    def __init__(self, original: FunctionType, parent: Copy | None, call: ast.Call | None) -> None:
        self.original = original
        self.parent = parent
        self.call = call
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.tree = parse(original)
        self.children: list[Copy] = []
        self.names: dict[str, Any] = dict(original.__globals__)
        self.names |= {"np": np, "tools": tools}
        self.function = FunctionType(
            original.__code__, self.names, original.__name__, original.__defaults__
        )
        self.kinds: Kinds = {}

    def compile(self) -> CodeType:
        """Put the code of the tree, as it is now, into the function."""
        module = compile(
            ast.Module([self.tree], []), f"<{self.tree.name}>", "exec", dont_inherit=True
        )
        code = next(c for c in module.co_consts if isinstance(c, CodeType))
        self.function.__code__ = code
        return code


class Program:
    """A layer and what it calls, in copies.

    Parameters
    ----------
    reference : callable
        A function of npformer.
    args : tuple
        Arguments to run it with, once, to see which functions it calls.
    inline : bool
        Whether to write out, in the layer itself, the functions that only return a formula.

    Raises
    ------
    OSError
        If there is no source.
    TypeError
        If `reference` is no function written in Python.
    """

    def __init__(
        self, reference: Callable[..., Any], args: tuple[Any, ...], inline: bool = False
    ) -> None:
        reference = inspect.unwrap(reference)
        if not isinstance(reference, FunctionType):
            raise TypeError(f"{reference!r} is not a function written in Python")
        self.called = called(reference, args)
        self.inline = inline
        self.copies: list[Copy] = []
        self.root = self._copy(reference, None, None)

    def __call__(self, *args: Any) -> Any:
        """Run the program as it is edited now."""
        return self.root.function(*args)

    def _copy(self, original: FunctionType, parent: Copy | None, call: ast.Call | None) -> Copy:
        one = Copy(original, parent, call)
        self.copies.append(one)
        one.kinds = (self.called or {}).get(original.__code__, {})
        if self.inline and parent is None:
            one.tree = ast.fix_missing_locations(WrittenOut(one.names).visit(one.tree))
        for number, node in enumerate(list(ast.walk(one.tree))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                target = undecorated(one.names.get(node.func.id))
                if isinstance(target, FunctionType) and self._is_copied(target, one):
                    child = self._copy(target, one, node)
                    one.children.append(child)
                    node.func.id = f"{node.func.id}__{number}"
                    one.names[node.func.id] = child.function
            elif isinstance(node, ast.Name) and isinstance(one.names.get(node.id), dict):
                table = one.names[node.id]
                one.names[node.id] = {key: self._entry(v, one) for key, v in table.items()}
        one.compile()
        return one

    def _entry(self, value: Any, inside: Copy) -> Any:
        """Return a value of a table of functions: a copy of each that is called."""
        value = undecorated(value)
        if not self._is_copied(value, inside):
            return value
        child = self._copy(value, inside, None)
        inside.children.append(child)
        return child.function

    def _is_copied(self, function: Any, inside: Copy) -> bool:
        return (
            isinstance(function, FunctionType)
            and function.__module__.startswith("npformer.")
            and (self.called is None or function.__code__ in self.called)
            and function.__name__ not in PRIMITIVES
            and inside.depth < DEEPEST
        )


def called(function: Callable[..., Any], args: tuple[Any, ...]) -> dict[CodeType, Kinds] | None:
    """Return every function of npformer that runs, with the kinds of its variables.

    None while a profiler listens, whose place this would take.
    """
    seen: dict[CodeType, Kinds] = {}

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "return" and str(frame.f_globals.get("__name__")).startswith("npformer."):
            seen[frame.f_code] = {name: kind(value) for name, value in frame.f_locals.items()}

    if sys.getprofile() is not None:
        return None
    sys.setprofile(note)
    try:
        function(*args)
    finally:
        sys.setprofile(None)
    return seen


def kind(value: Any) -> str:
    """Return what sort of thing a variable holds, so that like is exchanged for like."""
    if isinstance(value, (bool, np.bool_)):
        return "bool"
    if isinstance(value, (int, np.integer)):
        return "int"
    if isinstance(value, float):
        return "float"
    if isinstance(value, (np.ndarray, np.generic)):
        return "array"
    return "other"


def undecorated(value: Any) -> Any:
    """Return the function that a decorator has wrapped; anything else as it is."""
    return inspect.unwrap(value) if isinstance(value, FunctionType) else value


def parse(function: FunctionType) -> ast.FunctionDef:
    """Return the tree of a function without docstring, annotations and recorder.

    Raises
    ------
    TypeError
        If it is a lambda.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    if not isinstance(tree, ast.FunctionDef):
        raise TypeError(f"{function!r} is not defined by def")
    tree.decorator_list, tree.returns = [], None
    if ast.get_docstring(tree) is not None:
        tree.body = tree.body[1:]
    for argument in (*tree.args.args, *tree.args.kwonlyargs):
        argument.annotation = None
    tree.args.defaults = [ast.Constant(None) for _ in tree.args.defaults]
    tree = _Plain().visit(tree)
    given = [ast.parse(f"{name}{GIVEN} = {name}").body[0] for name in sorted(reassigned(tree))]
    tree.body = given + [s for s in tree.body if not _is_idle(s)]
    return ast.fix_missing_locations(tree)


def arguments(tree: ast.FunctionDef) -> list[str]:
    """Return the names of the arguments of a function."""
    return [argument.arg for argument in tree.args.args]


def reassigned(tree: ast.FunctionDef) -> set[str]:
    """Return the arguments that a function assigns anew."""
    stored = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and stores(n)}
    return stored & set(arguments(tree))


def stores(node: ast.AST) -> bool:
    """Whether a node of a tree is assigned to."""
    return isinstance(getattr(node, "ctx", None), ast.Store)


def _is_idle(statement: ast.stmt) -> bool:
    """Whether a statement is left without effect by taking the recorder out: ``mean``."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Name)


class _Plain(ast.NodeTransformer):
    """Takes the recorder out, and writes ``sum64(x, axis)`` as ``x.sum(axis)``."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if ast.unparse(node.func) in ("run", "run.dropout", "run.drop_path"):
            return node.args[1]
        if isinstance(node.func, ast.Name) and (sum64 := PRECISE.fullmatch(node.func.id)):
            array, *rest = node.args
            keywords = [*map(ast.keyword, ("keepdims",), rest[1:]), *node.keywords]
            return ast.Call(ast.Attribute(array, sum64[1], ast.Load()), rest[:1], keywords)
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        node.body = [s for s in node.body if not _is_idle(s)] or [ast.Pass()]
        return node


class WrittenOut(ast.NodeTransformer):
    """Puts the formula of a function in the place of its call, if it has nothing but a formula."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Write out one call."""
        self.generic_visit(node)
        found = self.names.get(node.func.id) if isinstance(node.func, ast.Name) else None
        target = undecorated(found)
        if not isinstance(target, FunctionType) or not target.__module__.startswith("npformer."):
            return node
        tree = parse(target)
        taken = arguments(tree)
        (*before, last) = tree.body
        if before or not isinstance(last, ast.Return) or last.value is None or node.keywords:
            return node
        if len(taken) != len(node.args) or not all(map(is_simple, node.args)):
            return node
        for name, value in target.__globals__.items():
            self.names.setdefault(name, value)
        given = dict(zip(taken, node.args, strict=True))
        return self.visit(Substituted(given).visit(last.value))


class Substituted(ast.NodeTransformer):
    """Puts expressions in the place of arguments."""

    def __init__(self, given: dict[str, ast.expr]) -> None:
        self.given = given

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Replace one name by a copy of its expression."""
        return copy.deepcopy(self.given.get(node.id, node))


def is_simple(node: ast.expr) -> bool:
    """Whether an expression is short enough to stand several times in a formula."""
    return sum(1 for _ in ast.walk(node)) < 8
