"""Parameter trees: walking down to nodes of a chosen type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checkpoint_cases import config, parameters, same

from npformer.layers import BatchNorm
from npformer.network.tree import build, combine, leaves

PARAMS = parameters(config())


def is_norm(node: Any) -> bool:
    return isinstance(node, BatchNorm)


def test_a_walk_stops_at_nodes_of_the_chosen_type():
    seen = {}

    def visit(path: str, node: Any) -> Any:
        seen[path] = node
        return node

    again = build(visit, PARAMS, is_leaf=is_norm)
    norms = [path for path, node in seen.items() if is_norm(node)]
    assert norms[:2] == ["stem.norm1", "stem.norm2"]
    in_norms = {path: f"{norm}.{path.rpartition('.')[2]}" for path, _ in leaves(PARAMS)
                for norm in norms if path.startswith(f"{norm}.")}  # fmt: skip
    assert in_norms
    assert all(path == joined for path, joined in in_norms.items())
    assert set(seen) == {path for path, _ in leaves(PARAMS)} - set(in_norms) | set(norms)
    assert type(again) is type(PARAMS)
    assert same(dict(leaves(again)), dict(leaves(PARAMS)))


def test_what_a_walk_returns_stands_in_the_place_of_the_node():
    def visit(_: str, node: Any) -> Any:
        return node._replace(running_mean=node.running_mean + 1) if is_norm(node) else node

    before, after = dict(leaves(PARAMS)), dict(leaves(build(visit, PARAMS, is_leaf=is_norm)))
    moved = {path for path in before if not np.array_equal(before[path], after[path])}
    assert moved == {path for path in before if path.endswith("running_mean")}


def test_a_path_can_begin_with_that_of_the_tree():
    paths = [path for path, _ in leaves(PARAMS.stem.norm1, "stem.norm1")]
    assert paths == [f"stem.norm1.{name}" for name in BatchNorm._fields]
    found: list[str] = []
    build(lambda path, _: found.append(path), PARAMS.stem.norm1, "stem.norm1")
    assert found == paths


def test_trees_of_other_paths_are_not_combined():
    with pytest.raises(ValueError, match=r"the trees differ, for example at head_dist\.bias"):
        combine(lambda _, a, b: a + b, PARAMS, PARAMS._replace(head_dist=None))
