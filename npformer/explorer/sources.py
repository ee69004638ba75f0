"""Quote the layers for the page: the equation of each, and the function that computes it."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .. import layers
from ..layers import more_activations
from ..network import average_heads, forward, heads

_L = layers
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "stem": _L.stem,
    "downsample": _L.downsample,
    "pooling_block": _L.pooling_block,
    "attention_block": _L.attention_block,
    "attention": _L.attention,
    "conv_mlp": _L.conv_mlp,
    "mlp": _L.mlp,
    "conv2d": _L.conv2d,
    "linear": _L.linear,
    "batch_norm": _L.batch_norm,
    "layer_norm": _L.layer_norm,
    "pooling": _L.pooling,
    "attend": _L.attend,
    "weighted_sum": _L.attend,
    "softmax": _L.softmax,
    "layer_scale": _L.layer_scale,
    "residual": _L.pooling_block,
    "relative_position_bias": _L.relative_position_bias,
    "flat": _L.flat,
    "mean": forward,
    "average": average_heads,
    "head": heads,
}
"""What computes each kind of tensor and block, under the names that the page uses."""

ACTIVATIONS = (
    "gelu", "relu", "gelu_new", "silu", "quick_gelu", "sigmoid", "tanh", "linear",
)  # fmt: skip
"""The activations that the page can compute, by the names of configurations."""


def sources() -> dict[str, dict[str, str]]:
    """Return file, equation and code for each name, read from the package itself."""
    functions = dict(FUNCTIONS)
    functions = {name: more_activations.ACTIVATIONS[name] for name in ACTIVATIONS} | functions
    return {name: _quoted(f) for name, f in functions.items() if inspect.isfunction(f)}


def _quoted(function: Callable[..., Any]) -> dict[str, str]:
    function = inspect.unwrap(function)
    module = inspect.getmodule(function)
    assert module is not None
    file = "npformer/" + module.__name__.partition(".")[2].replace(".", "/") + ".py"
    return {"file": file, "equation": equation(module), "code": code(function)}


def equation(module: ModuleType) -> str:
    """Return the equation of a module: the first indented lines of its docstring."""
    found = re.search(r"(?:^ {4}.*\n)+", f"{module.__doc__ or ''}\n", re.M)
    return textwrap.dedent(found[0]).rstrip() if found else ""


def code(function: Callable[..., Any]) -> str:
    """Return the source of a function, without its docstring."""
    text = textwrap.dedent(inspect.getsource(function))
    (node,) = ast.parse(text).body
    assert isinstance(node, ast.FunctionDef)
    lines = text.splitlines()
    if ast.get_docstring(node) is not None:
        first = node.body[0]
        del lines[first.lineno - 1 : first.end_lineno]
    return "\n".join(lines)
