"""Print a hash of everything that a change of the code's form must leave as it is.

    python tests/fingerprint.py > before.txt      then change, and the same again > after.txt
    diff before.txt after.txt                     says nothing if not a bit has changed

Outputs, traces, gradients and three steps of training, of `tiny` and of a random L1, on both
engines, with and without noise; pixels and logits of the free photographs. Hashes differ between
processors and releases of NumPy: compare on one machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import npformer
from npformer import checkpoints, engine
from npformer.layers import Array, Trace
from npformer.learn.objectives import classification_loss
from npformer.learn.optimizers import AdamW, trainable
from npformer.network import EfficientFormerConfig, initialize, update_statistics
from npformer.network.tree import build, leaves

PHOTOGRAPHS = Path(__file__).parents[1] / "notebooks" / "images"
NOISE = ((0.0, 0.0), (0.0, 0.2), (0.1, 0.1))
"""rates of dropout and drop path"""


def digest(arrays: Iterable[tuple[str, Array]]) -> str:
    """Hash names, types, shapes and numbers, and say how many arrays there are."""
    found, count = hashlib.sha256(), 0
    for name, array in arrays:
        found.update(f"{name}:{array.dtype}:{array.shape}:".encode())
        found.update(np.ascontiguousarray(array).tobytes())
        count += 1
    return f"{found.hexdigest()[:16]} ({count} arrays)"


def outputs(logits: Any) -> list[tuple[str, Array]]:
    """Name the arrays of `Logits`."""
    return [(name, array) for name, array in logits._asdict().items() if array is not None]


def lively(params: Any) -> Any:
    """Draw what is constant in a fresh network, so that every parameter matters."""
    rng = np.random.default_rng(5)

    def draw(path: str, leaf: Array) -> Array:
        if path.endswith(("gamma", "running_var")):
            return rng.uniform(0.5, 1.5, leaf.shape).astype(leaf.dtype)
        if path.endswith(("running_mean", "bias", "attention_biases")):
            return rng.normal(0, 0.2, leaf.shape).astype(leaf.dtype)
        return leaf

    return build(draw, params)


def network(name: str, params: Any, config: EfficientFormerConfig, batch: int) -> None:
    """Print the hashes of one network."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, *config.image_shape, 3)).astype("float32")
    labels = rng.integers(0, config.num_labels, batch)
    for kind in ("numpy", "numba"):
        trace = Trace()
        logits = engine.make_forward(params, config, kind)(x, trace)
        print(name, kind, "outputs", digest(outputs(logits)))
        print(name, kind, "trace", digest(trace.items()))
        for dropout, drop_path in NOISE[: 2 if kind == "numba" else 3]:
            step = engine.make_gradients(params, config, kind, dropout, drop_path)
            what = f"{name} {kind} dropout {dropout} drop path {drop_path}"
            p, adam, noise = params, AdamW(), np.random.default_rng(3)
            state = adam.init(p)
            for i in range(3):
                found = step(x, p, lambda logits: classification_loss(logits, labels), noise)
                if i == 0:
                    print(what, "gradients", digest(leaves(found.dp)), "loss", found.loss)
                p, state = adam.update(p, found.dp, state, 1e-3, trainable())
                p = update_statistics(p, found.tape)
            print(what, "after three steps", digest(leaves(p)))


def main() -> None:
    """Print all hashes."""
    tiny = checkpoints.read("tiny")
    l1 = EfficientFormerConfig.variant("l1")
    network("tiny", tiny.params, tiny.config, 3)
    network("l1", lively(initialize(l1, 1)), l1, 2)
    model = npformer.load("tiny")
    for path in sorted(PHOTOGRAPHS.glob("*.*g")):
        pixels = model.preprocess(path)
        print(path.name, digest([("pixels", pixels), *outputs(model.forward(pixels[None]))]))


if __name__ == "__main__":
    main()
