"""``npformer train DIR``: teach a network the classes of a folder of photographs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import add_entry, add_unreadable, positive_integer
from .output import complain, complain_about_unreadable

if TYPE_CHECKING:
    from ..learn import Progress


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add("folder", metavar="DIR", help="one sub-folder for each class; or train/ and val/ with such")
    add("--val", metavar="DIR", help="photographs to evaluate on after each epoch (DIR/val)")
    add("--from", dest="model", metavar="MODEL", default="tiny", help="where to start (tiny)")
    add_entry(parser)
    add("--scratch", action="store_true", help="start from random weights instead of MODEL's")
    add("--teacher", metavar="MODEL", help="trained network that the second head learns from")
    add(
        "--distillation",
        choices=("hard", "soft"),
        default="hard",
        help="learn the teacher's first choice, or its probabilities (hard)",
    )
    add("--alpha", type=float, default=0.5, help="weight of a soft teacher in the loss (0.5)")
    add("--temperature", type=float, default=3.0, help="of a soft teacher (3)")
    add("--out", metavar="FOLDER", default="trained", help="folder for the result (trained)")
    add("--resume", action="store_true", help="continue the training in FOLDER, bit for bit")
    add("--epochs", type=positive_integer, default=10, help="passes over the photographs (10)")
    add("--batch-size", type=positive_integer, default=32, help="photographs in each step (32)")
    add("--lr", type=float, default=1e-3, help="highest learning rate (0.001)")
    add("--warmup", type=float, default=0.5, help="epochs in which the learning rate rises (0.5)")
    add("--optimizer", choices=("adamw", "sgd"), default="adamw", help="(adamw)")
    add("--weight-decay", type=float, default=0.025, help="(0.025)")
    add("--label-smoothing", type=float, default=0.1, help="(0.1)")
    add("--drop-path", type=float, default=0.0, help="rate at which residual branches drop out (0)")
    add("--mixup", type=float, default=0.0, help="α of mixup; 0: none (0)")
    add("--erase", type=float, default=0.0, help="probability that a rectangle is erased (0)")
    add("--average", type=float, default=0.0, help="decay of a moving average of the weights (0)")
    add(
        "--freeze",
        nargs="+",
        default=[],
        metavar="PATTERN",
        help="parameters to keep, such as 'stages.0.*'; body: all but the heads, which is fastest",
    )
    add("--seed", type=int, default=0, help="decides everything random (0)")
    add_unreadable(parser)


def run(args: argparse.Namespace) -> int:
    """Train, show progress, and print where the result is."""
    from tqdm import tqdm

    from ..learn import Augmentation, Recipe, TrainingInterrupted, fit
    from ..learn.results import is_there

    recipe = Recipe(
        epochs=args.epochs,
        batch_size=args.batch_size,
        optimizer=args.optimizer,
        lr=args.lr,
        warmup=args.warmup,
        weight_decay=args.weight_decay,
        label_smoothing=args.label_smoothing,
        distillation=args.distillation,
        alpha=args.alpha,
        temperature=args.temperature,
        drop_path=args.drop_path,
        average=args.average,
        freeze=tuple(args.freeze),
        seed=args.seed,
        augmentation=Augmentation(erase=args.erase, mixup=args.mixup),
    )
    # None: no bar if standard error is not a terminal.
    with tqdm(unit="img", disable=None, file=sys.stderr) as bar:

        def show(progress: Progress) -> None:
            done = (progress.epoch - 1) * progress.steps + progress.step
            if bar.total is None:
                bar.reset(total=progress.epochs * progress.steps * args.batch_size)
                bar.initial = (done - 1) * args.batch_size
            postfix = f"epoch {progress.epoch}, loss {number(progress.loss)}"
            bar.set_postfix_str(postfix, refresh=False)
            bar.update(done * args.batch_size - bar.n)
            with bar.external_write_mode():
                complain_about_unreadable(progress.unreadable)
                if progress.finished:
                    print(line(progress.finished, progress.epochs), flush=True)

        try:
            fitted = fit(
                args.folder,
                args.out,
                recipe,
                model=args.model,
                entry=args.entry,
                scratch=args.scratch,
                teacher=args.teacher,
                val=args.val,
                resume=args.resume,
                unreadable=args.unreadable,
                callback=show,
            )
        except TrainingInterrupted as stop:
            complain(f"{stop}; go on with --resume")
            raise
        except OSError as error:
            if error.filename and Path(args.out) in Path(error.filename).parents:
                complain(error)
                if is_there(args.out):
                    complain(f"what was saved in {args.out} before is whole; go on with --resume")
                return 1
            raise
    if fitted.curves is None:
        print('no picture of the curves: pip install "npformer[plot]"', file=sys.stderr)
    print(f"{fitted.folder}: npformer classify IMAGE --model {fitted.folder}")
    return 0


def line(row: dict[str, Any], epochs: int) -> str:
    """Return a line about an epoch, from its row of the log."""
    text = f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}  loss {number(row['loss'])}"
    if "val_loss" in row:
        text += f"  val loss {row['val_loss']:.3f}  top-1 {row['val_top1']:.1%}"
        text += f"  top-5 {row['val_top5']:.1%}"
    return f"{text}  {row['seconds']:.0f} s"


def number(loss: float | None) -> str:
    """Return a loss as text."""
    return "–" if loss is None else f"{loss:.3f}"
