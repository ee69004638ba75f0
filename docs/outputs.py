"""Run what the documentation shows, and write below each block what it prints.

    python docs/outputs.py [WORD…]            pages whose path contains one of these words, or all
    python docs/outputs.py --check [WORD…]    list the pages that differ; exit code 1 if any do

The blocks of a page run from top to bottom in one new folder, which has `notebooks` and `weights`
as the repository has them:

* a block of `console`: each line that begins with `$ npformer` is a command, and the lines below it
  are what it prints;
* a block of `python`, with `tmp_path` as a place for files; a block of `text` right below it is
  what it prints. Code that `docs/quote.py` copied from the source is not run.

A page that needs an optional package says so in a line of its own: `<!-- needs: sklearn -->`.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path

import quote

from npformer.commands import main as cli

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(
    r"^```console\n(?P<console>.*?)^```$"
    r"|^```python\n(?P<python>.*?)^```$(?P<between>\n\n```text\n)?(?(between)(?P<text>.*?)^```$)",
    re.M | re.S,
)


def pages() -> list[Path]:
    """Return every page with blocks that may be run."""
    return [page for page in quote.pages() if page.suffix == ".md"]


def needed(text: str) -> list[str]:
    """Return the optional modules that a page needs."""
    return re.findall(r"^<!-- needs: (\S+) -->$", text, re.M)


def refreshed(text: str, where: str = "page") -> str:
    """Return a page with what its blocks print now.

    Raises
    ------
    ValueError
        If a block of `console` does not begin with a command of npformer, or a command fails.
    """
    quotes = [match.span() for match in quote.BLOCK.finditer(text)]
    with a_readers_folder() as folder:
        names: dict[str, object] = {"__name__": "snippet", "tmp_path": folder}

        def replacement(block: re.Match[str]) -> str:
            line = text.count("\n", 0, block.start()) + 1
            if block["console"] is not None:
                return f"```console\n{commands(block['console'], f'{where}:{line}')}```"
            if any(start <= block.start() < end for start, end in quotes):
                return block[0]
            with redirect_stdout(io.StringIO()) as out:
                exec(compile("\n" * line + block["python"], where, "exec"), names)
            if not block["between"]:
                return block[0]
            code = block[0][: block.end("between") - block.start()]
            return f"{code}{trimmed(out.getvalue())}```"

        return BLOCK.sub(replacement, text)


def commands(block: str, where: str) -> str:
    """Return a block of commands with what they print now."""
    before, *parts = re.split(r"^\$ ", block, flags=re.M)
    if before or not parts:
        raise ValueError(f"{where}: a block of console begins with a command, '$ npformer …'")
    result = ""
    for part in parts:
        line = part.partition("\n")[0]
        program, *words = shlex.split(line)
        if program != "npformer":
            raise ValueError(f"{where}: {line!r} is no command of npformer; use a block of sh")
        with redirect_stdout(io.StringIO()) as out:
            code = cli.main(words)
        if code:
            raise ValueError(f"{where}: {line!r} ended with exit code {code}; expected 0")
        result += f"$ {line}\n{trimmed(out.getvalue())}"
    return result


def trimmed(text: str) -> str:
    """Return output without blanks at the ends of lines or blank lines at its end."""
    lines = "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")
    return f"{lines}\n" if lines else ""


@contextmanager
def a_readers_folder() -> Iterator[Path]:
    """Work in a folder that looks like the repository to a snippet, where one may write."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        for name in ("notebooks", "weights"):
            (Path(place) / name).symlink_to(ROOT / name)
        os.chdir(place)
        try:
            yield Path(place)
        finally:
            os.chdir(before)


def main(words: list[str]) -> int:
    """Rewrite the pages, or only compare them."""
    check = "--check" in words
    wanted = [word for word in words if word != "--check"]
    failures = 0
    for page in pages():
        name = str(page.relative_to(ROOT))
        if wanted and not any(word in name for word in wanted):
            continue
        text = page.read_text("utf-8")
        if missing := [module for module in needed(text) if find_spec(module) is None]:
            print(f"{name}: needs {', '.join(missing)}; install it and run this again")
            failures += 1
            continue
        new = refreshed(text, name)
        if new != text:
            print(name)
            failures += check
            if not check:
                page.write_text(new, "utf-8")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
