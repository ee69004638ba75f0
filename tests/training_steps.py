"""npformer's twenty steps of training, for comparison with PyTorch's in `golden.training_steps`."""

from __future__ import annotations

from typing import Any

import numpy as np
from golden import cases
from golden.training_steps import CASE, CLIP, DECAY, EPS, RATE, SMOOTHING, STEPS, WARMUP, batch

from npformer.layers import Array, Mode, Trace
from npformer.learn.losses import classification
from npformer.learn.optimizers import SGD, AdamW, clip, cosine, learned
from npformer.network import backward, forward, update_statistics
from npformer.network.tree import leaves

TOLERANCE = 1e-9


def run(optimizer: str) -> dict[str, Array]:
    config, p, losses = cases.configuration(CASE), cases.parameters(CASE), []
    stepper: Any = {"adamw": AdamW(eps=EPS, weight_decay=DECAY), "sgd": SGD(0.9, DECAY)}[optimizer]
    state = stepper.start(p)
    for step in range(STEPS):
        x, labels = batch(step)
        tape = Trace(mode=Mode(batch_statistics=True))
        outputs = forward(x, p, config, tape)
        loss, dlogits = classification(outputs, labels, SMOOTHING)
        dp = clip(backward(dlogits, x, p, config, tape)[1], CLIP)[0]
        p = update_statistics(p, tape)
        p, state = stepper.update(p, dp, state, cosine(step, STEPS, RATE, WARMUP), learned())
        losses.append(loss)
    return dict(leaves(p)) | {"losses": np.array(losses)}


def compare(found: dict[str, Array], expected: dict[str, Array]) -> None:
    assert sorted(found) == sorted(expected)
    assert expected["losses"][-1] < expected["losses"][0]
    for path, array in expected.items():
        scale = max(1.0, abs(array).max())
        error = abs(found[path] - array).max() / scale
        assert error <= TOLERANCE, f"{path}: {error:.1e}"
