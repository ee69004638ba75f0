"""PyTorch's gradients of the networks of `cases`: every parameter's and the pixels'.

    python -m tests.golden.gradients          writes tests/golden/gradients.npz anew

The loss is ``Σ dlogits · logits`` over all outputs, so that its gradient at the logits is given. A
network runs for evaluation, or for training; then its running statistics are recorded as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npformer.layers import Array
from npformer.network import Logits

from . import cases

FILE = Path(__file__).with_name("gradients.npz")
MODES = ("evaluation", "training")


def dlogits(case: dict[str, Any]) -> Logits:
    """The gradient at each output; timm returns the mean of the heads only."""
    shape = (case["image"][0], case["num_labels"] or case["hidden_sizes"][-1])
    both = case.get("distilled", True) and case["library"] == "transformers"
    names = ("logits", "cls_logits", "distillation_logits") if both else ("logits",)
    draws = [cases.draw(f"d{name}", shape) for name in names]
    return Logits(*draws, *[None] * (3 - len(draws)))


def reference(
    case: dict[str, Any], mode: str, masks: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    """Gradients by timm's path, ``pixels`` among them, in npformer's shapes.

    `masks` are what dropout and drop path shall multiply by, by path; each is then used once.
    """
    import torch

    from .cases import renamer
    from .reference import network

    model = network(case).train(mode == "training")
    for module in model.modules():
        if hasattr(module, "ab"):  # transformers: eval() made a copy that knows no gradient
            module.ab = module.attention_biases[:, module.attention_bias_idxs]
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(straighten)
    pixels = torch.from_numpy(np.ascontiguousarray(cases.pixels(case).transpose(0, 3, 1, 2)))
    pixels.requires_grad_()
    if masks is not None:
        play(masks, model, renamer(case))
    result = model(pixels)
    loss = 0
    for name, gradient in dlogits(case)._asdict().items():
        if gradient is not None:
            loss += (torch.from_numpy(gradient) * getattr(result, name, result)).sum()
    loss.backward()

    rename = renamer(case)
    found = {"pixels": pixels.grad}
    found |= {rename(name): tensor.grad for name, tensor in model.named_parameters()}
    if mode == "training":
        buffers = model.named_buffers()
        found |= {rename(name): tensor for name, tensor in buffers if "running" in name}
    grid = cases.configuration(case).token_grid
    return {path: layout(path, tensor.numpy(), grid) for path, tensor in found.items()}


def straighten(module: Any, args: Any, result: Any) -> None:
    """Hand batch norm a gradient that is contiguous.

    PyTorch 2.13 on a CPU misreads one whose channels lie last if the batch holds a single image:
    its gradients then contradict its own difference quotients.
    """
    result.register_hook(lambda gradient: gradient.contiguous())


def layout(path: str, array: Array, grid: tuple[int, int]) -> Array:
    """From PyTorch's order of axes to npformer's."""
    if path.endswith("attention_biases"):
        return array.reshape(-1, *grid)
    if path == "pixels":
        return array.transpose(0, 2, 3, 1)
    return array.transpose({4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[array.ndim])


def play(masks: Mapping[str, Array], model: Any, rename: Any) -> None:
    """Let the dropouts and drop paths of transformers multiply by given masks."""
    import torch

    left = dict(masks)

    def hook_for(path: str) -> Any:
        calls = iter((1, 2))  # one module stands for both places

        def hook(module: Any, args: Any, result: Any) -> Any:
            mask = torch.from_numpy(left.pop(f"{path}{next(calls)}.mask"))
            if mask.ndim == 4 and mask.shape[1:] != (1, 1, 1):
                mask = mask.permute(0, 3, 1, 2)
            return args[0] * mask

        return hook

    for name, module in model.named_modules():
        path = rename(name)
        if path.endswith((".drop_path", ".dropout")):
            path = path.replace(".dropout", ".drop")
            if f"{path}1.mask" in masks:
                module.register_forward_hook(hook_for(path))
    model.masks_left = left


def main() -> None:
    found = {
        f"{name}/{mode}/{path}": array
        for name, case in cases.SMALL.items()
        for mode in MODES
        for path, array in reference(case, mode).items()
    }
    np.savez_compressed(FILE, **found)
    print(f"{FILE}: {len(found)} arrays, {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
