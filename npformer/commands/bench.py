"""``npformer bench``: measure the network's speed, beside every other runtime that is installed."""

from __future__ import annotations

import argparse
import json

from .classify import whole


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--model", default="l1", help="tiny, l1, l3, l7, or the folder of a model (l1)"
    )
    parser.add_argument("--batch", type=numbers, default=[1], metavar="N,…", help="batch sizes (1)")
    parser.add_argument(
        "--threads", type=numbers, metavar="N,…", help="numbers of threads (one, and all cores)"
    )
    parser.add_argument(
        "--peers",
        nargs="?",
        const="",
        metavar="NAME,…",
        help="measure other runtimes too: all that are installed, or these",
    )
    parser.add_argument("--turns", type=whole, default=7, help="times each is asked (7)")
    parser.add_argument("--training", action="store_true", help="measure steps of training")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def numbers(text: str) -> list[int]:
    """Read whole numbers between commas."""
    return [whole(word) for word in text.split(",")]


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from importlib.util import find_spec

    from ..bench import PEERS, TRAINED, bench
    from ..engine import get_num_threads

    peers = ["npformer"]
    if args.peers:
        peers += [name.strip() for name in args.peers.split(",")]
    elif args.peers is not None:
        able = TRAINED if args.training else PEERS
        peers += [name for name in able if find_spec(PEERS[name])]
    threads = args.threads or sorted({1, get_num_threads()})
    result = bench(args.model, args.batch, threads, peers, args.turns, training=args.training)
    print(json.dumps(result.to_dict()) if args.json else result)
    return 0
