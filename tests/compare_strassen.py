"""What Strassen's seven products bring: networks packed with and without them, in alternation.

    python tests/compare_strassen.py          needs an idle machine

Both run in one process, with the same random weights, and take turns. The table shows the median
time of an image and what is saved; ``docs/performance.md`` quotes it.
"""

from __future__ import annotations

import time
from statistics import quantiles
from unittest import mock

import numpy as np

import npformer
from npformer import engine
from npformer.bench.measure import network
from npformer.engine import pack

CASES = [(model, batch) for model in ("l1", "l3", "l7") for batch in (1, 8)]


def main(turns: int = 15, seconds: float = 0.25) -> None:
    """Measure and print."""
    print("model batch threads  with ms   middle half  without ms   middle half   saved")
    for model, batch in CASES:
        config, params = network(model)
        x = np.random.default_rng(1).standard_normal((batch, *config.image_shape, 3))
        x = x.astype(np.float32)
        forwards = {"with": engine.make_forward(params, config, "numba")}
        with mock.patch.object(pack, "use_strassen", return_value=False):
            forwards["without"] = engine.make_forward(params, config, "numba")
        for threads in (1, 2):
            npformer.set_num_threads(threads)
            times: dict[str, list[float]] = {name: [] for name in forwards}
            for turn in range(turns + 1):
                for name, forward in forwards.items():
                    end = time.perf_counter() + seconds
                    while (start := time.perf_counter()) < end:
                        forward(x)
                        if turn:  # the first turn warms up
                            times[name].append(1e3 * (time.perf_counter() - start) / batch)
            row = f"{model:5} {batch:5} {threads:7}"
            middles = []
            for name in forwards:
                low, middle, high = quantiles(times[name], n=4)
                middles.append(middle)
                row += f" {middle:{8 if name == 'with' else 11}.2f} {f'{low:.2f} – {high:.2f}':>13}"
            print(f"{row} {1 - middles[0] / middles[1]:7.1%}", flush=True)


if __name__ == "__main__":
    main()
