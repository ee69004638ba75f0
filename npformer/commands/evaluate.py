"""``npformer evaluate DIR``: how often a network is right about a folder of photographs."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from .arguments import (
    add_batch_size,
    add_engine,
    add_json,
    add_unreadable,
    add_weights,
)
from .output import complain_about_unreadable

if TYPE_CHECKING:
    from ..learn import Evaluation


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "folder",
        metavar="DIR",
        help="photographs: one sub-folder for each class, named like the class of the model",
    )
    add_weights(parser)
    add_batch_size(parser, 32)
    add_engine(parser)
    add_unreadable(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate and print a table: a line for each class, the weakest last."""
    from tqdm import tqdm

    from ..learn import evaluate

    # None: no bar if standard error is not a terminal.
    with tqdm(unit="img", disable=None, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        found = evaluate(
            args.folder,
            args.model,
            batch_size=args.batch_size,
            engine=args.engine,
            unreadable=args.unreadable,
            callback=show,
        )
    complain_about_unreadable(found.unreadable)
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
