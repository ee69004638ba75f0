"""Parameter trees: NamedTuples and tuples whose leaves are arrays.

The path of a leaf is timm's key for the same tensor: ``stages.0.blocks.1.mlp.fc1.weight``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

Tree = TypeVar("Tree")


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``(path, leaf)`` for every leaf, in order.

    Parameters
    ----------
    tree : NamedTuple, tuple, leaf or None
        None is a branch that does not exist, such as the second head of a network with one.
    path : str
        Path of `tree` itself, which the paths of its leaves begin with.
    """
    if tree is None:
        return
    if not isinstance(tree, tuple):
        yield path, tree
        return
    for name, child in _children(tree, path):
        yield from leaves(child, name)


def build(
    function: Callable[[str, Any], Any],
    tree: Tree,
    path: str = "",
    is_leaf: Callable[[Any], bool] | None = None,
) -> Tree:
    """Return the same tree with every leaf replaced by ``function(path, leaf)``.

    Parameters
    ----------
    function : callable
    tree : NamedTuple, tuple, leaf or None
    path : str
        Path of `tree` itself, which the paths of its leaves begin with.
    is_leaf : callable, optional
        Which nodes to treat as leaves, besides everything that is not a tuple. With
        ``lambda node: isinstance(node, BatchNorm)``, `function` sees each batch norm as a whole,
        and every array outside of batch norms.

    Returns
    -------
    tree
        Of the same types; a leaf can be replaced by anything.
    """
    if tree is None:
        return tree
    if not isinstance(tree, tuple) or (is_leaf is not None and is_leaf(tree)):
        result: Tree = function(path, tree)
        return result
    children = [build(function, child, name, is_leaf) for name, child in _children(tree, path)]
    # A NamedTuple takes its fields one by one, a plain tuple takes a list.
    return tree._make(children) if hasattr(tree, "_make") else type(tree)(children)


def transform(function: Callable[[Any], Any], tree: Tree) -> Tree:
    """Return the same tree with every leaf replaced by ``function(leaf)``."""
    return build(lambda _, leaf: function(leaf), tree)


def combine(function: Callable[..., Any], tree: Tree, *others: Any) -> Tree:
    """Combine trees of one shape, leaf by leaf.

    Parameters
    ----------
    function : callable
        Is called as ``function(path, leaf, …)``, with the leaves that all trees have at this path.
    tree, *others : NamedTuple, tuple, leaf or None

    Returns
    -------
    tree
        Of the types of `tree`, with the results as leaves.

    Raises
    ------
    ValueError
        If the trees do not have the same paths.
    """
    columns = [dict(leaves(other)) for other in others]
    paths = [path for path, _ in leaves(tree)]
    for column in columns:
        if list(column) != paths:
            odd = sorted(set(paths) ^ set(column))[:3]
            raise ValueError(f"the trees differ, for example at {', '.join(odd)}")
    return build(lambda path, leaf: function(path, leaf, *[c[path] for c in columns]), tree)


def _children(tree: tuple[Any, ...], path: str) -> Iterator[tuple[str, Any]]:
    """Yield the path and the node of each child."""
    for name, child in zip(getattr(tree, "_fields", range(len(tree))), tree, strict=True):
        yield (f"{path}.{name}" if path else str(name)), child
