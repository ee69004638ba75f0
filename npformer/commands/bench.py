"""``npformer bench``: measure the network's speed, beside every other runtime that is installed."""

from __future__ import annotations

import argparse
import json
import sys

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
        help="measure other runtimes too: all that are installed, or these, which must then run",
    )
    parser.add_argument("--turns", type=whole, default=7, help="times each is asked (7)")
    parser.add_argument("--training", action="store_true", help="measure steps of training")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def numbers(text: str) -> list[int]:
    """Read whole numbers between commas."""
    return [whole(word) for word in text.split(",")]


def run(args: argparse.Namespace) -> int:
    """Measure and print; fail if what was asked for by name could not be measured."""
    from importlib.util import find_spec

    from ..bench.measure import PEERS, TRAINED, bench
    from ..engine import get_num_threads

    asked = ["npformer"]
    if args.peers:
        asked += [name.strip() for name in args.peers.split(",")]
    found = []
    if args.peers == "":
        able = TRAINED if args.training else PEERS
        found = [name for name in able if find_spec(PEERS[name])]
    threads = args.threads or sorted({1, get_num_threads()})
    result = bench(
        args.model, args.batch, threads, asked + found, args.turns, training=args.training
    )
    print(json.dumps(result.to_dict()) if args.json else result, flush=True)
    missing = [name for name in asked if name in result.failures]
    for name in missing:
        print(f"npformer: {name} was not measured: {result.failures[name]}", file=sys.stderr)
    return 1 if missing else 0
