"""``npformer explain IMAGE``: one page on what the network sees, and why it answers as it does."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_weights, positive_integer


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
    add_weights(parser)
    parser.add_argument(
        "--token",
        metavar="ROW,COLUMN",
        type=row_and_column,
        help="token whose attention is shown, counted from 0,0 (the strongest evidence for the "
        "answer)",
    )
    parser.add_argument(
        "--top",
        type=positive_integer,
        default=3,
        help="number of classes for which evidence is shown (3)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the page, and say where."""
    from ..errors import NpformerError
    from ..teach.explaining import explain
    from ..teach.explanation import check_suffix

    try:
        check_suffix(args.output)
        page = explain(args.image, args.model, args.token, args.top, entry=args.entry)
    except NpformerError:
        raise
    except ValueError as error:  # about --output or --token
        args.parser.error(str(error))
    print(f"{page.predictions[0].label}; the page is {page.save(args.output)}")
    return 0


def row_and_column(text: str) -> tuple[int, int]:
    """Read ``ROW,COLUMN``.

    Raises
    ------
    argparse.ArgumentTypeError
        If the text is anything else.
    """
    words = text.split(",")
    if len(words) != 2 or not all(word.strip().isdecimal() for word in words):
        raise argparse.ArgumentTypeError(f"{text!r} is not ROW,COLUMN, such as 1,2")
    return int(words[0]), int(words[1])
