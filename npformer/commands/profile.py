"""``npformer profile``: show where the time of a forward pass goes, layer by layer."""

from __future__ import annotations

import argparse
import json

from .classify import whole


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--model", default="l1", help="tiny, l1, l3, l7, or the folder of a model (l1)"
    )
    parser.add_argument("--threads", type=whole, help="how many threads (all cores)")
    parser.add_argument(
        "--passes", type=whole, default=20, help="the fastest of so many counts (20)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from ..bench.profile import profile
    from ..engine import get_num_threads

    result = profile(args.model, args.threads or get_num_threads(), args.passes)
    print(json.dumps(result.to_dict()) if args.json else result)
    return 0
