"""Print how far right implementations stay below the error bounds: ``python tests/bound_slack.py``.

For each kind of step and each implementation, the largest error ÷ bound that was seen. Above 1 a
right implementation would be called wrong; far below 1 the bound is idle. Needs PyTorch, timm,
transformers, ONNX Runtime and OpenVINO; what is missing is left out.
"""

from __future__ import annotations

import sys
from collections import defaultdict

from bound_cases import DTYPES, IMPLEMENTATIONS, Network, of_golden, ratios, tiny

NETWORKS = {
    "tiny": tiny,
    "usual": lambda: of_golden("usual"),
    "native": lambda: of_golden("native"),
    "l1": lambda: of_golden("l1"),
}
SLOW = "one by one", "in lanes", "shuffled", "backwards"
"""Implementations that take long for l1."""


def measure(name: str, network: Network, only: list[str]) -> dict[str, dict[str, float]]:
    """Return, by implementation and kind of step, the largest ratio."""
    table: dict[str, dict[str, float]] = {}
    for kind, run in IMPLEMENTATIONS.items():
        if (only and kind not in only) or (name == "l1" and kind in SLOW):
            continue
        try:
            recorded = run(network)
        except (ImportError, AssertionError, KeyError) as error:
            print(f"{name}, {kind}: left out ({type(error).__name__}: {error})", file=sys.stderr)
            continue
        worst: dict[str, float] = defaultdict(float)
        place = {}
        for step, ratio, _ in ratios(network, recorded, DTYPES.get(kind, "float32")):
            layer = step.layer if step.layer != "activation" else step.options["name"]
            if not ratio <= worst[layer]:
                worst[layer], place[layer] = ratio, step.path
        table[kind] = dict(worst)
        bad = {place[k]: v for k, v in worst.items() if not v <= 1}
        if bad:
            print(f"{name}, {kind}: ABOVE THE BOUND: {bad}")
    return table


def main() -> None:
    """Print a table for each network; arguments: its name, or those of implementations."""
    only = [a for a in sys.argv[1:] if a not in NETWORKS]
    for name in [a for a in sys.argv[1:] if a in NETWORKS] or NETWORKS:
        table = measure(name, NETWORKS[name](), only)
        layers = sorted({layer for row in table.values() for layer in row})
        print(f"\n{name}: largest error ÷ bound")
        print(f"{'':24}" + "".join(f"{layer[:12]:>13}" for layer in layers))
        for kind, row in table.items():
            cells = (f"{row[layer]:13.3f}" if layer in row else f"{'':13}" for layer in layers)
            print(f"{kind:24}" + "".join(cells))


if __name__ == "__main__":
    main()
