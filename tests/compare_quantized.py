"""What eight bits cost: answers right, answers that stay the same, and which layers hurt most.

    python tests/compare_quantized.py DIR [--model tiny] [--calibrate DIR] [--images N]

DIR holds photographs in sub-folders, one for each class, as `npformer evaluate` takes them. The
first table compares the whole network in eight bits, with its weights rounded in several ways, with
itself in float32. In the second some layers are in eight bits, each weight rounded to the nearest,
and all others in float32, on N of the photographs (200).

    same answer   share of photographs whose first answer is that of float32
    error         root mean square of the change of the logits ÷ their standard deviation
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import npformer
from npformer.engine.fold import fold, folded_forward
from npformer.engine.quantize import IN_FLOAT, float_layers, quantize
from npformer.images.layout import stacks
from npformer.learn.class_folders import find_photographs

BATCH = 32
WORST = 8
"""How many single layers are shown."""
KINDS = {
    "first convolution": ("stem.0",),
    "second convolution": ("stem.1",),
    "downsampling": ("downsample",),
    "MLPs, first layer": ("fc1",),
    "MLPs, second layer": ("fc2",),
    "attention, q k v": ("qkv",),
    "attention, projection": ("proj",),
    "heads": ("head", "head_dist"),
}
"""Ends of the paths of layers of a kind."""


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--calibrate", metavar="DIR")
    parser.add_argument("--images", metavar="N", type=int, default=200)
    options = parser.parse_args()
    model = npformer.load(options.model)
    found = find_photographs(options.folder, model.labels)
    print(f"{options.model}, {len(found.paths)} photographs")
    whole_network(model, found.paths, found.labels, options.calibrate)
    count = min(options.images, len(found.paths))
    chosen = np.linspace(0, len(found.paths) - 1, count).astype(int)
    print(f"\nsome layers in eight bits, {count} photographs")
    some_layers(model, [found.paths[i] for i in chosen], found.labels[chosen])


def whole_network(
    model: npformer.Classifier, paths: Sequence[Path], labels: np.ndarray, calibrate: str | None
) -> None:
    """Print a line for each way to round the weights."""
    nearest = type(model.model)(model.config, quantize(model.params, model.config))
    ways = {
        "float32": model,
        "each weight to the nearest": npformer.Classifier(nearest, model.processor),
        "for pictures of nothing": npformer.quantize(model),
    }
    if calibrate:
        ways["for 64 photographs"] = npformer.quantize(model, calibrate)
    head("weights rounded")
    logits = {name: np.concatenate(list(answers(way, paths))) for name, way in ways.items()}
    for name, found in logits.items():
        line(name, found, logits["float32"], labels)


def answers(model: npformer.Classifier, paths: Sequence[Path]) -> Iterator[np.ndarray]:
    """Yield the logits of photographs, a batch at a time."""
    for start in range(0, len(paths), BATCH):
        for x in stacks([model.processor.pixels(path) for path in paths[start : start + BATCH]]):
            yield model.model.network(x).logits


def some_layers(model: npformer.Classifier, paths: Sequence[Path], labels: np.ndarray) -> None:
    """Print a line for the layers of each kind, and for the single layers that cost most."""
    p, c = model.params, model.config
    x = np.stack([model.processor.pixels(path) for path in paths])
    every = float_layers(fold(p, c))

    def run(layers: Sequence[str]) -> np.ndarray:
        others = tuple(path for path in every if path not in layers)
        tree = quantize(p, c, others) if layers else fold(p, c)
        parts = [x[i : i + BATCH] for i in range(0, len(x), BATCH)]
        return np.concatenate([folded_forward(part, tree, c).logits for part in parts])

    real = run([])
    head("in eight bits")
    for kind, ends in KINDS.items():
        line(kind, run([path for path in every if path.endswith(ends)]), real, labels)
    line("all", run(every), real, labels)
    line("all but the stem", run([e for e in every if not e.startswith(IN_FLOAT)]), real, labels)
    single = {path: run([path]) for path in every}
    for path in sorted(single, key=lambda path: -error(single[path], real))[:WORST]:
        line(path, single[path], real, labels)


def head(what: str) -> None:
    """Print the first line of a table."""
    print(f"{what:<32} {'top-1':>6} {'same answer':>12} {'error':>7}")


def line(name: str, found: np.ndarray, real: np.ndarray, labels: np.ndarray) -> None:
    """Print a line of a table."""
    first = found.argmax(1)
    right, same = (first == labels).mean(), (first == real.argmax(1)).mean()
    print(f"{name:<32} {right:>6.1%} {same:>12.1%} {error(found, real):>7.2%}", flush=True)


def error(found: np.ndarray, real: np.ndarray) -> float:
    """Return the root of the mean square of differences, relative to the standard deviation."""
    return float(np.sqrt(((found - real) ** 2).mean()) / real.std())


if __name__ == "__main__":
    main()
