r"""The same training in npformer and in PyTorch, side by side; not a test.

    python tests/compare_training.py photos --freeze body --epochs 2
    python tests/compare_training.py photos --scratch --epochs 12 --lr 2e-3 --warmup 1 \
        --weight-decay 0.05 --seeds 0 1 2 --curves curves.svg

Both start from the same weights and see the same batches at the same learning rates; PyTorch runs
transformers' model, its own autograd and its own AdamW. The script prints the accuracy and time of
each, epoch by epoch, and the mean over the seeds at the end; ``--curves`` draws them all. The time
includes reading and evaluation. There is no option for dropout and drop path, for which PyTorch
would draw other random numbers.
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
from npformer.images.processor import EfficientFormerImageProcessor
from npformer.learn import Augmentation, Progress, Recipe, fit
from npformer.learn.class_folders import find_photographs
from npformer.learn.data import training_batches
from npformer.learn.evaluation import evaluate_network
from npformer.learn.fitting import split
from npformer.learn.optimizers import decays
from npformer.learn.student import prepare_student
from npformer.learn.trainer import Trainer
from npformer.network import Logits


def main() -> None:
    parser = argparse.ArgumentParser(description="The same training in npformer and in PyTorch.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--scratch", action="store_true")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--warmup", type=float, default=0.5, help="epochs")
    parser.add_argument("--weight-decay", type=float, default=0.025)
    parser.add_argument("--label-smoothing", type=float, default=0.1)
    parser.add_argument("--crop", type=float, default=Augmentation().scale[0], help="least share")
    parser.add_argument("--jitter", type=float, default=Augmentation().jitter)
    parser.add_argument("--erase", type=float, default=0.0)
    parser.add_argument("--mixup", type=float, default=0.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--freeze", nargs="+", default=[])
    parser.add_argument("--curves", type=Path, help="a picture to draw, .svg or .png")
    parser.add_argument("--only", choices=("npformer", "pytorch"))
    args = parser.parse_args()
    train, val = split(args.folder, None)
    if val is None:
        parser.error(f"{args.folder}: no folder val to compare on")
    found: dict[str, list[list[float]]] = {}
    for seed in args.seeds:
        if len(args.seeds) > 1:
            print(f"seed {seed}", flush=True)
        recipe = recipe_of(args, seed)
        if args.only != "npformer":
            found.setdefault("PyTorch", []).append(in_pytorch(args, recipe, train, val))
        if args.only != "pytorch":
            found.setdefault("npformer", []).append(in_npformer(args, recipe, train, val))
    for name, runs in found.items():
        last = [100 * top1[-1] for top1 in runs]
        print(f"{name:<10} mean of {len(last)}: top-1 {np.mean(last):.1f}%")
    if args.curves:
        draw(found, args.curves)


def recipe_of(args: argparse.Namespace, seed: int) -> Recipe:
    """Return the recipe that the arguments describe."""
    return Recipe(
        epochs=args.epochs,
        batch_size=args.batch_size,
        lr=args.lr,
        warmup=args.warmup,
        weight_decay=args.weight_decay,
        label_smoothing=args.label_smoothing,
        freeze=tuple(args.freeze),
        seed=seed,
        augmentation=Augmentation(
            scale=(args.crop, 1.0), jitter=args.jitter, erase=args.erase, mixup=args.mixup
        ),
    )


def draw(found: dict[str, list[list[float]]], path: Path) -> None:
    """Draw the accuracy of each epoch, a line for each library and seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.4), layout="constrained", facecolor="white")
    ax = figure.subplots()
    styles = ("#D55E00", "--", "s"), ("#0072B2", "-", "o")
    for (name, runs), (color, line, marker) in zip(found.items(), styles, strict=False):
        for n, top1 in enumerate(runs):
            ax.plot(
                range(1, len(top1) + 1),
                [100 * share for share in top1],
                line,
                color=color,
                marker=marker,
                markersize=4,
                alpha=0.8,
                label=name if n == 0 else None,
            )
    ax.set(xlabel="epoch", ylabel="top-1 on val (%)", ylim=(0, 100))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    figure.savefig(path, dpi=130)


def report(name: str, epoch: int, top1: float, begun: float) -> None:
    seconds = perf_counter() - begun
    print(f"{name:<10} epoch {epoch:>3}  top-1 {top1:.1%}  {seconds:.0f} s", flush=True)


def in_npformer(args: argparse.Namespace, recipe: Recipe, train: Path, val: Path) -> list[float]:
    """Train with `fit`, report after each epoch, and return the accuracies."""
    begun = perf_counter()

    def tell(progress: Progress) -> None:
        if progress.finished:
            report("npformer", progress.epoch, progress.finished["val_top1"], begun)

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        fitted = fit(
            train, out, recipe, model=args.model, scratch=args.scratch, val=val, callback=tell
        )
    return [line["val_top1"] for line in fitted.history]


def in_pytorch(args: argparse.Namespace, recipe: Recipe, train: Path, val: Path) -> list[float]:
    """Train transformers' model, report after each epoch, and return the accuracies."""
    photos = find_photographs(train)
    tested = find_photographs(val, photos.classes)
    student = prepare_student(args.model, photos.classes, recipe.seed, args.scratch)
    with tempfile.TemporaryDirectory() as folder:
        checkpoints.write(folder, student.config, student.params, student.processor)
        model: Any = Reference.from_pretrained(folder).to(memory_format=torch.channels_last)
        trainer = Trainer(Path(folder), recipe, student, photos, None, settings={}, engine="numpy")
    begun = perf_counter()
    paths = {name: path for path, name in checkpoints.names(student.config, "hf").items()}
    groups: dict[float, list[Any]] = {0.0: [], recipe.weight_decay: []}
    for name, parameter in model.named_parameters():
        path = paths[name]
        parameter.requires_grad = trainer.is_trainable(path)
        if parameter.requires_grad:
            shape = np.broadcast_to(0, (1,) * parameter.ndim)
            groups[recipe.weight_decay if decays(path, shape) else 0.0].append(parameter)
    optimizer = torch.optim.AdamW(
        [{"params": group, "weight_decay": decay} for decay, group in groups.items()]
    )
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    processor = EfficientFormerImageProcessor.from_dict(student.processor)
    body = trainer.frozen_body is None

    def forward(x: Any) -> Logits:
        with torch.no_grad():
            outputs = model(pixels(x))
        return Logits(outputs.logits.numpy(), None, None)

    step, accuracies = 0, []
    for epoch in range(recipe.epochs):
        model.train(body)  # a frozen body is used as it is, its batch norms too
        for batch in training_batches(
            photos,
            processor,
            recipe.augmentation,
            seed=recipe.seed,
            epoch=epoch,
            batch_size=recipe.batch_size,
        ):
            for group in optimizer.param_groups:
                group["lr"] = trainer.learning_rate(step)
            optimizer.zero_grad()
            x, targets = trainer.examples(batch, step)
            outputs = model(pixels(x))
            logits = (outputs.cls_logits + outputs.distillation_logits) / 2
            loss_of(logits, torch.from_numpy(targets)).backward()
            if recipe.clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimizer.step()
            step += 1
        model.eval()
        accuracies.append(evaluate_network(forward, tested, processor).top1)
        report("PyTorch", epoch + 1, accuracies[-1], begun)
    return accuracies


def pixels(x: Any) -> Any:
    """Return images (B, H, W, 3) as PyTorch's (B, 3, H, W), channels last in memory."""
    return torch.from_numpy(x).permute(0, 3, 1, 2)


if __name__ == "__main__":
    main()
