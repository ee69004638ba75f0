"""The course: every notebook runs, and what is committed is what its source makes."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from npformer.teach.checking import check
from npformer.teach.mistakes import EXERCISES

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
SOLUTIONS = sorted(NOTEBOOKS.glob("exercises/solutions/*.py"))
COURSE = sorted(NOTEBOOKS.glob("[0-9]*.py"))


@pytest.mark.parametrize("source", SOLUTIONS, ids=lambda path: path.stem)
def test_every_solution_passes(source):
    runpy.run_path(str(source))  # its checks raise


def test_every_exercise_has_a_place_in_the_course():
    text = "".join(source.read_text("utf-8") for source in SOLUTIONS)
    missing = [name for name in EXERCISES if f'npformer.check("{name}", ' not in text]
    assert missing == []


@pytest.mark.parametrize("source", COURSE, ids=lambda path: path.stem)
def test_a_notebook_has_what_a_reader_needs(source):
    text = source.read_text("utf-8")
    for part in ("**Aim.**", "## Questions", "**In the paper:**"):
        assert part in text
    committed = source.with_suffix(".ipynb")
    assert committed.stat().st_size < 1_000_000
    assert '"image/' in committed.read_text("utf-8")


@pytest.fixture(scope="module")
def build():
    for extra in ("jupytext", "nbclient", "ipykernel", "matplotlib"):
        pytest.importorskip(extra)
    sys.path.insert(0, str(NOTEBOOKS))
    try:
        import build
    finally:
        sys.path.remove(str(NOTEBOOKS))
    return build


@pytest.mark.parametrize("source", COURSE + SOLUTIONS, ids=lambda path: path.stem)
def test_what_is_committed_is_made_from_its_source(build, source):
    committed = build.nbformat.read(source.with_suffix(".ipynb"), 4)
    build.nbformat.validate(committed)
    expected = build.read(source)
    assert [cell.source for cell in committed.cells] == [cell.source for cell in expected.cells]
    ran = [cell.execution_count for cell in committed.cells if cell.cell_type == "code"]
    assert ran == list(range(1, len(ran) + 1))


@pytest.mark.parametrize("source", SOLUTIONS, ids=lambda path: path.stem)
def test_the_student_sees_no_solution_and_the_checks_find_that_out(build, source):
    student = build.nbformat.read(source.parents[1] / f"{source.stem}.ipynb", 4)
    build.nbformat.validate(student)
    fresh = build.without_solutions(build.mark(build.read(source), source.stem))
    assert [c.source for c in student.cells] == [c.source for c in fresh.cells]
    assert not any("SOLUTION" in cell.source for cell in student.cells)
    blanks = [c for c in student.cells if "raise NotImplementedError()" in c.source]
    checks = [c for c in student.cells if "raises=True" in c.source]
    assert len(blanks) == len(checks) > 0
    assert all(cell.metadata.nbgrader.solution for cell in blanks)
    assert all(cell.metadata.nbgrader.grade and cell.metadata.nbgrader.points for cell in checks)
    ids = [c.metadata.nbgrader.grade_id for c in student.cells if "nbgrader" in c.metadata]
    assert len(ids) == len(set(ids))
    code = "\n".join(cell.source for cell in student.cells if cell.cell_type == "code")
    with pytest.raises(AssertionError, match="NotImplementedError"):
        exec(code, {})


@pytest.mark.parametrize("source", COURSE, ids=lambda path: path.stem)
def test_a_notebook_runs(build, source, monkeypatch):
    monkeypatch.setattr(build, "TIMEOUT", 60)
    notebook = build.run(build.read(source))
    problems = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.get("name") == "stderr"
    ]
    assert problems == []


def test_the_judge_is_the_same_in_a_plain_test():
    assert check("relu", lambda x: x * (x > 0)).require()
