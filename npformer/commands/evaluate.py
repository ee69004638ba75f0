"""``npformer evaluate DIR``: how often a network is right about a folder of photographs, what it
takes for what, and how far its scores can be trusted.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .arguments import (
    add_batch_size,
    add_engine,
    add_json,
    add_unreadable,
    add_weights,
)
from .output import complain_about_unreadable, print_json

if TYPE_CHECKING:
    from ..learn import Evaluation
    from ..learn.evaluation import Confusion, Reliability


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "folder",
        metavar="DIR",
        help="photographs: one sub-folder for each class, named as the model names it or by its "
        "WordNet id; npformer info MODEL --classes lists the names",
    )
    add_weights(parser)
    add_batch_size(parser, 32)
    add_engine(parser)
    add_unreadable(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate and print tables."""
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
            entry=args.entry,
            unreadable=args.unreadable,
            callback=show,
        )
    complain_about_unreadable(found.unreadable)
    if args.json:
        print_json(to_dict(found))
    else:
        print(report(found))
    return 0


def to_dict(found: Evaluation) -> dict[str, object]:
    """Return the evaluation as plain dictionaries, for JSON, which has no number for nan or inf."""
    groups = ("classes", "confusions", "reliability")
    return found._asdict() | {
        "loss": found.loss if math.isfinite(found.loss) else None,
        **{name: [row._asdict() for row in getattr(found, name)] for name in groups},
    }


def report(found: Evaluation, most: int = 10) -> str:
    """Return three tables, with the most frequent confusions only, and a line on everything."""
    parts = [by_class(found)]
    if found.confusions:
        parts.append(by_confusion(found.confusions, most))
    if found.reliability:
        parts.append(by_score(found.reliability))
    total = f"{found.images} photographs: top-1 {found.top1:.1%}, top-5 {found.top5:.1%}"
    return "\n\n".join([*parts, f"{total}, loss {found.loss:.3f}"])


def by_class(found: Evaluation) -> str:
    """Return a line for each class, the weakest last."""
    from ..display import bar

    width = max([len("class"), *(len(score.label) for score in found.classes)])
    lines = [
        f"{s.label:<{width}} {s.images:>6} {s.top1:7.1%} {bar(s.top1)}".rstrip()
        for s in sorted(found.classes, key=lambda s: -s.top1)
    ]
    return "\n".join([f"{'class':<{width}} images   right", *lines])


def by_confusion(confusions: Sequence[Confusion], most: int) -> str:
    """Return a line for each pair of classes that were confused, the most frequent first."""
    width = max([len("class"), *(len(c.label) for c in confusions[:most])])
    lines = [f"{c.label:<{width}} {c.images:>6}  {c.answer}" for c in confusions[:most]]
    if len(confusions) > most:
        rest = sum(c.images for c in confusions[most:])
        lines.append(f"{'…':<{width}} {rest:>6}  in {len(confusions) - most} other ways")
    return "\n".join([f"{'class':<{width}} images  taken for", *lines])


def by_score(reliability: Sequence[Reliability]) -> str:
    """Return a line for each range of scores, the highest first: how many answers were right."""
    from ..display import bar

    lines = [
        f"{f'{r.low:.0%} – {r.high:.0%}':<10} {r.images:>6} {r.score:11.1%} {r.top1:7.1%} "
        f"{bar(r.top1)}".rstrip()
        for r in reversed(reliability)
    ]
    return "\n".join(["score      images  mean score   right", *lines])
