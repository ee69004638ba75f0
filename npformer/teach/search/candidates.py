"""All edits of a program, the likely ones first."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ...layers import Trace
from .arithmetic import binary, conditions, constants, functions, numpy_names, unary
from .arrays import counted, padding, reductions, shapes, slices, wrapped
from .calls import calls, drawn, results, siblings, targets, windows
from .edit import Edit, Scope, Slot, local_names, slots
from .moves import moves
from .names import everywhere, names
from .program import Copy, Program, arguments
from .statements import steps
from .words import place

LIKELY = 2.05
"""Edits that cost less are likely."""
DEEPER = 0.5
"""What each call between the layer and an edit adds to its cost."""
ONE_OF_SEVERAL = 0.35
"""What it adds to edit a function at one of several places where it is called."""

AT_ONCE = 32
"""How many edits are made before the clock is looked at again."""


class Candidate(NamedTuple):
    """An edit and the copies of a function that it is made in."""

    cost: float
    edit: Edit
    copies: tuple[Copy, ...]
    """the first has the tree that the edit belongs to; the others get its code"""
    everywhere: bool

    def sentence(self) -> str:
        """Say what the formula is like with this edit."""
        return self.edit.sentence() + place(self.copies[0], self.everywhere)


def tiers(
    program: Program, args: tuple[Any, ...], is_over: Callable[[], bool]
) -> Iterator[list[Candidate]]:
    """Yield the edits of a program, by cost: of the layer itself, then of what it calls.

    A tier is made only when it is asked for, and only as long as there is time.
    """

    def edits(copy: Copy, args: tuple[Any, ...]) -> Iterator[Edit]:
        return in_time(every_edit(copy, args), is_over)

    root, *others = program.copies
    own = list(edits(root, args))
    yield ordered([root], [e for e in own if e.cost < LIKELY], True)
    groups: dict[Any, list[Copy]] = {}
    for copy in others:
        groups.setdefault(copy.original, []).append(copy)
    inside = {id(group): list(edits(group[0], ())) for group in groups.values()}
    tier = []
    for group in groups.values():
        tier += ordered(group, [e for e in inside[id(group)] if e.cost < LIKELY], True)
    yield sorted(tier, key=cost)
    yield ordered([root], [e for e in own if e.cost >= LIKELY], True)
    tier = []
    for group in groups.values():
        if len(group) > 1:
            for copy in group:
                likely = [e for e in edits(copy, ()) if e.cost < LIKELY]
                tier += ordered([copy], likely, False)
    yield sorted(tier, key=cost)
    tier = []
    for group in groups.values():
        tier += ordered(group, [e for e in inside[id(group)] if e.cost >= LIKELY], True)
    yield sorted(tier, key=cost)


def own(
    program: Program, args: tuple[Any, ...], is_over: Callable[[], bool] = lambda: False
) -> list[Candidate]:
    """Return the edits of the layer itself, as many as there is time for."""
    return ordered([program.root], list(in_time(every_edit(program.root, args), is_over)), True)


def in_time(some: Iterator[Edit], is_over: Callable[[], bool]) -> Iterator[Edit]:
    """Yield edits as long as there is time; the clock is looked at once for many of them."""
    for i, edit in enumerate(some):
        if i % AT_ONCE == 0 and is_over():
            return
        yield edit


def cost(candidate: Candidate) -> float:
    """Return the cost of a candidate: the higher the less likely."""
    return candidate.cost


def ordered(copies: list[Copy], some: list[Edit], everywhere: bool) -> list[Candidate]:
    """Return candidates for edits of one function, by cost."""
    extra = DEEPER * copies[0].depth + (0 if everywhere else ONE_OF_SEVERAL)
    found = [Candidate(e.cost + extra, e, tuple(copies), everywhere) for e in some]
    return sorted(found, key=cost)


def every_edit(copy: Copy, args: tuple[Any, ...]) -> Iterator[Edit]:
    """Yield every edit of one function."""
    tree, scope = copy.tree, scope_of(copy, args)
    found = [slot for slot in slots(tree) if not remembers(slot)]
    optional = defaults_of_calls(copy)
    line = {id(n): i for i, step in enumerate(tree.body) for n in ast.walk(step)}
    together: dict[tuple[str, int], list[Edit]] = {}
    for slot in found:
        for edit in edits_at(slot, scope, copy, optional):
            if edit.group:
                for where in (-1, line.get(id(slot.node), -2)):
                    together.setdefault((edit.group, where), []).append(edit)
            yield edit
    for (words, where), some in together.items():
        if len(some) > 1:
            changes = tuple(change for edit in some for change in edit.changes)
            if len({(id(c.parent), c.field, c.position) for c in changes}) == len(changes):
                nodes = tuple(tree.body[where : where + 1]) if where >= 0 else ()
                said = f"{words}, each time" + (" in {0}" if nodes else "")
                yield Edit(some[0].cost + 0.1, some[0].kind, said, nodes, changes)
    yield from everywhere(tree, found, scope)
    yield from targets(tree)
    yield from steps(tree)
    yield from moves(tree, found, scope, copy.depth == 0)


def inside(copy: Copy, edit: Edit, args: tuple[Any, ...]) -> list[Candidate]:
    """Return the likely edits of what another edit, made already, has put into a function."""
    scope, optional = scope_of(copy, args), defaults_of_calls(copy)
    new = {id(node) for change in edit.changes
           if isinstance(change.new, ast.AST) for node in ast.walk(change.new)}  # fmt: skip
    found = [
        e
        for slot in slots(copy.tree)
        if id(slot.parent) in new or id(slot.node) in new
        for e in edits_at(slot, scope, copy, optional)
        if e.cost < LIKELY
    ]
    return ordered([copy], found, True)


def edits_at(
    slot: Slot, scope: Scope, copy: Copy, optional: dict[str, dict[Any, tuple[str, Any]]]
) -> Iterator[Edit]:
    """Yield every edit of one expression."""
    for family in (binary, unary, constants, functions, numpy_names, conditions, reductions,
                   shapes, padding, slices, results, windows):  # fmt: skip
        yield from family(slot)
    yield from calls(slot, optional)
    yield from siblings(slot, copy.names)
    yield from names(slot, scope)
    yield from counted(slot, scope)
    yield from drawn(slot, scope)
    yield from wrapped(slot, scope)


def remembers(slot: Slot) -> bool:
    """Whether a place belongs to the statement that remembers an argument as it was given."""
    parent = slot.parent
    return isinstance(parent, ast.Assign) and "__given" in ast.dump(parent.targets[0])


def defaults_of_calls(copy: Copy) -> dict[str, dict[Any, tuple[str, Any]]]:
    """Return, for each function that a copy calls, its optional arguments by position."""
    found = {}
    for called, value in copy.names.items():
        if inspect.isfunction(value) and "__" in called:
            parameters = inspect.signature(value).parameters.values()
            found[called] = {
                i: (p.name, p.default)
                for i, p in enumerate(parameters)
                if p.default is not inspect.Parameter.empty and p.name != "run"
            }
    return found


def scope_of(copy: Copy, args: tuple[Any, ...]) -> Scope:
    """Return the names that a function has to do with, from its arguments as far as known."""
    tree = copy.tree
    taken = arguments(tree)
    parameters = inspect.signature(copy.original).parameters
    defaults = {
        n: p.default for n, p in parameters.items() if p.default is not inspect.Parameter.empty
    }
    fields: dict[str, tuple[str, ...]] = {}
    keys: list[str] = []
    for argument, value in zip(taken, args, strict=False):
        spread(argument, value, fields)
        if isinstance(value, Trace):
            keys += [key for key in value if "." not in key]
    if not args:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                seen = fields.setdefault(node.value.id, ())
                if node.value.id in taken and node.attr.islower() and node.attr not in seen:
                    fields[node.value.id] = (*seen, node.attr)
        array_methods = {"shape", "size", "dtype", "ndim", "sum", "mean", "reshape", "swapaxes"}
        fields = {n: f for n, f in fields.items() if f and not array_methods & set(f)}
    return Scope([a for a in taken if a not in ("run", "tape", "rng")], local_names(tree), fields,
                 tuple(keys), defaults, copy.kinds)  # fmt: skip


def spread(path: str, value: Any, fields: dict[str, tuple[str, ...]]) -> None:
    """Note the fields of a structure and of those inside it."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        fields[path] = value._fields
        for field in value._fields:
            spread(f"{path}.{field}", getattr(value, field), fields)
