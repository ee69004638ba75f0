"""The default weights answer as PyTorch does with the same folder, and their card is true."""

from pathlib import Path

import numpy as np
import pytest
from stored_answers import GOLDEN

import npformer

HERE = Path(__file__).parent
IMAGES = HERE.parent / "notebooks" / "images"


@pytest.fixture(scope="module", params=["numpy", "auto"])
def model(request):
    return npformer.load("tiny", engine=request.param)


def test_every_free_photograph_is_compared():
    assert sorted(GOLDEN) == sorted(p.name for p in IMAGES.iterdir() if p.suffix != ".md")


@pytest.mark.parametrize("name", GOLDEN)
def test_answers_are_those_of_pytorch(model, name):
    golden = GOLDEN[name]
    logits = model.forward(model.preprocess(IMAGES / name)[None]).logits[0]
    np.testing.assert_allclose(logits, golden["logits"], rtol=0, atol=2e-5)
    assert [p.index for p in model.classify(IMAGES / name)] == golden["top5"]


def test_the_card_counts_rightly():
    card = (HERE.parent / "weights" / "tiny" / "README.md").read_text()
    summary = npformer.load("tiny", engine="numpy").summary()
    assert f"{summary.parameters / 1e6:.1f} million" in card
    assert f"{summary.macs / 1e9:.2f} billion" in card
