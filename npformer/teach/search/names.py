"""Edits of names: variables, fields, keys of the tape, options."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from ...layers import DERIVATIVES
from .arithmetic import constant_text
from .arrays import AXES, is_result
from .edit import Edit, Scope, Slot, constant, formula, name, operation, tool
from .program import GIVEN
from .tools import ACTIVATIONS
from .words import text


def names(slot: Slot, scope: Scope) -> Iterator[Edit]:
    """Edit a variable or a field: another one in its place, zero, or its default."""
    node = slot.node
    new: ast.expr
    if isinstance(node, ast.Attribute) and isinstance(node.value, (ast.Name, ast.Attribute)):
        for other in scope.fields.get(text(node.value), ()):
            if other != node.attr:
                related = other.rstrip("0123456789") == node.attr.rstrip("0123456789")
                new = ast.Attribute(node.value, other, ast.Load())
                yield Edit(1.2 if related else 1.8, "another field", "with {1} instead of {0}",
                           (node, new), (slot.become(new),))  # fmt: skip
    elif isinstance(node, ast.Name) and node.id in (*scope.arguments, *scope.locals):
        if node.id not in scope.fields:
            for other in scope.like(node.id):
                cost = 1.5 if other == f"{node.id}{GIVEN}" else 1.9
                yield Edit(
                    cost,
                    "another variable",
                    f"with {{1}} instead of {{0}} in `{text(slot.parent)}`"
                    if isinstance(slot.parent, ast.expr)
                    else "with {1} instead of {0}",
                    (node, name(other)),
                    (slot.become(name(other)),),
                )
        if scope.kinds.get(node.id) == "array":
            for source, fields in scope.fields.items():
                for field in (f for f in fields if f"{source}.{f}" not in scope.fields):
                    new = ast.parse(f"{source}.{field}", mode="eval").body
                    yield Edit(2.0, "another array", "with {1} instead of {0}", (node, new),
                               (slot.become(new),))  # fmt: skip
            for key in scope.keys:
                recorded = formula(f"tape[{key!r}]")
                yield Edit(2.0, "another array of the tape", "with {1} instead of {0}",
                           (node, recorded), (slot.become(recorded),))  # fmt: skip
        if isinstance(slot.parent, ast.BinOp) and isinstance(slot.parent.op, ast.Pow):
            for array in scope.arrays_inside():
                size = formula("len(array)", array=array)
                yield Edit(1.8, "another count", "with {1} instead of {0} in {2}",
                           (node, size, slot.parent), (slot.become(size),))  # fmt: skip
        yield from fixed(slot, node, scope)
    elif isinstance(node, ast.Subscript) and is_key(node.slice):
        for other in scope.keys:
            new = ast.Subscript(node.value, constant_text(other), ast.Load())
            yield Edit(1.4, "another array of the tape", "with {1} instead of {0}",
                       (node, new), (slot.become(new),))  # fmt: skip
        for argument in scope.all_of("array"):
            yield Edit(1.7, "another variable", "with {1} instead of {0}",
                       (node, name(argument)), (slot.become(name(argument)),))  # fmt: skip
    if is_result(slot) and not isinstance(node, (ast.Tuple, ast.List)):
        for source, fields in scope.fields.items():
            for field in fields:
                if f"{source}.{field}" not in scope.fields:
                    new = ast.parse(f"{source}.{field}", mode="eval").body
                    yield Edit(2.1, "another array", "with {1} instead of {0}", (node, new),
                               (slot.become(new),))  # fmt: skip
        for other in scope.all_of("array"):
            yield Edit(2.2, "another array", "with {1} instead of {0}", (node, name(other)),
                       (slot.become(name(other)),))  # fmt: skip
    if isinstance(node, ast.Attribute) and not isinstance(slot.parent, ast.Attribute):
        for other in scope.all_of("array"):
            yield Edit(2.4, "another variable", "with {1} instead of {0}", (node, name(other)),
                           (slot.become(name(other)),))  # fmt: skip


def is_key(node: ast.expr) -> bool:
    """Whether an index is a name on the tape."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def fixed(slot: Slot, node: ast.Name, scope: Scope) -> Iterator[Edit]:
    """Edit an option: zero, or one more."""
    default = scope.defaults.get(node.id)
    if isinstance(default, float) or node.id == "eps":
        yield Edit(0.9, "missing", "without {0}", (node,), (slot.become(constant(0)),))
    if (isinstance(default, int) and not isinstance(default, bool)) or node.id in ("kh", "kw", "K"):
        for new, cost in (
            (constant(0), 1.4), (constant(1), 1.4), (constant(2), 1.9), (constant(3), 1.9),
            (operation(node, ast.Add(), constant(1)), 2.0),
            (operation(node, ast.Sub(), constant(1)), 2.0),
            (operation(node, ast.Mult(), constant(2)), 1.9),
            (operation(node, ast.Add(), constant(2)), 2.4),
            (operation(node, ast.FloorDiv(), constant(2)), 2.4),
        ):  # fmt: skip
            yield Edit(cost, "another value", "with {1} instead of {0} in {2}",
                       (node, new, slot.parent), (slot.become(new),))  # fmt: skip


def everywhere(tree: ast.FunctionDef, found: list[Slot], scope: Scope) -> Iterator[Edit]:
    """Edit all uses of a name or field at once: an option fixed, two exchanged, one left out."""
    uses: dict[str, list[Slot]] = {}
    for slot in found:
        if isinstance(slot.node, (ast.Name, ast.Attribute)) or (
            isinstance(slot.node, ast.Subscript) and is_key(slot.node.slice)
        ):
            uses.setdefault(ast.unparse(slot.node), []).append(slot)
    for option, default in scope.defaults.items():
        for rank, value in enumerate(fixed_values(option, default)):
            if option in uses:
                node = name(value.__name__) if callable(value) else constant(value)
                if callable(value):
                    node = ast.Attribute(name("tools"), value.__name__, ast.Load())
                    if value not in DERIVATIVES and value not in ACTIVATIONS.values():
                        continue
                words = value.__name__ if callable(value) else str(value)
                yield Edit(1.15 + 0.1 * rank, "option ignored",
                           f"with {words} in the place of `{option}`, whatever is passed",
                           (), tuple(s.become(node) for s in uses[option]))  # fmt: skip
    for local in uses:
        if local.startswith("axes"):
            for axis, extra in AXES:
                if not isinstance(axis, int) or axis < 0:
                    words = "None, all numbers," if axis is None else axis
                    yield Edit(0.9 + extra / 10, "another axis", f"with axis {words} instead of "
                               "{0}", (name(local),),
                               tuple(s.become(constant(axis)) for s in uses[local]))  # fmt: skip
            for source, words in (
                ("tuple(range(1, x.ndim - 1))", "each image by itself"),
                ("tuple(range(1, x.ndim))", "each image by itself, all channels"),
                ("0", "over the first axis only"),
                ("1", "over axis 1 only"),
            ):
                node = ast.parse(source, mode="eval").body
                yield Edit(
                    1.0,
                    "another axis",
                    f"with axis {{0}} ({words}) instead of `{local}`",
                    (node,),
                    tuple(s.become(node) for s in uses[local]),
                )
    for one, other in combinations(uses, 2):
        if exchangeable(one, other, scope):
            changes = [s.become(uses[other][0].node) for s in uses[one]]
            changes += [s.become(uses[one][0].node) for s in uses[other]]
            yield Edit(1.4, "exchanged", "with {0} and {1} exchanged",
                       (uses[one][0].node, uses[other][0].node), tuple(changes))  # fmt: skip
    for one, places in uses.items():
        if len(places) > 1:
            for called, cost in (
                ("ones", 1.5),
                ("zeros", 1.6),
                ("flipped01", 2.4),
                ("opposite", 2.2),
                ("squared", 2.4),
                ("rooted", 2.4),
                ("transposed", 2.2),
            ):
                yield Edit(
                    cost + 0.2,
                    "missing" if called in ("ones", "zeros") else "changed",
                    f"with {{0}} {WORDS[called]}, everywhere",
                    (places[0].node,),
                    tuple(s.become(tool("apply", constant_text(called), s.node)) for s in places),
                )
            for other in [n for n in uses if n != one and related(one, n, scope)]:
                yield Edit(
                    1.8,
                    "another variable",
                    "with {1} instead of {0}, everywhere",
                    (places[0].node, uses[other][0].node),
                    tuple(s.become(uses[other][0].node) for s in places),
                )


WORDS = {
    "ones": "replaced by 1", "zeros": "replaced by 0", "flipped01": "flipped along axes 0 and 1",
    "opposite": "negated", "squared": "squared", "rooted": "replaced by its square root",
    "transposed": "transposed",
}  # fmt: skip


def fixed_values(option: str, default: Any) -> list[Any]:
    """Return the values to which an option may be fixed."""
    if callable(default):
        return list(ACTIVATIONS.values())
    if isinstance(default, float):
        return list(dict.fromkeys([default, 1e-5, 1e-12, 1e-6, 0.0, 0.1, 1e-3, 1e-8]))
    if isinstance(default, int) and not isinstance(default, bool):
        return list(dict.fromkeys([default, 1, 0, 2, 3]))
    return []


def exchangeable(one: str, other: str, scope: Scope) -> bool:
    """Whether two names may be taken for each other: fields of one structure, or arguments."""
    source = one.rpartition(".")[0]
    if source and source == other.rpartition(".")[0] and source in scope.fields:
        return True
    plain = {*scope.arguments, *scope.locals} - set(scope.fields)
    return one in plain and other in plain


def related(one: str, other: str, scope: Scope) -> bool:
    """Whether one name may stand for another everywhere."""
    return exchangeable(one, other, scope)
