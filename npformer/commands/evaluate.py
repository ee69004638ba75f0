"""``npformer evaluate DIR``: how often a network is right about a folder of photographs."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from .classify import whole

if TYPE_CHECKING:
    from ..learn import Evaluation


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add("folder", metavar="DIR", help="one sub-folder a class, named as the model names it")
    add("--model", default="tiny", help="name or folder of the weights (tiny)")
    add("--batch-size", type=whole, default=32, help="images run at a time (32)")
    add("--engine", choices=("auto", "numba", "numpy"), default="auto", help="what computes (auto)")
    add("--skip-unreadable", action="store_true", help="leave out files that cannot be read")
    add("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print a table: a line for each class, the weakest last."""
    from tqdm import tqdm

    from ..learn import evaluate

    # None: no bar where standard error is no terminal.
    with tqdm(unit="img", disable=None, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        found = evaluate(
            args.folder,
            args.model,
            batch_size=args.batch_size,
            engine=args.engine,
            unreadable="skip" if args.skip_unreadable else "refuse",
            callback=show,
        )
    for message in found.unreadable:
        print(f"npformer: left out: {message}", file=sys.stderr)
    if args.json:
        values = found._asdict() | {"classes": [score._asdict() for score in found.classes]}
        print(json.dumps(values))
    else:
        print(table(found))
    return 0


def table(found: Evaluation) -> str:
    """Return the table."""
    from ..display import bar

    width = max((len(score.label) for score in found.classes), default=0)
    rows = [
        f"{s.label:<{width}} {s.images:>6} {s.top1:7.1%} {bar(s.top1)}".rstrip()
        for s in sorted(found.classes, key=lambda s: -s.top1)
    ]
    total = f"{found.images} photographs: top-1 {found.top1:.1%}, top-5 {found.top5:.1%}"
    return "\n".join([*rows, "", f"{total}, loss {found.loss:.3f}"])
