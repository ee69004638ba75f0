"""The exercises' solutions are the layers' own code without what is not their concept.

Annotations, docstrings and decorators; the recorder; the precision of sums; checks of arguments:

run("fc1", linear(x, p.fc1))                ->  linear(x, p.fc1)
run.dropout("drop1", x)                     ->  x
batch_norm(x, p, eps, run.within("norm"))   ->  batch_norm(x, p, eps)
apply_mask(x, tape.within("drop1"))         ->  x
if run.mode.batch_statistics: ...           ->
sum64(dy, axes)                             ->  dy.sum(axes)
_check_step(stride, padding)                ->
"""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path
from typing import NamedTuple

import pytest

from npformer.teach.mistakes import EXERCISES

ROOT = Path(__file__).parents[1]
SOLUTIONS = sorted(ROOT.glob("notebooks/exercises/solutions/*.py"))
SOURCES = [*sorted(ROOT.glob("npformer/layers/*.py")), ROOT / "npformer/engine/fold.py"]


class Change(NamedTuple):
    """How a solution differs from the layer that it is taken from, and why."""

    layer: str
    why: str
    instead: dict[str, str]


ONE_CLASS = "one right class for each image; no smoothing, no labels that do not count"
BY_PAIR = "networks as they are trained have biases by distance only, not by pair"
FINITE = "rows of finite numbers that differ: nothing overflows or is divided by zero"
TARGETS = "targets, counts = class_targets(logits, labels, ignore_index, label_smoothing)"
ONE_HOT = "targets = labels[:, None] == np.arange(logits.shape[-1])"
NO_TABLE = "one activation at a time: its derivative instead of the table of all"

CHANGES = {
    "batch_norm_training": Change(
        "batch_norm",
        "the other side of the branch on the mode, in an exercise of its own",
        {"= (p.running_mean, p.running_var)": "= batch_statistics(x)"},
    ),
    "relu_backward": Change(
        "activation_backward", NO_TABLE, {"DERIVATIVES[activation](x)": "relu_derivative(x)"}
    ),
    "gelu_backward": Change(
        "activation_backward", NO_TABLE, {"DERIVATIVES[activation](x)": "gelu_derivative(x)"}
    ),
    "cross_entropy": Change(
        "cross_entropy",
        ONE_CLASS,
        {
            f"{TARGETS}\ntargets = targets[counts]": ONE_HOT,
            "np.where(targets == 0, 0, log_softmax(logits[counts]))": "log_softmax(logits)",
            "mean(-(targets * log_p).sum(-1))": "-(targets * log_p).sum(-1).mean()",
        },
    ),
    "cross_entropy_backward": Change(
        "cross_entropy_backward",
        ONE_CLASS,
        {
            f"{TARGETS}\nsaid = softmax(logits) * targets.sum(-1, keepdims=True)": ONE_HOT,
            "np.where(counts[:, None], (said - targets) / max(int(counts.sum()), 1), 0)": (
                "(softmax(logits) - targets) / len(labels)"
            ),
        },
    ),
    "quantize_rows": Change(
        "quantize_rows",
        FINITE,
        {
            "one = x.dtype.type\n": "",
            "with np.errstate(over='ignore', invalid='ignore', divide='ignore'):\n"
            "    width": "width",
            "    steps = np.where(width >= one(NO_RANGE), one(STEPS) / width, one(0))\n": "",
            "    q = np.rint((x - least) * steps)": "q = np.rint((x - least) * (STEPS / width))",
            "finite = np.isfinite(q).all(-1, keepdims=True)\n": "",
            "step = np.where(finite, width / one(STEPS), one(np.nan))\n": "",
            "np.where(finite, q, 0).astype(np.uint8), step,": "q.astype(np.uint8), width / STEPS,",
        },
    ),
    "quantized_linear": Change(
        "quantized_linear",
        FINITE,
        {
            "with np.errstate(over='ignore', invalid='ignore'):\n    return": "return",
        },
    ),
    "relative_position_bias": Change(
        "relative_position_bias",
        BY_PAIR,
        {
            "if biases.ndim == 5:\n"
            "    return biases.reshape(heads, rows * columns, rows * columns)\n": ""
        },
    ),
    "relative_position_bias_backward": Change(
        "relative_position_bias_backward",
        f"{BY_PAIR}; added up in the type of the input",
        {
            "if biases.ndim == 5:\n    return dtable.reshape(biases.shape)\n": "",
            "np.zeros((rows * columns, heads))": "np.zeros((rows * columns, heads), dtable.dtype)",
            ".astype(dtable.dtype)": "",
        },
    ),
}
"""All solutions that differ by more than the recorder."""


class Function(NamedTuple):
    """What is compared of a function."""

    arguments: dict[str, str]
    """the default of each, if it has one"""
    body: str
    comments: list[str]


def functions(source: str) -> dict[str, Function]:
    """Return the functions of a module, as the head of this file says."""
    nodes = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    found = {}
    for node in nodes:
        comments = comments_of(ast.get_source_segment(source, node) or "")
        names, values = [a.arg for a in node.args.args], node.args.defaults
        defaults = [""] * (len(names) - len(values)) + [ast.unparse(value) for value in values]
        arguments = {a: d for a, d in zip(names, defaults, strict=True) if a != "run"}
        body = node.body[ast.get_docstring(node) is not None :]
        plain = [OnlyTheConcept().visit(statement) for statement in body]
        text = "\n".join(ast.unparse(statement) for statement in plain if statement)
        found[node.name] = Function(arguments, text, comments)
    return found


def comments_of(source: str) -> list[str]:
    """Return the comments of a piece of code, without the marks of a solution."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [
        token.string
        for token in tokens
        if token.type == tokenize.COMMENT and not token.string.startswith("###")
    ]


class OnlyTheConcept(ast.NodeTransformer):
    """Leaves out of a function what the head of this file lists."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = ast.unparse(node.func)
        if name in ("run", "run.dropout", "run.drop_path"):
            return node.args[1]
        if name == "apply_mask":
            return node.args[0]
        if name in ("sum64", "mean64", "var64"):
            method = ast.Attribute(node.args[0], name.removesuffix("64"), ast.Load())
            return ast.Call(method, node.args[1:], node.keywords)
        node.args = [a for a in node.args if ast.unparse(a).partition(".")[0] != "run"]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if ast.unparse(node.value).startswith("_check"):
            return None
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if ast.unparse(node.test).startswith("run.mode."):
            return None
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        self.generic_visit(node)
        same = len(node.targets) == 1 and ast.unparse(node.targets[0]) == ast.unparse(node.value)
        return None if same else node


def differences(solution: Function, layer: Function, change: Change | None) -> list[str]:
    """Say what a solution has otherwise than its layer."""
    body, found = layer.body, []
    for there, here in change.instead.items() if change else ():
        if there not in body:
            found.append(f"the layer has no longer: {there}")
        body = body.replace(there, here)
    if solution.body != body:
        found.append(f"it computes:\n{solution.body}\nthe layer computes:\n{body}")
    if change is None and solution.comments != layer.comments:
        found.append(f"its comments are {solution.comments}, the layer's {layer.comments}")
    if list(solution.arguments) != [name for name in layer.arguments if name in solution.arguments]:
        found.append(f"it takes {list(solution.arguments)}, the layer {list(layer.arguments)}")
    for name, default in solution.arguments.items():
        if name != "tape" and default and default != layer.arguments.get(name):
            found.append(f"{name} is {default}, in the layer {layer.arguments.get(name)}")
    return found


LAYERS = {
    name: function
    for file in SOURCES
    for name, function in functions(file.read_text("utf-8")).items()
}
CASES = [
    pytest.param(name, function, id=f"{file.stem}-{name}")
    for file in SOLUTIONS
    for name, function in functions(file.read_text("utf-8")).items()
]


@pytest.mark.parametrize(("name", "solution"), CASES)
def test_a_solution_differs_from_its_layer_by_the_recorder_alone(name, solution):
    change = CHANGES.get(name)
    layer = LAYERS[change.layer if change else name]
    assert differences(solution, layer, change) == []


def test_every_exercise_is_compared_and_every_change_is_needed():
    solved = {case.values[0] for case in CASES}
    assert set(EXERCISES) <= solved
    assert set(CHANGES) <= solved


LAYER = '''
def mlp(x: Array, p: Mlp, activation: Activation = gelu, run: Run = EVALUATION) -> Array:
    """Two layers."""
    x = run("fc1", linear(x, p.fc1, run.within("fc1")))  # -> 4C
    if run.mode.batch_statistics:
        run("n", x)
    _check_step(1)
    x = x - mean64(x, 0)
    x = run.dropout("drop1", run("act", activation(x)))
    x = apply_mask(x, tape.within("drop2"))
    return linear(x, p.fc2)
'''
SOLUTION = """
def mlp(x, p, activation=gelu):
    ### BEGIN SOLUTION
    x = linear(x, p.fc1)  # -> 4C
    x = x - x.mean(0)
    x = activation(x)
    return linear(x, p.fc2)
    ### END SOLUTION
"""


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("p.fc2", "p.fc1"),
        ("    x = activation(x)\n", ""),
        ("x.mean(0)", "x.sum(0)"),
        ("x.mean(0)", "x.mean(1)"),
        ("# -> 4C", "# -> C"),
        ("activation=gelu", "activation=relu"),
        ("x, p, activation=gelu", "p, x, activation=gelu"),
    ],
)
def test_a_fault_is_seen(good, bad):
    layer = functions(LAYER)["mlp"]
    assert differences(functions(SOLUTION)["mlp"], layer, None) == []
    assert differences(functions(SOLUTION.replace(good, bad))["mlp"], layer, None) != []
