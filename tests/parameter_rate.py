"""Print how many parameters that are off by 1e-5 are found: ``python tests/parameter_rate.py``.

Parameters are drawn, one at a time, and multiplied by 1 + 1e-5, as a whole or one of its numbers. A
right implementation runs with it in float32. Then every step is asked whether a parameter of it was
changed. The same implementations with no fault at all must accuse nobody.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from bound_cases import IMPLEMENTATIONS, Network, Recorded, of_golden, tiny

from npformer.network.tree import build, leaves
from npformer.testing import Finding, found_in_parameter
from npformer.testing.steps import Step

FAULT = 1e-5


class Accused(NamedTuple):
    """A step that was found to hold another parameter."""

    step: Step
    finding: Finding


def accused(network: Network, recorded: Recorded, key: str = "") -> Iterator[Accused]:
    """Ask every recorded result, given what was recorded before it.

    With a key: only those that depend on this parameter.
    """
    chain: list[Step] = []
    for step in network.steps:
        chain.append(step)
        if step.path in recorded:
            needed = _needed(chain, recorded)
            if key and not any(key in s.parameters() for s in needed):
                continue
            inputs = {p: recorded[p] for s in needed for p in s.inputs if p in recorded}
            inputs.pop(step.path, None)
            finding = found_in_parameter(needed, inputs, recorded[step.path])
            if finding is not None:
                yield Accused(step, finding)


def _needed(chain: list[Step], recorded: Recorded) -> list[Step]:
    """The last step, and those before it that lead to it from what was recorded."""
    wanted, found = {chain[-1].path}, []
    for step in reversed(chain):
        if step.path in wanted and (step is chain[-1] or step.path not in recorded):
            found.append(step)
            wanted.update(step.inputs)
    return found[::-1]


def changed(network: Network, key: str, index: tuple[int, ...] | None) -> Network:
    """The network with a parameter, or one number of it, times 1 + 1e-5."""

    def change(path: str, leaf: np.ndarray) -> np.ndarray:
        if path != key:
            return leaf
        factor = np.ones_like(leaf, dtype="float64")
        factor[... if index is None else index] += FAULT
        return (leaf * factor).astype(leaf.dtype)

    return network._replace(params=build(change, network.params))


def drawn(network: Network, rng: np.random.Generator, whole: bool) -> tuple[str, tuple | None]:
    """Draw a parameter, and a number of it."""
    tensors = [(key, leaf) for key, leaf in leaves(network.params) if np.any(leaf)]
    key, leaf = tensors[rng.integers(len(tensors))]
    if whole:
        return key, None
    return key, tuple(int(n) for n in np.unravel_index(rng.integers(leaf.size), leaf.shape))


def rate(name: str, network: Network, run: Callable[[Network], Recorded], count: int) -> None:
    """Print a line for whole parameters and one for single numbers."""
    false = list(accused(network, run(network)))
    for whole in (True, False):
        rng, found, named = np.random.default_rng(7), 0, 0
        for _ in range(count):
            key, index = drawn(network, rng, whole)
            seen = list(accused(network, run(changed(network, key, index)), key))
            found += bool(seen)
            named += any(a.finding[:2] == (key, index) for a in seen)
            if not seen:
                print(f"    not found: {key} {index or ''}", file=sys.stderr)
        what = "whole parameters" if whole else "single numbers"
        print(f"{name:34} {what:17} {found:3} of {count} found, {named:3} named; "
              f"{len(false)} of {len(network.steps)} steps accused without a fault")  # fmt: skip
    for a in false:
        print("    wrongly:", a.step.path, a.finding, file=sys.stderr)


def main() -> None:
    """Arguments: how many faults, and names of implementations (not PyTorch, which has its own)."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    kinds = sys.argv[2:] or ["NumPy", "OpenVINO", "NumPy, blocks"]
    for name, network in {"tiny": tiny(1), "l1": of_golden("l1")}.items():
        for kind in kinds:
            rate(f"{name}, {kind}", network, IMPLEMENTATIONS[kind], count)


if __name__ == "__main__":
    main()
