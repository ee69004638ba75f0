"""Edits of a syntax tree in words."""

from __future__ import annotations

import ast
import re

from .program import GIVEN, Copy

GREEK = {"eps": "ε", "gamma": "γ", "x_hat": "x̂", "sigma": "σ"}


def text(node: ast.AST) -> str:
    """Return a piece of a formula as one reads it."""
    words = ast.unparse(node)
    words = re.sub(rf"\b(\w+?){GIVEN}\b", r"\1 (as given)", words)
    words = re.sub(r"(\w)__\d+\b", r"\1", words)
    words = re.sub(r"\btools\.(apply|neighbor|reduce_by|whole)\('(\w+)', ", r"\2(", words)
    words = re.sub(r"\b(np|tools)\.", "", words)
    return re.sub(r"\s+", " ", words)


def quoted(node: ast.AST) -> str:
    """Return a piece of a formula in backticks, with the Greek letters of the equations."""
    words = text(node)
    if letter := GREEK.get(words.rpartition(".")[2]):
        return f"`{words}` ({letter})"
    return f"`{words}`"


def place(copy: Copy, everywhere: bool) -> str:
    """Say in which function an edit lies; nothing for the layer itself."""
    if copy.depth == 0:
        return ""
    name = copy.original.__name__
    if everywhere or copy.call is None:
        return f" in `{name}`"
    outer = "" if copy.parent is None else place(copy.parent, False)
    return f" in `{text(copy.call)}`{outer}"
