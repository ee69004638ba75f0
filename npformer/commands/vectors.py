"""``npformer vectors OUT``: write test vectors for an implementation in any language."""

from __future__ import annotations

import argparse
import sys


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("target", metavar="OUT", help="the folder to write, new or empty")
    parser.add_argument(
        "--layout",
        choices=("channels_first", "channels_last"),
        default="channels_first",
        help="axes of images and parameters: as in PyTorch and in checkpoints, or as in npformer "
        "(channels_first)",
    )


def run(args: argparse.Namespace) -> int:
    """Write them, and say what there is."""
    from tqdm import tqdm

    from ..testing.vectors import write_vectors

    with tqdm(disable=None, file=sys.stderr, leave=False) as bar:

        def show(name: str, done: int, total: int) -> None:
            bar.total = total
            bar.set_description_str(name, refresh=False)
            bar.update(done - bar.n)

        done = write_vectors(args.target, args.layout, progress=show)
    print(
        f"{done.place}: {done.cases} cases of {done.layers} layers and {done.networks} networks, "
        f"most also in 16 bits and some in 8, {done.tensors} tensors, {done.bytes / 1e6:.1f} MB"
    )
    return 0
