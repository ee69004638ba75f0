"""PyTorch's first twenty steps of training: losses, parameters and running statistics.

    python -m tests.golden.training_steps     writes tests/golden/training_steps.npz anew

Float64, the network "usual" of `cases`, three batches in turn, cross-entropy with smoothing,
clipped gradients, a cosine schedule with warm-up, and weight decay on matrices and kernels only.
Adam's ε is 1e-6: the gradient of a bias before a batch norm is zero but for rounding, and what Adam
does there is that rounding, divided by ε.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from npformer.layers import Array

from . import cases
from .gradients import layout

FILE = Path(__file__).with_name("training_steps.npz")
CASE = cases.SMALL["usual"]
OPTIMIZERS = ("adamw", "sgd")
STEPS, RATE, WARMUP, DECAY, CLIP, SMOOTHING = 20, 0.02, 4, 0.05, 2.0, 0.1
EPS = 1e-6
LABELS = np.array([[1, 4], [0, 2], [3, 3]])


def batch(step: int) -> tuple[Array, Array]:
    return cases.pixels(CASE, 1 + step % 3), LABELS[step % 3]


def reference(optimizer: str) -> dict[str, Array]:
    """The loss of each step, and the tensors afterwards by timm's path."""
    import torch

    from .cases import renamer
    from .reference import network

    rename = renamer(CASE)
    model = network(CASE).train()
    groups: list[dict[str, Any]] = [{"params": [], "weight_decay": w} for w in (DECAY, 0.0)]
    for name, tensor in model.named_parameters():
        plain = tensor.ndim < 2 or "attention_biases" in name
        groups[plain]["params"].append(tensor)
    if optimizer == "adamw":
        stepper: Any = torch.optim.AdamW(groups, lr=RATE, eps=EPS)
    else:
        stepper = torch.optim.SGD(groups, lr=RATE, momentum=0.9)

    def factor(step: int) -> float:
        if step < WARMUP:
            return step / WARMUP
        return (1 + np.cos(np.pi * (step - WARMUP) / (STEPS - WARMUP))) / 2

    schedule = torch.optim.lr_scheduler.LambdaLR(stepper, factor)
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    losses = []
    for step in range(STEPS):
        x, labels = batch(step)
        stepper.zero_grad()
        logits = model(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).logits
        loss = criterion(logits, torch.from_numpy(labels))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        stepper.step()
        schedule.step()
        losses.append(loss.item())
    tensors = {rename(name): tensor for name, tensor in model.state_dict().items()}
    found = {
        path: layout(path, tensor.numpy(), cases.configuration(CASE).token_grid)
        for path, tensor in tensors.items()
        if tensor.is_floating_point()
    }
    return found | {"losses": np.array(losses)}


def main() -> None:
    found = {f"{o}/{path}": array for o in OPTIMIZERS for path, array in reference(o).items()}
    np.savez_compressed(FILE, **found)
    print(f"{FILE}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
