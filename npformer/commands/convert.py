"""``npformer convert IN OUT --to hf|timm|original``: write a checkpoint under other names."""

from __future__ import annotations

import argparse

from .output import complain


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to the parser."""
    parser.add_argument(
        "source", metavar="IN", help="name, folder or file (.safetensors, .bin, .pth, .pt)"
    )
    parser.add_argument(
        "target", metavar="OUT", help="a file of weights with one of these suffixes, or a folder"
    )
    parser.add_argument(
        "--to",
        required=True,
        choices=("hf", "timm", "original"),
        help="naming of the tensors in OUT: Hugging Face's, timm's or the original's",
    )
    parser.add_argument(
        "--entry", help="which weights to take from a PyTorch file with several, such as model_ema"
    )


def run(args: argparse.Namespace) -> int:
    """Convert, print what was done, and return the exit code."""
    from ..checkpoints import convert

    done = convert(args.source, args.target, to=args.to, entry=args.entry)
    print(f"{done.place}: {done.tensors} tensors, from {done.naming} to {args.to}")
    for note in done.notes:
        complain(f"note: {note}")
    return 0
