"""Edits of arithmetic: terms, factors, signs, functions of one number, constants, conditions."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .edit import Edit, Slot, constant, formula, number, operation, tool
from .tools import ACTIVATIONS, NEIGHBORS
from .words import text

SYMBOLS: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.MatMult: "@", ast.Pow: "**",
    ast.FloorDiv: "//",
}  # fmt: skip
OTHERS: dict[type[ast.operator], tuple[tuple[type[ast.operator], float], ...]] = {
    ast.Add: ((ast.Sub, 1.2), (ast.Mult, 1.8)),
    ast.Sub: ((ast.Add, 1.2), (ast.Mult, 2.4), (ast.Div, 2.6)),
    ast.Mult: ((ast.Div, 1.5), (ast.Add, 1.7), (ast.MatMult, 2.5), (ast.Sub, 2.6)),
    ast.Div: ((ast.Mult, 1.4), (ast.Sub, 2.6)),
    ast.MatMult: ((ast.Mult, 2.5),),
    ast.FloorDiv: ((ast.Mult, 2.8),),
}
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Gt: (ast.GtE, ast.Lt, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Lt: (ast.LtE, ast.Gt, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Eq: (ast.NotEq, ast.LtE, ast.GtE),
    ast.NotEq: (ast.Eq,),
}


def binary(slot: Slot) -> Iterator[Edit]:
    """Edit ``a · b``: without one of them, another operation, exchanged, twice, other brackets."""
    node = slot.node
    if not isinstance(node, ast.BinOp) or type(node.op) not in SYMBOLS:
        return
    left, op, right = node.left, node.op, node.right
    sign = SYMBOLS[type(op)]
    unlikely = 1.1 if number(right) is not None and isinstance(op, (ast.Add, ast.Sub)) else 0
    yield Edit(0.8 + unlikely, "missing", f"without `{sign}` {{0}}", (right,),
               (slot.become(left),))  # fmt: skip
    if isinstance(op, (ast.Add, ast.Mult, ast.MatMult)):
        yield Edit(0.9, "missing", f"without {{0}} `{sign}`", (left,), (slot.become(right),))
    elif isinstance(op, ast.Sub):
        yield Edit(1.1, "missing", "without {0}, which {1} is subtracted from", (left, right),
                   (slot.become(ast.UnaryOp(ast.USub(), right)),))  # fmt: skip
        yield Edit(1.6, "missing", "with {1} alone, in the place of {0} − {1}", (left, right),
                   (slot.become(right),))  # fmt: skip
    elif isinstance(op, ast.Div):
        yield Edit(1.4, "missing", "with 1 in the place of {0}, which is divided by {1}",
                   (left, right), (slot.become(operation(constant(1), op, right)),))  # fmt: skip
        yield Edit(2.2, "missing", "with {1} alone, in the place of {0} / {1}",
                   (left, right), (slot.become(right),))  # fmt: skip
    for other, cost in OTHERS.get(type(op), ()):
        kind = "wrong sign" if {type(op), other} == {ast.Add, ast.Sub} else "another operation"
        yield Edit(cost, kind, f"with `{SYMBOLS[other]}` instead of `{sign}` in {{0}}", (node,),
                   (slot.become(operation(left, other(), right)),))  # fmt: skip
    if isinstance(op, (ast.Sub, ast.Div, ast.MatMult, ast.Pow)):
        yield Edit(1.3, "exchanged", f"with {{1}} `{sign}` {{0}} instead of {{0}} `{sign}` {{1}}",
                   (left, right), (slot.become(operation(right, op, left)),))  # fmt: skip
    if isinstance(op, (ast.Add, ast.Sub, ast.Mult, ast.Div)):
        again = operation(node, op, right)
        yield Edit(1.6, "counted twice", f"with `{sign}` {{0}} twice", (right,),
                   (slot.become(again),))  # fmt: skip
        if isinstance(op, (ast.Add, ast.Mult)):
            yield Edit(1.7, "counted twice", f"with {{0}} `{sign}` twice", (left,),
                       (slot.become(operation(left, op, node)),))  # fmt: skip
    if isinstance(op, (ast.Add, ast.Sub)) and isinstance(right, ast.Call) and right.args:
        around = ast.Call(right.func, [operation(left, op, right.args[0]), *right.args[1:]], [])
        bare = text(right.func)
        yield Edit(1.5, "another order", "with {1} in the place of {0}", (node, around),
                   (slot.become(around),), f"with `{bare}` of the whole sum")  # fmt: skip
    if isinstance(op, ast.Div) and isinstance(left, ast.Call) and left.args:
        first = left.args[0]
        if isinstance(first, ast.Name):
            hollow = formula(
                "(total - one) / np.maximum(count - 1, 1)", total=left, one=first, count=right
            )
            yield Edit(1.9, "without the center", "with {0} itself left out of both the sum and "
                       "the count: a window without its center", (first,),
                       (slot.become(hollow),))  # fmt: skip
    yield from brackets(slot, node)


def brackets(slot: Slot, node: ast.BinOp) -> Iterator[Edit]:
    """Edit ``(a · b) ∘ c`` into ``a · (b ∘ c)``, ``(a ∘ c) · b`` and the like."""
    left, op, right = node.left, node.op, node.right
    if isinstance(left, ast.BinOp) and type(left.op) in SYMBOLS and type(left.op) is not type(op):
        a, first, b = left.left, left.op, left.right
        swapped = operation(operation(a, op, right), first, b)
        yield Edit(1.3, "another order", "with {1} in the place of {0}", (node, swapped),
                   (slot.become(swapped),))  # fmt: skip
    if isinstance(left, ast.BinOp) and type(left.op) in SYMBOLS:
        a, first, b = left.left, left.op, left.right
        yield Edit(1.2, "missing", "with {1} alone, in the place of {0}", (node, a),
                   (slot.become(a),))  # fmt: skip
        turned = operation(a, first, operation(b, op, right))
        yield Edit(1.5, "other brackets", "with {1} in the place of {0}", (node, turned),
                   (slot.become(turned),))  # fmt: skip
        turned = operation(operation(a, first, right), op, b)
        yield Edit(1.6, "exchanged", "with {1} in the place of {0}", (node, turned),
                   (slot.become(turned),))  # fmt: skip
    for new in hoisted(node):
        yield Edit(1.7, "other brackets", "with {1} in the place of {0}", (node, new),
                   (slot.become(new),))  # fmt: skip
    if isinstance(right, ast.BinOp) and type(right.op) in SYMBOLS:
        b, second, c = right.left, right.op, right.right
        for new in (
            operation(operation(left, op, b), second, c),
            operation(b, second, operation(left, op, c)),
            operation(operation(left, second, b), op, c),
            operation(operation(left, second, c), op, b),
        ):
            yield Edit(1.6, "other brackets", "with {1} in the place of {0}", (node, new),
                       (slot.become(new),))  # fmt: skip


def hoisted(node: ast.BinOp) -> Iterator[ast.expr]:
    """Yield ``a + b · c · d`` with all of the last factors applied to the whole sum."""
    suffix: list[tuple[ast.operator, ast.expr]] = []
    inner = node.right
    while isinstance(inner, ast.BinOp) and isinstance(inner.op, (ast.Mult, ast.Div)):
        suffix.append((inner.op, inner.right))
        inner = inner.left
        if len(suffix) > 1:
            whole: ast.expr = operation(node.left, node.op, inner)
            for op, factor in reversed(suffix):
                whole = operation(whole, op, factor)
            yield whole


def unary(slot: Slot) -> Iterator[Edit]:
    """Edit ``−a``: without the sign."""
    node = slot.node
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield Edit(1.0, "wrong sign", "without the minus of {0}", (node,),
                   (slot.become(node.operand),))  # fmt: skip


def constants(slot: Slot) -> Iterator[Edit]:
    """Edit a number of the source: another one."""
    value = number(slot.node)
    if value is None or isinstance(slot.parent, (ast.keyword, ast.UnaryOp)):
        return
    exponent = isinstance(slot.parent, ast.BinOp) and isinstance(slot.parent.op, ast.Pow)
    others = (
        [1, 2, 0.5, -0.5, -1, 0] if exponent else [0, 1, 2, -value, 2 * value, value + 1, value - 1]
    )
    if not exponent and isinstance(value, float):
        others += [value / 2, 1 / value if value else 0, value * value]
    for rank, other in enumerate(dict.fromkeys(others)):
        if other != value:
            yield Edit(1.7 + 0.05 * rank + (0 if exponent else 0.4), "another constant",
                       "with {1} instead of {0} in {2}", (slot.node, constant(other), slot.parent),
                       (slot.become(constant(other)),))  # fmt: skip


def functions(slot: Slot) -> Iterator[Edit]:
    """Edit a function of one array, ``np.sqrt(a)``: left out, twice, moved, its neighbors."""
    node = slot.node
    if not isinstance(node, ast.Call) or not node.args or isinstance(node.args[0], ast.Starred):
        return
    called = (
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    )
    if isinstance(node.func, ast.Attribute) and not is_numpy(node.func.value):
        return
    if called == "apply_mask":
        return
    bare = called.rpartition("__")[0] or called
    first = node.args[0]
    yield Edit(0.9, "missing", f"without `{bare}`: {{1}} instead of {{0}}", (node, first),
               (slot.become(first),), f"without `{bare}`")  # fmt: skip
    again = ast.Call(node.func, [node, *node.args[1:]], node.keywords)
    yield Edit(1.8, "applied twice", f"with `{bare}` applied twice to {{0}}", (first,),
               (slot.become(again),))  # fmt: skip
    if len(node.args) == 1 and isinstance(first, ast.BinOp) and type(first.op) in SYMBOLS:
        for left, right, cost in (
            (call_like(node, first.left), first.right, 1.0),
            (first.left, call_like(node, first.right), 1.8),
            (call_like(node, first.left), call_like(node, first.right), 1.7),
        ):
            moved = operation(left, first.op, right)
            yield Edit(cost, f"outside `{bare}`", "with {1} in the place of {0}", (node, moved),
                       (slot.become(moved),))  # fmt: skip
    if len(node.args) == 2 and not node.keywords:
        for op, symbol in ((ast.Add(), "+"), (ast.Div(), "/"), (ast.Mult(), "*"), (ast.Sub(), "-")):
            new_op = operation(first, op, node.args[1])
            yield Edit(1.9, "another operation", "with {1} instead of {0}", (node, new_op),
                       (slot.become(new_op),), f"with `{symbol}` instead of `{bare}`")  # fmt: skip
    for rank, other in enumerate(NEIGHBORS.get(bare, ())):
        new = tool("neighbor", constant_text(other), *node.args)
        yield Edit(
            1.8 + 0.2 * rank,
            "another function",
            f"with `{other}` instead of `{bare}` in {{0}}",
            (node,),
            (slot.become(new),),
        )
    if bare in ACTIVATIONS or bare == "activation":
        for rank, other in enumerate(o for o in ACTIVATIONS if o != bare):
            new = tool("neighbor", constant_text(other), first)
            yield Edit(
                1.4 + 0.15 * rank,
                "another activation",
                f"with `{other}` instead of `{bare}` in {{0}}",
                (node,),
                (slot.become(new),),
                f"with `{other}` instead of `{bare}`",
            )


def numpy_names(slot: Slot) -> Iterator[Edit]:
    """Edit a function that is passed on, ``reduce(np.add, …)``: its neighbors."""
    node = slot.node
    if isinstance(node, ast.Attribute) and is_numpy(node.value):
        for other in NEIGHBORS.get(node.attr, ()):
            yield Edit(2.0, "another function", f"with `{other}` instead of `{node.attr}`", (),
                       (slot.become(ast.Attribute(node.value, other, ast.Load())),))  # fmt: skip


def conditions(slot: Slot) -> Iterator[Edit]:
    """Edit comparisons and ``a if test else b``."""
    node = slot.node
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for other in COMPARISONS.get(type(node.ops[0]), ()):
            new = ast.Compare(node.left, [other()], node.comparators)
            yield Edit(1.5, "another condition", "with {1} instead of {0}", (node, new),
                       (slot.become(new),))  # fmt: skip
        (right,) = node.comparators
        if isinstance(node.ops[0], ast.Gt):
            half = formula("np.heaviside(a - b, 0.5)", a=node.left, b=right)
            yield Edit(1.6, "another condition", "with ½ instead of 0 at the kink, where {0} and "
                       "{1} are equal", (node.left, right), (slot.become(half),))  # fmt: skip
        for instead, cost, words in (
            (tool("apply", constant_text("ones"), node), 1.2, "without the condition {0}"),
            (
                tool("neighbor", constant_text("sign"), node.left),
                2.0,
                "with the sign of {1} instead of {0}",
            ),
            (node.left, 2.2, "with {1} instead of {0}"),
        ):
            yield Edit(cost, "another condition", words, (node, node.left), (slot.become(instead),))
        new = ast.Compare(right, node.ops, [node.left])
        yield Edit(2.0, "exchanged", "with {1} instead of {0}", (node, new), (slot.become(new),))
    if isinstance(node, ast.IfExp):
        yield Edit(1.3, "another condition", "with {0} always, whether or not {1}",
                   (node.body, node.test), (slot.become(node.body),))  # fmt: skip
        yield Edit(1.2, "another condition", "with {0} always, whether or not {1}",
                   (node.orelse, node.test), (slot.become(node.orelse),))  # fmt: skip


def call_like(node: ast.Call, argument: ast.expr) -> ast.Call:
    """Return the same call of another argument."""
    return ast.Call(node.func, [argument, *node.args[1:]], node.keywords)


def constant_text(word: str) -> ast.Constant:
    """Return a node for a string."""
    return ast.Constant(word)


def is_numpy(node: ast.AST) -> bool:
    """Whether a node is the module NumPy."""
    return isinstance(node, ast.Name) and node.id == "np"
