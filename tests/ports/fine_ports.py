"""Ports that are right but for one parameter, which is off by one part in 10⁵, in float32."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np
from golden import cases

from npformer.network.params import param_specs
from npformer.network.tree import build, leaves

from .answers import FINE, Made, Maker, Port
from .port import Port as Network
from .port import run
from .recordings import as_keras, first, last, written
from .shop import NETWORKS, Reference, Shop

PART = np.float32(1 + 1e-5)


def nearly(parameter: str, seed: int, one: bool) -> Maker:
    """Return the maker of a recording of a network with one parameter off.

    Parameters
    ----------
    parameter : str
        Its path.
    seed : int
        Of the picture.
    one : bool
        Whether only its largest number is off.
    """

    def make(shop: Shop, reference: Reference, path: Path) -> Made:
        def change(name: str, leaf: np.ndarray) -> np.ndarray:
            if name != parameter:
                return leaf
            leaf = leaf.copy()
            if one:
                place = np.abs(leaf).argmax()
                leaf.flat[place] *= PART
            else:
                leaf *= PART
            return leaf

        other = reference._replace(params=build(change, reference.params))
        pixels = reference.pixels(seed)
        dress = (first, last, as_keras)[seed % 3]
        return written(run(Network(other), pixels), dress, lambda heard: heard, "npz", path)

    return make


def drawn(network: str, count: int) -> list[str]:
    """Draw parameters of a network, each kind at most some times."""
    paths = [path for path, _ in leaves(param_specs(cases.configuration(NETWORKS[network])))]
    paths.sort(key=lambda path: crc32(f"{network} {path}".encode()))
    return paths[:count]


def first_changed(parameter: str) -> str:
    """Return the path of the first array that a parameter changes."""
    module, _, leaf = parameter.rpartition(".")
    return f"{module}.attn" if leaf == "attention_biases" else module


for network, count in (("small", 20), ("deep", 16), ("square", 12)):
    for seed, path in enumerate(drawn(network, count)):
        for one in (False, True)[: 2 if seed % 3 == 0 else 1]:
            name = f"{'one number of ' if one else ''}{path} of {network}"
            FINE.append(Port(name, network, nearly(path, seed, one), first_changed(path),
                             ("parameter",)))  # fmt: skip
