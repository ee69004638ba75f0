"""``npformer explain IMAGE``: one page on what the network sees, and why it answers as it does."""

from __future__ import annotations

import argparse
from pathlib import Path

from .classify import whole


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("image", metavar="IMAGE", help="a photograph")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="where to write the page: .html (one file, pictures included), .png, .svg, .pdf or "
        ".jpg (explained.html)",
        default=Path("explained.html"),
    )
    parser.add_argument("--model", default="tiny", help="name or folder of the weights (tiny)")
    parser.add_argument(
        "--token",
        metavar="ROW,COLUMN",
        type=place,
        help="token whose attention is shown, counted from 0,0 (the one that speaks most for the "
        "answer)",
    )
    parser.add_argument(
        "--top", type=whole, default=3, help="classes for which the evidence is shown (3)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the page, and say where."""
    from ..errors import NpformerError
    from ..teach.explaining import check_ending, explain

    try:
        check_ending(args.output)
        page = explain(args.image, args.model, args.token, args.top)
    except NpformerError:
        raise
    except ValueError as error:  # the name of the output, or the token
        args.parser.error(str(error))
    print(f"{page.predictions[0].label}; the page is {page.save(args.output)}")
    return 0


def place(text: str) -> tuple[int, int]:
    """Read ``ROW,COLUMN``."""
    words = text.split(",")
    if len(words) != 2 or not all(word.strip().isdecimal() for word in words):
        raise argparse.ArgumentTypeError(f"{text!r} is not ROW,COLUMN, such as 1,2")
    return int(words[0]), int(words[1])
