"""What ``import npformer`` offers: it shows itself, it resolves, and looking at it runs nothing."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest
from readme import ROOT

import npformer
from npformer import errors

PACKAGE = ROOT / "npformer"


def printed(code: str, *arguments: str) -> str:
    """What a program prints in a process of its own."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_dir_shows_what_there_is():
    shown = dir(npformer)
    assert shown == sorted(shown)
    assert set(npformer.__all__) <= set(shown)
    for name in ("layers", "network", "learn", "plots", "errors", "checkpoints", "teach", "hf"):
        assert name in shown
    assert not [name for name in shown if name.startswith("_") and name != "__version__"]


@pytest.mark.parametrize("name", dir(npformer))
def test_every_name_is_there_when_it_is_asked_for_first(name):
    code = f"import npformer; print(npformer.{name} is not None, '{name}' in vars(npformer))"
    assert printed(code) == "True True"


def test_every_package_for_users_is_an_attribute():
    packages = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    assert packages - {"commands", "files"} <= set(dir(npformer))


@pytest.mark.parametrize("name", ["__main__", "commands", "no_such_thing"])
def test_no_attribute_runs_a_command(name):
    """With arguments that the command line would take."""
    code = (
        f"import npformer\ntry:\n    npformer.{name}\n"
        "except AttributeError as error:\n    print(error)"
    )
    assert printed(code, "--version") == f"module 'npformer' has no attribute '{name}'"


def test_every_error_is_exported():
    defined = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert len(defined) > 5
    assert defined <= set(npformer.__all__)
    assert all(issubclass(getattr(npformer, name), npformer.NpformerError) for name in defined)


def test_type_checkers_see_the_same_names():
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert all(name == asname for asname, name in seen.items()), "only `as itself` is exported"
    assert sorted([*seen, "__version__"]) == dir(npformer)


def test_a_class_is_exported_with_all_its_kin():
    for module in ("modeling", "pretrained", "backbone"):
        text = (PACKAGE / "hf" / f"{module}.py").read_text("utf-8")
        names = [n.name for n in ast.parse(text).body if isinstance(n, ast.ClassDef)]
        assert {n for n in names if n.startswith("EfficientFormer")} <= set(npformer.__all__)


USER = """
import npformer
from npformer import plots
from npformer.layers import Array, linear

model: npformer.Classifier = npformer.load("tiny")
answers: npformer.Predictions = npformer.classify("coffee.png")
label: str = answers[0].label
score: float = answers[0].score
trace: npformer.Trace = model.trace("coffee.png")
array: Array = trace["stem"]
config: npformer.EfficientFormerConfig = model.config
page: npformer.Explanation = npformer.explain("coffee.png", model)
try:
    npformer.load("nothing")
except npformer.MissingWeights as error:
    text: str = str(error)
npformer.set_num_threads(2)
plots.feature_maps(array)
y: Array = linear(array, model.params.head or model.params.head_dist)  # fault
npformer.classify()  # fault
npformer.no_such_thing  # fault
"""


def test_a_users_program_is_type_checked(tmp_path):
    """Mypy, strict, knows every type of a program outside, and finds exactly the planted faults."""
    pytest.importorskip("mypy")
    assert (PACKAGE / "py.typed").exists(), "without it an installed package counts as untyped"
    (tmp_path / "user.py").write_text(USER, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports", "silent", "user.py"],
        cwd=tmp_path, env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = [int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line]
    expected = [i for i, line in enumerate(USER.splitlines(), 1) if line.endswith("# fault")]
    assert found == expected, done.stdout + done.stderr
