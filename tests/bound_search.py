"""Look for a right implementation above its error bound: ``python tests/bound_search.py``.

Each round has a seed, with which other inputs are drawn for every layer and every gradient of
npformer, for functions that compute the same in other ways, for two kernels, and for the modules of
PyTorch, timm and transformers, with autograd's gradients; and small networks, run by both engines.
Printed is the largest error ÷ bound of each. An input whose result is above 1 is written to a file
``exceeded-LAYER-SEED.npz``, and the exit code is 1. Needs PyTorch, timm, transformers and Numba;
what is missing is left out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from bound_cases import DTYPES, IMPLEMENTATIONS, Network, ratios
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from right_layers import OTHER_WAYS

from npformer.errors import ConfigError
from npformer.network.tree import leaves
from npformer.teach.mistakes import EXERCISES
from npformer.testing import check_layer, networks
from npformer.testing.adapters import Function
from npformer.testing.layer_table import BACKWARD, LAYERS

ENGINES = "NumPy, blocks", "Numba, blocks"


class Job(NamedTuple):
    """A right implementation of a layer."""

    layer: str
    whose: str
    function: Any
    adapter: Function | None = None


def jobs() -> list[Job]:
    """Return everything that is installed."""
    found = [Job(layer, "npformer", EXERCISES[layer].reference) for layer in (*LAYERS, *BACKWARD)]
    found += [Job(layer, function.__name__, function) for layer, function in OTHER_WAYS]
    for add in (_kernels, _modules):
        try:
            found += add()
        except ImportError as error:
            print(f"left out: {error}", file=sys.stderr)
    return found


def _kernels() -> list[Job]:
    import bound_kernels

    kernels = {"gelu": bound_kernels.gelu_of_any_size, "softmax": bound_kernels.softmax_of_any_size}
    single = Function(dtypes=("float32",))
    return [Job(layer, "kernel", function, single) for layer, function in kernels.items()]


def _modules() -> list[Job]:
    from right_modules import RIGHT

    found = []
    for name, make in RIGHT.items():
        layer, _, whose = name.partition(" by ")
        found.append(Job(layer, whose or "PyTorch", make()))
        if f"{layer}_backward" in BACKWARD and layer != "softmax":
            found.append(Job(f"{layer}_backward", whose or "PyTorch", make()))
    return found


class Found:
    """What was seen: inputs and largest ratio, by layer and implementation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count: Counter[tuple[str, str]] = Counter()
        self.largest: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.exceeded = 0

    def add(self, layer: str, whose: str, count: int, ratio: float) -> None:
        self.count[layer, whose] += count
        self.largest[layer, whose] = max(self.largest[layer, whose], ratio)

    def keep(self, layer: str, whose: str, seed: int, inputs: tuple[Any, ...], says: str) -> None:
        """Write the arrays of an input that exceeds its bound, and the rest in words."""
        self.exceeded += 1
        parts = dict(leaves(inputs))
        arrays = {path: leaf for path, leaf in parts.items() if isinstance(leaf, np.ndarray)}
        words = {path: str(leaf) for path, leaf in parts.items() if path not in arrays}
        file = self.folder / f"exceeded-{layer}-{whose}-{seed}.npz"
        np.savez(file, **arrays, words=str(words))
        print(f"ABOVE THE BOUND: {layer}, {whose}, seed {seed}: {file}\n{says}", flush=True)

    def show(self) -> None:
        print(f"{'layer':26}{'implementation':20}{'inputs':>8}{'largest error ÷ bound':>24}")
        for key, ratio in sorted(self.largest.items()):
            print(f"{key[0]:26}{key[1]:20}{self.count[key]:8}{ratio:24.3f}")
        print(f"{sum(self.count.values())} inputs, {self.exceeded} above the bound")


def search_layer(job: Job, seed: int, examples: int, found: Found) -> None:
    """Draw inputs of a layer; float32 and float64 share them."""
    report = check_layer(
        job.layer, job.function, adapter=job.adapter, examples=examples, seconds=0, seed=seed
    )
    found.add(job.layer, job.whose, report.cases, report.ratio)
    if not report:
        found.keep(job.layer, job.whose, seed, tuple(report.inputs.values()), str(report))


def search_networks(seed: int, examples: int, found: Found) -> None:
    """Draw small networks, and run both engines."""

    def run(drawn: tuple[Any, ...]) -> None:
        params, config, x = drawn
        network = Network(params, config, x)
        for engine in ENGINES:
            try:
                recorded = IMPLEMENTATIONS[engine](network)
            except ConfigError:  # no kernel for this activation
                continue
            for step, ratio, _ in ratios(network, recorded, DTYPES.get(engine, "float32")):
                found.add(f"network: {step.layer}", engine, 1, ratio)
                if not ratio <= 1:
                    says = f"{step.path}: {ratio}\n{config}"
                    found.keep(step.path, engine, seed, (params, x), says)

    quiet = settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    test: Callable[[], None] = seeded(seed)(quiet(given(networks())(run)))
    test()


def main() -> int:
    """Search until the time is over; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=500, help="how long")
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--examples", type=int, default=100, help="inputs of a layer in a round")
    parser.add_argument("--only", default="", help="a part of a layer's name, or whose it is")
    parser.add_argument("--folder", type=Path, default=Path(), help="where to keep what exceeds")
    options = parser.parse_args()
    end, found, seed = time.monotonic() + options.seconds, Found(options.folder), options.seed
    chosen = [job for job in jobs() if options.only in f"{job.layer} {job.whose}"]
    while time.monotonic() < end:
        if options.only in "network":
            search_networks(seed, options.examples // 4, found)
        for job in chosen:
            if time.monotonic() < end:
                search_layer(job, seed, options.examples, found)
        seed += 1
    found.show()
    print(f"seeds {options.seed} to {seed - 1}")
    return found.exceeded > 0


if __name__ == "__main__":
    sys.exit(main())
