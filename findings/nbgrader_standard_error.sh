#!/usr/bin/env bash
# A right answer that prints a warning gets no points from nbgrader.
#
# Versions: nbgrader 0.9.6.
# Behavior: whatever a graded cell writes to standard error counts as a failed test: 0 points.
#   Warnings and log messages go there, those of libraries too, such as one about a processor or a
#   deprecated name.
# Why it matters: an update of some library, and right answers get 0.
# npformer: graded cells of its exercises end in an assertion; tests/test_nbgrader.py has nbgrader
#   grade them. docs/howto/teach.md says what nbgrader counts.
# Source: the source of nbgrader.utils.determine_grade; pull request 1904 of jupyter/nbgrader adds
#   a way out.
# Output seen (November 2026):
#   the cell passes and prints to stdout: 5.0 of 5.0 points
#   the cell passes and prints to stderr: 0 of 5.0 points
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nbgrader==0.9.6
"$folder/venv/bin/python" - <<'END'
from nbformat.v4 import new_code_cell, new_output
from nbgrader.utils import determine_grade

metadata = {"grade": True, "solution": False, "locked": True, "points": 5, "grade_id": "test"}
metadata |= {"schema_version": 3, "cell_type": "code", "task": False}
found = {}
for name in ("stdout", "stderr"):
    printed = new_output("stream", name=name, text="UserWarning: this name is deprecated\n")
    cell = new_code_cell(
        "assert answer == 42", outputs=[printed], metadata={"nbgrader": metadata}
    )
    found[name], most = determine_grade(cell)
    print(f"the cell passes and prints to {name}: {found[name]} of {most} points")
assert found == {"stdout": 5, "stderr": 0}, "it is graded otherwise now"
END
