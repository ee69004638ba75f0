"""The page about teaching, followed to the letter: nbgrader makes, grades and returns a course."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from readme import ROOT, blocks

for package in ("nbgrader", "jupytext", "nbclient", "ipykernel"):
    pytest.importorskip(package)
nbformat = pytest.importorskip("nbformat")

pytestmark = pytest.mark.slow

SOLUTIONS = ROOT / "notebooks/exercises/solutions"
MAKE, GRADE = (text for text in blocks(ROOT / "docs/howto/teach.md", "sh") if "nbgrader" in text)
BLANK = "raise NotImplementedError()"

BORDER_COUNTED = """
def average_pool(x, size=3):
    pad, (_, H, W, _) = size // 2, x.shape
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    return sum(x[:, i : i + H, j : j + W] for i in range(size) for j in range(size)) / size**2
"""


def run(commands, folder):
    """Run a block of the page; return all that it says."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-e", "-c", commands], cwd=folder, env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def complaints(said):
    """Lines in which nbgrader itself warns."""
    return [line for line in said.splitlines() if re.match(r"\[\w+ \| (WARNING|ERROR)\]", line)]


def fill(notebook, function, code):
    """Write a function into the first blank cell that is meant for it."""
    cells = [c for c in notebook.cells if BLANK in c.source and f"def {function}(" in c.source]
    cells[0].source = code


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course with three students, and what nbgrader said."""
    place = tmp_path_factory.mktemp("teacher")
    instructor = place / "notebooks/exercises/solutions"
    instructor.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "notebooks"))
        import build
    for source in SOLUTIONS.glob("*.py"):
        notebook = build.mark(build.read(source), source.stem)
        nbformat.write(notebook, instructor / f"{source.stem}.ipynb")
    said = run(MAKE, place)
    folder = place / "course"
    assigned = sorted(path.name for path in (folder / "release/layers").iterdir())
    for student in ("right", "partial", "empty"):
        handed_in = folder / "submitted" / student / "layers"
        handed_in.mkdir(parents=True)
        for name in assigned:
            notebook = nbformat.read(folder / "release/layers" / name, 4)
            assert "SOLUTION" not in nbformat.writes(notebook)
            if student == "right":
                notebook = nbformat.read(instructor / name, 4)
            elif student == "partial" and name == "07_pooling.ipynb":
                fill(notebook, "average_pool", BORDER_COUNTED)
                backward = "def pooling_backward(dy, size=3):\n    return dy"
                fill(notebook, "pooling_backward", backward)
            elif student == "partial":
                fill(notebook, "linear", "def linear(x, p):\n    return x @ p.weight + p.bias")
            nbformat.write(notebook, handed_in / name)
    return folder, said + run(GRADE, folder)


def test_every_right_answer_has_its_point_and_no_other(course):
    folder, _ = course
    with (folder / "grades.csv").open() as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    assert {float(row["max_score"]) for row in rows.values()} == {5}
    assert {name: float(row["score"]) for name, row in rows.items()} == {
        "right": 5, "partial": 1, "empty": 0
    }  # fmt: skip


def test_nbgrader_warns_of_nothing(course):
    _, said = course
    assert complaints(said) == []
    assert "AutogradeApp | INFO" in said


def test_the_feedback_names_the_mistake(course):
    folder, _ = course
    page = (folder / "feedback/partial/layers/07_pooling.html").read_text("utf-8")
    assert "average_pool: border counted" in page
    page = (folder / "feedback/right/layers/07_pooling.html").read_text("utf-8")
    assert "right on all 24 inputs" in page
    assert "AssertionError" not in page
