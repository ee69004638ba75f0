"""What was measured, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .beside import Beside, table


class Timing(NamedTuple):
    """One contender at one batch size and number of threads."""

    name: str
    precision: str
    """in which numbers it computed, as the contender itself says: see `npformer.bench.precision`"""
    difference: float
    """of its logits, or losses, from the plain layers' in float32, relative to the largest"""
    batch: int
    threads: int
    seconds: float
    """for one image: median"""
    low: float
    """lower quartile"""
    high: float
    """upper quartile"""
    gflops: float
    """GFLOP/s, counting the network as defined; a multiply-add is two operations"""
    share: float
    """of the peak of the same number of cores"""
    ratio: float | None
    """time of npformer ÷ time of this contender"""
    int8_ratio: float | None
    """time of npformer in eight bits ÷ time of this contender"""
    memory: int
    """peak of the process so far, in MB; smaller batches came before"""


class Result(NamedTuple):
    """A table of timings."""

    model: str
    peak: dict[int, float]
    """GFLOP/s of nothing but multiply-adds, by number of threads"""
    timings: list[Timing]
    failures: dict[str, str]
    """contenders that could not be measured, and why"""
    training: bool = False
    """whether steps of training were measured"""
    beside: Sequence[Beside] = ()
    """the same beside a neighbor, if that was asked for"""

    def __str__(self) -> str:
        peaks = ", ".join(f"{value:.0f} with {n}" for n, value in self.peak.items())
        unit = " ms/step" if self.training else "ms/image"
        work = ", training" if self.training else ""
        lines = [
            f"{self.model}{work}; multiply-add peak in GFLOP/s by threads: {peaks}",
            f"{'':21} {'computed in':18} off by  batch threads  {unit}   middle half     "
            "GFLOP/s  of peak  npformer÷this  int8÷this  peak MB",
        ]
        for t in self.timings:
            factor = 1e3 * (t.batch if self.training else 1)
            spread = f"{t.low * factor:.2f} – {t.high * factor:.2f}"
            ratios = ["" if r is None else f"{r:.2f}" for r in (t.ratio, t.int8_ratio)]
            lines.append(
                f"{t.name:21} {t.precision:18} {t.difference:6.0e} {t.batch:6} {t.threads:7} "
                f"{t.seconds * factor:9.2f} {spread:>15} "
                f"{t.gflops:10.1f} {t.share:8.0%} {ratios[0]:>14} "
                f"{ratios[1]:>10} {t.memory:8}"
            )
        lines += table(self.beside, self.training)
        lines += [f"{name}: not measured: {reason}" for name, reason in self.failures.items()]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the table as it is written to JSON."""
        beside = [row._asdict() for row in self.beside]
        return self._asdict() | {"timings": [t._asdict() for t in self.timings], "beside": beside}
