"""What the manifest and its page say about the weights is true of the files."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from npformer.checkpoints import hub

WEIGHTS = Path(__file__).parents[1] / "weights"


@pytest.fixture(scope="module")
def update():
    """The script that makes the figures and the page."""
    spec = importlib.util.spec_from_file_location("weights_update", WEIGHTS / "update.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_package_reads_this_manifest():
    assert hub.manifest() == json.loads((WEIGHTS / "manifest.json").read_text(encoding="utf-8"))
    assert list(hub.manifest()) == ["tiny", "l1", "l3", "l7"]


def test_computed_figures_are_up_to_date(update):
    assert update.computed(hub.manifest()) == hub.manifest()


def test_the_page_is_up_to_date(update):
    text = update.PAGE.read_text(encoding="utf-8")
    assert update.page(text, hub.manifest()) == text


def test_sums_of_the_published_networks_are_the_known_ones():
    facts = hub.manifest()
    assert [(facts[n]["parameters"], facts[n]["gmacs"]) for n in ("l1", "l3", "l7")] == [
        (12_289_928, 1.2913),
        (31_406_000, 3.9066),
        (82_229_328, 10.1193),
    ]


@pytest.mark.parametrize("name", ["l1", "l3", "l7"])
def test_published_models_are_pinned(name):
    facts = hub.manifest()[name]
    assert re.fullmatch(r"[0-9a-f]{40}", facts["revision"])
    assert facts["sha256"]
    assert all(re.fullmatch(r"[0-9a-f]{64}", sha256) for sha256 in facts["sha256"])
    assert facts["license"] == "Apache-2.0"
    assert hub.is_hub_name(name)
