"""Time and memory in eight bits beside float32, of the compiled engine.

    python tests/compare_quantized_speed.py [--model l1] [--narrow]       needs an idle machine

Both run in one process, with the same random weights, and take turns; the table shows milliseconds
for an image. Then processes of their own load each, classify one image, and print their size.
`--narrow` does as if this processor had no AVX-512: what is left is AVX2 without VNNI.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from alternating import quartiles

CASES = (1, 1), (2, 1), (2, 8)
"""Threads and batch."""


def without_avx512() -> None:
    """Hide AVX-512 from the kernels, which are not imported yet."""
    from llvmlite import binding as llvm

    features = llvm.get_host_cpu_features()
    features.update({name: False for name in features if "avx512" in name})
    llvm.get_host_cpu_features = lambda: features


def compare_times(model: str) -> None:
    """Print a line for each case."""
    import npformer
    from npformer.bench.inputs import load_network, random_images
    from npformer.engine import make_forward
    from npformer.engine.quantize import quantize

    config, params, _ = load_network(model)
    both = {"float32": params, "int8": quantize(params, config)}
    forwards = {name: make_forward(p, config, "numba") for name, p in both.items()}
    print("threads batch   float32   middle half      int8   middle half   int8 ÷ float32")
    for threads, batch in CASES:
        npformer.set_num_threads(threads)
        x = random_images(config, batch)
        found = quartiles({name: partial(f, x) for name, f in forwards.items()})
        row = f"{threads:7} {batch:5}"
        for times in found.values():
            low, middle, high = (time / batch for time in times)
            row += f" {middle:9.2f} {f'{low:.2f} – {high:.2f}':>13}"
        ratio = found["int8"][1] / found["float32"][1]
        print(f"{row} {ratio:16.3f}", flush=True)


def print_size(folder: str) -> None:
    """Load a model, classify, and print megabytes: after imports, after packing, at the peak."""
    import npformer
    from npformer.engine import machine_code

    machine_code.entry()
    started = megabytes("VmRSS")
    model = npformer.load(folder)
    model.classify(np.zeros((300, 400, 3), np.uint8))
    print(f"{started:.0f} {megabytes('VmRSS'):.0f} {megabytes('VmHWM'):.0f}")


def megabytes(what: str) -> float:
    """Return what Linux calls the size of this process."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+) kB", status)[1]) / 1024


def compare_sizes(model: str, options: list[str]) -> None:
    """Print a line for a process in each precision."""
    import npformer
    from npformer.bench.inputs import load_network
    from npformer.checkpoints import write

    print("\nMB of a process   before loading   after classifying   at the peak")
    with tempfile.TemporaryDirectory() as place:
        folders = {name: Path(place) / name for name in ("float32", "int8")}
        write(folders["float32"], *load_network(model))
        npformer.load(folders["float32"], dtype="int8").save(folders["int8"])
        for name, folder in folders.items():
            command = [sys.executable, __file__, "--size", str(folder), *options]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            print("{:15} {:>16} {:>19} {:>13}".format(name, *done.stdout.split()), flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="l1")
    parser.add_argument("--narrow", action="store_true")
    parser.add_argument("--size", metavar="DIR", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.narrow:
        without_avx512()
    if options.size:
        print_size(options.size)
    else:
        compare_times(options.model)
        compare_sizes(options.model, ["--narrow"] * options.narrow)


if __name__ == "__main__":
    main()
