"""Edits that reach over several statements.

An earlier value of a variable instead of a later one, a bias that comes a step too late, sums that
are divided by how many terms they had, and gradients from the first image of a batch alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .arithmetic import is_numpy
from .edit import Change, Edit, Scope, Slot, formula, name, operation
from .program import GIVEN, stores
from .words import text

BIASED = ("linear", "conv2d")
"""Layers that end with the addition of a bias."""


def moves(
    tree: ast.FunctionDef, found: list[Slot], scope: Scope, whole_layer: bool
) -> Iterator[Edit]:
    """Yield the edits of one function that reach over several statements."""
    yield from earlier(tree, found, scope)
    yield from late_bias(tree)
    yield from covered(tree)
    if whole_layer:
        yield from first_image(tree, scope)


def earlier(tree: ast.FunctionDef, found: list[Slot], scope: Scope) -> Iterator[Edit]:
    """Read what a variable held before it was assigned again.

    A residual connection from the normalized x is one of these.
    """
    line = {id(n): i for i, step in enumerate(tree.body) for n in ast.walk(step)}
    for i, step in enumerate(tree.body):
        variable = first_target(step)
        if not variable or variable.endswith(GIVEN) or scope.kinds.get(variable) != "array":
            continue
        again = [j for j in range(i + 1, len(tree.body)) if variable in assigned(tree.body[j])]
        if not again:
            continue
        kept = f"{variable}__{i}"
        old = step.targets[0]  # type: ignore[attr-defined]
        also: ast.expr = ast.Name(kept, ast.Store())
        if isinstance(old, ast.Tuple):
            rest = [ast.Name("_", ast.Store()) for _ in old.elts[1:]]
            also = ast.Tuple([also, *rest], ast.Store())
        keep = Change(step, "targets", None, [old, also])
        for slot in found:
            node = slot.node
            if (
                isinstance(node, ast.Name)
                and scope.kinds.get(node.id.removesuffix(GIVEN)) == "array"
                and line.get(id(node), -1) > again[0]
                and isinstance(slot.parent, (ast.BinOp, ast.Call))
            ):
                yield Edit(1.85, "another variable",
                           "with the result of {0} instead of {1} in {2}",
                           (step.value, node, slot.parent),  # type: ignore[attr-defined]
                           (keep, slot.become(name(kept))))  # fmt: skip


def first_target(step: ast.stmt) -> str:
    """Return the variable that a statement assigns, the first if there are several."""
    if not isinstance(step, ast.Assign):
        return ""
    target = step.targets[0]
    if isinstance(target, ast.Tuple):
        target = target.elts[0]
    return target.id if isinstance(target, ast.Name) else ""


def assigned(step: ast.stmt) -> set[str]:
    """Return all variables that a statement assigns."""
    return {n.id for n in ast.walk(step) if isinstance(n, ast.Name) and stores(n)}


def late_bias(tree: ast.FunctionDef) -> Iterator[Edit]:
    """Add the bias of a layer after the next step only: after the activation."""
    for one, other in zip(tree.body, tree.body[1:], strict=False):
        call = getattr(one, "value", None)
        after = getattr(other, "value", None)
        if not isinstance(call, ast.Call) or not isinstance(after, ast.Call):
            continue
        if text(call.func) not in BIASED or len(call.args) < 2 or is_numpy(call.func):
            continue
        layer = call.args[1]
        without = formula("layer._replace(bias=0 * layer.bias)", layer=layer)
        bias = formula("layer.bias", layer=layer)
        yield Edit(1.6, "another order", "with {0} added after {1} only", (bias, after),
                   (Change(call, "args", 1, without),
                    Change(other, "value", None, operation(after, ast.Add(), bias))))  # fmt: skip


def covered(tree: ast.FunctionDef) -> Iterator[Edit]:
    """Divide what loops have added up by how many terms each place received."""
    for i, loop in enumerate(tree.body):
        if not isinstance(loop, ast.For):
            continue
        for block in ast.walk(loop):
            for step in getattr(block, "body", []):
                if not isinstance(step, ast.AugAssign) or not isinstance(step.op, ast.Add):
                    continue
                if not isinstance(step.target, ast.Subscript):
                    continue
                whole = text(step.target.value)
                count = ast.AugAssign(
                    ast.Subscript(name("cover__0"), step.target.slice, ast.Store()),
                    ast.Add(),
                    ast.Constant(1),
                )
                before, after = ast.parse(
                    f"cover__0 = np.zeros_like({whole})\n"
                    f"{whole} = {whole} / np.maximum(cover__0, 1)"
                ).body
                body = [*tree.body[:i], before, loop, after, *tree.body[i + 1 :]]
                yield Edit(1.7, "divided by a count", "with {0} divided by how many windows cover "
                           "each place", (step.target.value,),
                           (Change(block, "body", None, [*block.body, count]),  # type: ignore[attr-defined]
                            Change(tree, "body", None, body)))  # fmt: skip


def first_image(tree: ast.FunctionDef, scope: Scope) -> Iterator[Edit]:
    """Compute everything from the first image: gradients that are not summed over the batch."""
    some = [a for a in scope.arguments if scope.kinds.get(a) == "array"]
    if len(some) < 2:
        return
    for cut, words in (
        ("first_image", "from the first image of the batch only, not the sum over all"),
        ("last_image", "from the last image of the batch only, not the sum over all"),
    ):
        args = [*some, *(["tape"] if scope.keys else [])]
        step = ast.parse(f"{', '.join(args)} = tools.{cut}({', '.join(args)})").body[0]
        yield Edit(1.5, "one image only", words, (),
                   (Change(tree, "body", None, [step, *tree.body]),))  # fmt: skip
