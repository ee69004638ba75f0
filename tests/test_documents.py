"""Every snippet of the README and of the documentation runs and prints what the page says."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
from readme import ROOT

import npformer

sys.path.append(str(ROOT / "docs"))
import outputs
import quote

PAGES = outputs.pages()


MADE_BY_THE_BUILD = re.compile(r"^(\.\./)*(reference|notebooks)/")
"""Links of the documentation that `test_docs_site` follows."""


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=str(page.relative_to(ROOT)))
        for page in outputs.pages()
        if outputs.BLOCK.search(page.read_text("utf-8"))
    ],
)
def test_blocks_run_and_print_what_the_page_says(page: Path):
    text = page.read_text("utf-8")
    for module in outputs.needed(text):
        pytest.importorskip(module)
    assert outputs.refreshed(text, str(page)) == text, "run python docs/outputs.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path):
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    targets = re.findall(r"\]\(([^)#\s]+)|src=\"([^\"]+)\"", text)
    for target in (a or b for a, b in targets):
        built = page.parent != ROOT and MADE_BY_THE_BUILD.match(target)
        if not built and not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page}: {target}"


MENTIONING = [*quote.pages(), ROOT / "CHANGELOG.md", *sorted((ROOT / "npformer").rglob("*.py"))]


def missing(text: str) -> list[str]:
    """Return the names and files of the package that a text mentions and that do not exist."""
    found = []
    for name in re.findall(r"`(npformer(?:\.\w+)+)", text):
        thing: object = npformer
        for part in name.split(".")[1:]:
            if not hasattr(thing, part) and isinstance(thing, ModuleType):
                spec = find_spec(f"{thing.__name__}.{part}")
                thing = import_module(spec.name) if spec else None
            else:
                thing = getattr(thing, part, None)
            if thing is None:
                found.append(name)
                break
    files = re.findall(r"`((?:npformer|tests|docs|notebooks|weights)/[\w./]*\w\.\w+)`", text)
    return found + [f for f in files if "NAME" not in f and not (ROOT / f).exists()]


@pytest.mark.parametrize("page", MENTIONING, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_is_mentioned_exists(page: Path):
    assert missing(page.read_text("utf-8")) == []


def test_what_does_not_exist_is_found():
    text = "`npformer.no_such`, `npformer.layers.nolinear(x)`, `npformer/model.py`, `tests/laws.py`"
    right = "`npformer.layers.losses.mean`, `npformer.teach.checking`, `npformer.load(x).labels`"
    assert missing(f"{text} {right}") == [
        "npformer.no_such", "npformer.layers.nolinear", "npformer/model.py"
    ]  # fmt: skip


@pytest.mark.parametrize("page", quote.pages(), ids=lambda p: str(p.relative_to(ROOT)))
def test_quoted_code_is_that_of_the_source(page: Path):
    text = page.read_text("utf-8")
    assert quote.refreshed(text, str(page)) == text, "run python docs/quote.py"


def test_readme_notebook_and_pages_of_layers_quote_the_source():
    quoting = {p.stem for p in quote.pages() if quote.DIRECTIVE.search(p.read_text("utf-8"))}
    pages = {p.stem for p in (ROOT / "docs/concepts").glob("*.md")} - {"index", "run"}
    assert {"README", "05_whole_model", "network", *pages} <= quoting


QUOTED = """Before.

<!-- source: npformer/layers/softmax.py softmax -->
```python
def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
```

```python
print("not quoted")
```
"""


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("x.max(-1, keepdims=True)", "x.max()"),
        ("    return e / e.sum(-1, keepdims=True)\n", ""),
    ],
)
def test_a_quote_that_differs_is_found_and_mended(text, becomes):
    right = quote.refreshed(QUOTED)
    assert right.count(text) == 1, "the example is not that of the source"
    assert quote.refreshed(right) == right
    wrong = right.replace(text, becomes)
    assert quote.refreshed(wrong) == right != wrong
    in_a_cell = "".join(f"# {line}".rstrip() + "\n" for line in wrong.splitlines())
    mended = quote.refreshed(in_a_cell)
    assert mended == "".join(f"# {line}".rstrip() + "\n" for line in right.splitlines())


def test_a_quote_leaves_docstrings_out_and_comments_in(tmp_path, monkeypatch):
    monkeypatch.setattr(quote, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text(
        'SIZE = 3\n\n\n@wrapped\nclass A(B):\n    """Of a class."""\n\n    x: int\n'
        '    """of a field"""\n\n    def f(self):\n        """Of a method."""\n'
        "        # why\n        return 'no docstring'  # what\n\n\n"
        'class Empty:\n    """All there is."""\n'
    )
    assert quote.quoted(tmp_path / "a.py", ["SIZE"]) == "SIZE = 3"
    assert quote.quoted(tmp_path / "a.py", ["A"]) == (
        "@wrapped\nclass A(B):\n    x: int\n\n    def f(self):\n"
        "        # why\n        return 'no docstring'  # what"
    )
    method, empty = quote.quoted(tmp_path / "a.py", ["A.f", "Empty"]).split("\n\n\n")
    assert method == "def f(self):\n    # why\n    return 'no docstring'  # what"
    assert empty == 'class Empty:\n    """All there is."""'


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<!-- source: npformer/layers/mlp.py mlp -->\n\nText.\n", "page:1: no block of Python"),
        ("<!-- source: npformer/layers/mlp.py nlp -->\n```python\n```\n", "defines no nlp"),
    ],
)
def test_a_directive_that_quotes_nothing_is_refused(page, message):
    with pytest.raises(ValueError, match=message):
        quote.refreshed(page)


def test_the_command_finds_what_differs_and_mends_it(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text(quote.refreshed(QUOTED).replace("x.max", "x.min"))
    (tmp_path / "npformer").symlink_to(ROOT / "npformer")
    monkeypatch.setattr(quote, "ROOT", tmp_path)
    monkeypatch.setattr(quote, "pages", lambda: [page])
    assert quote.main(["--check"]) == 1
    assert "x.min" in page.read_text()
    assert quote.main([]) == 0
    assert "x.min" not in page.read_text()
    assert capsys.readouterr().out == "page.md\npage.md\n"
    assert quote.main(["--check"]) == 0


def glossary() -> dict[str, str]:
    """The words of the glossary, with their definitions."""
    text = (ROOT / "docs/words.md").read_text("utf-8")
    entries = re.findall(r"^(?!#)(\S.*)\n: (.*(?:\n  .*)*)", text, re.M)
    return {word.strip(): sense for words, sense in entries for word in words.split(",")}


def test_the_glossary_has_our_own_words_and_no_others():
    text = (ROOT / "docs/words.md").read_text("utf-8")
    ours = {
        "plain layers", "tree", "leaf", "variant", "naming", "run", "trace", "tape", "engine",
        "kernel", "fold", "pack", "plan", "arena", "law", "mutant", "golden array", "checkpoint",
    }  # fmt: skip
    assert ours <= set(glossary())
    assert len(re.findall(r"^: ", text, re.M)) <= 45
    folders = ("npformer", "tests", "notebooks")
    code = " ".join(f.read_text("utf-8") for name in folders for f in (ROOT / name).rglob("*.py"))
    used = {word for word in ours if re.search(rf"\b{word.split()[0]}\b", code)}
    assert ours == used, "a word that nothing uses any more"


def test_definitions_are_short():
    for word, sense in glossary().items():
        assert 3 < len(sense.split()) <= 45, word
        assert sense.rstrip(")").endswith("."), word


def test_every_package_is_in_the_table_of_contributing():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rooms = re.findall(r"^\| (`.*?) \|", text, re.M)
    named = sorted(name for room in rooms for name in re.findall(r"`([^`]+)`", room))
    assert named == sorted(
        file.name + "/" * file.is_dir()
        for file in (ROOT / "npformer").iterdir()
        if file.name not in ("__init__.py", "py.typed", "__pycache__", "weights")
    )
