"""Every snippet of the README and of the documentation runs and prints what the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from readme import ROOT, blocks

from npformer import cli

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def snippets(language: str) -> list[object]:
    """Return ``(page, text)`` of every block, as test parameters with telling names."""
    return [
        pytest.param(text, id=f"{page.relative_to(ROOT)}-{i}")
        for page in PAGES
        for i, text in enumerate(blocks(page, language))
    ]


@pytest.mark.parametrize("text", snippets("console"))
def test_commands_print_what_the_page_says(text, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    _, *rest = re.split(r"^\$ ", text, flags=re.M)
    assert rest, "a console block begins with a command"
    for command in rest:
        line, _, expected = command.partition("\n")
        program, *words = shlex.split(line)
        assert program == "npformer"
        assert cli.main(words) == 0
        assert capsys.readouterr().out.strip() == expected.strip()


@pytest.mark.parametrize(
    "page", [pytest.param(p, id=str(p.relative_to(ROOT))) for p in PAGES if blocks(p, "python")]
)
def test_python_runs(page: Path, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {"__name__": "snippet", "tmp_path": tmp_path}
    exec("from typing import NamedTuple\nfrom npformer.layers import *", names)
    for text in blocks(page, "python"):
        exec(compile(text, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path):
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    targets = re.findall(r"\]\(([^)#\s]+)|src=\"([^\"]+)\"", text)
    for target in (a or b for a, b in targets):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page}: {target}"
