"""Parameter trees: NamedTuples and tuples whose leaves are arrays.

The path of a leaf is its key in timm's spelling: ``stages.0.blocks.1.mlp.fc1.weight``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

Tree = TypeVar("Tree")


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``(path, leaf)`` of every leaf in order; None is a branch that is not there."""
    if tree is None:
        return
    if not isinstance(tree, tuple):
        yield path, tree
        return
    names = getattr(tree, "_fields", range(len(tree)))
    for name, child in zip(names, tree, strict=True):
        yield from leaves(child, f"{path}.{name}" if path else str(name))


def build(function: Callable[[str, Any], Any], tree: Tree, path: str = "") -> Tree:
    """Return the same tree with every leaf replaced by ``function(path, leaf)``."""
    if tree is None:
        return tree
    if not isinstance(tree, tuple):
        result: Tree = function(path, tree)
        return result
    names = getattr(tree, "_fields", range(len(tree)))
    children = [
        build(function, child, f"{path}.{name}" if path else str(name))
        for name, child in zip(names, tree, strict=True)
    ]
    # A NamedTuple takes its fields one by one, a plain tuple takes a list.
    return tree._make(children) if hasattr(tree, "_make") else type(tree)(children)


def transform(function: Callable[[Any], Any], tree: Tree) -> Tree:
    """Return the same tree with every leaf replaced by ``function(leaf)``."""
    return build(lambda _, leaf: function(leaf), tree)


def combine(function: Callable[..., Any], tree: Tree, *others: Any) -> Tree:
    """Return the tree of ``function(path, leaf, …)``, given the leaves of all trees at that place.

    Raises
    ------
    ValueError
        If the trees have not the same paths.
    """
    columns = [dict(leaves(other)) for other in others]
    paths = [path for path, _ in leaves(tree)]
    for column in columns:
        if list(column) != paths:
            odd = sorted(set(paths) ^ set(column))[:3]
            raise ValueError(f"the trees differ, as at {', '.join(odd)}")
    return build(lambda path, leaf: function(path, leaf, *[c[path] for c in columns]), tree)
