"""Take new default weights into use, everywhere: ``python weights/adopt.py [FOLDER]``.

    python weights/adopt.py ~/new                    copy the files of a folder into weights/tiny
    python weights/adopt.py                          weights/tiny has been replaced already
    python weights/adopt.py --skip notebooks ~/new   leave out a step

The folder has the names of ``weights/tiny``; a file that it does not have stays as it is. Then
everything that shows a value of the weights is made anew, each step by the script that makes it,
in a process of its own, so that it reads the new weights. What is left is to look at the pictures,
to run the tests, and to commit.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
TINY = ROOT / "weights" / "tiny"

STEPS = {
    "tables": "weights/update.py",  # manifest, card, tables in README.md and docs
    "answers": "tests/golden/make_predictions.py",  # PyTorch's, with which tests compare
    "documents": "docs/outputs.py",  # what commands and code print, in README.md and docs
    "pictures": "docs/pictures.py",
    "notebooks": "notebooks/build.py",
}
"""What each step runs, in order."""

NEEDED = {
    "answers": ("torch", "transformers"),
    "documents": ("matplotlib", "sklearn"),
    "pictures": ("matplotlib",),
    "notebooks": ("jupytext", "nbclient", "ipykernel", "matplotlib"),
}
"""Optional modules by step."""


def missing(steps: list[str]) -> list[str]:
    """Return the modules that the steps need and that are not installed."""
    wanted = {module for step in steps for module in NEEDED.get(step, ())}
    return sorted(module for module in wanted if find_spec(module) is None)


def copy(folder: Path, into: Path = TINY) -> None:
    """Copy the files of new weights.

    Raises
    ------
    ValueError
        If the folder has no weights, or a file that the default weights do not have.
    """
    names = {path.name for path in into.iterdir()}
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if "model.safetensors" not in found:
        raise ValueError(f"{folder}: no model.safetensors; expected a folder like weights/tiny")
    if found - names:
        listed = ", ".join(sorted(found - names))
        raise ValueError(f"{folder}: {listed}; expected no files but {', '.join(sorted(names))}")
    for name in sorted(found):
        shutil.copyfile(folder / name, into / name)


def main(words: list[str] | None = None) -> int:
    """Copy and run the steps; stop at the first that fails."""
    parser = argparse.ArgumentParser(prog="weights/adopt.py", description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="new weights")
    parser.add_argument("--skip", action="append", default=[], choices=STEPS, help="a step")
    args = parser.parse_args(words)
    steps = [step for step in STEPS if step not in args.skip]
    if absent := missing(steps):
        parser.error(
            f"not installed: {', '.join(absent)}; "
            'pip install -e ".[reference,plot,notebooks,docs]" installs what the steps need'
        )
    if args.folder:
        try:
            copy(args.folder)
        except ValueError as error:
            parser.error(str(error))
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    for step in steps:
        print(f"== {step}: python {STEPS[step]}", flush=True)
        done = subprocess.run(
            [sys.executable, STEPS[step]],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            check=False,
        )
        if done.returncode:
            print(f"{STEPS[step]} failed; mend it and run this again without FOLDER")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
