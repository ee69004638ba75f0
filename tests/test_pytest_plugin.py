"""The fixture `check_layer`, as a test of somebody else's uses it."""

from __future__ import annotations

import os
import subprocess
import sys

from readme import ROOT

TESTS = """
import numpy as np
from npformer.layers import softmax


def test_right(check_layer):
    assert check_layer("softmax", softmax).cases == 20


def test_wrong(check_layer):
    check_layer("softmax", lambda x: softmax(x.swapaxes(1, 2)).swapaxes(1, 2))


def test_not_raising(check_layer):
    assert not check_layer("relu", np.abs, raises=False)
"""


def test_the_fixture(tmp_path):
    (tmp_path / "test_port.py").write_text(TESTS, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "npformer.pytest_plugin", "-p", "no:cacheprovider",
         "--npformer-examples", "20", "-q", str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert "1 failed" in done.stdout
    assert "✗ softmax: wrong axis" in done.stdout
    assert "checking.py" not in done.stdout, "the traceback shows the lines of the test alone"


def test_the_plugin_imports_nothing_until_it_is_used():
    code = (
        "import sys, npformer.pytest_plugin; print(sorted(set(sys.modules) & "
        "{'numpy', 'hypothesis', 'npformer.testing'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
