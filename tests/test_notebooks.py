"""The course: every notebook runs, and what is committed is what its source makes."""

from __future__ import annotations

import ast
import importlib.util
import json
import runpy
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from types import SimpleNamespace

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


def is_graded(cell):
    """Whether nbgrader gives points for a cell."""
    return "nbgrader" in cell.metadata and cell.metadata.nbgrader.grade


def as_python(cells):
    """The code of cells as IPython runs it: a line such as ``%pip`` is a call."""
    from IPython.core.inputtransformer2 import TransformerManager

    code = [cell.source for cell in cells if cell.cell_type == "code"]
    return TransformerManager().transform_cell("\n".join(code))


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
    checks = [cell for cell in student.cells if is_graded(cell)]
    assert len(blanks) == len(checks) > 0
    assert all(cell.metadata.nbgrader.solution for cell in blanks)
    assert all(cell.metadata.nbgrader.points for cell in checks)
    ids = [c.metadata.nbgrader.grade_id for c in student.cells if "nbgrader" in c.metadata]
    assert len(ids) == len(set(ids))
    with pytest.raises(AssertionError, match="NotImplementedError"):
        exec(as_python(student.cells), {})


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A Jupyter kernel that has the wheel of npformer and none of its repository."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=NOTEBOOKS.parent, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("npformer-*.whl")
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv/bin/python"
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
    zipfile.ZipFile(wheel).extractall(packages)
    # Everything else is taken from here; but .pth files there, as of an editable installation, are
    # not read.
    others = [path for path in sys.path if path.endswith("-packages")]
    (packages / "others.pth").write_text("\n".join(others))
    kernel = {
        "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "elsewhere", "language": "python", "env": {"PYTHONPATH": ""},
    }  # fmt: skip
    spec = folder / "kernels/elsewhere/kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps(kernel))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder))
        yield packages


def printed(notebook, stream):
    """What a notebook that was run has printed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.get("name") == stream)


@pytest.mark.slow
@pytest.mark.parametrize("source", COURSE, ids=lambda path: path.stem)
def test_a_notebook_runs_in_an_empty_folder_with_the_wheel_alone(
    build, elsewhere, source, tmp_path, monkeypatch
):
    if "import torch" in source.read_text("utf-8"):
        pytest.importorskip("torch")
    monkeypatch.setattr(build, "TIMEOUT", 60)
    notebook = build.read(source)
    where = "import sys; print(npformer.__file__, sys.path, sep='\\n')"
    notebook.cells.append(build.nbformat.v4.new_code_cell(where))
    build.run(notebook, tmp_path, "elsewhere")
    assert printed(notebook, "stderr") == ""
    file, path = printed(notebook, "stdout").splitlines()[-2:]
    assert Path(file) == elsewhere / "npformer/__init__.py"
    assert str(NOTEBOOKS.parent) not in ast.literal_eval(path)


@pytest.mark.parametrize("source", COURSE + SOLUTIONS, ids=lambda path: path.stem)
def test_where_npformer_is_missing_the_first_cell_installs_it(build, source, monkeypatch):
    first = next(cell for cell in build.read(source).cells if cell.cell_type == "code")
    ran = []
    shell = SimpleNamespace(run_line_magic=lambda *line: ran.append(line))
    exec(as_python([first]), {"get_ipython": lambda: shell})
    assert ran == []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    exec(as_python([first]), {"get_ipython": lambda: shell})
    draws = "matplotlib" in source.read_text("utf-8")
    assert ran == [("pip", f'install -q "npformer{"[plot]" * draws}"')]


@pytest.mark.parametrize("source", SOLUTIONS, ids=lambda path: path.stem)
def test_a_graded_cell_ends_in_an_assertion(build, source):
    """The value of a last line would be taken for the points, and a report is not a number."""
    graded = [c for c in build.mark(build.read(source), source.stem).cells if is_graded(c)]
    assert len(graded) == source.read_text("utf-8").count("raises=True") > 0
    for cell in graded:
        assert isinstance(ast.parse(cell.source).body[-1], ast.Assert), cell.source


def test_the_judge_is_the_same_in_a_plain_test():
    assert check("relu", lambda x: x * (x > 0)).require()
