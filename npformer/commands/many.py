"""What the commands share that look at many photographs: their arguments, and how far they are."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from .arguments import add_batch_size, add_engine, add_weights
from .output import complain

if TYPE_CHECKING:
    from ..scale.paths import Paths
    from ..scale.task import Task


def add_photographs(parser: argparse.ArgumentParser) -> None:
    """Add what is looked at, with what, and how."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="files, folders (searched recursively), patterns, addresses such as s3://bucket/; "
        "- reads one from standard input",
    )
    add_weights(parser)
    add_batch_size(parser, 8)
    add_engine(parser)
    parser.add_argument(
        "--decode",
        choices=("exact", "fast"),
        default="exact",
        help="decode JPEGs in full, or large ones only as finely as is needed, which is several "
        "times faster and moves scores a little (exact)",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="write a table, which an interrupted run continues: .parquet (needs pyarrow), .csv or "
        ".jsonl",
    )
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="let the workers of a Dask cluster do it, such as tcp://10.0.0.1:8786; the output is "
        "a .parquet that they all see",
    )
    parser.set_defaults(takes_addresses=("images", "output", "dask"))


def gather(args: argparse.Namespace) -> Paths:
    """List the photographs; exit with 2 if there are none, or the output is impossible."""
    from ..errors import ConfigError
    from ..images.files import words_about
    from ..scale.outputs import check_output
    from ..scale.paths import Paths
    from ..scale.reading import STANDARD_INPUT, absolute, expand

    try:
        kind = None if args.output is None else check_output(args.output)
    except ConfigError as error:
        args.parser.error(str(error))
    if args.dask is not None and kind != ".parquet":
        args.parser.error("with --dask answers are written; give --output FILE.parquet")
    if args.images.count(STANDARD_INPUT) > 1:
        args.parser.error("- is given twice; standard input holds one photograph")
    if args.dask is not None and STANDARD_INPUT in args.images:
        args.parser.error("- is this process's standard input; with --dask, name files")
    left_out: Counter[str] = Counter()
    found = (image for word in args.images for image in expand(word, left_out))
    images = Paths(map(absolute, found) if args.dask is not None else found)
    if left_out:
        complain(words_about(left_out))
    if not images:
        args.parser.error(f"no photographs found in {', '.join(args.images)}")
    return images


def write(args: argparse.Namespace, task: Task, images: Paths) -> int:
    """Write a table, and say how many rows it has."""
    from ..scale.cluster import connect
    from ..scale.run import write as write_rows

    client = connect(args.dask) if args.dask else None
    with Progress(len(images)) as progress, client or nullcontext():
        found = write_rows(
            task,
            images,
            args.output,
            batch_size=args.batch_size,
            client=client,
            callback=progress.report,
        )
    before = f", of which {found.before} were there" if found.before else ""
    unread = f"; {found.unreadable} could not be read" if found.unreadable else ""
    print(f"{found.output}: {found.photographs} photographs{before}{unread}")
    return 1 if found.unreadable else 0


class Progress:
    """A bar on standard error: photographs a second, time left, and what could not be read.

    There is none for a single image, or if standard error is not a terminal. tqdm is imported only
    when its bar is seen: that takes as long as classifying a photograph.

    Parameters
    ----------
    total : int
    """

    def __init__(self, total: int) -> None:
        self.unreadable = 0
        self._begun = False
        self._bar: Any = None
        if total > 1 and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit="img")

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.close()

    def aside(self) -> Any:
        """Return a context in which other lines can be written to a terminal."""
        return self._bar.external_write_mode() if self._bar else nullcontext()

    def report(self, done: int, errors: Sequence[str]) -> None:
        """Count rows, and complain about errors; the first call may tell rows of an earlier run."""
        for error in errors:
            self.unreadable += 1
            with self.aside():
                complain(error)
        if self._bar:
            if errors:
                self._bar.set_postfix_str(f"{self.unreadable} unreadable", refresh=False)
            if not self._begun:  # so that the speed is that of this run
                self._bar.initial = self._bar.n = done
            self._bar.update(done - self._bar.n)
        self._begun = True
