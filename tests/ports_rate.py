"""How often `npformer.compare` is right about ports of the network: ``python tests/ports_rate.py``.

It compares every port of ``tests/ports`` with its reference and prints, of the half that the
diagnosis may be tuned with, of the half that was kept back (``--kept``), or of both (``--all``),
or of a set that was written later, of which it has seen nothing (``--set fresh``, ``--set last``),

* wrong ports: of how many the first wrong layer was found, *exactly*, or as *near* as what was
  recorded can tell; how many were found right, or at another layer; of how many the cause was named
  rightly, otherwise, or not at all,
* right ports: how many were called wrong,
* fine faults, one part in 10⁵ of one parameter: how many were found, at which layer,
* and how long it took.

``--show`` prints what is not as it should be. ``--check`` compares nothing: it proves that
the ports are what they say, by their numbers; but for fine faults, which no number shows by itself.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import ports
from ports import Port, Shop, judge
from ports.answers import Verdict
from ports.truth import objection

import npformer


class Outcome(NamedTuple):
    """What became of a port."""

    port: Port
    verdict: Verdict
    answer: str
    """what `npformer.compare` said"""
    seconds: float


def compared(shop: Shop, port: Port, path: Path) -> Outcome:
    """Compare a port with its reference and judge the answer; an error is an answer too."""
    reference = shop.reference(port.network)
    made = port.make(shop, reference, path)
    start = time.perf_counter()
    try:
        found = npformer.compare(reference.folder, made.other, image=made.image)
        same, first, cause = bool(found), found.first_wrong, found.cause
        answer = f"{first}, {cause}"
    except Exception as error:
        same, first, cause = None, None, None
        answer = f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - start
    if same is None:
        verdict = Verdict("failed", "none")
    elif port.first is None:
        verdict = Verdict("exact" if same else "wrong", "right" if cause is None else "wrong")
    else:
        verdict = judge(port, made, shop.order(reference), not same, first, cause)
    return Outcome(port, verdict, answer, seconds)


def run(chosen: list[Port], progress: bool = False) -> Iterator[Outcome]:
    """Compare ports, each in files of its own."""
    shop = Shop()
    for i, port in enumerate(chosen):
        if progress and sys.stderr.isatty():
            print(f"\r{i + 1} of {len(chosen)} ", end="", file=sys.stderr)
        yield compared(shop, port, shop.folder / f"port{i}")


def check(chosen: list[Port]) -> list[str]:
    """Return what is to be said against ports."""
    shop = Shop()
    said = []
    for i, port in enumerate(chosen):
        made = port.make(shop, shop.reference(port.network), shop.folder / f"port{i}")
        if why := objection(shop, port, made):
            said.append(f"{port.name} ({port.network}): {why}")
    return said


def rate(number: int, total: int) -> str:
    return f"{number} of {total} ({number / total:.1%})"


def summary(outcomes: list[Outcome]) -> list[str]:
    """Return the lines about wrong, right, and nearly right ports."""
    lines = []
    fine = [o for o in outcomes if o.port in ports.FINE]
    wrong = [o for o in outcomes if o.port.first and o.port not in ports.FINE]
    right = [o for o in outcomes if o.port.first is None]
    if wrong:
        places = Counter(o.verdict.place for o in wrong)
        causes = Counter(o.verdict.cause for o in wrong)
        found = places["exact"] + places["near"]
        lines += [
            f"{len(wrong)} wrong ports",
            f"  first wrong layer   {rate(found, len(wrong))}: {places['exact']} exactly, "
            f"{places['near']} as near as can be told",
            f"                      {places['wrong']} another layer, {places['missed']} called "
            f"right, {places['failed']} errors",
            f"  cause               {rate(causes['right'], len(wrong))} named rightly, "
            f"{causes['wrong']} wrongly, {causes['none']} not",
        ]
    if right:
        bad = [o for o in right if o.verdict.place != "exact"]
        lines += [f"{len(right)} right ports, {len(bad)} called wrong"]
    for title, one in (("one parameter", False), ("one number of a parameter", True)):
        some = [o for o in fine if o.port.name.startswith("one number") == one]
        if some:
            places = Counter(o.verdict.place for o in some)
            found = places["exact"] + places["near"]
            lines += [
                f"{len(some)} ports with {title} off by 1e-5, "
                f"{rate(found, len(some))} found there, {places['wrong']} elsewhere"
            ]
    times = [o.seconds for o in outcomes]
    lines += [f"{sum(times):.0f} s, {max(times):.1f} s at most"]
    return lines


def is_good(outcome: Outcome) -> bool:
    """Whether place and cause are right."""
    place, cause = outcome.verdict
    cause_counts = outcome.port not in ports.FINE
    return place in ("exact", "near") and (cause == "right" or not cause_counts)


def expected(port: Port) -> str:
    if port.first is None:
        return "all right"
    return f"{port.first}, {' or '.join(map(str, port.causes))}"


def chooses(arguments: argparse.Namespace, name: str, port: Port) -> bool:
    """Whether a port of a set was asked for; sets without halves are asked for by name."""
    if name not in ports.HALVED:
        return bool(arguments.set == name)
    half = arguments.all or port.kept_back == arguments.kept
    return half and arguments.set in (None, name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kept", action="store_true", help="the half that was kept back")
    parser.add_argument("--all", action="store_true", help="both halves")
    parser.add_argument("--only", default="", help="only ports whose name matches")
    parser.add_argument("--set", choices=tuple(ports.SETS), help="only one set")
    parser.add_argument("--show", action="store_true", help="print what is not right")
    parser.add_argument("--check", action="store_true", help="prove that ports are what they say")
    arguments = parser.parse_args()
    chosen = [
        port
        for name, members in ports.SETS.items()
        for port in members
        if chooses(arguments, name, port) and re.search(arguments.only, port.name)
    ]
    if not chosen:
        raise SystemExit(f"no port has a name that matches {arguments.only!r}")
    outcomes = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what libraries say while they make ports
        if arguments.check:
            chosen = [port for port in chosen if port not in ports.FINE]
            said = check(chosen)
            print("\n".join([*said, f"{len(chosen)} ports, {len(said)} are not what they say"]))
            sys.exit(bool(said))
        for outcome in run(chosen, progress=True):
            outcomes.append(outcome)
            if arguments.show and not is_good(outcome):
                place, cause = outcome.verdict
                print(f"{outcome.port.name} ({outcome.port.network}): layer {place}, cause {cause}")
                print(f"    expected {expected(outcome.port)}")
                print(f"    answered {outcome.answer} ({outcome.seconds:.1f} s)", flush=True)
    print("\n".join(summary(outcomes)))


if __name__ == "__main__":
    main()
