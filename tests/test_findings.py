"""The scripts of findings/ have one form, and the table lists them. They themselves are not run."""

from __future__ import annotations

import re

import pytest
from readme import ROOT

FOLDER = ROOT / "findings"
SCRIPTS = sorted(FOLDER.glob("*.sh"))
TABLE = {
    name: (versions, finding)
    for name, versions, finding in re.findall(
        r"^\| \[`(\w+)`\]\(\1\.sh\) \| (.+) \| (.+) \|$",
        (FOLDER / "README.md").read_text("utf-8"),
        re.M,
    )
}
PARTS = ["Versions", "Behavior", "Why it matters", "npformer", "Source", "Output seen"]


def test_the_table_lists_every_script():
    assert list(TABLE) == [script.stem for script in SCRIPTS] != []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_form(script):
    text = script.read_text("utf-8")
    assert max(map(len, text.splitlines())) < 100
    comment, commands = re.split(r"^set -euo pipefail\n", text, flags=re.M)
    title, *rest = re.sub(r"\n#  +", " ", comment.removeprefix("#!/usr/bin/env bash\n")).split(
        "\n#\n"
    )
    versions, finding = TABLE[script.stem]
    assert re.sub(r"\n?^# ", " ", title, flags=re.M).strip() == finding
    found = re.findall(rf"^# ({'|'.join(PARTS)})\b.*:", "\n".join(rest), re.M)
    assert found == PARTS, "the head is not complete"
    assert "Output seen (November 2026" in comment
    assert commands.startswith("folder=$(mktemp -d)\ntrap 'rm -rf \"$folder\"' EXIT\n")
    assert "npformer" not in commands, "a finding is shown without npformer"
    assert "assert " in commands

    installed = re.search(r"bin/pip\" install(?: --[\w-]+)+ (?:\\\n +)?(\S.+)\n", commands)
    packages = installed[1].split()
    assert packages == [p for p in packages if re.fullmatch(r"[\w-]+==[\d.]+", p)] != []
    numbers = re.findall(r"==([\d.]+\d)", commands)
    assert set(re.findall(r"\d+(?:\.\d+)+", versions)) <= set(numbers), "the table names others"
