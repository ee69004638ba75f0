"""What the manifest and its page say about the weights is true of the files."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from readme import ROOT

import npformer
from npformer.checkpoints import hub
from npformer.network.labels import KINDS, by_kind

WEIGHTS = ROOT / "weights"


def script(name: str) -> ModuleType:
    """Import a script of the folder."""
    spec = importlib.util.spec_from_file_location(f"weights_{name}", WEIGHTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def update():
    """The script that makes the figures, the card and the tables."""
    return script("update")


@pytest.fixture
def adopt():
    """The script that takes new weights into use."""
    return script("adopt")


def test_the_package_reads_this_manifest():
    assert hub.manifest() == json.loads((WEIGHTS / "manifest.json").read_text(encoding="utf-8"))
    assert list(hub.manifest()) == ["tiny", "l1", "l3", "l7"]


def test_computed_figures_are_up_to_date(update):
    assert update.computed(hub.manifest()) == hub.manifest()


def test_pages_are_up_to_date(update):
    for path, makers in update.PLACES.items():
        text = path.read_text(encoding="utf-8")
        assert update.page(text, makers, hub.manifest()) == text, "run python weights/update.py"


def test_the_card_is_up_to_date(update):
    text = update.CARD.read_text(encoding="utf-8")
    assert update.card(text, hub.manifest()["tiny"]) == text, "run python weights/update.py"


def test_what_the_card_counts_wrongly_is_mended(update):
    facts = {"parameters": 4_012_496, "gmacs": 0.1346, "image_size": 128}
    (british, american), *_ = update.SPELLINGS.items()
    text = f"| parameters | 5 million |\n\n## Data and {british}\n\n{british.capitalize()}s\n"
    assert update.card(text, facts) == (
        "| parameters | 4.0 million, 0.13 billion multiply-adds at 128×128 |\n\n"
        f"## Data and {american}\n\n{american.capitalize()}s\n"
    )


def test_a_page_without_marks_is_refused(update):
    with pytest.raises(ValueError, match="no lines '<!-- tables: made by"):
        update.page("# Weights\n", {"tables": update.tables}, hub.manifest())


def test_figures_of_the_weights_stand_in_generated_places_only(update):
    """A sentence that says "right for 45 %" would be untrue of the next weights."""
    figures = [a[top] for a in hub.manifest()["tiny"]["accuracy"] for top in ("top1", "top5")]
    written = "|".join({re.escape(f"{f:{form}}") for f in figures for form in (".1f", ".0f")})
    said = re.compile(rf"(?<![\d.])(?:{written}) ?(?:%|percent|of 100)")
    assert said.search(f"right for {figures[0]:.0f} % of them")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        if path.stem in ("performance", "training", "accuracy"):
            continue  # tables of other things
        made = r"<!-- (\w+): made by .*?<!-- end of \1 -->"
        text = re.sub(made, "", path.read_text("utf-8"), flags=re.S)
        text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
        assert not said.search(text), f"{path.name}: {said.search(text)[0]}"


def weights(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(f"{name} of {folder.name}")
    return folder


def test_new_weights_are_copied(adopt, tmp_path):
    old = weights(tmp_path / "old", "model.safetensors", "README.md", "config.json")
    adopt.copy(weights(tmp_path / "new", "model.safetensors", "README.md"), old)
    assert {path.name: path.read_text() for path in old.iterdir()} == {
        "model.safetensors": "model.safetensors of new",
        "README.md": "README.md of new",
        "config.json": "config.json of old",
    }


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["README.md"], "new: no model.safetensors; expected a folder like"),
        (["model.safetensors", "notes.txt"], "new: notes.txt; expected no files but"),
    ],
)
def test_another_folder_changes_nothing(adopt, tmp_path, names, message):
    old = weights(tmp_path / "old", "model.safetensors", "README.md")
    with pytest.raises(ValueError, match=message):
        adopt.copy(weights(tmp_path / "new", *names), old)
    assert (old / "README.md").read_text() == "README.md of old"


def test_every_step_runs_with_the_new_weights_and_a_failure_stops(adopt, monkeypatch, capsys):
    ran = []

    def run(command, **options):
        ran.append(command[1])
        return SimpleNamespace(returncode=int(command[1] == "docs/pictures.py"))

    monkeypatch.setattr(adopt.subprocess, "run", run)
    monkeypatch.setattr(adopt, "find_spec", lambda name: name)
    assert adopt.main(["--skip", "answers"]) == 1
    assert ran == ["weights/update.py", "docs/outputs.py", "docs/pictures.py"]
    assert "docs/pictures.py failed" in capsys.readouterr().out
    assert adopt.main(["--skip", "pictures"]) == 0
    assert set(adopt.STEPS.values()) == set(ran)
    assert all((ROOT / name).is_file() for name in adopt.STEPS.values())


def test_what_is_not_installed_is_named_before_anything_changes(adopt, monkeypatch, capsys):
    monkeypatch.setattr(adopt, "find_spec", lambda name: None if name == "nbclient" else name)
    monkeypatch.setattr(adopt, "copy", lambda folder: pytest.fail("copied"))
    with pytest.raises(SystemExit):
        adopt.main(["anywhere"])
    assert "not installed: nbclient; pip install" in capsys.readouterr().err


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


def test_what_the_pages_say_of_the_classes():
    """README, card, notebook 00 and docs/classes.md say what is and what is not among them."""
    labels = set(npformer.load("tiny", engine="numpy").labels)
    kinds = by_kind(labels)
    assert labels.isdisjoint({"missile", "space shuttle", "dog"})
    assert set(kinds) == {*KINDS} - {"people", "other"}
    for name, kind in {
        "walking stick": "animals", "barn": "places", "plate": "food and drink",
        "standard poodle": "animals",
    }.items():  # fmt: skip
        assert name in kinds[kind]
