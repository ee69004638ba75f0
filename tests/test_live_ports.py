"""The set of ports is what it says it is, and `npformer.compare` is right about some of it.

All of it: ``python tests/ports_rate.py --all``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

for package in ("torch", "timm", "transformers", "onnx", "onnxruntime"):
    pytest.importorskip(package)

import ports
import ports_rate
from ports import Made, Port, Shop

import npformer


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what libraries say while they make ports
        yield Shop(tmp_path_factory.mktemp("ports"))


def name(port: Port) -> str:
    return port.name


SMALL = [port for port in (*ports.WRONG, *ports.RIGHT, *ports.FINE) if port.network != "l1"]
QUICK = [p for p in SMALL if not p.kept_back and p.network != "tiny"][::9]


def made(shop: Shop, port: Port, tmp_path: Path) -> Made:
    return port.make(shop, shop.reference(port.network), tmp_path / "port")


def first_difference(shop: Shop, port: Port, found: Made, tolerance: float) -> str | None:
    """Return the first recorded array that differs from the reference's, by their paths."""
    reference = shop.reference(port.network)
    assert found.heard is not None
    pixels = found.heard["pixel_values"]
    expected = reference.trace(np.asarray(pixels, np.float32))
    for path in shop.order(reference):
        if path in found.heard:
            theirs, right = found.heard[path], expected[path]
            if theirs.shape != right.shape:
                return path
            if np.abs(theirs - right).max() > tolerance * np.abs(right).max():
                return path
    return None


def test_there_are_as_many_as_there_should_be():
    assert len(ports.WRONG) >= 60
    assert len(ports.RIGHT) >= 40
    assert len(ports.FINE) >= 40
    names = [port.name for port in (*ports.WRONG, *ports.RIGHT, *ports.FINE)]
    assert len(set(names)) == len(names)
    for members in (ports.WRONG, ports.RIGHT, ports.FINE):
        kept = sum(port.kept_back for port in members) / len(members)
        assert 0.35 < kept < 0.65


@pytest.mark.parametrize("port", ports.WRONG, ids=name)
def test_the_right_answer_is_a_layer_of_the_network(shop, port):
    assert port.first in shop.order(shop.reference(port.network)) or port.also


@pytest.mark.parametrize("port", [p for p in QUICK if p in ports.WRONG], ids=name)
def test_a_wrong_port_is_wrong_where_it_says(shop, port, tmp_path):
    found = made(shop, port, tmp_path)
    if found.heard is None or "pixel_values" not in found.heard or found.image:
        pytest.skip("what it computes is seen only by those who run it")
    order = shop.order(shop.reference(port.network))
    allowed = ports.answers.accepted(port, found, order)
    assert first_difference(shop, port, found, 3e-6) in allowed


@pytest.mark.parametrize("port", [p for p in QUICK if p in ports.RIGHT], ids=name)
def test_a_right_port_is_right(shop, port, tmp_path):
    found = made(shop, port, tmp_path)
    if found.heard is None or "pixel_values" not in found.heard:
        pytest.skip("what it computes is seen only by those who run it")
    assert first_difference(shop, port, found, 1e-5) is None


@pytest.mark.skipif(not hasattr(npformer, "compare"), reason="there is nothing to measure yet")
@pytest.mark.parametrize("port", QUICK, ids=name)
def test_compare_is_right(shop, port, tmp_path):
    outcome = ports_rate.compared(shop, port, tmp_path / "port")
    assert ports_rate.is_good(outcome), (ports_rate.expected(port), outcome.answer)
