"""``npformer bench``: measure the network's speed beside every other runtime that is installed."""

from __future__ import annotations

import argparse
import sys

from .arguments import add_json, add_timed_network, positive_integer, positive_integers
from .output import complain, print_json


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_timed_network(parser)
    parser.add_argument(
        "--batch", type=positive_integers, default=[1], metavar="N,…", help="batch sizes (1)"
    )
    parser.add_argument(
        "--threads",
        type=positive_integers,
        metavar="N,…",
        help="numbers of threads (one, and all cores)",
    )
    parser.add_argument(
        "--peers",
        nargs="?",
        const="",
        metavar="NAME,…",
        help="also measure other runtimes: all that are installed, or those named, which must run",
    )
    parser.add_argument(
        "--turns", type=positive_integer, default=7, help="number of turns of each runtime (7)"
    )
    parser.add_argument("--training", action="store_true", help="measure steps of training")
    parser.add_argument(
        "--beside",
        choices=("busy",),
        help="measure also, in alternation, beside a program that keeps one core busy",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print; fail if a runtime that was named could not be measured."""
    from importlib.util import find_spec

    from ..bench.measure import PEERS, TRAINED, bench
    from ..engine import get_num_threads

    named = ["npformer"]
    if args.peers:
        named += [name.strip() for name in args.peers.split(",")]
    found = []
    if args.peers == "":
        capable = TRAINED if args.training else PEERS
        found = [name for name in capable if find_spec(PEERS[name])]
    threads = args.threads or sorted({1, get_num_threads()})
    result = bench(
        args.model,
        args.batch,
        threads,
        named + found,
        args.turns,
        training=args.training,
        entry=args.entry,
        beside=args.beside,
    )
    if args.json:
        print_json(result.to_dict())
    else:
        print(result)
    sys.stdout.flush()
    missing = [name for name in named if name in result.failures]
    for name in missing:
        complain(f"{name} was not measured: {result.failures[name]}")
    return 1 if missing else 0
