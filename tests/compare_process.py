"""Time of a process that classifies one photograph, beside ONNX Runtime with the same weights.

    python tests/compare_process.py          needs the extra ``peers`` and an idle machine

Processes take turns: ``npformer classify`` with kernels that are compiled already, the same with
plain NumPy layers, and a script that does the same with Pillow, NumPy and ONNX Runtime, from a
graph in which everything that can be folded is folded. The first turns also run npformer with an
empty cache, as on the very first run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from stored_answers import COFFEE_IS

ROOT = Path(__file__).parents[1]
PHOTOGRAPH = str(ROOT / "notebooks" / "images" / "coffee.png")

SCRIPT = """
import json, sys
import numpy as np
import onnxruntime as ort
from PIL import Image

graph, photograph, config = sys.argv[1:]
image = Image.open(photograph).convert("RGB")
scale = 128 / min(image.size)
image = image.resize([max(128, int(side * scale)) for side in image.size], Image.BICUBIC)
left, top = (image.width - 128) // 2, (image.height - 128) // 2
x = np.asarray(image.crop((left, top, left + 128, top + 128)), np.float32) / 255
x = (x - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
options = ort.SessionOptions()
session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
(logits,) = session.run(["logits"], {"pixel_values": x.transpose(2, 0, 1)[None]})
scores = np.exp(logits[0] - logits[0].max())
scores /= scores.sum()
labels = json.load(open(config))["id2label"]
for i in np.argsort(-scores)[:5]:
    print(labels[str(i)], f"{scores[i]:.1%}")
"""


def seconds(command: list[str], **environment: str) -> float:
    """Run a process that must print the right answer first, and return how long it took."""
    start = time.perf_counter()
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    took = time.perf_counter() - start
    assert done.stdout.startswith(COFFEE_IS), done.stdout
    return took


def main(turns: int = 15) -> None:
    """Measure and print."""
    from npformer.bench.onnx_graph import write_onnx
    from npformer.checkpoints import read, write

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "tiny"
        found = read("tiny")
        write(folder, found.config, found.params, found.processor)
        graph, script = write_onnx(folder), Path(place) / "script.py"
        script.write_text(SCRIPT)
        ours = [sys.executable, "-m", "npformer", "classify", PHOTOGRAPH]
        commands = {
            "npformer": ours,
            "npformer, plain layers": [*ours, "--engine", "numpy"],
            "ONNX Runtime": [
                sys.executable, str(script), str(graph), PHOTOGRAPH, str(folder / "config.json")
            ],
        }  # fmt: skip
        times: dict[str, list[float]] = {name: [] for name in commands}
        first = []
        seconds(ours)  # compiles the kernels if necessary
        for turn in range(turns):
            for name, command in commands.items():
                times[name].append(seconds(command))
            if turn < 3:
                empty = str(Path(place) / f"cache{turn}")
                first.append(seconds(ours, NPFORMER_CACHE_DIR=empty))
        peer = median(times["ONNX Runtime"])
        for name, all_times in times.items():
            middle = median(all_times)
            print(f"{name:24} {middle:6.3f} s   ÷ ONNX Runtime {middle / peer:5.2f}")
        print(f"{'npformer, the first time':24} {median(first):6.3f} s")


if __name__ == "__main__":
    main()
