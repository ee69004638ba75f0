"""Public text is plain American English, without the private words of those who wrote it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from readme import ROOT

PRIVATE = re.compile(
    r"(?<!\")\b(as of|floors?|spellings?|houses?|rooms?(?! for\b| :)|upstairs|downstairs)\b(?!\")",
    re.I,
)
"""Metaphors, words for which the field has others, and "as of" (since) in the place of "as in".

In quotes "floor" is a way of rounding."""

BRITISH = re.compile(
    r"colour|neighbour|behaviour|favour|honour|labour|grey|centre|metre"
    r"|(?:normal|initial|optim|summar|general|regular|quant|token|visual|organ|recogn|real|minim"
    r"|maxim|serial|vector|standard|categor|character|parametr|parallel|special|local|final|util"
    r"|item|memor|penal|random)is(?:e|ed|es|er|ers|ing|ation)\b"
    r"|analys(?:e|ed|es|ing)\b|catalogue|licence|programme\b|travell|labell|modell(?:ing|ed)"
    r"|cancell(?:ed|ing)\b|artefact|defence|judgement|learnt\b|whilst\b|amongst\b|fulfil\b",
    re.I,
)

SITE = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *(
        page
        for page in sorted(SITE.rglob("*.md"))
        if page.relative_to(SITE).parts[0] not in ("reference", "notebooks", "_build")
        and page.name not in ("contributing.md", "changes.md")
    ),
    ROOT / "notebooks/README.md",
    *sorted((ROOT / "notebooks").glob("[0-9]*.py")),
    *sorted((ROOT / "notebooks/exercises/solutions").glob("*.py")),
    *sorted((ROOT / "weights").rglob("*.md")),
]
MODULES = sorted((ROOT / "npformer").rglob("*.py"))
ALL = [
    *PAGES, ROOT / "CONTRIBUTING.md", *MODULES, *sorted(SITE.glob("*.py")),
    *sorted(file for file in (ROOT / "tests").glob("*.py") if file.name != Path(__file__).name),
]  # fmt: skip


def prose(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines that a user reads as text.

    Pages without their code, Markdown cells of notebooks, docstrings of public objects, and strings
    of more than a word, such as messages and help.
    """
    text = file.read_text("utf-8")
    if file.suffix == ".md":
        text = re.sub(r"^```.*?^```$", blank, text, flags=re.M | re.S)
        text = re.sub(r"<!-- source: .*? -->|`[^`\n]+`|\]\([^)\n]*\)", "", text)
        yield from enumerate(text.splitlines(), 1)
    elif "notebooks" in file.parts:
        inside = False
        for number, line in enumerate(text.splitlines(), 1):
            if line.startswith("# %%"):
                inside = "[markdown]" in line
            elif inside:
                yield number, re.sub(r"`[^`]+`|\]\([^)]*\)", "", line)
    else:
        tree = ast.parse(text)
        for node in [*docstrings(tree), *messages(tree)]:
            lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
            for number, line in enumerate(lines, node.lineno):
                yield number, re.sub(r"``[^`]+``|`[^`]+`", "", line)


def blank(match: re.Match[str]) -> str:
    """Keep the lines of a text, and nothing in them."""
    return "\n" * match[0].count("\n")


def docstrings(node: ast.AST) -> Iterator[ast.Expr]:
    """Yield the docstrings of a module and of the public things in it, those of fields too."""
    for child in getattr(node, "body", []):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            if isinstance(child.value.value, str):
                yield child
        elif isinstance(child, (ast.FunctionDef, ast.ClassDef)) and not private(child.name):
            yield from docstrings(child)


def private(name: str) -> bool:
    """Whether a name is for this package only; that of a special method is not."""
    return name.startswith("_") and not name.endswith("__")


def messages(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield strings of more than a word that are no docstrings."""
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and " " in text.strip() and id(node) not in skipped:
            yield node


def found(pattern: re.Pattern[str], lines: Iterator[tuple[int, str]], file: Path) -> list[str]:
    """Return place, words and line of each match."""
    return [
        f"{file.relative_to(ROOT)}:{number}: {match[0]!r} in {line.strip()}"
        for number, line in lines
        for match in pattern.finditer(line)
    ]


@pytest.mark.parametrize("file", [*PAGES, *MODULES], ids=lambda p: str(p.relative_to(ROOT)))
def test_public_text_uses_no_private_words(file):
    assert found(PRIVATE, prose(file), file) == []


@pytest.mark.parametrize("file", ALL, ids=lambda p: str(p.relative_to(ROOT)))
def test_american_english(file):
    lines = enumerate(file.read_text("utf-8").splitlines(), 1)
    assert found(BRITISH, iter(lines), file) == []


@pytest.mark.parametrize(
    "text",
    [
        "arguments as of `forward`",
        "the fast floor",
        "in timm's Spelling",
        "this house",
        "its rooms",
    ],
)
def test_private_words_are_found(text):
    assert PRIVATE.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "as often",
        "flooring",
        "it has no room for 14 rows",
        "misspelled",
        "household",
        'rounded as "floor" says',
        "room : int",
    ],
)
def test_other_words_are_not(text):
    assert not PRIVATE.search(text)


@pytest.mark.parametrize(
    "text",
    ["Colours", "gray_grey", "the centred", "neighbouring", "normalised", "initialise",
     "analyses x", "labelled", "behaviour", "optimiser", "serialisation", "judgement"],
)  # fmt: skip
def test_british_words_are_found(text):
    assert BRITISH.search(text)


@pytest.mark.parametrize(
    "text",
    ["color", "gray", "center", "normalize", "precise", "raised", "noise", "otherwise", "analysis",
     "parameter", "wise", "exercise", "revise", "promise", "model", "diameter", "standard"],
)  # fmt: skip
def test_american_words_are_not(text):
    assert not BRITISH.search(text)


def test_what_is_prose_is_known(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("One `code`.\n\n```python\nfloor\n```\n\n[link](floor.md)\n")
    assert [line for _, line in prose(page)] == ["One .", "", "", "", "", "", "[link"]
    module = tmp_path / "module.py"
    module.write_text(
        '"""Of the module."""\nX = "floor"\n"""Of X, not ``floor``."""\n\n'
        'def f():\n    """Of f."""\n    return "floor"\n\ndef _g():\n    """A floor."""\n'
        '    raise E("no such thing")\n\nclass A:\n    def __call__():\n        """Of A()."""\n'
    )
    assert [(n, line.strip(' "')) for n, line in prose(module)] == [
        (1, "Of the module."), (3, "Of X, not ."), (6, "Of f."), (15, "Of A()."),
        (11, 'raise E("no such thing")'),
    ]  # fmt: skip
    cells = tmp_path / "notebooks" / "00.py"
    cells.parent.mkdir()
    cells.write_text("# %% [markdown]\n# Text of `floor`.\n\n# %%\n# floor\n")
    assert [line for _, line in prose(cells)] == ["# Text of .", ""]
