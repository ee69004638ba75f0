"""Where the time goes: each step of the plan by itself, in the order of the network."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..display import bar
from ..engine import make_forward
from ..engine.fast import Fast
from .measure import network


class Row(NamedTuple):
    """One step of the plan."""

    name: str
    """of the module that it computes, or a part of"""
    kernel: str
    seconds: float
    """for one image: the fastest"""


class Profile(NamedTuple):
    """A table of steps."""

    model: str
    threads: int
    rows: list[Row]

    def __str__(self) -> str:
        whole = sum(row.seconds for row in self.rows)
        longest = max(row.seconds for row in self.rows)
        lines = [f"{self.model}, one image, {self.threads} threads: {whole * 1e3:.2f} ms"]
        for name, kernel, seconds in self.rows:
            lines.append(
                f"{name:20} {kernel:14} {seconds * 1e3:8.3f} ms {seconds / whole:6.1%} "
                f"{bar(seconds / longest)}"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return self._asdict() | {"rows": [row._asdict() for row in self.rows]}


def profile(model: str, threads: int, passes: int = 20) -> Profile:
    """Measure each step.

    Parameters
    ----------
    model : str
        A named network, which gets random weights, or the folder of a model.
    threads : int
    passes : int
        The fastest of so many counts, for each step by itself.

    Returns
    -------
    Profile

    Raises
    ------
    ConfigError
        If the kernels cannot run here.
    """
    config, params = network(model)
    run = make_forward(params, config, "numba")
    assert isinstance(run, Fast)
    x = np.random.default_rng(1).standard_normal((1, *config.image_shape, config.num_channels))
    times = [run.times(x, threads) for _ in range(passes)]
    fastest = [min(seconds for *_, seconds in same) for same in zip(*times, strict=True)]
    rows = [Row(name, kernel, t) for (name, kernel, _), t in zip(times[0], fastest, strict=True)]
    return Profile(model, threads, rows)
