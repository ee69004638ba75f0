"""``npformer compare REFERENCE OTHER``: the first wrong layer of another implementation, and why.

Exit code 0 if no layer is wrong, 1 if one is, or if the two cannot be compared.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .arguments import add_entry, add_json
from .output import print_json


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "reference", metavar="REFERENCE", help="name, folder or file of the network that is right"
    )
    parser.add_argument(
        "other",
        metavar="OTHER",
        help="an ONNX file, recorded arrays (.npz, .safetensors), or another checkpoint",
    )
    parser.add_argument(
        "--image",
        metavar="PHOTO",
        help="the photograph that went in; needed if recorded arrays do not contain the picture",
    )
    parser.add_argument(
        "--report",
        metavar="FILE",
        type=Path,
        help="also write a page, .html, that shows where the first wrong layer differs",
    )
    add_json(parser)
    add_entry(parser, "REFERENCE")


def run(args: argparse.Namespace) -> int:
    """Compare, print the layers and the first wrong one, and say by the exit code which it was."""
    from tqdm import tqdm

    from ..errors import ConfigError
    from ..files.paths import as_html_path
    from ..testing.compare.comparing import compare

    if args.report is not None:
        try:
            as_html_path(args.report)
        except ConfigError as error:
            args.parser.error(str(error))
    with tqdm(unit="step", disable=None, file=sys.stderr, leave=False) as bar:

        def show(path: str, done: int, total: int) -> None:
            bar.total = total
            bar.set_description_str(path, refresh=False)
            bar.update(done - bar.n)

        found = compare(args.reference, args.other, args.image, entry=args.entry, progress=show)
    if args.report is not None:
        found.save(args.report)
    if args.json:
        print_json(found.to_dict())
    else:
        print(found)
    return 0 if found else 1
