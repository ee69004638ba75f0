"""How far npformer's numbers are from PyTorch's: ``python tests/parity.py`` prints two tables.

It compares with the files of `golden`, in which PyTorch's numbers are kept, so PyTorch need not be
installed. The tests hold each of these differences below a bound; here they are measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from golden import cases, check
from golden.gradients import FILE, MODES
from gradient_cases import gradients

from npformer import engine
from npformer.layers import Array, Mode
from npformer.network import forward
from npformer.network.tree import transform


class Worst:
    """A difference that remembers the largest that it found, and how many arrays it saw."""

    def __init__(self, difference: Callable[[Array, Array], float]) -> None:
        self.difference, self.largest, self.count = difference, 0.0, 0

    def __call__(self, found: Array, expected: Array) -> float:
        error = self.difference(found, expected)
        self.largest, self.count = max(self.largest, error), self.count + 1
        return error


def small(name: str) -> list[str]:
    """Measure a small network, every array: a row of the first table."""
    golden = check.golden(name)
    expected = check.counterparts(golden.heard)
    float64, float32 = Worst(check.absolute), Worst(check.relative)
    check.run(golden.case, check.Examiner(expected, float64, np.inf), 0, "float64")
    check.run(golden.case, check.Examiner(expected, float32, np.inf, teach=True), 0, "float32")
    with np.load(FILE) as file:
        worst = [
            of_gradients(gradients(golden.case, Mode(mode == "training")), file, f"{name}/{mode}/")
            for mode in MODES
        ]
    case = golden.case
    shape = f"{'×'.join(map(str, case['image']))} px, blocks {'+'.join(map(str, case['depths']))}"
    return [
        f"`{name}`", case["library"], shape, str(float64.count), show(float64.largest),
        show(float32.largest), show(max(worst)),
    ]  # fmt: skip


def of_gradients(found: Mapping[str, Array], expected: Mapping[str, Any], start: str) -> float:
    """Return the largest error of a gradient, relative to the largest number of its layer."""
    tensors = {k.removeprefix(start): expected[k] for k in expected if k.startswith(start)}
    scales: dict[str, float] = {}
    for path, array in tensors.items():
        layer = path.rpartition(".")[0]
        scales[layer] = max(scales.get(layer, 0.0), float(abs(array).max()))
    return max(
        check.absolute(found[path], array) / (scales[path.rpartition(".")[0]] or 1)
        for path, array in tensors.items()
    )


def full(name: str) -> list[str]:
    """Measure a network of full size: a row of the second table."""
    arrays, notes = check.read(name)
    case = notes["case"]
    config, params, x = cases.configuration(case), cases.parameters(case), cases.pixels(case)
    single, x32 = transform(np.float32, params), x.astype(np.float32)
    row = [f"`{name}`", show(float(abs(arrays["logits"]).max()), 3)]
    row.append(show(check.absolute(forward(x, params, config).logits, arrays["logits"])))
    row.append(show(check.absolute(arrays["logits_float32"], arrays["logits"])))
    row.append(show(check.absolute(forward(x32, single, config).logits, arrays["logits"])))
    fast = engine.make_forward(single, config, "numba")
    row.append(show(check.absolute(fast(x32).logits, arrays["logits"])))
    return row


def show(number: float, digits: int = 2) -> str:
    return f"{number:.{digits}g}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Write a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    head = ["network", "against", "images, blocks", "arrays", "float64", "float32, relative",
            "gradients, relative"]  # fmt: skip
    print(table(head, [small(name) for name in cases.SMALL]))
    print()
    head = ["network", "largest logit", "npformer float64", "PyTorch float32",
            "npformer float32, plain", "npformer float32, kernels"]  # fmt: skip
    print(table(head, [full(name) for name in cases.FULL]))


if __name__ == "__main__":
    main()
