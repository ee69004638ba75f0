"""Make the notebooks from their sources: run them, and leave the solutions out of the exercises.

    python notebooks/build.py                  all of them
    python notebooks/build.py 03 attention     those whose path contains one of these words

Every notebook is written as a plain Python file in jupytext's percent format, which a person can
read and git can compare:

    notebooks/NAME.py                        ->  NAME.ipynb, run, with its outputs and pictures
    notebooks/exercises/solutions/NAME.py    ->  NAME.ipynb beside it, run: for the teacher
                                             ->  exercises/NAME.ipynb: for the student, the code
                                                 between BEGIN SOLUTION and END SOLUTION left out

The cells of exercises carry nbgrader's metadata: a solution cell is one that has these marks, a
graded one asserts `npformer.check(..., raises=True)`. Before the first cell of code stands one that
installs npformer where it is missing, since a notebook may be opened without its repository.
"""

from __future__ import annotations

import base64
import io
import os
import re
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).parent
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?### END SOLUTION\n?", re.M | re.S)
INSTALL = """# In Colab or Kaggle, or wherever npformer is missing, this installs it. Weights and
# photographs come with it, so a notebook needs no other file.
from importlib.util import find_spec

if find_spec("npformer") is None:
    %pip install -q "{requirement}"
"""
TIMEOUT = 120
"""Seconds for one cell. A whole notebook is meant to stay below 60."""


def sources() -> list[Path]:
    """Every source, in order."""
    return sorted(HERE.glob("[0-9]*.py")) + sorted(HERE.glob("exercises/solutions/*.py"))


def read(source: Path) -> nbformat.NotebookNode:
    """Read a source as a notebook, with cell ids that stay the same from build to build."""
    notebook = jupytext.read(source)
    requirement = "npformer" if source.parent.name == "solutions" else "npformer[plot]"
    install = nbformat.v4.new_code_cell(INSTALL.format(requirement=requirement).rstrip())
    install.metadata["tags"] = ["remove-cell"]  # on the site nobody runs it
    first = next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    notebook.cells.insert(first, install)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        }
    )
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i}"
    return notebook


def run(
    notebook: nbformat.NotebookNode, folder: Path = HERE, kernel: str = "python3"
) -> nbformat.NotebookNode:
    """Run a notebook in a folder, on the readers' two threads, and make its pictures small."""
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    NotebookClient(
        notebook, timeout=TIMEOUT, kernel_name=kernel, resources={"metadata": {"path": folder}},
        record_timing=False,
    ).execute()  # fmt: skip
    for cell in notebook.cells:
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            # beside a picture, the value of the last line is only matplotlib's handle of it
            cell.outputs = [o for o in cell.outputs if o.output_type != "execute_result"]
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                kind, picture = small(output.data.pop("image/png"))
                output.data[kind] = picture
    return notebook


def small(png: str) -> tuple[str, str]:
    """Pack a picture well: as a JPEG if it is large and a photograph, which that makes smaller."""
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    exact, photo = io.BytesIO(), io.BytesIO()
    image.save(exact, "png", optimize=True)
    image.save(photo, "jpeg", quality=88, subsampling=0, optimize=True)
    large = exact.tell() > 60_000 and exact.tell() > photo.tell()
    kind, packed = ("image/jpeg", photo) if large else ("image/png", exact)
    return kind, base64.b64encode(packed.getvalue()).decode()


def mark(notebook: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    """Put nbgrader's metadata on the cells of an exercise."""
    count = {"solution": 0, "grade": 0}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        solution, grade = "### BEGIN SOLUTION" in cell.source, "raises=True" in cell.source
        if not (solution or grade):
            continue
        kind = "solution" if solution else "grade"
        count[kind] += 1
        cell.metadata["nbgrader"] = nbformat.from_dict(
            {
                "schema_version": 3,
                "grade_id": f"{name}-{kind}-{count[kind]}",
                "solution": solution,
                "grade": grade,
                "locked": grade,
                "task": False,
                **({"points": 1} if grade else {}),
            }
        )
    return notebook


def without_solutions(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return the student's version of an exercise."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            blank = r"\1# YOUR CODE HERE\n\1raise NotImplementedError()\n"
            cell.source = SOLUTION.sub(blank, cell.source).rstrip()
            cell.outputs, cell.execution_count = [], None
    return notebook


def build(source: Path) -> None:
    """Write the notebooks of one source."""
    notebook = read(source)
    if source.parent.name == "solutions":
        mark(notebook, source.stem)
        student = without_solutions(nbformat.from_dict(notebook))
        nbformat.write(student, source.parents[1] / f"{source.stem}.ipynb")
    nbformat.write(run(notebook), source.with_suffix(".ipynb"))


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for path in sources():
        if not wanted or any(word in str(path.relative_to(HERE)) for word in wanted):
            print(path.relative_to(HERE))
            build(path)
