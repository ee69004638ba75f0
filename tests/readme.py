"""Documents as a machine reads them: their code blocks, for the tests and continuous integration.

``python tests/readme.py N`` prints the N-th shell command of the README.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def blocks(document: Path, language: str) -> list[str]:
    """Return the contents of the fenced code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text("utf-8"), re.M | re.S)


if __name__ == "__main__":
    print(blocks(ROOT / "README.md", "sh")[int(sys.argv[1]) - 1].strip())
