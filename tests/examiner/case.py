"""What a case is: a port of which the right answer is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class Made:
    reference: Path | str
    other: Any
    image: Path | None = None
    proof: list[tuple[str, np.ndarray, np.ndarray]] = field(default_factory=list)
    """(path, right array, the port's array) in forward order; only verify.py looks at it"""


@dataclass
class Case:
    name: str
    make: Callable[[Path], Made]
    first: tuple[str, ...]
    causes: tuple[str | None, ...]
    why: str
