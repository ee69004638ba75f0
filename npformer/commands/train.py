"""``npformer train DIR``: teach a network the classes of a folder of photographs."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from .classify import whole

if TYPE_CHECKING:
    from ..learn import Progress


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add("folder", metavar="DIR", help="one sub-folder a class; or train/ and val/ with such")
    add("--val", metavar="DIR", help="photographs to evaluate on after each epoch (DIR/val)")
    add("--from", dest="model", metavar="MODEL", default="tiny", help="where to start (tiny)")
    add("--scratch", action="store_true", help="start from random weights, not from MODEL's")
    add("--teacher", metavar="MODEL", help="a trained network that the second head learns from")
    add("--distillation", choices=("hard", "soft"), default="hard", help="how it does (hard)")
    add("--alpha", type=float, default=0.5, help="share of a soft teacher in the loss (0.5)")
    add("--temperature", type=float, default=3.0, help="of a soft teacher (3)")
    add("--out", metavar="FOLDER", default="trained", help="where the result goes (trained)")
    add("--resume", action="store_true", help="go on with what FOLDER holds, bit for bit")
    add("--epochs", type=whole, default=10, help="times that each photograph is seen (10)")
    add("--batch-size", type=whole, default=32, help="photographs a step (32)")
    add("--lr", type=float, default=1e-3, help="highest learning rate (0.001)")
    add("--warmup", type=float, default=0.5, help="epochs in which the rate rises (0.5)")
    add("--optimizer", choices=("adamw", "sgd"), default="adamw", help="(adamw)")
    add("--weight-decay", type=float, default=0.025, help="(0.025)")
    add("--label-smoothing", type=float, default=0.1, help="(0.1)")
    add("--drop-path", type=float, default=0.0, help="silences residual branches (0)")
    add("--mixup", type=float, default=0.0, help="mixes images: the α of their share (0)")
    add("--erase", type=float, default=0.0, help="probability that a rectangle is erased (0)")
    add("--average", type=float, default=0.0, help="decay of a moving average of the weights (0)")
    add(
        "--freeze",
        nargs="+",
        default=[],
        metavar="PATTERN",
        help="parameters that stay, such as 'stages.0.*'; body: all but the heads, the fastest way",
    )
    add("--seed", type=int, default=0, help="decides all that is random (0)")
    add("--skip-unreadable", action="store_true", help="leave out files that cannot be read")


def run(args: argparse.Namespace) -> int:
    """Train, show how it goes, and say what came of it."""
    from tqdm import tqdm

    from ..learn import Augmentation, Recipe, fit

    recipe = Recipe(
        epochs=args.epochs,
        batch_size=args.batch_size,
        optimizer=args.optimizer,
        rate=args.lr,
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
    # None: no bar where standard error is no terminal.
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
                for message in progress.unreadable:
                    print(f"npformer: left out: {message}", file=sys.stderr)
                if progress.finished:
                    print(line(progress.finished, progress.epochs), flush=True)

        try:
            fitted = fit(
                args.folder,
                args.out,
                recipe,
                model=args.model,
                scratch=args.scratch,
                teacher=args.teacher,
                val=args.val,
                resume=args.resume,
                unreadable="skip" if args.skip_unreadable else "refuse",
                callback=show,
            )
        except KeyboardInterrupt:
            print(f"npformer: saved in {args.out}; go on with --resume", file=sys.stderr)
            raise
    if fitted.curves is None:
        print('no picture of the curves: pip install "npformer[plot]"', file=sys.stderr)
    print(f"{fitted.folder}: npformer classify IMAGE --model {fitted.folder}")
    return 0


def line(row: dict[str, Any], epochs: int) -> str:
    """Return a line on an epoch."""
    text = f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}  loss {number(row['loss'])}"
    if "val_loss" in row:
        text += f"  val loss {row['val_loss']:.3f}  top-1 {row['val_top1']:.1%}"
        text += f"  top-5 {row['val_top5']:.1%}"
    return f"{text}  {row['seconds']:.0f} s"


def number(loss: float | None) -> str:
    """Return a loss for reading."""
    return "–" if loss is None else f"{loss:.3f}"
