"""Edits of calls: arguments, functions of the package, results in another order."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from ...layers import DERIVATIVES
from .arrays import orders
from .edit import Change, Edit, Scope, Slot, constant, name, operation, tool
from .tools import ACTIVATIONS
from .words import text


def calls(slot: Slot, defaults: dict[str, dict[Any, tuple[str, Any]]]) -> Iterator[Edit]:
    """Edit the arguments of a call: exchanged, or left to their default."""
    node = slot.node
    if not isinstance(node, ast.Call):
        return
    called = text(node.func)
    optional = defaults.get(getattr(node.func, "id", ""), {})
    for i, j in combinations(range(len(node.args)), 2):
        if ast.dump(node.args[i]) == ast.dump(node.args[j]):
            continue
        args = list(node.args)
        args[i], args[j] = args[j], args[i]
        structure = called[:1].isupper()
        yield Edit(1.4 if structure else 1.9, "exchanged", f"with {{0}} and {{1}} exchanged in "
                   f"`{called}(…)`", (node.args[i], node.args[j]),
                   (slot.become(ast.Call(node.func, args, node.keywords)),))  # fmt: skip
    for i, argument in enumerate(node.args):
        if i in optional:
            parameter, value = optional[i]
            if isinstance(value, (int, float)):
                new = constant(value)
            elif i == len(node.args) - 1:
                new = None
            else:
                continue
            args = node.args[:i] if new is None else [*node.args[:i], new, *node.args[i + 1 :]]
            yield Edit(1.1, "argument not passed on", f"without {{0}} passed to `{called}` "
                       f"(its `{parameter}` is then {getattr(value, '__name__', value)})"
                       if isinstance(value, (int, float)) else
                       f"without {{0}} passed to `{called}`", (argument,),
                       (slot.become(ast.Call(node.func, args, node.keywords)),),
                       f"without `{parameter}` passed to `{called}`")  # fmt: skip
    for keyword in node.keywords:
        if keyword.arg not in ("keepdims", "axis"):
            rest = [k for k in node.keywords if k is not keyword]
            yield Edit(
                1.4,
                "argument not passed on",
                f"without `{keyword.arg}` passed to `{called}`",
                (),
                (slot.become(ast.Call(node.func, node.args, rest)),),
            )
    yield from functions_passed(slot, node, called)
    for i, argument in enumerate(node.args):
        if isinstance(argument, ast.List) and len(argument.elts) > 1:
            for a, b in combinations(range(len(argument.elts)), 2):
                items = list(argument.elts)
                items[a], items[b] = items[b], items[a]
                args = [*node.args[:i], ast.List(items, ast.Load()), *node.args[i + 1 :]]
                yield Edit(1.5, "exchanged", "with {0} and {1} exchanged in {2}",
                           (argument.elts[a], argument.elts[b], argument),
                           (slot.become(ast.Call(node.func, args, node.keywords)),))  # fmt: skip


def functions_passed(slot: Slot, node: ast.Call, called: str) -> Iterator[Edit]:
    """Edit an argument that is an activation: another one."""
    for i, argument in enumerate(node.args):
        if isinstance(argument, ast.Name) and argument.id in {*ACTIVATIONS, "activation"}:
            for rank, other in enumerate(o for o in ACTIVATIONS if o != argument.id):
                if ACTIVATIONS[other] in DERIVATIVES:
                    new = ast.Attribute(name("tools"), other, ast.Load())
                    args = [*node.args[:i], new, *node.args[i + 1 :]]
                    yield Edit(1.4 + 0.1 * rank, "another activation",
                               f"with `{other}` instead of {{0}} in `{called}(…)`", (argument,),
                               (slot.become(ast.Call(node.func, args, node.keywords)),),
                               f"with `{other}` instead of `{argument.id}`")  # fmt: skip


def drawn(slot: Slot, scope: Scope) -> Iterator[Edit]:
    """Edit the shape in which random numbers are drawn."""
    node = slot.node
    if not isinstance(slot.parent, ast.Call) or slot.position != 0 or not scope.arguments:
        return
    x = scope.arguments[0]
    shape = f"{x}.shape"
    if ast.unparse(node) != shape and not (
        isinstance(node, ast.Tuple) and f"len({x})" in ast.unparse(node)
    ):
        return
    for source, words in (
        (shape, "for each number"), (f"(len({x}), *[1] * ({x}.ndim - 1))", "for each image"),
        (f"{x}.shape[-1:]", "for each channel"), (f"(1,) * {x}.ndim", "for the whole batch"),
        (f"(*{x}.shape[:-1], 1)", "for all channels of a pixel"),
        (f"(1, *{x}.shape[1:])", "for all images"),
    ):  # fmt: skip
        if source != ast.unparse(node):
            new = ast.parse(source, mode="eval").body
            yield Edit(
                1.5,
                "drawn in another shape",
                f"with one draw {words}: shape {{1}} instead of {{0}}",
                (node, new),
                (slot.become(new),),
            )


def siblings(slot: Slot, namespace: dict[str, Any]) -> Iterator[Edit]:
    """Edit a call of a layer: its forward function where the gradient belongs, or a relative."""
    node = slot.node
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return
    bare = node.func.id.rpartition("__")[0] or node.func.id
    forward = bare.removesuffix("_backward")
    relatives = {"pooling": "average_pool", "average_pool": "pooling"}
    others = [forward] if forward != bare else []
    others += [relatives[bare]] if bare in relatives else []
    for other in others:
        if callable(namespace.get(other)):
            new = ast.Call(name(other), node.args, node.keywords)
            yield Edit(1.6, "another function", f"with `{other}` instead of `{bare}` in {{0}}",
                       (node,), (slot.become(new),))  # fmt: skip
    if bare == "activation_backward" and len(node.args) == 3:
        gradient, at, function = node.args
        instead: tuple[tuple[str, ast.expr], ...] = (
            (f"with {text(function)} applied to {{0}}, instead of its derivative at {{1}}",
             ast.Call(function, [gradient], [])),
            (f"with {text(function)} of {{1}} times {{0}}, instead of its derivative",
             operation(gradient, ast.Mult(), ast.Call(function, [at], []))),
        )  # fmt: skip
        for words, other_call in instead:
            yield Edit(1.6, "another function", words, (gradient, at), (slot.become(other_call),))


def windows(slot: Slot) -> Iterator[Edit]:
    """Edit the average of a window: one that hangs to one side of its pixel."""
    node = slot.node
    if not isinstance(node, ast.BinOp) or not isinstance(node.left, ast.Call):
        return
    if text(node.left.func) != "window_sum" or not isinstance(node.op, ast.Div):
        return
    x, size = node.left.args
    for before, words in (
        (constant(0), "begins at its pixel and hangs to the lower right"),
        (operation(size, ast.Sub(), constant(1)), "ends at its pixel and hangs to the upper left"),
    ):
        yield Edit(1.6, "window to one side", f"with a window that {words}", (),
                   (slot.become(tool("hanging_mean", x, size, before)),))  # fmt: skip


def results(slot: Slot) -> Iterator[Edit]:
    """Edit a tuple that is returned: its members in another order."""
    node = slot.node
    if isinstance(node, ast.Tuple) and isinstance(slot.parent, (ast.Return, ast.Assign)):
        for order in orders(node):
            new = ast.Tuple([node.elts[i] for i in order], ast.Load())
            yield Edit(1.7, "exchanged", "with the results in another order: {1} instead of {0}",
                       (node, new), (slot.become(new),))  # fmt: skip


def targets(tree: ast.FunctionDef) -> Iterator[Edit]:
    """Edit ``q, k, v = …``: the names in another order."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            target = node.targets[0]
            for order in orders(target):
                new = ast.Tuple([target.elts[i] for i in order], ast.Store())
                yield Edit(1.6, "exchanged", "with {1} instead of {0} in the assignment from {2}",
                           (target, new, node.value),
                           (Change(node, "targets", 0, new),))  # fmt: skip
            first = target.elts[0]
            if isinstance(node.value, ast.Call) and isinstance(first, ast.Name) and node.value.args:
                old = node.value.args[0]
                if isinstance(old, ast.Name) and old.id == first.id:
                    new = ast.Tuple(
                        [ast.Name("unused", ast.Store()), *target.elts[1:]], ast.Store()
                    )
                    yield Edit(1.4, "missing", "with {0} as it was before {1}, which is skipped",
                               (first, node.value), (Change(node, "targets", 0, new),))  # fmt: skip
