"""Edits of what is done to whole arrays: reductions, axes, shapes, slices, and the tools."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import combinations, permutations

from .arithmetic import constant_text, is_numpy
from .edit import Edit, Scope, Slot, constant, formula, name, number, operation, tool
from .tools import MOMENTS, REDUCTIONS, TOOLS, WHOLE

AXES: tuple[tuple[object, float], ...] = (
    (-1, 0.0), (0, 0.0), (1, 0.1), (-2, 0.2), (None, 0.2), ((0, 1), 0.3), ((1, 2), 0.2),
    ((0, 1, 2), 0.4), (2, 0.5), (3, 0.6), ((0, -1), 0.6), ((1, 3), 0.8), ((2, 3), 0.8),
)  # fmt: skip
PAD_MODES = ("edge", "reflect", "symmetric", "wrap")


def reductions(slot: Slot) -> Iterator[Edit]:
    """Edit ``a.sum(axis, keepdims=True)``: another reduction, axis, or without keepdims."""
    node = slot.node
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return
    called, numpy = node.func.attr, is_numpy(node.func.value)
    if called not in REDUCTIONS or numpy:
        return
    array, words = node.func.value, text_of_axes(node)
    args = [array, *node.args]
    for rank, other in enumerate(r for r in REDUCTIONS if r != called):
        near = {called, other} in ({"sum", "mean"}, {"var", "std"})
        new = ast.Call(tool("x").func, [constant_text(other), *args], node.keywords)
        new.func = ast.Attribute(name("tools"), "reduce_by", ast.Load())
        yield Edit(1.0 if near else 1.8 + 0.1 * rank, f"{other} instead of {called}",
                   f"with the {other} instead of the {called} in {{0}}", (node,),
                   (slot.become(new),), f"with the {other} instead of the {called}")  # fmt: skip
    if called in ("mean", "var"):
        function = "unbiased_mean" if called == "mean" else "biased_var"
        new = ast.Call(tool(function).func, args, node.keywords)
        yield Edit(1.2, "unbiased", "with the denominator n − 1 (the unbiased one, ddof=1) instead "
                   "of n in {0}", (node,), (slot.become(new),))  # fmt: skip
    yield Edit(1.6, "missing", f"without the {called} in {{0}}", (node,), (slot.become(array),))
    if [number(a) for a in node.args] == [0]:
        first = ast.Subscript(array, constant(0), ast.Load())
        yield Edit(1.6, "first one only", f"with the first one instead of the {called} in {{0}}",
                   (node,), (slot.become(first),))  # fmt: skip
    if called in MOMENTS:
        squares = ast.Call(ast.Attribute(operation(array, ast.Mult(), array), "mean", ast.Load()),
                           node.args, node.keywords)  # fmt: skip
        yield Edit(1.3, "missing mean", "with the mean of the squares instead of {0}: the mean is "
                   "not subtracted", (node,), (slot.become(squares),))  # fmt: skip
    kept = [k for k in node.keywords if k.arg == "keepdims"]
    if not kept and not node.args[1:]:
        keep = [*node.keywords, ast.keyword("keepdims", ast.Constant(True))]
        yield Edit(1.6, "keepdims", "with `keepdims=True` in {0}", (node,),
                   (slot.become(ast.Call(node.func, node.args, keep)),),
                   "with `keepdims=True`")  # fmt: skip
    if kept:
        rest = [k for k in node.keywords if k.arg != "keepdims"]
        yield Edit(1.5, "keepdims", "without `keepdims=True` in {0}", (node,),
                   (slot.become(ast.Call(node.func, node.args, rest)),),
                   "without `keepdims=True`")  # fmt: skip
    old = node.args[0] if node.args else None
    for axis, extra in AXES:
        if old is not None and text_of(old) == repr(axis):
            continue
        new_args = [constant(axis), *node.args[1:]]
        yield Edit(1.5 + extra, "another axis",
                   f"with axis {axis if axis is not None else 'None (all numbers)'} instead of "
                   f"{words} in {{0}}", (node,),
                   (slot.become(ast.Call(node.func, new_args, node.keywords)),),
                   f"with axis {axis} instead of {words}")  # fmt: skip
        if old is not None and not kept:
            keep = [*node.keywords, ast.keyword("keepdims", ast.Constant(True))]
            yield Edit(1.7 + extra, "another axis",
                       f"with axis {axis if axis is not None else 'None (all numbers)'} instead of "
                       f"{words} in {{0}}", (node,),
                       (slot.become(ast.Call(node.func, new_args, keep)),),
                       f"with axis {axis} (keepdims) instead of {words}")  # fmt: skip


def text_of(node: ast.AST) -> str:
    """Return the source of a node."""
    return ast.unparse(node)


def text_of_axes(node: ast.Call) -> str:
    """Return the words for the axes of a reduction."""
    return f"`{ast.unparse(node.args[0])}`" if node.args else "all axes"


def shapes(slot: Slot) -> Iterator[Edit]:
    """Edit reshape, swapaxes, transpose, T, astype and split: left out, or in another order."""
    node = slot.node
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield Edit(1.2, "missing transposition", "without the transposition in {0}", (node,),
                   (slot.become(node.value),))  # fmt: skip
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return
    called, array, args = node.func.attr, node.func.value, node.args
    if is_numpy(array):
        return
    if called in ("swapaxes", "transpose", "reshape", "ravel"):
        yield Edit(1.3, "missing reshape" if called == "reshape" else "missing transposition",
                   f"without `{called}` in {{0}}", (node,), (slot.become(array),))  # fmt: skip
    if called == "astype":
        for dtype, cost in (("int", 2.0), ("bool", 2.4), ("float16", 2.6), ("float32", 2.8)):
            new = ast.Call(node.func, [constant_text(dtype)], [])
            yield Edit(cost, "dtype", f"with dtype {dtype} in {{0}}", (node,), (slot.become(new),))
        yield Edit(2.8, "dtype", "without `astype` in {0}", (node,), (slot.become(array),))
    if called in ("reshape", "transpose") and 2 <= len(args) <= 6:
        orders = list(combinations(range(len(args)), 2))
        for i, j in orders:
            new_args = list(args)
            new_args[i], new_args[j] = args[j], args[i]
            if ast.dump(args[i]) == ast.dump(args[j]):
                continue
            new = ast.Call(node.func, new_args, node.keywords)
            yield Edit(1.9, "axes in another order", "with {1} instead of {0}", (node, new),
                       (slot.become(new),))  # fmt: skip
    if called == "swapaxes":
        inner, axes = array, [int(number(a) or 0) for a in args]
        if (isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute)
                and inner.func.attr == "reshape"
                and max(axes) < len(inner.args)):  # fmt: skip
            i, j = axes
            new_args = list(inner.args)
            new_args[i], new_args[j] = new_args[j], new_args[i]
            new = ast.Call(inner.func, new_args, [])
            yield Edit(1.2, "reshape without a transposition", "with {1} instead of {0}",
                       (node, new), (slot.become(new),))  # fmt: skip
        for i, j in combinations(range(4), 2):
            if [i, j] != axes:
                new = ast.Call(node.func, [constant(i), constant(j)], [])
                yield Edit(2.2, "axes in another order", "with {1} instead of {0}", (node, new),
                           (slot.become(new),))  # fmt: skip
    if called == "reshape" and len(args) >= 4:
        for order in ([2, 0, 1], [1, 2, 0], [1, 0, 2], [0, 2, 1], [2, 1, 0]):
            before, last = args[:-3], args[-3:]
            read = ast.Call(node.func, [*before, *(last[i] for i in order)], [])
            k = len(before)
            back = [*range(k), *(k + order.index(i) for i in range(3))]
            new = ast.Call(
                ast.Attribute(read, "transpose", ast.Load()), list(map(constant, back)), []
            )
            yield Edit(1.8, "read in another order", "with the numbers read as {1} instead of {0}",
                       (node, read), (slot.become(new),))  # fmt: skip
    if called == "reshape" and len(args) >= 2:
        for i in range(len(args) - 1):
            merged = [*args[:i], constant(-1), *args[i + 2 :]]
            new = ast.Call(node.func, merged, [])
            yield Edit(1.8, "axes merged", "with two axes in one, {1} instead of {0}", (node, new),
                       (slot.become(new),))  # fmt: skip


def padding(slot: Slot) -> Iterator[Edit]:
    """Edit ``np.pad``: another mode, or none."""
    node = slot.node
    if not isinstance(node, ast.Call) or text_of(node.func) != "np.pad":
        return
    for mode in PAD_MODES:
        new = ast.Call(node.func, node.args, [ast.keyword("mode", constant_text(mode))])
        yield Edit(1.5, "another padding", f"with padding by mode {mode!r} instead of zeros", (),
                   (slot.become(new),))  # fmt: skip
    width = node.args[1] if len(node.args) > 1 else None
    if isinstance(width, ast.Tuple):
        for source, cost, words in (
            ("(2 * before, 0)", 1.6, "above and left, twice as wide, and none below and right"),
            ("(0, 2 * before)", 1.6, "below and right, twice as wide, and none above and left"),
            ("(before, 0)", 1.7, "above and left only"),
            ("(0, before)", 1.7, "below and right only"),
        ):
            sides = [formula(source, before=side.elts[0])
                     if isinstance(side, ast.Tuple) and number(side.elts[0]) is None else side
                     for side in width.elts]  # fmt: skip
            new = ast.Call(node.func, [node.args[0], ast.Tuple(sides, ast.Load())], node.keywords)
            yield Edit(cost, "another padding", f"with the padding {words}", (),
                       (slot.become(new),))  # fmt: skip
    for value, words in ((1.0, "ones"), (float("-inf"), "−∞")):
        new = ast.Call(node.func, node.args,
                       [ast.keyword("constant_values", ast.Constant(value))])  # fmt: skip
        yield Edit(2.2, "another padding", f"with {words} instead of zeros in the padding", (),
                   (slot.become(new),))  # fmt: skip


def slices(slot: Slot) -> Iterator[Edit]:
    """Edit subscripts: left out, a slice one longer or shorter, another step, another index."""
    node = slot.node
    if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Constant):
        yield Edit(2.0, "missing index", "without the index of {0}", (node,),
                   (slot.become(node.value),))  # fmt: skip
    if isinstance(node, ast.Slice):
        yield from bounds(slot, node)


def bounds(slot: Slot, node: ast.Slice) -> Iterator[Edit]:
    """Edit the bounds and the step of a slice."""
    lower, upper, step = node.lower, node.upper, node.step
    limited = any(part is not None for part in (lower, upper, step))
    options: list[tuple[float, str, ast.Slice]] = [
        (1.9, "starts one later", ast.Slice(shifted(lower, 1), upper, step)),
        (2.0, "ends one earlier", ast.Slice(lower, shifted(upper, -1), step)),
    ]
    if lower is not None:
        options.append((2.0, "starts one earlier", ast.Slice(shifted(lower, -1), upper, step)))
        options.append((1.9, "starts at 0", ast.Slice(None, upper, step)))
        options.append((1.9, "starts at 0, as long as before",
                        ast.Slice(None, None if upper is None else
                                  operation(upper, ast.Sub(), lower), step)))  # fmt: skip
    if upper is not None:
        options.append((2.0, "ends one later", ast.Slice(lower, shifted(upper, 1), step)))
        options.append((2.1, "goes to the end", ast.Slice(lower, None, step)))
    if step is not None:
        options.append((1.6, "has no step", ast.Slice(lower, upper, None)))
        options.append((2.2, "has a step one larger", ast.Slice(lower, upper, shifted(step, 1))))
        options.append(
            (
                1.8,
                "starts at the end of the first step",
                ast.Slice(operation(step, ast.Sub(), constant(1)), upper, step),
            )
        )
    for cost, words, new in options:
        yield Edit(
            cost,
            "another slice",
            f"with a slice that {words} in {{0}}",
            (slot.parent,),
            (slot.become(new),),
            f"with slices each of which {words} in `{text_of(slot.parent)}`" if limited else "",
        )


def shifted(node: ast.expr | None, by: int) -> ast.expr:
    """Return a bound that lies further on, or further back."""
    if node is None:
        return constant(by)
    op: ast.operator = ast.Add() if by > 0 else ast.Sub()
    return operation(node, op, constant(abs(by)))


def wrapped(slot: Slot, scope: Scope) -> Iterator[Edit]:
    """Apply each of the tools; add an argument, as a residual does; apply the activation."""
    node = slot.node
    if isinstance(node, (ast.Constant, ast.Slice, ast.Tuple, ast.List, ast.Compare, ast.Starred)):
        return
    if number(node) is not None or isinstance(slot.parent, ast.Slice):
        return
    result = is_result(slot)
    field = isinstance(node, (ast.Attribute, ast.Name))
    for called, entry in TOOLS.items():
        if not (result or field or entry.elementwise):
            continue
        extra = 0.0 if result else 0.4 if field else 1.0
        yield Edit(entry.cost + extra, entry.kind, entry.words, (node,),
                   (slot.become(tool("apply", constant_text(called), node)),))  # fmt: skip
    if isinstance(slot.parent, ast.Return) and scope.arguments[1:] == []:
        for called in WHOLE:
            new = tool("whole", constant_text(called), name(scope.arguments[0]))
            yield Edit(2.3, "another function", f"with the whole of it replaced by `{called}`", (),
                       (slot.become(new),))  # fmt: skip
    if result or isinstance(slot.parent, ast.Tuple):
        arrays = [a for a in scope.arguments[:2] if a not in scope.fields]
        for argument in arrays:
            given = name(f"{argument}__given" if f"{argument}__given" in scope.locals else argument)
            yield Edit(1.8, "added", "with {1} added to {0}, as a residual connection does",
                       (node, given), (slot.become(tool("residual", node, given)),))  # fmt: skip
            yield Edit(2.2, "subtracted", "with {1} subtracted from {0}", (node, given),
                       (slot.become(tool("minus", node, given)),))  # fmt: skip
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Name):
            around = tool("residual", node, node.args[0])
            yield Edit(1.9, "added", "with {1} added to {0}, as a residual connection does",
                       (node, node.args[0]), (slot.become(around),))  # fmt: skip
        for field_of in scope.arrays_inside():
            yield Edit(2.3, "added", "with {1} added to {0}", (node, field_of),
                       (slot.become(tool("residual", node, field_of)),))  # fmt: skip
        if "activation" in scope.arguments and not isinstance(slot.parent, ast.Tuple):
            new = ast.Call(name("activation"), [node], [])
            yield Edit(1.6, "activation too many", "with the activation after {0}", (node,),
                       (slot.become(new),))  # fmt: skip


def is_result(slot: Slot) -> bool:
    """Whether an expression is a step of its own: assigned, returned, or a field of a result."""
    if isinstance(slot.parent, ast.Call) and isinstance(slot.parent.func, ast.Name):
        return slot.parent.func.id[:1].isupper()
    return isinstance(slot.parent, (ast.Return, ast.Assign, ast.Tuple, ast.IfExp))


def counted(slot: Slot, scope: Scope) -> Iterator[Edit]:
    """Multiply or divide a step by a number that is at hand; put one in the place of a divisor."""
    node = slot.node
    if is_result(slot) and not isinstance(node, (ast.Tuple, ast.List, ast.Constant)):
        for variable in (*scope.all_of("int"), *scope.all_of("float")):
            for op, word in ((ast.Div(), "divided"), (ast.Mult(), "multiplied")):
                new = operation(node, op, name(variable))
                yield Edit(2.2, f"{word} by {variable}", f"with {{0}} {word} by {{1}}",
                           (node, name(variable)), (slot.become(new),))  # fmt: skip
        for source, fields in scope.fields.items():
            for field in (f for f in fields if f"{source}.{f}" not in scope.fields):
                factor = ast.parse(f"{source}.{field}", mode="eval").body
                yield Edit(2.1, "a factor too many", "with {0} multiplied by {1}", (node, factor),
                           (slot.become(operation(node, ast.Mult(), factor)),))  # fmt: skip
    one_field = isinstance(node, ast.Attribute) and text_of(node) in map(
        text_of, scope.arrays_inside()
    )
    if is_result(slot) or one_field or isinstance(node, ast.Name):
        yield from by_products(slot, scope)
    divides = isinstance(slot.parent, ast.BinOp) and isinstance(slot.parent.op, ast.Div)
    if divides and slot.field == "right":
        for one in scope.all_of("int"):
            square: ast.expr = operation(name(one), ast.Pow(), constant(2))
            divisors: tuple[ast.expr, ...] = (name(one), square)
            for divisor in divisors:
                yield Edit(1.6, "another divisor", "divided by {1} instead of {0}", (node, divisor),
                           (slot.become(divisor),))  # fmt: skip


def by_products(slot: Slot, scope: Scope) -> Iterator[Edit]:
    """Multiply or divide by a number of places: of a window, of degrees of freedom."""
    node, counts = slot.node, scope.all_of("int")
    sources = ["kh * kw"] if {"kh", "kw"} <= {*counts} else []
    if "n" in counts and scope.kinds.get(text_of(node)) == "array":
        sources.append("n / (n - 1)")
    if isinstance(node, (ast.Tuple, ast.List, ast.Constant)) or text_of(node) in counts:
        return
    for source in sources:
        factor = formula(source)
        for op, word in ((ast.Div(), "divided"), (ast.Mult(), "multiplied")):
            yield Edit(2.0, f"{word} by a count", f"with {{0}} {word} by {{1}}", (node, factor),
                       (slot.become(operation(node, op, factor)),))  # fmt: skip


def orders(node: ast.Tuple) -> Iterator[tuple[int, ...]]:
    """Yield the other orders of a short tuple."""
    count = len(node.elts)
    if 2 <= count <= 4:
        for order in permutations(range(count)):
            if order != tuple(range(count)):
                yield order
