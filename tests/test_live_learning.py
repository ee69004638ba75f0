"""Learning against PyTorch: twenty steps, and the losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("timm")

from golden.training_steps import OPTIMIZERS, reference
from photo_cases import network, photographs
from training_steps import compare, run

import npformer
from npformer.layers import (
    bce_with_logits,
    bce_with_logits_backward,
    cross_entropy,
    cross_entropy_backward,
    mse,
    mse_backward,
)
from npformer.learn import Recipe, fit
from npformer.learn.objectives import soft_distillation_loss
from npformer.network import Logits

F = torch.nn.functional
RNG = np.random.default_rng(0)
X, SOFT, HARD = RNG.standard_normal((6, 5)), RNG.random((6, 5)), np.array([0, 4, -100, 2, 2, 1])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_twenty_steps(optimizer: str) -> None:
    compare(run(optimizer), reference(optimizer))


def test_transformers_reads_what_was_trained(tmp_path: Path) -> None:
    photos, model = photographs(tmp_path / "photos"), network(tmp_path / "model")
    recipe = Recipe(epochs=2, batch_size=4)
    folder = fit(photos, tmp_path / "out", recipe, model=model, engine="numpy").folder
    theirs = transformers.EfficientFormerForImageClassificationWithTeacher.from_pretrained(folder)
    processor = transformers.EfficientFormerImageProcessor.from_pretrained(folder)
    path = photos / "plum" / "3.png"
    with torch.no_grad():
        logits = theirs(**processor(Image.open(path), return_tensors="pt")).logits[0]
    found = {a.label: a.score for a in npformer.load(folder, engine="numpy").classify(path)}
    expected = {theirs.config.id2label[i]: p.item() for i, p in enumerate(logits.softmax(-1))}
    assert found == pytest.approx(expected, rel=1e-5)
    assert sorted(found) == ["lime", "plum"]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("labels", [HARD, SOFT], ids=["hard", "soft"])
def test_cross_entropy(labels: np.ndarray, smoothing: float) -> None:
    x = torch.tensor(X, requires_grad=True)
    loss = F.cross_entropy(x, torch.from_numpy(labels), label_smoothing=smoothing)
    loss.backward()
    np.testing.assert_allclose(
        cross_entropy(X, labels, label_smoothing=smoothing), loss.item(), rtol=1e-13
    )
    np.testing.assert_allclose(
        cross_entropy_backward(X, labels, label_smoothing=smoothing), x.grad, rtol=1e-12, atol=1e-16
    )


def test_bce_and_mse() -> None:
    for theirs, ours, gradient in (
        (F.binary_cross_entropy_with_logits, bce_with_logits, bce_with_logits_backward),
        (F.mse_loss, mse, mse_backward),
    ):
        x = torch.tensor(X, requires_grad=True)
        loss = theirs(x, torch.from_numpy(SOFT))
        loss.backward()
        np.testing.assert_allclose(ours(X, SOFT), loss.item(), rtol=1e-13)
        np.testing.assert_allclose(gradient(X, SOFT), x.grad, rtol=1e-12, atol=1e-16)


def test_soft_distillation() -> None:
    student, teacher = torch.tensor(X, requires_grad=True), torch.from_numpy(SOFT * 4)
    log_p, log_q = (F.log_softmax(t / 3, -1) for t in (teacher, student))
    loss = 9 * F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
    loss.backward()
    outputs = Logits(X, np.zeros_like(X), X)
    found, dlogits = soft_distillation_loss(outputs, abs(HARD) % 5, SOFT * 4, alpha=1.0)
    np.testing.assert_allclose(found, loss.item(), rtol=1e-12)
    np.testing.assert_allclose(dlogits.distillation_logits, student.grad, rtol=1e-11, atol=1e-16)
