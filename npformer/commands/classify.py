"""``npformer classify IMAGE…``: name what is on photographs."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..classification import Predictions


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="files, folders (searched to the bottom), patterns; - reads one from standard input",
    )
    parser.add_argument("--model", default="tiny", help="name or folder of the weights (tiny)")
    parser.add_argument("--top", type=whole, default=5, help="answers for each image (5)")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each image")
    parser.add_argument("--batch-size", type=whole, default=8, help="images run at a time (8)")
    parser.add_argument(
        "--engine", choices=("auto", "numba", "numpy"), default="auto", help="what computes (auto)"
    )


def run(args: argparse.Namespace) -> int:
    """Classify, print, and go on when a file is bad."""
    from ..classification import load

    paths = [path for word in args.images for path in expand(word)]
    if not paths:
        args.parser.error(f"no photographs found in {', '.join(args.images)}")
    model = load(args.model, engine=args.engine)
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
    """Return a bar on standard error, or None where there is nothing to wait for or nobody looks.

    tqdm takes as long to import as a photograph takes to classify: only who sees it shall wait.
    """
    if total < 2 or not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    return tqdm(total=total, unit="img")


def expand(word: str) -> list[str]:
    """Return the files that a word of the command line stands for."""
    path = Path(word)
    if path.is_dir():
        suffixes = photograph_suffixes()
        return sorted(str(p) for p in path.rglob("*") if p.suffix.lower() in suffixes)
    if has_magic(word) and not path.exists():
        return [file for match in sorted(glob(word, recursive=True)) for file in expand(match)]
    return [word]


def photograph_suffixes() -> set[str]:
    """Return the endings of names, such as ``.jpg``, of the formats that `open_image` reads."""
    from PIL import Image

    from ..images.open import FORMATS

    return {end for end, kind in Image.registered_extensions().items() if kind in FORMATS}


def whole(text: str) -> int:
    """Read a whole number, 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 1 or more")
    return int(text)


def _answer(model: Any, paths: list[str], top: int) -> list[Predictions | Exception]:
    """Classify a batch; a file that cannot be read is answered by its error."""
    import numpy as np

    from ..errors import ImageError

    pixels: list[Any] = []
    for path in paths:
        try:
            pixels.append(model.preprocess(sys.stdin.buffer.read() if path == "-" else path))
        except (ImageError, OSError) as error:
            pixels.append(error)
    good = [p for p in pixels if not isinstance(p, Exception)]
    answers = iter(model.predict(np.stack(good), top) if good else ())
    return [p if isinstance(p, Exception) else next(answers) for p in pixels]


def _show(path: str, answer: Predictions | Exception, as_json: bool, many: bool) -> None:
    if isinstance(answer, Exception):
        message = str(answer) if path in str(answer) else f"{path}: {answer}"
        print(f"npformer: {message}", file=sys.stderr)
        if as_json:
            print(json.dumps({"image": path, "error": message}))
    elif as_json:
        print(json.dumps({"image": path, "predictions": answer.to_dicts()}))
    else:
        if many:
            print(path)
        print(answer, end="\n\n" if many else "\n")
