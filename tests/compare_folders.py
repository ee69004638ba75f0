"""Photographs a second of whole folders: two versions of npformer and timm, in alternation.

    git worktree add ../before REVISION
    python tests/compare_folders.py ../before . --side 4000 --model l1 [--timm] [--rounds 3]
    python tests/compare_folders.py ../before . --side 500 --model tiny
    python tests/compare_folders.py . --memory

The photographs are made here, from four free ones and a seeded generator: enlarged, with grain, as
JPEGs of quality 90. A run's time is that of a whole process on many photographs, less that of one
on a few. Needs an otherwise idle machine. --memory prints the largest memory with 100 and with
100,000 photographs (links to few small files).
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from photo_cases import network
from PIL import Image

Array = NDArray[Any]

ROOT = Path(__file__).parents[1]
FREE = sorted((ROOT / "notebooks" / "images").glob("*.[jp][pn]g"))
VARIANTS = 2
"""how many photographs are made of each free one"""

TIMM = """
import sys
from pathlib import Path
import timm, torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

model = timm.create_model("efficientformer_l1.snap_dist_in1k", pretrained=False).eval()
transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model))

class Folder(Dataset):
    paths = sorted(Path(sys.argv[1]).iterdir())
    def __len__(self):
        return len(self.paths)
    def __getitem__(self, i):
        return transform(Image.open(self.paths[i]).convert("RGB"))

if __name__ == "__main__":
    with torch.inference_mode():
        for x in DataLoader(Folder(), batch_size=8, num_workers=2):
            model(x).softmax(-1).topk(5)
"""


def make_photograph(source: Path, side: int, seed: int, grain: float = 4) -> Image.Image:
    """Enlarge a free photograph to `side` pixels of width, 4:3, and add grain.

    Its standard deviation, where white is 255, decides the size of a JPEG.
    """
    rng = np.random.default_rng(seed)
    picture = Image.open(source).convert("RGB")
    picture = picture.resize((side, side * 3 // 4), Image.Resampling.BICUBIC)
    pixels = np.asarray(picture, np.float32)
    noise = rng.normal(0, grain, (*pixels.shape[:2], 1)).astype(np.float32)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def make_folder(place: Path, side: int, count: int, grain: float = 4) -> Path:
    """Fill a folder with `count` names of a few different photographs."""
    place.mkdir()
    files = []
    for i in range(VARIANTS * len(FREE)):
        file = place / f"{i:06d}.jpg"
        make_photograph(FREE[i % len(FREE)], side, i, grain).save(file, quality=90)
        files.append(file)
    for i in range(len(files), count):
        os.link(files[i % len(files)], place / f"{i:06d}.jpg")
    return place


def make_model(place: Path, model: str) -> str:
    """Return a model by name or, where weights would be downloaded, one with random weights."""
    if model == "tiny":
        return model
    from npformer import EfficientFormerConfig, EfficientFormerForImageClassification

    config = EfficientFormerConfig.variant(model)
    EfficientFormerForImageClassification(config).save_pretrained(place / model)
    return str(place / model)


def seconds(command: list[str], tree: str) -> Array:
    """Run a process to its end; return the seconds that passed, and those of all cores."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"PYTHONPATH": os.path.realpath(tree)}
    # `python -m` would take a package in the current folder before that of the tree
    where = tempfile.gettempdir()
    subprocess.run(command, env=environment, cwd=where, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cores = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return np.array([time.perf_counter() - start, cores])


def measure_speed(words: argparse.Namespace, place: Path) -> None:
    """Print photographs a second and ratios."""
    few, many = 2 * VARIANTS * len(FREE), words.photographs
    folders = {n: make_folder(place / str(n), words.side, n, words.grain) for n in (few, many)}
    model = make_model(place, words.model)
    python = [sys.executable, "-m", "npformer", "classify", "--json", "--model", model]
    before, after = words.trees
    runs = {"before": (python, before), "after, exact": (python, after)}
    runs["after, fast"] = [*python, "--decode", "fast"], after
    if words.timm:
        (place / "peer.py").write_text(TIMM)
        runs["timm"] = [sys.executable, str(place / "peer.py")], after
    taken: dict[str, list[Array]] = {name: [] for name in runs}
    for command, tree in runs.values():  # compiles the kernels if necessary, and fills caches
        seconds([*command, str(folders[few])], tree)
    for _ in range(words.rounds):
        for name, (command, tree) in runs.items():
            short, long = (seconds([*command, str(folders[n])], tree) for n in (few, many))
            taken[name].append((long - short) / (many - few))
    size = np.mean([file.stat().st_size for file in folders[few].iterdir()])
    print(f"{words.model}, {words.side} pixels wide, {size / 1e6:.2f} MB each")
    middle = {name: np.median(times, axis=0) for name, times in taken.items()}
    for name, (each, cores) in middle.items():
        ratios = "".join(
            f"  ÷ {other} {middle[other][0] / each:.2f}"
            for other in ("before", "timm")
            if other in middle and other != name
        )
        print(f"{name:14} {1 / each:7.1f} a second, {cores * 1e3:6.1f} ms of one core{ratios}")


def measure_memory(tree: str, place: Path) -> None:
    """Print the largest memory of runs that write answers, of a network of little memory."""
    found = []
    model = str(network(place / "model"))
    for count in (100, 100_000):
        folder = make_folder(place / str(count), 64, count)
        code = (
            "import resource, sys\nfrom npformer.commands.main import main\n"
            f"assert main(['classify', {str(folder)!r}, '--model', {model!r}, '--top', '1',"
            f" '--output', {str(place / f'{count}.csv')!r}]) == 0\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": os.path.realpath(tree)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found.append(int(done.stdout.split()[-1]))
        print(f"{count:7} photographs: {found[-1] / 1e3:.0f} MB")
    print(f"ratio {found[1] / found[0]:.3f}")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trees", nargs="+")
    parser.add_argument("--side", type=int, default=4000)
    parser.add_argument("--grain", type=float, default=4)
    parser.add_argument("--photographs", type=int, default=80)
    parser.add_argument("--model", default="l1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--timm", action="store_true")
    parser.add_argument("--memory", action="store_true")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        if words.memory:
            measure_memory(words.trees[0], Path(place))
        else:
            measure_speed(words, Path(place))


if __name__ == "__main__":
    main()
