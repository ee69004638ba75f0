"""Speed beside a busy neighbor: another program that keeps one core busy, as a browser may."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from statistics import median, quantiles
from typing import NamedTuple

NEIGHBORS = ("busy",)
"""Which neighbors there are."""


class Beside(NamedTuple):
    """One contender at one batch size and number of threads, alone and beside the neighbor."""

    name: str
    batch: int
    threads: int
    alone: float
    """seconds for one image: median"""
    seconds: float
    """the same beside the neighbor"""
    low: float
    """lower quartile beside it"""
    high: float
    """upper quartile beside it"""
    slower: float
    """seconds ÷ alone"""
    ratio: float | None
    """time of npformer ÷ time of this contender, both beside the neighbor"""


class Neighbor:
    """A process that does arithmetic while it is told to."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "npformer.bench.neighbor"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    @contextmanager
    def working(self) -> Iterator[None]:
        """Let it work meanwhile."""
        self._tell("work")
        try:
            yield
        finally:
            self._tell("rest")

    def _tell(self, word: str) -> None:
        """Say a word, and wait until it is understood."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # it has ended; its answer is missing then
            self._process.stdin.write(f"{word}\n".encode())
        answer = self._process.stdout.readline().decode().strip()
        if answer != word:
            raise RuntimeError(f"the busy neighbor answers {answer!r}; expected {word!r}")

    def stop(self) -> None:
        """End it."""
        self._process.communicate()


Times = Mapping[tuple[str, int, int], list[float]]
"""Seconds for an image, by contender, batch and number of threads"""


def quartiles(times: list[float]) -> list[float]:
    """Return lower quartile, median and upper quartile of one time or more."""
    return quantiles(times, n=4, method="inclusive") if len(times) > 1 else times * 3


def compare(alone: Times, beside: Times) -> list[Beside]:
    """Return what was measured beside the neighbor, and how much slower that was than alone."""
    rows = []
    for (name, batch, threads), times in beside.items():
        low, middle, high = quartiles(times)
        ours = beside.get(("npformer", batch, threads))
        ratio = None if ours is None or name == "npformer" else median(ours) / middle
        before = median(alone[name, batch, threads])
        rows.append(Beside(name, batch, threads, before, middle, low, high, middle / before, ratio))
    return rows


def table(rows: Sequence[Beside], training: bool) -> list[str]:
    """Return lines that show the rows; none if there are none."""
    if not rows:
        return []
    unit = "ms/step" if training else "ms/image"
    lines = [
        "beside a program that keeps one core busy:",
        f"{'':21} batch threads     alone  {unit:>8}     middle half   ÷ alone  npformer÷this",
    ]
    for r in rows:
        factor = 1e3 * (r.batch if training else 1)
        spread = f"{r.low * factor:.2f} – {r.high * factor:.2f}"
        ratio = "" if r.ratio is None else f"{r.ratio:.2f}"
        lines.append(
            f"{r.name:21} {r.batch:5} {r.threads:7} {r.alone * factor:9.2f} "
            f"{r.seconds * factor:9.2f} {spread:>15} {r.slower:9.2f} {ratio:>14}"
        )
    return lines
