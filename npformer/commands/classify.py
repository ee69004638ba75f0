"""``npformer classify IMAGE…``: name what is in photographs."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files.describing import describe
from .arguments import add_batch_size, add_engine, add_json, add_weights, positive_integer
from .output import complain, print_json

if TYPE_CHECKING:
    from ..classification import Predictions


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="files, folders (searched recursively), patterns; - reads one from standard input",
    )
    add_weights(parser)
    parser.add_argument(
        "--top", type=positive_integer, default=5, help="number of answers for each image (5)"
    )
    add_json(parser, "one JSON object for each image")
    add_batch_size(parser, 8)
    add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Classify and print; report files that cannot be read, and continue."""
    from ..classification import load

    paths = [path for word in args.images for path in expand(word)]
    if not paths:
        args.parser.error(f"no photographs found in {', '.join(args.images)}")
    model = load(args.model, engine=args.engine, entry=args.entry)
    failed = 0
    progress = progress_bar(len(paths))
    for start in range(0, len(paths), args.batch_size):
        batch = paths[start : start + args.batch_size]
        answers = _answer(model, batch, args.top)
        with progress.external_write_mode() if progress else nullcontext():
            for path, answer in zip(batch, answers, strict=True):
                failed += isinstance(answer, Exception)
                _show(path, answer, args.json, many=len(paths) > 1)
        if progress:
            progress.update(len(batch))
    if progress:
        progress.close()
    return 1 if failed else 0


def progress_bar(total: int) -> Any:
    """Return a progress bar, or None for a single image or if standard error is not a terminal.

    tqdm is imported only when its bar is seen: that takes as long as classifying a photograph.
    """
    if total < 2 or not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    return tqdm(total=total, unit="img")


def expand(word: str) -> list[str]:
    """Return the files that a word of the command line stands for."""
    path = Path(word)
    if path.is_dir():
        from ..images.files import photographs_below

        return [str(photograph) for photograph in photographs_below(path)]
    if has_magic(word) and not path.exists():
        return [file for match in sorted(glob(word, recursive=True)) for file in expand(match)]
    return [word]


def _answer(model: Any, paths: list[str], top: int) -> list[Predictions | Exception]:
    """Classify a batch; the answer to a file that cannot be read or run is its error."""
    from ..errors import ConfigError, ImageError
    from ..images.layout import stacks

    answers: list[Predictions | Exception | None] = []
    pixels: list[Any] = []
    for path in paths:
        try:
            pixels.append(model.preprocess(_standard_input() if path == "-" else path))
            answers.append(None)
        except (ImageError, OSError) as error:
            answers.append(error)
    ran: list[Predictions | Exception] = []
    for x in stacks(pixels):
        try:
            ran += model.predict(x, top)
        except ConfigError as error:  # the network cannot take images of this size
            ran += len(x) * [error]
    rest = iter(ran)
    return [next(rest) if answer is None else answer for answer in answers]


def _standard_input() -> bytes:
    from ..errors import ImageError

    if sys.stdin is None:
        raise ImageError("standard input is closed; expected a photograph from a file or a pipe")
    return sys.stdin.buffer.read()


def _show(path: str, answer: Predictions | Exception, as_json: bool, many: bool) -> None:
    if isinstance(answer, Exception):
        message = describe(answer) if isinstance(answer, OSError) else str(answer)
        message = message if path in message else f"{path}: {message}"
        complain(message)
        if as_json:
            print_json({"image": path, "error": message})
    elif as_json:
        print_json({"image": path, "predictions": answer.to_dicts()})
    else:
        if many:
            print(path)
        print(answer, end="\n\n" if many else "\n")
