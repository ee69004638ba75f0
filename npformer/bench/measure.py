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
from typing import Any, NamedTuple

import numpy as np

from ..checkpoints import quantized, write
from ..engine import make_forward
from ..engine.fold import FoldedNetwork
from ..errors import ConfigError, ImageError
from ..network.summary import summarize
from .beside import NEIGHBORS, Neighbor, compare, quartiles
from .inputs import load_network, photographs, random_images
from .peak import fma_peak
from .peers import WRITERS
from .table import Result, Timing
from .training_peers import MAKERS as TRAINERS
from .training_peers import two_losses

PEERS = {
    "npformer": "npformer",
    "npformer int8": "npformer",
    "numpy": "npformer",
    "onnxruntime float32": "onnxruntime",
    "onnxruntime int8": "onnxruntime",
    "openvino as it comes": "openvino",
    "openvino float32": "openvino",
    "openvino int8": "openvino",
    "timm": "timm",
    "timm compiled": "timm",
    "transformers": "transformers",
    "transformers compiled": "transformers",
}
"""Each contender, and the package that has to be installed for it."""

WAYS = {
    package: tuple(name for name in PEERS if name.startswith(f"{package} "))
    for package in ("onnxruntime", "openvino")
}
"""Contenders that the name of a package stands for."""

TRAINED = ("npformer", "numpy", "timm", "timm compiled", "transformers", "transformers compiled")
"""Contenders that can train."""

AGREEMENT = {"float32": 1e-4, "bfloat16": 0.05, "float16": 0.05, "int8": 0.3}
"""Largest difference of logits, or losses, from the plain layers', relative to the largest value,
by the coarsest precision of a contender. Beyond it, it is another network."""

CALIBRATION = 16
"""How many images set the ranges of 8-bit numbers."""


def bench(
    model: str = "tiny",
    batches: Sequence[int] = (1,),
    threads: Sequence[int] = (1,),
    peers: Iterable[str] = ("npformer",),
    turns: int = 7,
    seconds: float = 0.25,
    training: bool = False,
    entry: str | None = None,
    images: str | None = None,
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
        Keys of `PEERS`, or of `WAYS`.
    turns : int
        Number of turns of each contender.
    seconds : float
        Approximate duration of a turn.
    training : bool
        Measure steps of training (forward, backward, AdamW) instead of forward passes. A step
        counts as three passes.
    entry : str, optional
        Which weights to read from a PyTorch file that has several.
    images : str, optional
        A folder of photographs, on which logits are compared and from which 8-bit numbers get their
        ranges. By default these are random numbers; speed depends on neither.
    beside : str, optional
        ``"busy"``: measure also, in alternation, beside a program that keeps one core busy.

    Returns
    -------
    Result

    Raises
    ------
    ConfigError
        If a peer is unknown, or cannot train and `training` is set; or if `beside` is unknown.
    ImageError, OSError
        If there are too few photographs, or one cannot be read.
    WeightsError, ConfigError, OfflineError, MissingPackage
        If the model cannot be read, as in `npformer.load`.
    """
    peers = contenders(peers)
    if training and not set(peers) <= set(TRAINED):
        raise ConfigError(f"peers is {', '.join(peers)}; these can train: {', '.join(TRAINED)}")
    if beside not in (None, *NEIGHBORS):
        raise ConfigError(f"beside is {beside!r}; expected None or {', '.join(NEIGHBORS)}")
    network = load_network(model, entry)
    config, params, _ = network
    batches = sorted(batches)
    count = batches[0] if training else 2  # torch.compile shall see only sizes that are measured
    wanted = count + CALIBRATION
    x = random_images(config, wanted) if images is None else photographs(network, images, wanted)
    if len(x) <= count:
        raise ImageError(f"{images}: found {len(x)} photographs; expected more than {count}")
    x, calibration = x[:count], x[count:]
    macs = summarize(config, distilled=params.head_dist is not None).macs
    peak = {n: fma_peak(n) for n in threads}
    failures: dict[str, str] = {}
    measured: dict[tuple[str, int, int], list[float]] = {}
    disturbed: dict[tuple[str, int, int], list[float]] = {}
    neighbor = Neighbor() if beside else None
    memory: dict[tuple[str, int], int] = {}
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(params, FoldedNetwork):
            quantized.write(Path(folder), config, params)
        else:
            write(folder, config, params)
        np.save(Path(folder) / "x.npy", x)
        np.save(Path(folder) / "calibration.npy", calibration)
        if training:
            expected = two_losses(TRAINERS["numpy"](Path(folder), threads[0]), x)
        else:
            expected = make_forward(params, config, "numpy")(x).logits
        np.save(Path(folder) / "expected.npy", expected)
        workers, checks = _start(peers, Path(folder), failures, training, threads[0])
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
        low, median, high = quartiles(times)
        gflops = 2e-9 * macs * (3 if training else 1) / median
        ratio, int8_ratio = (
            None if ours is None or ours is times else float(np.median(ours)) / median
            for ours in (measured.get((us, batch, n)) for us in ("npformer", "npformer int8"))
        )
        check, share, most = checks[name], gflops / peak[n], memory[name, batch]
        timings.append(
            Timing(
                name, check.precision, check.difference, batch, n, median, low, high, gflops, share,
                ratio, int8_ratio, most,
            )
        )  # fmt: skip
    return Result(model, peak, timings, failures, training, compare(measured, disturbed))


def contenders(names: Iterable[str]) -> tuple[str, ...]:
    """Return the contenders that some names stand for, each once.

    Raises
    ------
    ConfigError
        If a name is neither that of a contender nor of a package with several.
    """
    found: dict[str, None] = {}
    for name in names:
        if name not in PEERS and name not in WAYS:
            raise ConfigError(f"unknown peer {name}; expected {', '.join([*PEERS, *WAYS])}")
        found |= dict.fromkeys(WAYS.get(name, (name,)))
    return tuple(found)


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


class Check(NamedTuple):
    """What a contender is, before it is measured."""

    precision: str
    difference: float


def _start(
    peers: Iterable[str],
    folder: Path,
    failures: dict[str, str],
    training: bool = False,
    threads: int = 1,
) -> tuple[dict[str, Worker], dict[str, Check]]:
    """Start all contenders, and keep those whose logits, or losses, are correct."""
    workers, checks = {}, {}
    what = "losses" if training else "logits"
    for name in peers:
        if find_spec(PEERS[name]) is None:
            failures[name] = f"it is not installed; pip install {PEERS[name]}"
            continue
        worker = Worker(name, folder, training)
        try:
            check = Check(**worker.ask({"check": True, "threads": threads}))
        except RuntimeError as reason:
            failures[name] = str(reason)
            worker.stop()
            continue
        if not check.difference <= limit(check.precision):
            failures[name] = f"its {what} differ by {check.difference:.1e} of their largest"
            worker.stop()
            continue
        if name in WRITERS:  # writing files, and reading them to check, takes memory
            worker.stop()
            worker = Worker(name, folder, training)
        workers[name], checks[name] = worker, check
    return workers, checks


def limit(precision: str) -> float:
    """Return how far logits may be off in a precision, such as ``"int8 + float32"``."""
    return max(AGREEMENT.get(name, 0.0) for name in precision.split(" + "))


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
