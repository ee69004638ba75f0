"""How often `npformer.compare` is right about an examiner's ports: ``python tests/examiner/rate.py``.

They were written from the specification of the network and the list of causes alone, by somebody
who had seen neither `npformer.testing.compare` nor the ports in ``tests/ports``, and are kept as they came.
``--fine`` takes ports of which one parameter is off by one part in 10⁵. ``--show`` prints what is
not right. ``python tests/examiner/verify.py`` proves that the ports are what they say.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from case import Case
from cases import CASES, FINE

import npformer


def judged(case: Case, folder: Path) -> tuple[str, str, str]:
    """Return what the place and the cause are worth, and the answer."""
    made = case.make(folder)
    try:
        found = npformer.compare(made.reference, made.other, image=made.image)
    except Exception as error:
        return "error", "none", f"{type(error).__name__}: {error}"
    answer = f"{found.first_wrong}, {found.cause}"
    if not case.first:
        return ("right" if found else "wrong"), "right", answer
    place = "missed" if found else "right" if found.first_wrong in case.first else "wrong"
    cause = "right" if found.cause in case.causes else "none" if found.cause is None else "wrong"
    return place, cause, answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fine", action="store_true", help="ports that are off by 1e-5")
    parser.add_argument("--only", default="", help="only ports whose name matches")
    parser.add_argument("--show", action="store_true", help="print what is not right")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # of what libraries say while they make ports
    chosen = [c for c in (FINE if arguments.fine else CASES) if re.search(arguments.only, c.name)]
    places, causes, right = Counter[str](), Counter[str](), Counter[str]()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as root:
        for i, case in enumerate(chosen):
            folder = Path(root) / str(i)
            folder.mkdir()
            place, cause, answer = judged(case, folder)
            if case.first:
                places[place] += 1
                causes[cause] += 1
            else:
                right[place] += 1
            if arguments.show and (place, cause) != ("right", "right"):
                print(f"{case.name} ({case.why})\n    expected {case.first}, {case.causes}")
                print(f"    answered {answer}", flush=True)
    total = max(places.total(), 1)
    print(
        f"{places.total()} wrong ports: first wrong layer right in {places['right']} "
        f"({places['right'] / total:.1%}), another in {places['wrong']}, {places['missed']} called "
        f"right, {places['error']} errors; cause named rightly in {causes['right']} "
        f"({causes['right'] / total:.1%}), wrongly in {causes['wrong']}, not in {causes['none']}"
    )
    print(f"{right.total()} right ports, {right.total() - right['right']} called wrong")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
