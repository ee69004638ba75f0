"""What Strassen's seven products bring: networks packed with and without them, in alternation.

    python tests/compare_strassen.py          needs an idle machine

Both run in one process, with the same random weights, and take turns. The table shows the median
time of an image and what is saved; ``docs/performance.md`` quotes it.
"""

from __future__ import annotations

from functools import partial
from unittest import mock

from alternating import quartiles

import npformer
from npformer import engine
from npformer.bench.inputs import load_network, random_images
from npformer.engine import pack

CASES = [(model, batch) for model in ("l1", "l3", "l7") for batch in (1, 8)]


def main() -> None:
    """Measure and print."""
    print("model batch threads  with ms   middle half  without ms   middle half   saved")
    for model, batch in CASES:
        config, params, _ = load_network(model)
        x = random_images(config, batch)
        forwards = {"with": engine.make_forward(params, config, "numba")}
        with mock.patch.object(pack, "use_strassen", return_value=False):
            forwards["without"] = engine.make_forward(params, config, "numba")
        for threads in (1, 2):
            npformer.set_num_threads(threads)
            found = quartiles({name: partial(f, x) for name, f in forwards.items()})
            row = f"{model:5} {batch:5} {threads:7}"
            middles = []
            for name, times in found.items():
                low, middle, high = (time / batch for time in times)
                middles.append(middle)
                row += f" {middle:{8 if name == 'with' else 11}.2f} {f'{low:.2f} – {high:.2f}':>13}"
            print(f"{row} {1 - middles[0] / middles[1]:7.1%}", flush=True)


if __name__ == "__main__":
    main()
