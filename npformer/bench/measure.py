"""How fast a network runs, beside other runtimes and the peak of the processor.

Every contender runs in a process of its own, with the same weights. They take turns at a few
forward passes while the others sleep: threads of one never compete with those of another, and a
busy moment of the machine affects all alike. The median over all turns is reported.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple

import numpy as np

from ..checkpoints import write
from ..errors import ConfigError
from ..network import forward
from ..network.summary import summarize
from .beside import NEIGHBORS, Beside, Neighbor, compare, table
from .inputs import load_network, random_images
from .peak import fma_peak
from .training_peers import MAKERS as TRAINERS
from .training_peers import two_losses

PEERS = {
    "npformer": "npformer",
    "numpy": "npformer",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "timm": "timm",
    "timm compiled": "timm",
    "transformers": "transformers",
    "transformers compiled": "transformers",
}
"""Each contender, and the package that has to be installed for it."""

TRAINED = ("npformer", "numpy", "timm", "timm compiled", "transformers", "transformers compiled")
"""Contenders that can train."""

AGREEMENT = 1e-4
"""Largest difference of logits, or losses, from the plain layers', relative to the largest value"""


class Timing(NamedTuple):
    """One contender at one batch size and number of threads."""

    name: str
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
            f"{'':21} batch threads  {unit}   middle half     GFLOP/s  of peak  "
            "npformer÷this  peak MB",
        ]
        for t in self.timings:
            factor = 1e3 * (t.batch if self.training else 1)
            spread = f"{t.low * factor:.2f} – {t.high * factor:.2f}"
            ratio = "" if t.ratio is None else f"{t.ratio:.2f}"
            lines.append(
                f"{t.name:21} {t.batch:5} {t.threads:7} {t.seconds * factor:9.2f} {spread:>15} "
                f"{t.gflops:10.1f} {t.share:8.0%} {ratio:>14} {t.memory:8}"
            )
        lines += table(self.beside, self.training)
        lines += [f"{name}: not measured: {reason}" for name, reason in self.failures.items()]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the table as it is written to JSON."""
        beside = [row._asdict() for row in self.beside]
        return self._asdict() | {"timings": [t._asdict() for t in self.timings], "beside": beside}


def bench(
    model: str = "tiny",
    batches: Sequence[int] = (1,),
    threads: Sequence[int] = (1,),
    peers: Iterable[str] = ("npformer",),
    turns: int = 7,
    seconds: float = 0.25,
    training: bool = False,
    entry: str | None = None,
    beside: str | None = None,
) -> Result:
    """Measure contenders in alternation.

    Parameters
    ----------
    model : str
        A named network, which gets random weights (speed does not depend on them), or the folder
        of a model.
    batches, threads : sequence of int
        Small batches are measured first, because `Timing.memory` includes what came before.
    peers : iterable of str
        Keys of `PEERS`.
    turns : int
        Number of turns of each contender.
    seconds : float
        Approximate duration of a turn.
    training : bool
        Measure steps of training (forward, backward, AdamW) instead of forward passes. A step
        counts as three passes.
    entry : str, optional
        Which weights to read from a PyTorch file that has several.
    beside : str, optional
        ``"busy"``: measure also, in alternation, beside a program that keeps one core busy.

    Returns
    -------
    Result

    Raises
    ------
    ConfigError
        If a peer is unknown, or cannot train and `training` is set; or if `beside` is unknown.
    WeightsError, ConfigError, OfflineError, MissingPackage
        If the model cannot be read, as in `npformer.load`.
    """
    unknown = set(peers) - set(PEERS)
    if unknown:
        raise ConfigError(f"unknown peer {', '.join(unknown)}; expected {', '.join(PEERS)}")
    if training and not set(peers) <= set(TRAINED):
        raise ConfigError(f"peers is {', '.join(peers)}; these can train: {', '.join(TRAINED)}")
    if beside not in (None, *NEIGHBORS):
        raise ConfigError(f"beside is {beside!r}; expected None or {', '.join(NEIGHBORS)}")
    config, params = load_network(model, entry)
    batches = sorted(batches)
    count = batches[0] if training else 2  # torch.compile shall see only sizes that are measured
    x = random_images(config, count)
    macs = summarize(config, distilled=params.head_dist is not None).macs
    peak = {n: fma_peak(n) for n in threads}
    failures: dict[str, str] = {}
    measured: dict[tuple[str, int, int], list[float]] = {}
    disturbed: dict[tuple[str, int, int], list[float]] = {}
    neighbor = Neighbor() if beside else None
    memory: dict[tuple[str, int], int] = {}
    with tempfile.TemporaryDirectory() as folder:
        write(folder, config, params)
        np.save(Path(folder) / "x.npy", x)
        if training:
            expected = two_losses(TRAINERS["numpy"](Path(folder), threads[0]), x)
        else:
            expected = forward(x, params, config).logits
        np.save(Path(folder) / "expected.npy", expected)
        workers = _start(peers, Path(folder), failures, training, threads[0])
        for batch in batches:
            for n in threads:
                task = {"batch": batch, "threads": n, "seconds": seconds}
                for _ in _ask(workers, task | {"seconds": 0.0}, failures):
                    pass  # the first pass may compile
                for _ in range(turns):
                    for name, answer in _ask(workers, task, failures):
                        measured.setdefault((name, batch, n), []).extend(answer["seconds"])
                        memory[name, batch] = answer["memory"]
                    if neighbor is not None:
                        with neighbor.working():
                            for name, answer in _ask(workers, task, failures):
                                disturbed.setdefault((name, batch, n), []).extend(answer["seconds"])
        if neighbor is not None:
            neighbor.stop()
        for worker in workers.values():
            worker.stop()
    timings = []
    for (name, batch, n), times in measured.items():
        low, median, high = (
            quantiles(times, n=4, method="inclusive") if len(times) > 1 else times * 3
        )
        gflops = 2e-9 * macs * (3 if training else 1) / median
        ours = measured.get(("npformer", batch, n))
        ratio = None if ours is None or name == "npformer" else float(np.median(ours)) / median
        share, most = gflops / peak[n], memory[name, batch]
        timings.append(Timing(name, batch, n, median, low, high, gflops, share, ratio, most))
    return Result(model, peak, timings, failures, training, compare(measured, disturbed))


class Worker:
    """A contender in its own process, which answers each line of JSON with one."""

    def __init__(self, name: str, folder: Path, training: bool = False) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "npformer.bench.worker",
                name,
                str(folder),
                *(["training"] if training else []),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, task: dict[str, Any]) -> dict[str, Any]:
        """Send a task and wait for the answer.

        Raises
        ------
        RuntimeError
            If the process ends; with the last line that it wrote to standard error.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended; its last words are read below
        line = self._process.stdout.readline()
        if not line:
            _, errors = self._process.communicate()
            lines = errors.strip().splitlines() or ["ended without a word"]
            raise RuntimeError(lines[-1].strip())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """End the process."""
        self._process.communicate()


def _start(
    peers: Iterable[str],
    folder: Path,
    failures: dict[str, str],
    training: bool = False,
    threads: int = 1,
) -> dict[str, Worker]:
    """Start all contenders, and keep those whose logits, or losses, are correct."""
    workers = {}
    what = "losses" if training else "logits"
    for name in dict.fromkeys(peers):
        if find_spec(PEERS[name]) is None:
            failures[name] = f"it is not installed; pip install {PEERS[name]}"
            continue
        worker = Worker(name, folder, training)
        try:
            error = worker.ask({"check": True, "threads": threads})["error"]
        except RuntimeError as reason:
            failures[name] = str(reason)
            worker.stop()
            continue
        if not error <= AGREEMENT:
            failures[name] = f"its {what} differ by {error:.1e} of their largest"
            worker.stop()
            continue
        workers[name] = worker
    return workers


def _ask(
    workers: dict[str, Worker], task: dict[str, Any], failures: dict[str, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give all workers a task, one after the other; those that fail are dropped."""
    for name, worker in list(workers.items()):
        try:
            answer = worker.ask(task)
        except RuntimeError as reason:
            failures[name] = f"batch {task['batch']}, {task['threads']} threads: {reason}"
            del workers[name]
            worker.stop()
        else:
            yield name, answer
