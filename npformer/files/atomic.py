"""Write a file so that others see it whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the name of a temporary file beside `path`, which takes its place if all goes well."""
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a JSON object as transformers does: indented, its keys sorted."""
    with replacing(path) as temporary:
        text = json.dumps(values, indent=2, sort_keys=True) + "\n"
        temporary.write_text(text, encoding="utf-8")
