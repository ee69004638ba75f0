"""Imports run one way: the contracts of `pyproject.toml` hold, and they notice what breaks them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from readme import ROOT

import npformer

HEAVY = ("numba", "llvmlite", "matplotlib", "torch")


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of the package, with the contracts beside it."""
    pytest.importorskip("importlinter")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    ignored = shutil.ignore_patterns("__pycache__", "weights", "data")
    shutil.copytree(ROOT / "npformer", tmp_path / "npformer", ignore=ignored)
    return tmp_path


def lint(folder: Path) -> tuple[int, str]:
    """Run import-linter in a folder; return its exit code and what it printed."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_contracts_are_kept(copy):
    code, out = lint(copy)
    assert code == 0, out
    assert "0 broken" in out


@pytest.mark.parametrize(
    ("file", "line", "found"),
    [
        ("layers/linear.py", "from ..engine import fast", "-> npformer.engine"),
        ("network/model.py", "from ..learn import data", "-> npformer.learn"),
        ("files/atomic.py", "from ..layers import linear", "-> npformer.layers"),
        ("errors.py", "from .version import __version__", "-> npformer.version"),
        ("images/open.py", "from .. import hf", "-> npformer.hf"),
        ("network/model.py", "import numba", "-> numba"),
        ("layers/linear.py", "import torch", "-> torch"),
        ("attic.py", "", ""),
        ("attic/__init__.py", "", ""),
    ],
    ids=lambda value: value.replace("/", "."),
)
def test_a_planted_violation_is_refused(copy, file, line, found):
    module = copy / "npformer" / file
    module.parent.mkdir(exist_ok=True)
    text = module.read_text("utf-8") if module.exists() else ""
    module.write_text(f"{text}\n{line}\n", "utf-8")
    code, out = lint(copy)
    assert code == 1, out
    name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert f"npformer.{name} {found}".strip() in out


def test_a_planted_circle_is_refused(copy):
    """`conv2d` imports `linear`."""
    module = copy / "npformer/layers/linear.py"
    module.write_text(module.read_text("utf-8") + "\nfrom . import conv2d\n", "utf-8")
    code, out = lint(copy)
    assert code == 1, out
    assert "No cycles are allowed in npformer.layers" in out


@pytest.mark.parametrize(
    "name", sorted(name for name in dir(npformer) if name.islower() and not name.startswith("_"))
)
def test_no_package_imports_what_is_heavy_before_it_is_used(name):
    """The kernels alone are written in Numba."""
    if name == "kernels":
        pytest.skip("compiled code")
    code = f"import sys, npformer; npformer.{name}; print(sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
