#!/usr/bin/env bash
# After `jupytext --update` a changed cell shows the result of its old code.
#
# Versions: jupytext 1.19.6, nbformat 5.11.1.
# Behavior: updating a notebook from its script keeps outputs. A cell whose code has changed keeps
#   them as well, if it still stands at the same place: new code above old numbers, with an
#   execution number as if it had been run.
# Why it matters: notebooks of a course are written as scripts. One that is updated and not run
#   shows numbers that its code does not give.
# npformer: makes notebooks anew from their scripts and runs them (notebooks/build.py).
# Source: jupytext's page "Jupytext CLI", which says that --update preserves outputs.
# Output seen (November 2026):
#   code: 14 * 14 output: ['49'] execution number: 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  jupytext==1.19.6 nbformat==5.11.1
"$folder/venv/bin/python" - <<'END'
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

folder = Path(tempfile.mkdtemp(dir=Path(sys.prefix).parent))
result = new_output("execute_result", {"text/plain": "49"}, execution_count=1)
cell = new_code_cell("7 * 7", execution_count=1, outputs=[result])
nbformat.write(new_notebook(cells=[cell]), folder / "course.ipynb")
(folder / "course.py").write_text("# %%\n14 * 14\n")
command = [sys.executable, "-m", "jupytext", "--quiet", "--update", "--to", "ipynb", "course.py"]
subprocess.run(command, check=True, cwd=folder)
(cell,) = nbformat.read(folder / "course.ipynb", 4).cells
shown = [output["data"]["text/plain"] for output in cell.outputs]
print("code:", cell.source, "output:", shown, "execution number:", cell.execution_count)
assert cell.source == "14 * 14"
assert shown == ["49"], "outputs of changed cells are dropped now"
END
