"""The tensors of a layer under the names of timm, Hugging Face and the original, and their axes.

A module or file that holds one layer names its tensors as a whole network does, without what stands
before the layer: ``qkv.weight`` for ``stages.3.blocks.4.token_mixer.qkv.weight``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ...checkpoints.assemble import bias_indices
from ...checkpoints.naming import (
    ATTENTION_BLOCK,
    BODY,
    BUFFER_NAMES,
    DOWNSAMPLE,
    POOLING_BLOCK,
    Naming,
    Table,
)
from ...errors import WeightsError
from ...files.optional import optional
from ...layers import Array, LayerScale
from ...network.tree import build, leaves
from ..layer_table import LAYERS

with optional("hypothesis", "drawing test data", "npformer[testing]"):
    from hypothesis import Phase, find, settings
    from hypothesis import strategies as st

ORDER: tuple[Naming, ...] = ("timm", "hf", "original")
"""The namings in the order in which they are tried."""


def _inside(table: Table, *prefixes: str) -> Table:
    """Return the rows of a table below a module, without its names."""
    native, hf, original = prefixes
    return {
        row[len(native) :].lstrip("."): (
            theirs[0][len(hf) :].lstrip("."), theirs[1][len(original) :].lstrip("."),
        )
        for row, theirs in table.items()
        if row.startswith(native)
    }  # fmt: skip


TABLES: dict[str, Table] = {
    "stem": _inside(BODY, "stem", "patch_embed", "patch_embed"),
    "downsample": DOWNSAMPLE,
    "attention": _inside(ATTENTION_BLOCK, "token_mixer", "token_mixer", "token_mixer"),
    "mlp": _inside(ATTENTION_BLOCK, "mlp", "mlp", "mlp"),
    "conv_mlp": _inside(POOLING_BLOCK, "mlp", "mlp", "mlp"),
    "pooling_block": POOLING_BLOCK,
    "attention_block": ATTENTION_BLOCK,
}
"""The modules inside a layer: native name -> (Hugging Face's, the original's)."""


class Match(NamedTuple):
    """Which tensors are the parameters of a layer."""

    naming: Naming
    names: dict[str, str]
    """path of a leaf -> name of the tensor"""
    parameters: Any
    """the parameters as npformer holds them"""


@cache
def skeleton(layer: str) -> Any:
    """Return the smallest parameters that a layer can have: which leaves there are."""
    draw = st.composite(lambda draw: LAYERS[layer].parameters(draw))
    phases = [Phase.generate, Phase.shrink]
    quick = settings(database=None, max_examples=10, phases=phases)
    return find(draw(), lambda _: True, settings=quick)


def layer_names(layer: str, naming: Naming) -> dict[str, str]:
    """Name every leaf of a layer's parameters: path -> name."""
    column = ORDER.index(naming) - 1
    table = TABLES.get(layer, {})
    renamed = {native: row[column] if column >= 0 else native for native, row in table.items()}
    result = {}
    for path, _ in leaves(skeleton(layer)):
        module, _, leaf = path.rpartition(".")
        name = renamed.get(path)
        if name is None:
            name = f"{renamed.get(module, module)}.{leaf}".lstrip(".")
        result[path] = name
    return result


def match(layer: str, tensors: Mapping[str, Array], source: str, naming: Naming | None) -> Match:
    """Find the parameters of a layer among tensors.

    Parameters
    ----------
    layer : str
        A key of `npformer.testing.layer_table.LAYERS`.
    tensors : mapping of str to ndarray
        In PyTorch's axes. All names may begin with the same words.
    source : str
        What error messages call them.
    naming : {"timm", "hf", "original"}, optional
        Whose names they have; tried in this order if not given.

    Returns
    -------
    Match

    Raises
    ------
    WeightsError
        If tensors are missing, there are those of several such layers, or a shape is impossible.
    """
    if skeleton(layer) is None:
        return Match("timm", {}, None)
    for each in (naming,) if naming else ORDER:
        fitting = [
            (prefix, names)
            for prefix in _prefixes(tensors, layer_names(layer, each))
            if (names := _complete(layer, each, prefix, tensors)) is not None
        ]
        if len(fitting) > 1 and fitting[0][0]:
            raise WeightsError(
                f"{source} holds {len(fitting)} layers of the kind {layer}, below "
                f"{', '.join(prefix for prefix, _ in fitting)}; expected one: take it out first"
            )
        if fitting:
            prefix, names = fitting[0]
            return Match(each, names, _tree(layer, names, tensors, prefix, source))
    lacking = {each: [n for n in layer_names(layer, each).values() if n not in tensors]
               for each in ((naming,) if naming else ORDER)}  # fmt: skip
    best = min(lacking, key=lambda each: len(lacking[each]))
    have = [name for name in tensors if not name.endswith(BUFFER_NAMES)]
    raise WeightsError(
        f"{source} has no tensor {lacking[best][0]!r}, but {', '.join(have) or 'none'}; expected, "
        f"by the names of {best}, {', '.join(layer_names(layer, best).values())}"
    )


def _complete(
    layer: str, naming: Naming, prefix: str, tensors: Mapping[str, Array]
) -> dict[str, str] | None:
    """Name the tensor of each leaf; None if one is missing that is no layer scale in a block."""
    every = {path: prefix + name for path, name in layer_names(layer, naming).items()}
    found = {path: name for path, name in every.items() if name in tensors}
    missing = set(every) - set(found)
    scales = {path for path in missing if path.endswith("gamma") and layer != "layer_scale"}
    return found if missing == scales else None


def _prefixes(tensors: Mapping[str, Array], names: Mapping[str, str]) -> Iterator[str]:
    """Yield with what the names of the tensors may begin, the shortest first."""
    first = next((name for path, name in names.items() if not path.endswith("gamma")), "")
    first = first or next(iter(names.values()))
    ends = [name.removesuffix(first) for name in tensors if name.endswith(first)]
    yield from sorted(
        {end for end in ends if not end or end.endswith(".")}, key=lambda end: (len(end), end)
    )


def _tree(
    layer: str, names: dict[str, str], tensors: Mapping[str, Array], prefix: str, source: str
) -> Any:
    def fill(path: str, leaf: Any) -> Any:
        if isinstance(leaf, LayerScale):
            gamma = f"{path}.gamma".lstrip(".")
            return LayerScale(np.asarray(tensors[names[gamma]])) if gamma in names else None
        tensor = np.asarray(tensors[names[path]])
        if path.endswith("attention_biases"):
            return tensor.reshape(len(tensor), *_grid(tensor, tensors, prefix, source))
        if tensor.ndim != len(leaf.shape):
            raise WeightsError(
                f"{source}: tensor {names[path]!r} has shape {tensor.shape}; "
                f"expected {len(leaf.shape)} axes"
            )
        return native_axes(tensor)

    return build(fill, skeleton(layer), is_leaf=lambda node: isinstance(node, LayerScale))


def _grid(biases: Array, tensors: Mapping[str, Array], prefix: str, source: str) -> tuple[int, int]:
    """Return rows and columns of the grid of tokens that attention biases are for."""
    N = biases.shape[-1]
    grids = [(rows, N // rows) for rows in range(1, N + 1) if N % rows == 0]
    table = next((t for name, t in tensors.items() if name.endswith("attention_bias_idxs")), None)
    if table is not None:
        grids = [grid for grid in grids if np.array_equal(bias_indices(*grid), np.asarray(table))]
    else:
        grids = [(rows, columns) for rows, columns in grids if rows == columns]
    if not grids:
        raise WeightsError(
            f"{source}: {N} attention biases for each head and no table attention_bias_idxs of a "
            "grid of tokens; expected a square number of them, or the table"
        )
    return grids[0]


def native_axes(tensor: Array) -> Array:
    """Turn a weight of PyTorch into npformer's: (out, in, …) -> (…, in, out)."""
    return tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T


def torch_axes(path: str, leaf: Array) -> Array:
    """Turn a parameter of npformer into PyTorch's tensor: (…, in, out) -> (out, in, …)."""
    if path.endswith("attention_biases"):
        return leaf.reshape(len(leaf), -1)  # (heads, rows, columns) -> (heads, N)
    return np.ascontiguousarray(leaf.transpose(3, 2, 0, 1) if leaf.ndim == 4 else leaf.T)


def torch_tensors(p: Any, rename: Callable[[str], str] = str) -> dict[str, Array]:
    """Return all parameters of a layer under other names, in PyTorch's axes."""
    return {rename(path): torch_axes(path, leaf) for path, leaf in leaves(p)}
