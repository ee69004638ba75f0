"""``npformer quantize MODEL OUT``: put the weights of a network into eight bits."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_entry


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("model", metavar="MODEL", help="name, folder or file of the weights")
    parser.add_argument("target", metavar="OUT", help="the folder to write")
    parser.add_argument(
        "--calibrate",
        metavar="DIR",
        help="photographs such as the network is to classify, for which the weights are rounded "
        "(pictures of nothing)",
    )
    add_entry(parser)


def run(args: argparse.Namespace) -> int:
    """Quantize, write, and say how large the result is."""
    from ..classification import load
    from ..network.tree import leaves
    from ..quantization import quantize

    model = load(args.model, engine="numpy", entry=args.entry)
    quantize(model, args.calibrate, engine="numpy").save(args.target)
    before = sum(leaf.nbytes for _, leaf in leaves(model.params))
    after = sum(file.stat().st_size for file in Path(args.target).glob("*.safetensors"))
    print(
        f"{args.target}: weights in eight bits, {after / 1e6:.1f} MB, "
        f"{after / before:.0%} of float32"
    )
    return 0
