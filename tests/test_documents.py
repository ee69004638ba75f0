"""Every snippet of the README and of the documentation runs and prints what the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from readme import ROOT, blocks

from npformer.commands import main as cli

WRITTEN = [p for p in (ROOT / "docs").rglob("*.md") if "reference" not in p.parts]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(WRITTEN)]


MADE_BY_THE_BUILD = re.compile(r"^(\.\./)*(reference|notebooks)/")
"""Links of the documentation that `test_docs_site` follows."""

COMMANDS = [
    pytest.param(page, text, id=f"{page.relative_to(ROOT)}-{i}")
    for page in PAGES
    for i, text in enumerate(blocks(page, "console"))
]


@pytest.fixture
def here(monkeypatch, tmp_path):
    """A folder like the repository to whoever reads a snippet, where one may write."""
    for name in ("notebooks", "weights"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)


def skip_without_what_it_needs(page: Path) -> None:
    """Skip a page with ``<!-- needs: sklearn -->`` where that is not installed."""
    for module in re.findall(r"^<!-- needs: (\S+) -->$", page.read_text("utf-8"), re.M):
        pytest.importorskip(module)


@pytest.mark.parametrize(("page", "text"), COMMANDS)
def test_commands_print_what_the_page_says(page, text, capsys, here):
    skip_without_what_it_needs(page)
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
def test_python_runs_and_prints_what_the_page_says(page: Path, here, tmp_path, capsys):
    """A block ``text`` right below a block ``python`` is what it prints."""
    skip_without_what_it_needs(page)
    names: dict[str, object] = {"__name__": "snippet", "tmp_path": tmp_path}
    exec("from typing import NamedTuple\nfrom npformer.layers import *", names)
    with_output = r"^```python\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?"
    for code, expected in re.findall(with_output, page.read_text("utf-8"), re.M | re.S):
        capsys.readouterr()
        exec(compile(code, str(page), "exec"), names)
        if expected:
            assert capsys.readouterr().out.strip() == expected.strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path):
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    targets = re.findall(r"\]\(([^)#\s]+)|src=\"([^\"]+)\"", text)
    for target in (a or b for a, b in targets):
        built = page.parent != ROOT and MADE_BY_THE_BUILD.match(target)
        if not built and not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_every_room_of_the_house_is_on_its_plan():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rooms = re.findall(r"^\| (`.*?) \|", text, re.M)
    named = sorted(name for room in rooms for name in re.findall(r"`([^`]+)`", room))
    assert named == sorted(
        file.name + "/" * file.is_dir()
        for file in (ROOT / "npformer").iterdir()
        if file.name not in ("__init__.py", "py.typed", "__pycache__", "weights")
    )
