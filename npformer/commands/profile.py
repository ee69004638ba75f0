"""``npformer profile``: show where the time of a forward pass goes, layer by layer."""

from __future__ import annotations

import argparse

from .arguments import add_json, add_timed_network, positive_integer
from .output import print_json


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_timed_network(parser)
    parser.add_argument("--threads", type=positive_integer, help="number of threads (all cores)")
    parser.add_argument(
        "--passes",
        type=positive_integer,
        default=20,
        help="number of measurements, of which the fastest counts (20)",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from ..bench.profile import profile
    from ..engine import get_num_threads

    result = profile(args.model, args.threads or get_num_threads(), args.passes, args.entry)
    if args.json:
        print_json(result.to_dict())
    else:
        print(result)
    return 0
