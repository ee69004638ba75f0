"""npformer's twenty steps of training, for comparison with PyTorch's in `golden.training_steps`."""

from __future__ import annotations

from typing import Any

import numpy as np
from golden import cases
from golden.training_steps import CASE, CLIP, DECAY, EPS, RATE, SMOOTHING, STEPS, WARMUP, batch

from npformer.layers import Array, Mode, Trace
from npformer.learn.objectives import classification_loss
from npformer.learn.optimizers import (
    SGD,
    AdamW,
    clip_grad_norm,
    cosine_schedule,
    trainable,
)
from npformer.network import backward, forward, update_statistics
from npformer.network.tree import leaves

TOLERANCE = 1e-9


def run(name: str) -> dict[str, Array]:
    config, p, losses = cases.configuration(CASE), cases.parameters(CASE), []
    optimizers: Any = {"adamw": AdamW(eps=EPS, weight_decay=DECAY), "sgd": SGD(0.9, DECAY)}
    state = optimizers[name].init(p)
    for step in range(STEPS):
        x, labels = batch(step)
        tape = Trace(mode=Mode(batch_statistics=True))
        outputs = forward(x, p, config, tape)
        loss, dlogits = classification_loss(outputs, labels, SMOOTHING)
        dp = clip_grad_norm(backward(dlogits, x, p, config, tape)[1], CLIP)[0]
        p = update_statistics(p, tape)
        lr = cosine_schedule(step, STEPS, RATE, WARMUP)
        p, state = optimizers[name].update(p, dp, state, lr, trainable())
        losses.append(loss)
    return dict(leaves(p)) | {"losses": np.array(losses)}


def compare(found: dict[str, Array], expected: dict[str, Array]) -> None:
    assert sorted(found) == sorted(expected)
    assert expected["losses"][-1] < expected["losses"][0]
    for path, array in expected.items():
        scale = max(1.0, abs(array).max())
        error = abs(found[path] - array).max() / scale
        assert error <= TOLERANCE, f"{path}: {error:.1e}"
