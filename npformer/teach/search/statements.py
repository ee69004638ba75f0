"""Edits of statements: left out, repeated, in another order, always or never done."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .edit import Change, Edit, constant, tool
from .program import GIVEN
from .words import text


def steps(tree: ast.FunctionDef) -> Iterator[Edit]:
    """Edit each block of statements."""
    for node in ast.walk(tree):
        for field in ("body", "orelse"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                yield from block_edits(node, field, block)
                yield from swapped_steps(node, field, block)
                for index, statement in enumerate(block):
                    yield from statement_edits(node, field, index, statement)


def block_edits(parent: ast.AST, field: str, block: list[ast.stmt]) -> Iterator[Edit]:
    """Leave out, repeat and exchange statements."""
    for i, statement in enumerate(block):
        if not isinstance(statement, (ast.Assign, ast.AugAssign)) or is_given(statement):
            continue
        without = block[:i] + block[i + 1 :] or [ast.Pass()]
        yield Edit(1.2, "missing", "without the step {0}", (statement,),
                   (Change(parent, field, None, without),))  # fmt: skip
        yield Edit(2.2, "done twice", "with the step {0} twice", (statement,),
                   (Change(parent, field, None, [*block[: i + 1], *block[i:]]),))  # fmt: skip
        for j in range(i + 1, len(block)):
            if isinstance(block[j], (ast.Assign, ast.AugAssign)):
                moved = [*block[:i], *block[i + 1 : j + 1], statement, *block[j + 1 :]]
                yield Edit(
                    1.5 + 0.2 * (j - i),
                    "another order",
                    "with {0} only after {1}",
                    (statement, block[j]),
                    (Change(parent, field, None, moved),),
                )


def swapped_steps(parent: ast.AST, field: str, block: list[ast.stmt]) -> Iterator[Edit]:
    """Exchange two steps that follow each other, at each place where they do."""
    places: dict[tuple[str, str], list[int]] = {}
    for i in range(len(block) - 1):
        pair = step_name(block[i]), step_name(block[i + 1])
        if all(pair) and pair[0] != pair[1]:
            places.setdefault(pair, []).append(i)
    for (one, other), indices in places.items():
        new = list(block)
        for i in indices:
            new[i], new[i + 1] = (
                retargeted(block[i + 1], block[i]),
                retargeted(block[i], block[i + 1]),
            )
        yield Edit(1.3, "another order", f"with `{other}` before `{one}`"
                   + (", each time" if len(indices) > 1 else ""), (),
                   (Change(parent, field, None, new),))  # fmt: skip


def step_name(statement: ast.stmt) -> str:
    """Return the function that a step calls, if it is of the form ``x = f(x, …)``."""
    if not isinstance(statement, (ast.Assign, ast.Return)) or not isinstance(
        statement.value, ast.Call
    ):
        return ""
    return text(statement.value.func) if statement.value.args else ""


def retargeted(statement: ast.stmt, like: ast.stmt) -> ast.stmt:
    """Return a step that assigns, or returns, where another one does."""
    value = statement.value  # type: ignore[attr-defined]
    return ast.Return(value) if isinstance(like, ast.Return) else ast.Assign(like.targets, value)  # type: ignore[attr-defined]


def statement_edits(parent: ast.AST, field: str, index: int, statement: ast.stmt) -> Iterator[Edit]:
    """Edit one statement: an addition in place, a branch, a loop's accumulation."""
    if isinstance(statement, ast.AugAssign):
        plain = ast.Assign([statement.target], statement.value)
        yield Edit(1.1, "overwritten", "with `=` instead of `+=` in {0}: what was there before is "
                   "lost", (statement,), (Change(parent, field, index, plain),))  # fmt: skip
        if isinstance(statement.op, ast.Add):
            minus = ast.AugAssign(statement.target, ast.Sub(), statement.value)
            yield Edit(1.8, "wrong sign", "with `-=` instead of `+=` in {0}", (statement,),
                       (Change(parent, field, index, minus),))  # fmt: skip
            read = ast.parse(ast.unparse(statement.target), mode="eval").body
            largest = ast.Assign([statement.target], tool("neighbor", ast.Constant("maximum"), read,
                                                          statement.value))  # fmt: skip
            yield Edit(2.0, "maximum instead of the sum", "with the maximum instead of the sum in "
                       "{0}", (statement,), (Change(parent, field, index, largest),))  # fmt: skip
    if isinstance(statement, ast.If) and not any(isinstance(s, ast.Raise) for s in statement.body):
        always = Change(statement, "test", None, constant(True))
        never = Change(statement, "test", None, constant(False))
        yield Edit(
            1.2, "another condition", "as if {0} were always true", (statement.test,), (always,)
        )
        yield Edit(
            1.2, "another condition", "as if {0} were never true", (statement.test,), (never,)
        )
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        call = statement.value
        if ast.unparse(call.func) == "np.add.at":
            for called, cost, words in (
                (
                    "add_once",
                    1.0,
                    "with each place receiving only one of the values that are added "
                    "to it: plain indexing adds once where an index repeats (`np.add.at` adds all)",
                ),
                ("put", 1.3, "with the last value kept for each place, not the sum"),
            ):
                new = ast.Expr(tool(called, *call.args))
                yield Edit(cost, "repeated index", words, (), (Change(parent, field, index, new),))


def is_given(statement: ast.stmt) -> bool:
    """Whether a statement only remembers an argument as it was given."""
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    return isinstance(target, ast.Name) and target.id.endswith(GIVEN)
