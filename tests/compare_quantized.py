"""What eight bits cost: answers right, answers that stay the same, and which layers hurt most.

    python tests/compare_quantized.py DIR [--model tiny] [--calibrate DIR] [--layers N]

DIR holds photographs, one sub-folder for each class. The first table compares the whole network in
eight bits, with its weights rounded in several ways, with itself in float32. The second has one
layer at a time in eight bits, on N photographs (100): the root of the mean square of the errors of
logits, relative to the logits' standard deviation.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import npformer
from npformer.engine.compensate import layer_paths
from npformer.engine.fold import fold, folded_forward
from npformer.engine.quantize import FIRST, quantize
from npformer.images.files import photographs_below
from npformer.images.layout import stacks
from npformer.network.tree import leaves

BATCH = 32


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--calibrate", metavar="DIR")
    parser.add_argument("--layers", metavar="N", type=int, default=100)
    args = parser.parse_args()
    model = npformer.load(args.model)
    paths = photographs_below(Path(args.folder))
    labels = [known(path.parent.name, model.labels) for path in paths]
    print(f"{args.model}, {len(paths)} photographs")
    whole_network(model, paths, np.array(labels), args.calibrate)
    print()
    one_layer_each(model, paths[:: max(1, len(paths) // args.layers)])


def known(name: str, labels: tuple[str, ...]) -> int:
    """Return the index of a class by the name of its folder; −1 if the network does not know it."""
    names = [label.replace(" ", "_") for label in labels]
    return names.index(name.replace(" ", "_")) if name.replace(" ", "_") in names else -1


def whole_network(
    model: npformer.Classifier, paths: list[Path], labels: np.ndarray, calibrate: str | None
) -> None:
    """Print a line for each way to round the weights."""
    ways = {
        "float32": model,
        "int8, each weight to the nearest": npformer.Classifier(
            type(model.model)(model.config, quantize(model.params, model.config)), model.processor
        ),
        "int8, for pictures of nothing": npformer.quantize(model),
    }
    if calibrate:
        ways["int8, for 64 photographs"] = npformer.quantize(model, calibrate)
    print(f"{'':33} top-1   same first answer  error of logits")
    logits = {name: np.concatenate(list(answers(way, paths))) for name, way in ways.items()}
    real = logits["float32"]
    for name, found in logits.items():
        right = np.mean(found.argmax(1) == labels)
        same = np.mean(found.argmax(1) == real.argmax(1))
        print(f"{name:33} {right:6.1%} {same:13.1%} {error(found, real):18.2%}")


def answers(model: npformer.Classifier, paths: list[Path]) -> Iterator[np.ndarray]:
    """Yield the logits of photographs, a batch at a time."""
    for start in range(0, len(paths), BATCH):
        for x in stacks([model.processor.pixels(path) for path in paths[start : start + BATCH]]):
            yield model.model.network(x).logits


def error(found: np.ndarray, real: np.ndarray) -> float:
    """Return the root of the mean square of differences, relative to the standard deviation."""
    return float(np.sqrt(((found - real) ** 2).mean()) / real.std())


def one_layer_each(model: npformer.Classifier, paths: list[Path]) -> None:
    """Print a line for each layer, the worst first, and one for each kind."""
    config = model.config
    tree = fold(model.params, config)
    x = np.stack([model.processor.pixels(path) for path in paths])
    real = folded_forward(x, tree, config).logits
    rows = []
    for path in layer_paths(tree):
        others = tuple(name for name in layer_paths(tree) if name != path)
        one = quantize(model.params, config, in_float=others)
        weights = sum(leaf.size for name, leaf in leaves(tree) if name == f"{path}.weight")
        rows.append((error(folded_forward(x, one, config).logits, real), path, weights))
    print(f"one layer in eight bits, {len(x)} photographs")
    print(f"{'':38} weights  error of logits")
    for value, path, weights in sorted(rows, reverse=True):
        note = "  (stays in float32)" if path == FIRST else ""
        print(f"{path:38} {weights:7,} {value:15.2%}{note}")
    whole = np.sqrt(sum(value**2 for value, path, _ in rows if path != FIRST))
    print(f"{'all but the first, if independent':38} {'':7} {whole:15.2%}")


if __name__ == "__main__":
    main()
