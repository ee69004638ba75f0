"""What the default weights answer about the free photographs, computed by PyTorch and stored.

Tests that need an answer take it from here, so that they hold with any weights:
``weights/adopt.py`` stores the answers anew.
"""

from __future__ import annotations

import json

import numpy as np
from readme import ROOT

GOLDEN = json.loads((ROOT / "tests" / "golden" / "predictions.json").read_text("utf-8"))
_LABELS = json.loads((ROOT / "weights" / "tiny" / "config.json").read_text("utf-8"))["id2label"]


def first_answer(photograph: str) -> str:
    """Return the label of the first answer."""
    return _LABELS[str(GOLDEN[photograph]["top5"][0])]


def first_score(photograph: str) -> float:
    """Return the score of the first answer."""
    e = np.exp(GOLDEN[photograph]["logits"])
    return float(e.max() / e.sum())


COFFEE_IS = first_answer("coffee.png")
