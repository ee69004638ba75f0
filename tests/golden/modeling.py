"""What the classes of transformers return for the networks of `cases`: all fields, and losses.

    python -m tests.golden.modeling          writes tests/golden/modeling.npz anew

Everything is computed in float64.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from npformer.layers import Array

from . import cases

FILE = Path(__file__).with_name("modeling.npz")

MODEL = "EfficientFormerModel"
CLASSIFIER = "EfficientFormerForImageClassification"
TEACHER = "EfficientFormerForImageClassificationWithTeacher"
CLASSES = (MODEL, CLASSIFIER, TEACHER)

CASES = {name: case for name, case in cases.SMALL.items() if case["library"] == "transformers"}

LOSSES: dict[str, tuple[dict[str, Any], Any]] = {
    "one class of five": ({}, np.array([4, 0])),
    "one that does not count": ({}, np.array([-100, 3])),
    "several classes": ({}, np.linspace(0, 1, 10).reshape(2, 5)),
    "one number": ({"num_labels": 1}, np.array([0.5, -2])),
    "one number in a column": ({"num_labels": 1}, np.array([[0.5], [-2]])),
    "five numbers": ({"problem_type": "regression"}, np.linspace(-1, 2, 10).reshape(2, 5)),
    "several whole": (
        {"problem_type": "multi_label_classification"}, np.eye(5)[:2],
    ),
}  # fmt: skip
"""What the case "usual" is changed by, and labels for its two images."""


def flatten(output: Any) -> dict[str, Array]:
    """Every array of an output, by field; those of a tuple as ``field.0``, ``field.1``, …"""
    arrays = {}
    for name, value in output.items():
        parts = {name: value}
        if isinstance(value, tuple):
            parts = {f"{name}.{i}": part for i, part in enumerate(value)}
        arrays |= {key: np.asarray(part) for key, part in parts.items()}
    return arrays


def network(case: dict[str, Any], kind: str, seed: int = 0, dtype: str = "float64") -> Any:
    """A network of one of transformers' `CLASSES`, with parameters from `cases.draw`."""
    from .reference import network

    model = network(case | {"distilled": kind == TEACHER}, seed, dtype)
    if case.get("num_meta3d_blocks") == 0:  # else the first image is taken for the whole batch
        flat = model.efficientformer.encoder.last_stage.flat
        flat.register_forward_hook(lambda module, args, result: (result,))
    return model.efficientformer if kind == MODEL else model


def images(case: dict[str, Any], seed: int = 0) -> Array:
    """Input of a network: (B, C, H, W), float64."""
    return np.ascontiguousarray(cases.pixels(case, seed).transpose(0, 3, 1, 2))


def run(model: Any, case: dict[str, Any], seed: int = 0, **options: Any) -> Any:
    """Call a network of transformers."""
    import torch

    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        return model(torch.from_numpy(images(case, seed)).to(dtype), **options)


def everything(model: Any, case: dict[str, Any], seed: int = 0) -> dict[str, Array]:
    """All that a network of transformers says about a case."""
    return flatten(run(model, case, seed, output_hidden_states=True, output_attentions=True))


def make() -> dict[str, Array]:
    """All arrays of the file; of two classes with the same insides, those of the first."""
    import torch

    arrays = {}
    for name, case in CASES.items():
        for kind in CLASSES:
            for key, array in everything(network(case, kind), case).items():
                if kind == MODEL or "logits" in key:
                    arrays[f"{name}/{kind}/{key}"] = array
    for name, (changes, labels) in LOSSES.items():
        case = cases.SMALL["usual"] | changes
        output = run(network(case, CLASSIFIER), case, labels=torch.from_numpy(labels))
        arrays[f"loss/{name}"] = output.loss.numpy()
    return arrays


if __name__ == "__main__":
    np.savez_compressed(FILE, **make())
