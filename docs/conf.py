"""Sphinx settings. ``sphinx-build -W docs docs/_build/html`` builds the site."""

from __future__ import annotations

import re
from typing import Any

import npformer

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
html_css_files = ["npformer.css"]
exclude_patterns = ["_build"]

default_role = "code"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks are committed as they were run; a test runs them

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc tells types and shapes
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False


def equations_as_written(
    app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Show an indented block of a docstring as it stands: its columns are meant to line up."""
    before, inside = "", False
    for i, line in enumerate(list(lines)):
        indented = line.startswith("    ")
        previous = lines[i - 1] if i else ""
        if indented and not inside and not previous.strip() and before and before[0] not in " .:>":
            lines[i - 1] = "\n::\n\n" if not before.endswith("::") else previous
        if line.strip():
            inside, before = indented, line
    # |Δy| is an absolute value here, not a substitution.
    lines[:] = [
        re.sub(r"\|(?=[Δy])|(?<=[Δyx])\|", r"\|", line) for line in "\n".join(lines).split("\n")
    ]


def setup(app: Any) -> None:
    """Connect what stands above."""
    # Before numpydoc, which rewrites the docstring.
    app.connect("autodoc-process-docstring", equations_as_written, priority=100)
