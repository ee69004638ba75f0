"""``npformer embed IMAGE… --output FILE``: a vector for each photograph, to search and compare."""

from __future__ import annotations

import argparse

from .many import add_photographs, gather, write


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_photographs(parser)
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help="type of the numbers; float16 takes half the space (float32)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the features; report files that cannot be read, and continue."""
    from ..classification import load
    from ..scale.task import features

    if args.output is None:
        args.parser.error("features are written to a file; give --output FILE.parquet")
    images = gather(args)
    model = load(args.model, engine=args.engine, entry=args.entry)
    return write(args, features(model, args.dtype, args.decode), images)
