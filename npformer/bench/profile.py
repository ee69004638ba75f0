"""Where the time goes: each step of the engine's plan by itself, in the order of the network."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..display import bar
from ..engine import make_forward
from .inputs import load_network, random_images


class Row(NamedTuple):
    """One step of the plan."""

    name: str
    """of the module that it computes, or computes a part of"""
    kernel: str
    seconds: float
    """for one image: the fastest measurement"""


class Profile(NamedTuple):
    """A table of steps."""

    model: str
    threads: int
    rows: list[Row]

    def __str__(self) -> str:
        total = sum(row.seconds for row in self.rows)
        longest = max(row.seconds for row in self.rows)
        lines = [f"{self.model}, one image, {self.threads} threads: {total * 1e3:.2f} ms"]
        for name, kernel, seconds in self.rows:
            lines.append(
                f"{name:20} {kernel:14} {seconds * 1e3:8.3f} ms {seconds / total:6.1%} "
                f"{bar(seconds / longest)}"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the table as it is written to JSON."""
        return self._asdict() | {"rows": [row._asdict() for row in self.rows]}


def profile(model: str, threads: int, passes: int = 20, entry: str | None = None) -> Profile:
    """Measure each step of a forward pass.

    Parameters
    ----------
    model : str
        A named network, which gets random weights, or the folder of a model.
    threads : int
    passes : int
        Number of measurements; for each step the fastest counts.
    entry : str, optional
        Which weights to read from a PyTorch file that has several.

    Returns
    -------
    Profile

    Raises
    ------
    ConfigError
        If the compiled kernels cannot run this network on this machine.
    WeightsError, OfflineError, MissingPackage
        If the model cannot be read, as in `npformer.load`.
    """
    config, params = load_network(model, entry)
    fast = make_forward(params, config, "numba").fast
    assert fast is not None, "Numba runs the network, or there was an error"
    x = random_images(config, 1)
    times = [fast.times(x, threads) for _ in range(passes)]
    fastest = [min(seconds for *_, seconds in same) for same in zip(*times, strict=True)]
    rows = [Row(name, kernel, t) for (name, kernel, _), t in zip(times[0], fastest, strict=True)]
    return Profile(model, threads, rows)
