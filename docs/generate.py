"""What the site takes from elsewhere when it is built: notebooks, pages of modules, the explorer.

They are written into folders that git ignores, ``docs/notebooks``, ``docs/reference`` and
``docs/explorer``.
"""

from __future__ import annotations

import inspect
import json
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import npformer

HERE = Path(__file__).parent
NOTEBOOKS = HERE.parent / "notebooks"

SECTIONS = {
    "Use": ("classification", "errors", "display"),
    "The network": ("network",),
    "Photographs": ("images", "data", "scale"),
    "The names of transformers": ("hf",),
    "Files and the hub": ("checkpoints", "files"),
    "Learning and teaching": ("learn", "teach", "teach.plots", "explorer"),
    "The engine": ("engine", "kernels", "bench"),
    "Compare with others": (
        "testing",
        "testing.adapters",
        "testing.laws",
        "testing.bounds",
        "testing.compare",
        "testing.vectors",
    ),
}
"""Headings of the reference, and the modules and packages below each; others come at the end."""

ELSEWHERE = ("layers", "commands", "weights", "version", "checks", "pytest_plugin")
"""Not in the reference: layers have pages of their own, commands and options explain themselves."""


def renew(folder: Path, files: dict[str, str]) -> None:
    """Make a folder hold these files; unchanged files are not touched, so not built again."""
    for name, text in files.items():
        file = folder / name
        if not file.exists() or file.read_text("utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
    for file in folder.rglob("*"):
        if file.is_file() and file.relative_to(folder).as_posix() not in files:
            file.unlink()


def notebooks() -> None:
    """Copy the notebooks; links to files of the repository become links within the site."""
    copies = {}
    for source in [*NOTEBOOKS.glob("*.ipynb"), *NOTEBOOKS.glob("exercises/*.ipynb")]:
        notebook = json.loads(source.read_text("utf-8"))
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = with_links_in_site("".join(cell["source"]))
        copies[source.relative_to(NOTEBOOKS).as_posix()] = json.dumps(notebook)
    renew(HERE / "notebooks", copies)


def with_links_in_site(text: str) -> str:
    """Turn links to the file of a layer into links to its page."""
    return re.sub(r"\]\((?:\.\./)+npformer/layers/(\w+)\.py\)", r"](../concepts/\1.md)", text)


def explorer() -> None:
    """Write the explorer, which is a page of its own."""
    renew(HERE / "explorer", {"explorer.html": npformer.explore().html})


def reference() -> None:
    """Write a page for each public module, and an index by section."""
    files = {}
    index = [INTRODUCTION, *names(), ""]
    for section, entries in {**SECTIONS, "Further": rest()}.items():
        pages = list(dict.fromkeys(name for entry in entries for name in modules(entry)))
        files |= {f"{name}.md": page(name) for name in pages}
        if pages:
            index += [f"## {section}", "", "```{toctree}", ":maxdepth: 1", *pages, "```", ""]
    renew(HERE / "reference", {"index.md": "\n".join(index), **files})


INTRODUCTION = """# Reference

What most programs need can be imported from `npformer` itself:

| name | what it is |
|---|---|"""


def names() -> list[str]:
    """Return a row for each name of the package, with the first sentence of its documentation."""
    rows = []
    for name in npformer.__all__:
        thing = getattr(npformer, name)
        home = getattr(thing, "__module__", None)
        if home is not None:
            sentence = (inspect.getdoc(thing) or "").split("\n\n")[0].replace("\n", " ")
            rows.append(f"| [`{name}`](#{home}.{thing.__name__}) | {sentence} |")
    return rows


def modules(name: str) -> list[str]:
    """Return the full name of a module, and of all public modules below it."""
    module = import_module(f"npformer.{name}")
    below = pkgutil.iter_modules(getattr(module, "__path__", []))
    return [
        module.__name__,
        *(f"{module.__name__}.{info.name}" for info in below if not info.name.startswith("_")),
    ]


def page(name: str) -> str:
    """Return the page of a module: all that it defines, or what a package says of itself."""
    members = "" if hasattr(import_module(name), "__path__") else "   :members:\n"
    title = name.removeprefix("npformer.")
    return f"# `{title}`\n\n```{{eval-rst}}\n.. automodule:: {name}\n{members}```\n"


def rest() -> tuple[str, ...]:
    """Return the modules of the package that are in no section."""
    named = {entry for entries in SECTIONS.values() for entry in entries} | set(ELSEWHERE)
    found = [info.name for info in pkgutil.iter_modules(npformer.__path__)]
    return tuple(name for name in found if not name.startswith("_") and name not in named)
