"""The same training in npformer and in PyTorch, side by side; not a test.

    python tests/compare_training.py photos --freeze body --epochs 2
    python tests/compare_training.py photos --scratch --epochs 10

Both start from the same weights and see the same batches at the same learning rates; PyTorch runs
transformers' model, its own autograd and its own AdamW. Prints accuracy and time of each.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from transformers import EfficientFormerForImageClassificationWithTeacher as Reference

from npformer import checkpoints
from npformer.image_processing import EfficientFormerImageProcessor
from npformer.learn import Recipe, fit
from npformer.learn.data import Photographs, find_photographs, steps_of, training_batches
from npformer.learn.evaluation import measure
from npformer.learn.fitting import Start, Training, prepare, split
from npformer.learn.optimizers import decays
from npformer.model import Logits


def main() -> None:
    parser = argparse.ArgumentParser(description="The same training in npformer and in PyTorch.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--scratch", action="store_true")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--freeze", nargs="+", default=[])
    parser.add_argument("--only", choices=("npformer", "pytorch"))
    args = parser.parse_args()
    recipe = Recipe(
        epochs=args.epochs, batch_size=args.batch_size, rate=args.lr, freeze=tuple(args.freeze)
    )
    train, val = split(args.folder, None)
    if val is None:
        parser.error(f"{args.folder}: no folder val to compare on")
    photos = find_photographs(train)
    tested = find_photographs(val, photos.classes)
    if args.only != "npformer":
        start = prepare(args.model, photos.classes, recipe.seed, args.scratch)
        report("PyTorch", *in_pytorch(start, photos, tested, recipe))
    if args.only != "pytorch":
        begun = perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            fitted = fit(
                train, Path(folder) / "out", recipe, model=args.model, scratch=args.scratch, val=val
            )
        report("npformer", fitted.history[-1]["val_top1"], perf_counter() - begun)


def report(name: str, top1: float, seconds: float) -> None:
    print(f"{name:<10} top-1 {top1:.1%}  {seconds:.0f} s", flush=True)


def in_pytorch(
    start: Start, photos: Photographs, tested: Photographs, recipe: Recipe
) -> tuple[float, float]:
    """Train transformers' model; return its accuracy and the seconds it took."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoints.write(folder, start.config, start.params, start.processor)
        model: Any = Reference.from_pretrained(folder)
        plan = Training(Path(folder), recipe, start, photos, None, facts={}, engine="numpy")
    begun = perf_counter()
    paths = {name: path for path, name in checkpoints.names(start.config, "hf").items()}
    groups: dict[float, list[Any]] = {0.0: [], recipe.weight_decay: []}
    for name, parameter in model.named_parameters():
        path = paths[name]
        parameter.requires_grad = plan.learns(path)
        if parameter.requires_grad:
            shape = np.broadcast_to(0, (1,) * parameter.ndim)
            groups[recipe.weight_decay if decays(path, shape) else 0.0].append(parameter)
    optimizer = torch.optim.AdamW(
        [{"params": group, "weight_decay": decay} for decay, group in groups.items()]
    )
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    processor = EfficientFormerImageProcessor.from_dict(start.processor)
    body = plan.features is None
    for step in range(recipe.epochs * steps_of(photos, recipe.batch_size)):
        epoch, number = divmod(step, steps_of(photos, recipe.batch_size))
        if number == 0:
            batches = training_batches(
                photos,
                processor,
                recipe.augmentation,
                seed=recipe.seed,
                epoch=epoch,
                batch_size=recipe.batch_size,
            )
        batch = next(batches)
        model.train(body)  # a frozen body is used as it is, its batch norms too
        for group in optimizer.param_groups:
            group["lr"] = plan.rate(step)
        optimizer.zero_grad()
        outputs = model(torch.from_numpy(np.moveaxis(batch.x, -1, 1).copy()))
        loss = loss_of((outputs.cls_logits + outputs.distillation_logits) / 2, tensor(batch.labels))
        loss.backward()
        if recipe.clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
    model.eval()

    def forward(x: Any) -> Logits:
        with torch.no_grad():
            outputs = model(torch.from_numpy(np.moveaxis(x, -1, 1).copy()))
        return Logits(outputs.logits.numpy(), None, None)

    return measure(forward, tested, processor).top1, perf_counter() - begun


def tensor(labels: Any) -> Any:
    return torch.from_numpy(labels)


if __name__ == "__main__":
    main()
