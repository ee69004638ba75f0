"""The stored answers of PyTorch are what PyTorch answers here."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers")
sys.path.insert(0, str(Path(__file__).parent / "golden"))
import make_predictions


def test_stored_predictions_are_current():
    stored = json.loads(make_predictions.GOLDEN.read_text())
    live = make_predictions.reference_logits(make_predictions.ROOT / "weights" / "tiny")
    assert live.keys() == stored.keys()
    for name, logits in live.items():
        np.testing.assert_allclose(logits, stored[name]["logits"], rtol=0, atol=2e-5)
