"""What eight bits cost in accuracy, by kind of layer: ``python -m tests.compare_quantized DIR``.

DIR holds photographs in sub-folders, one for each class, as `npformer evaluate` takes them. Each
row of the table is a network of which some layers are in eight bits and all others in float32:

    agreement    share of photographs whose first answer is that of float32
    error        root mean square of the change of the logits ÷ their standard deviation

Options: ``--model`` (tiny), ``--images`` (200, spread over the classes).
"""

from __future__ import annotations

import argparse

import numpy as np

import npformer
from npformer.engine.fold import fold, folded_forward
from npformer.engine.quantize import IN_FLOAT, float_layers, quantize, quantized_forward
from npformer.learn.class_folders import find_photographs

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--images", type=int, default=200)
    options = parser.parse_args()
    classifier = npformer.load(options.model)
    p, c = classifier.params, classifier.config
    found = find_photographs(options.folder, classifier.labels)
    chosen = np.linspace(0, len(found.paths) - 1, min(options.images, len(found.paths))).astype(int)
    x = np.stack([classifier.processor.pixels(found.paths[i]) for i in chosen])
    correct = found.labels[chosen]
    every = float_layers(fold(p, c))

    def run(in_float: list[str]) -> np.ndarray:
        network = quantize(p, c, tuple(in_float)) if in_float != every else fold(p, c)
        forward = quantized_forward if in_float != every else folded_forward
        parts = np.array_split(x, max(len(x) // 20, 1))
        return np.concatenate([forward(part, network, c).logits for part in parts])

    def of_kind(kind: str) -> list[str]:
        return [path for path in every if path.endswith(KINDS[kind])]

    want = run(every)
    rows = [("all in float32", want)]
    rows += [(f"only {kind}", run([e for e in every if e not in of_kind(kind)])) for kind in KINDS]
    rows += [("all", run([]))]
    rows.append(("all but the stem", run([e for e in every if e.startswith(IN_FLOAT)])))
    print(f"{'in eight bits':<30} {'top-1':>7} {'agreement':>10} {'error':>7}")
    for name, logits in rows:
        answers = logits.argmax(1)
        error = np.sqrt(((logits - want) ** 2).mean()) / want.std()
        agreement = (answers == want.argmax(1)).mean()
        top1 = (answers == correct).mean()
        print(f"{name:<30} {top1:>7.1%} {agreement:>10.1%} {error:>7.4f}", flush=True)


if __name__ == "__main__":
    main()
