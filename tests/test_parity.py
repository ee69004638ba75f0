"""The measured differences: the command runs, and the page shows what it prints."""

from __future__ import annotations

import re

import parity
import pytest
from golden import cases, check
from readme import ROOT

PAGE = (ROOT / "docs/accuracy.md").read_text("utf-8")


def on_page(name: str) -> list[str]:
    """Return the cells of the row of a network."""
    (row,) = re.findall(rf"^\| (`{name}` .*) \|$", PAGE, re.M)
    return row.split(" | ")


@pytest.mark.parametrize("name", ["point", "oblong"])
def test_a_small_network(name):
    printed, shown = parity.small(name), on_page(name)
    assert printed[:4] == shown[:4]
    for row in (printed, shown):
        assert 0 < float(row[4]) <= check.FLOAT64
        assert 0 < float(row[5]) <= check.FLOAT32
        assert 0 < float(row[6]) <= 1e-10


def test_a_network_of_full_size():
    printed, shown = parity.full("l1"), on_page("l1")
    assert printed[:2] == shown[:2]
    for row in (printed, shown):
        assert 0 < float(row[2]) <= check.FLOAT64
        assert max(float(cell) for cell in row[3:]) <= check.LOGITS


def test_the_page_shows_every_network():
    for name in [*cases.SMALL, *cases.FULL]:
        on_page(name)
