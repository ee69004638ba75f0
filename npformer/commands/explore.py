"""``npformer explore [PHOTO]``: a page on which the network runs, to look inside and change it."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_weights


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "photo",
        metavar="PHOTO",
        nargs="?",
        help="the photograph that the page begins with; those that come with npformer are always "
        "there",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="where to write the page, one file that needs no connection (explored.html)",
        default=Path("explored.html"),
    )
    add_weights(parser)


def run(args: argparse.Namespace) -> int:
    """Write the page, and say where."""
    from ..explorer.page import explore
    from ..files.paths import as_html_path

    as_html_path(args.output)
    page = explore(args.photo, args.model, entry=args.entry)
    print(f"the page is {page.save(args.output)}; open it in a browser")
    return 0
