"""Sphinx settings. ``sphinx-build -W docs docs/_build/html`` builds the site."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import GenericAlias
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import generate  # noqa: E402

import npformer  # noqa: E402

generate.notebooks()
generate.reference()
generate.explorer()

project = "npformer"
author = "The npformer developers"
copyright = "2026, the npformer developers"
version = release = npformer.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",
]
html_theme = "furo"
html_title = "npformer"
html_static_path = ["_static"]
html_extra_path = ["explorer"]
html_favicon = "_static/icon.svg"
html_css_files = ["npformer.css"]
viewcode_follow_imported_members = False
html_copy_source = False
html_show_sphinx = False
exclude_patterns = ["_build"]

default_role = "code"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks are committed as they were run; a test runs them
copybutton_selector = "div:not(.equation):not(.highlight-text) > div.highlight > pre"
copybutton_prompt_text = "$ "

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc tells types and shapes
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

EQUATION = "\n.. code-block:: none\n   :class: equation\n\n"


def as_written(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Show an indented block of a docstring as it stands: its columns are meant to line up."""
    if lines[:1] and lines[0].startswith("Alias for field number"):
        lines.clear()  # a field of a NamedTuple about which there is nothing to say
    before, inside = "", False
    for i, line in enumerate(list(lines)):
        indented = line.startswith("    ")
        blank_above = i > 0 and not lines[i - 1].strip()
        if indented and not inside and blank_above and before and before[0] not in " .:>":
            lines[i - 1] = EQUATION
            inside = True
        elif line.strip():
            inside = inside and indented
        if line.strip():
            before = line
            if not inside:
                lines[i] = without_markup(line)
    lines[:] = "\n".join(lines).split("\n")


def without_markup(line: str) -> str:
    """Let ``|x|`` be an absolute value and ``name_`` a name, not reStructuredText."""
    parts = re.split(r"(``.*?``)", line)
    return "".join(
        part if part.startswith("``") else re.sub(r"\||(?<=\w)_(?!\w)", r"\\\g<0>", part)
        for part in parts
    )


def no_signature_of_aliases(
    app: Any, what: str, name: str, obj: Any, options: Any, *_: Any
) -> tuple[str] | None:
    """Say nothing of how to call ``dict[str, Array]``.

    The answer is no pair, so Sphinx leaves all as it is; and it is one, so numpydoc is not asked,
    which would quote the docstring of dict.
    """
    return ("an alias",) if isinstance(obj, GenericAlias) else None


def setup(app: Any) -> None:
    """Connect what stands above, before numpydoc, which rewrites the docstring."""
    app.connect("autodoc-process-docstring", as_written, priority=100)
    app.connect("autodoc-process-signature", no_signature_of_aliases, priority=100)
