"""How many mistakes of imagined students the judge names: ``python tests/judge_rate.py``.

It runs `npformer.check` on every answer of ``tests/judge`` and prints how many wrong answers were
(``tuned``: of the half that the search was tuned with; ``kept``: of the half that was kept back;
``later``: of those that were written after the first search)

* named rightly: the report explains every answer, in words that match the cause,
* named otherwise: it explains every answer in other words; to be read, with ``--show``,
* described: no mistake explains every answer, and the report says what is known of them,
* passed: taken for right.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import judge
from judge.students import Answer

from npformer.teach import check
from npformer.teach.report import Report


def verdict(answer: Answer, report: Report) -> str:
    """Say what became of a wrong answer."""
    if report:
        return "passed"
    if not report.named:
        return "described"
    text = f"{report.mistake}. {report.hint}"
    return "named rightly" if re.search(answer.says, text, re.IGNORECASE) else "named otherwise"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("tuned", "kept", "later"), help="only one part")
    parser.add_argument("--only", default="", help="only answers whose layer and cause match")
    parser.add_argument("--show", action="store_true", help="print what is not named rightly")
    parser.add_argument("--all", action="store_true", help="print every report")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # of students' functions
    found = {"tuned": Counter(), "kept": Counter(), "later": Counter()}
    times: list[float] = []
    for answer in judge.WRONG:
        part = answer.part
        name = f"{answer.layer}: {answer.cause}"
        if arguments.part not in (None, part) or not re.search(arguments.only, name):
            continue
        start = time.perf_counter()
        report = check(answer.layer, answer.function)
        times.append(time.perf_counter() - start)
        what = verdict(answer, report)
        found[part][what] += 1
        if arguments.all or (arguments.show and what != "named rightly"):
            print(f"{times[-1]:.1f} s {what}: {name}\n    {report.mistake}. {report.hint}")
    refused, right_times = [], []
    for answer in judge.RIGHT:
        if re.search(arguments.only, f"{answer.layer}: {answer.cause}"):
            start = time.perf_counter()
            if not check(answer.layer, answer.function):
                refused.append(f"{answer.layer}: {answer.cause}")
            right_times.append(time.perf_counter() - start)
    for part, counts in found.items():
        if total := counts.total():
            rate = counts["named rightly"] / total
            others = ", ".join(f"{n} {what}" for what, n in counts.most_common())
            print(f"{part}: {total} wrong answers, {rate:.1%} named rightly; {others}")
    if times:
        print(f"time of a check of a wrong answer: {sum(times) / len(times):.2f} s on average, "
              f"{max(times):.2f} s at most")  # fmt: skip
    if right_times:
        names = ", ".join(refused) or "none"
        print(
            f"{len(right_times)} right answers, refused: {names}; {max(right_times):.2f} s at most"
        )


if __name__ == "__main__":
    main()
