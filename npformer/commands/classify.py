"""``npformer classify IMAGE…``: name what is in photographs."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from .arguments import add_json, positive_integer
from .many import Progress, add_photographs, gather, write
from .output import print_json

if TYPE_CHECKING:
    from ..scale.pipeline import Row


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_photographs(parser)
    parser.add_argument(
        "--top", type=positive_integer, default=5, help="number of answers for each image (5)"
    )
    add_json(parser, "one JSON object for each image")


def run(args: argparse.Namespace) -> int:
    """Classify and print, or write; report files that cannot be read, and continue."""
    from ..classification import load
    from ..scale.run import run as run_task
    from ..scale.task import answers

    images = gather(args)
    task = answers(load(args.model, engine=args.engine, entry=args.entry), args.top, args.decode)
    if args.output is not None:
        return write(args, task, images)
    on_terminal = sys.stdout.isatty()
    with Progress(len(images)) as progress:
        for i, row in enumerate(run_task(task, images, batch_size=args.batch_size), 1):
            progress.report(i, [] if row.error is None else [row.error])
            if on_terminal:
                with progress.aside():
                    _show(row, args.json, many=len(images) > 1)
            else:
                _show(row, args.json, many=len(images) > 1)
    return 1 if progress.unreadable else 0


def _show(row: Row, as_json: bool, many: bool) -> None:
    if row.error is not None:
        if as_json:
            print_json({"image": row.image, "error": row.error})
    elif as_json:
        print_json({"image": row.image, "predictions": row.answer.to_dicts()})
    else:
        if many:
            print(row.image)
        print(row.answer, end="\n\n" if many else "\n")
