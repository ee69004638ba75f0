"""npformer's gradients of the networks of `golden.cases`, for comparison with PyTorch's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden import cases
from golden.gradients import dlogits

from npformer.layers import Array, Mode, Trace
from npformer.network import backward, forward, update_statistics
from npformer.network.tree import leaves

TOLERANCE = 1e-10


def gradients(case: dict[str, Any], mode: Mode, tape: Trace | None = None) -> dict[str, Array]:
    """By path, as `golden.gradients.reference` has them."""
    tape = Trace(mode=mode) if tape is None else tape
    config, p, x = cases.configuration(case), cases.parameters(case), cases.pixels(case)
    forward(x, p, config, tape)
    dx, dp = backward(dlogits(case), x, p, config, tape)
    found = {path: leaf for path, leaf in leaves(dp) if "running" not in path} | {"pixels": dx}
    if mode.batch_statistics:
        moved = leaves(update_statistics(p, tape))
        found |= {path: leaf for path, leaf in moved if "running" in path}
    return found


def compare(found: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    """Assert agreement of every tensor, relative to the largest number in its layer.

    The layer, because the gradient of a bias before a batch norm is zero: rounding on both sides.
    """
    assert sorted(found) == sorted(expected)
    scales: dict[str, float] = {}
    for path, array in expected.items():
        layer = path.rpartition(".")[0]
        scales[layer] = max(scales.get(layer, 0), abs(array).max())
    for path, array in expected.items():
        assert found[path].shape == array.shape, path
        error, scale = abs(found[path] - array).max(), scales[path.rpartition(".")[0]]
        assert error <= TOLERANCE * scale, f"{path}: {error:.1e}, the layer has {scale:.1e}"
