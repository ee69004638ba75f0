"""Make the golden files: ``python -m tests.golden.make``. Needs the extra ``reference``.

A small network's file holds what every layer was given and returned, in float64, each array once
and channels last. A full-sized network's holds its logits, computed in float64 and in float32, and
a summary of every layer's result.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import timm
import torch
import transformers
from safetensors.numpy import save_file

from npformer.layers import Array

from . import cases, check, reference


def small(name: str) -> None:
    case = cases.SMALL[name]
    model = reference.network(case)
    heard = reference.overhear(model, case, cases.pixels(case))
    arrays: dict[str, Array] = {}
    seen: dict[tuple[tuple[int, ...], bytes], str] = {}

    def store(key: str, array: Array) -> str:
        key = seen.setdefault((array.shape, array.tobytes()), key)
        arrays[key] = np.ascontiguousarray(array)
        return key

    layers = []
    for path, returned in heard.outputs.items():
        given = heard.inputs.get(path)
        layers.append([
            path, None if given is None else store(f"{path}:in", given), store(path, returned),
        ])  # fmt: skip
    state = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
    save(name, arrays, case=case, layers=layers, state=state)


def full(name: str) -> None:
    case = cases.FULL[name]
    pixels = cases.pixels(case)
    heard = reference.overhear(reference.network(case), case, pixels)
    layers = check.counterparts(heard)
    single = reference.network(case, dtype="float32")
    with torch.no_grad():
        nchw = torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32))
        logits_float32 = single(nchw).logits.numpy()
    arrays = {
        "logits": heard.outputs["logits"],
        "logits_float32": logits_float32,
        "summaries": np.array([check.summary(x) for x in layers.values()]),
    }
    save(name, arrays, case=case, layers=list(layers))


def save(name: str, arrays: dict[str, Array], **notes: Any) -> None:
    notes["made_with"] = {
        library.__name__: library.__version__ for library in (torch, transformers, timm, np)
    }
    path = check.FOLDER / f"{name}.safetensors"
    # One entry only: safetensors writes several in a random order.
    save_file(arrays, path, {"notes": json.dumps(notes)})
    path.chmod(0o644)
    print(f"{path.name:20} {len(arrays):4} arrays {path.stat().st_size:9,} bytes")


if __name__ == "__main__":
    torch.set_num_threads(1)  # the order of summation must not depend on the machine
    for name in cases.SMALL:
        small(name)
    for name in cases.FULL:
        full(name)
