"""``npformer convert IN OUT --to hf|timm|original``: write a checkpoint under other names.

With an OUT that ends in .onnx, write an ONNX graph.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_entry
from .output import complain


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to the parser."""
    parser.add_argument(
        "source", metavar="IN", help="name, folder or file (.safetensors, .bin, .pth, .pt)"
    )
    parser.add_argument(
        "target",
        metavar="OUT",
        help="a file of weights with one of these suffixes, a folder, or an .onnx file",
    )
    parser.add_argument(
        "--to",
        choices=("hf", "timm", "original"),
        help="naming of the tensors in OUT: Hugging Face's, timm's or the original's; required, "
        "except for an .onnx file",
    )
    add_entry(parser, "IN")


def run(args: argparse.Namespace) -> int:
    """Convert, print what was done, and return the exit code."""
    if Path(args.target).suffix.lower() == ".onnx":
        return _export(args)
    if args.to is None:
        args.parser.error("the following arguments are required: --to")

    from ..checkpoints import convert

    done = convert(args.source, args.target, to=args.to, entry=args.entry)
    print(f"{done.place}: {done.tensors} tensors, from {done.naming} to {args.to}")
    for note in done.notes:
        complain(f"note: {note}")
    return 0


def _export(args: argparse.Namespace) -> int:
    """Write an ONNX graph, whose weights have no names."""
    from ..bench.onnx_graph import export

    if args.to is not None:
        args.parser.error(f"--to {args.to}: an ONNX graph has no names of tensors; leave --to out")
    done = export(args.source, args.target, args.entry)
    channels, height, width = done.shape
    print(
        f"{done.path}: pixel_values (batch, {channels}, {height}, {width}) -> "
        f"logits (batch, {done.outputs}), float32"
    )
    return 0
