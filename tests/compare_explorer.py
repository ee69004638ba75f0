"""What the explorer's weights weigh in float16 and in eight bits, and how fast it answers.

    python tests/compare_explorer.py [DIR]

DIR holds photographs; without it, those that come with npformer are compared. The first table says
how large the weights are as text in a page, and on how many photographs the first answer is that of
Python's float32. The second tells how far the logits are from exact ones, relative to the derived
bound of float32, and times the network under Node: a new photograph, and interventions.
"""

from __future__ import annotations

import base64
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from explorer_cases import Explored, off_by_bounds

import npformer
from npformer.explorer.weights import pack, rounded
from npformer.images.files import photographs_below
from npformer.layers import Array
from npformer.network import forward
from npformer.network.tree import leaves

INTERVENTIONS = [
    {"kind": "block", "path": "stages.0.blocks.0"},
    {"kind": "block", "path": "stages.1.blocks.0"},
    {"kind": "block", "path": "stages.2.blocks.0"},
    {"kind": "head", "path": "stages.3.blocks.2.token_mixer", "head": 0},
    {"kind": "activation", "path": "*", "activation": "relu"},
    {"kind": "channel", "path": "pixel_values", "channel": 0},
]


def main() -> None:
    """Print both tables."""
    model = npformer.load("tiny", engine="numpy")
    if len(sys.argv) > 1:
        images: list[Any] = list(photographs_below(Path(sys.argv[1])))
    else:
        images = [npformer.data.photograph(name) for name in npformer.data.PHOTOGRAPHS]
    compare_weights(model, images)
    print()
    time(model)


def compare_weights(model: npformer.Classifier, images: list[Any]) -> None:
    """Print size, answers kept and error of the logits."""
    x = np.stack([model.processor.pixels(image) for image in images])
    reference = forward(x, model.params, model.config).logits
    half = rounded(model.params)
    eight = npformer.quantize(model)
    kinds: dict[str, tuple[int, Callable[[Array], Array]]] = {
        "float16": (len(pack(model.params).text), lambda x: forward(x, half, model.config).logits),
        "int8": (text_size(eight.params), lambda x: eight.model.network(x).logits),
    }
    print(f"{len(images)} photographs")
    print(f"{'weights':<10}{'text, MB':>10}{'same answer':>14}{'error of the logits':>22}")
    for name, (size, run) in kinds.items():
        logits = np.concatenate([run(x[i : i + 8]) for i in range(0, len(x), 8)])
        same = (logits.argmax(1) == reference.argmax(1)).mean()
        error = np.sqrt(np.square(logits - reference).mean()) / reference.std()
        print(f"{name:<10}{size / 1e6:>10.1f}{same:>14.1%}{error:>22.2g}")


def text_size(params: Any) -> int:
    """Return the length of a network in eight bits as text, deflated as the page's weights are."""
    data = b"".join(np.ascontiguousarray(leaf).tobytes() for _, leaf in leaves(params))
    return len(base64.b64encode(zlib.compress(data, 9)))


def time(model: npformer.Classifier) -> None:
    """Print the time of a new photograph and of interventions."""
    with TemporaryDirectory() as folder:
        explored = Explored(model, Path(folder))
        photograph = explored.photograph("coffee", npformer.data.photograph("coffee"))
        job = ["time", photograph, 15, INTERVENTIONS * 5]
        _, found = explored.ask(["open"], job)
        logits = max(off_by_bounds(explored, name)[1] for name in npformer.data.PHOTOGRAPHS)
    print(f"logits, largest error / bound: {logits:.1g}")
    print(f"first photograph {found['show'][0]:.0f} ms, then {median(found['show'][5:]):.0f} ms")
    for intervention in INTERVENTIONS:
        times = [ms for each, ms in found["interventions"] if each == intervention]
        words = " ".join(str(value) for value in intervention.values())
        print(f"{median(times):>6.0f} ms  {words}")


if __name__ == "__main__":
    main()
