"""The set of ports is what it says it is, and `npformer.compare` is right about some of it.

All of it: ``python tests/ports_rate.py --all``.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

for package in ("torch", "timm", "transformers", "onnx", "onnxruntime"):
    pytest.importorskip(package)

import ports
import ports_rate
from ports import Made, Port, Shop
from ports.answers import last_of
from ports.truth import objection

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
NEW = [port for key in ("fresh", "last") for port in ports.SETS[key] if port.network != "tiny"]


def made(shop: Shop, port: Port, tmp_path: Path) -> Made:
    return port.make(shop, shop.reference(port.network), tmp_path / "port")


def test_there_are_as_many_as_there_should_be():
    assert len(ports.WRONG) >= 60
    assert len(ports.RIGHT) >= 40
    assert len(ports.FINE) >= 40
    names = [port.name for members in ports.SETS.values() for port in members]
    assert len(set(names)) == len(names)
    for members in (ports.WRONG, ports.RIGHT, ports.FINE):
        kept = sum(port.kept_back for port in members) / len(members)
        assert 0.35 < kept < 0.65


@pytest.mark.parametrize(("name", "wrong", "right"), [("fresh", 60, 16), ("last", 40, 10)])
def test_sets_without_halves_are_as_large_as_they_should_be(name, wrong, right):
    members = ports.SETS[name]
    assert sum(port.first is not None for port in members) >= wrong
    assert sum(port.first is None for port in members) >= right


@pytest.mark.parametrize(("asked", "chosen"), [(None, False), ("wrong", False), ("fresh", True)])
def test_sets_without_halves_are_asked_for_by_name(asked, chosen):
    for whole in (False, True):
        arguments = argparse.Namespace(set=asked, all=whole, kept=False)
        assert ports_rate.chooses(arguments, "fresh", NEW[0]) == chosen


def test_the_right_answers_are_layers_of_the_networks(shop):
    for port in (*ports.WRONG, *ports.FINE, *(p for p in NEW if p.first)):
        order = shop.order(shop.reference(port.network))
        assert {port.first, *port.also} <= {*order}, port.name


@pytest.mark.parametrize("port", [*(p for p in QUICK if p not in ports.FINE), *NEW[::19]], ids=name)
def test_a_port_is_what_it_says(shop, port, tmp_path):
    """All of them: ``python tests/ports_rate.py --check``."""
    assert objection(shop, port, made(shop, port, tmp_path)) is None


@pytest.mark.parametrize(
    "said",
    [
        "Rust: a layer scale applied twice",
        "timm: a clamp behind a pooling's scale",
        "edited: windows of a downsampling dilated",
        "edited: pooling counts padding once, run elsewhere",
        "checkpoint: half precision in one MLP",
    ],
)
def test_a_port_that_says_another_layer_is_objected_to(shop, said, tmp_path):
    (port,) = [port for port in NEW if port.name == said]
    made = port.make(shop, shop.reference(port.network), tmp_path / "port")
    assert objection(shop, port, made) is None
    for first in ("stem.norm1", "norm"):
        assert "wrong first" in objection(shop, port._replace(first=first, also=()), made)
    assert "is wrong" in objection(shop, port._replace(first=None), made)


@pytest.mark.parametrize(
    ("path", "cause", "verdict"),
    [
        ("stages.0.blocks.0.mlp.act", "gelu_tanh", ("exact", "right")),
        ("stages.0.blocks.0.mlp.act", None, ("exact", "none")),
        ("stages.0.blocks.0.mlp.act", "activation", ("exact", "wrong")),
        ("stages.0.blocks.0.mlp.fc2", "gelu_tanh", ("wrong", "right")),
        ("stages.0.blocks.0.mlp.norm1", None, ("wrong", "none")),
        ("stages.0.blocks.0", None, ("wrong", "none")),
        (None, None, ("missed", "none")),
    ],
)
def test_the_judge_of_answers(shop, path, cause, verdict):
    (port,) = [port for port in ports.WRONG if port.name == "GELU by tanh"]
    order = shop.order(shop.reference(port.network))
    everything = Made("somewhere")
    assert ports.judge(port, everything, order, path is not None, path, cause) == verdict


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("stages.1.blocks.0.mlp.act", "exact"),
        ("stages.1.blocks.0.token_mixer", "near"),
        ("stages.1.blocks.0.ls2", "near"),
        ("stages.1.blocks.0.a_sum", "near"),
        ("stages.1.blocks.0", "near"),
        ("stages.1.downsample", "wrong"),
        ("stages.2.downsample.conv", "wrong"),
    ],
)
def test_what_was_not_recorded_cannot_be_told_apart(shop, path, place, tmp_path):
    (port,) = [p for p in ports.WRONG if "second stage, blocks recorded" in p.name]
    found = made(shop, port, tmp_path)
    order = shop.order(shop.reference(port.network))
    assert ports.judge(port, found, order, True, path, None).place == place


def test_a_module_and_its_last_layer_are_one_path(shop):
    order = shop.order(shop.reference("small"))
    for module, layer in (
        ("stem", "stem.act2"),
        ("stages.1.downsample", "stages.1.downsample.norm"),
        ("stages.0.blocks.0.mlp", "stages.0.blocks.0.mlp.norm2"),
        ("stages.2.blocks.2.mlp", "stages.2.blocks.2.mlp.fc2"),
        ("stages.2.blocks.2.token_mixer", "stages.2.blocks.2.token_mixer.proj"),
        ("stages.2", "stages.2.blocks.3"),
        ("stages.2.blocks.2", "stages.2.blocks.2"),
        ("stages.0.blocks.0.token_mixer", "stages.0.blocks.0.token_mixer"),
        ("norm", "norm"),
        (None, None),
    ):
        assert last_of(module, order) == layer


class Answer:
    """What `npformer.compare` might return."""

    first_wrong, cause = "stem.conv1", "padding"

    def __bool__(self):
        return False


def test_the_rate_counts_each_outcome(monkeypatch, capsys):
    monkeypatch.setattr(npformer, "compare", lambda *_, **__: Answer(), raising=False)
    chosen = "^(padding of a stride|stem of strides|GELU by tanh$|written here: a single head)"
    monkeypatch.setattr("sys.argv", ["ports_rate.py", "--all", "--show", "--only", chosen])
    ports_rate.main()
    printed = capsys.readouterr().out
    assert "3 wrong ports" in printed
    assert "2 of 3 (66.7%): 2 exactly, 0 as near" in printed
    assert "1 another layer, 0 called right, 0 errors" in printed
    assert "1 of 3 (33.3%) named rightly, 2 wrongly, 0 not" in printed
    assert "1 right ports, 1 called wrong" in printed
    assert "expected stages.0.blocks.0.mlp.act, gelu_tanh" in printed


def test_an_error_is_no_answer(monkeypatch, shop, tmp_path):
    def refuses(*_, **__):
        raise ValueError("no")

    monkeypatch.setattr(npformer, "compare", refuses, raising=False)
    outcome = ports_rate.compared(shop, ports.RIGHT[0], tmp_path / "port")
    assert outcome.verdict.place == "failed"
    assert not ports_rate.is_good(outcome)


@pytest.mark.parametrize("port", QUICK, ids=name)
def test_compare_finds_the_layer_and_names_no_other_cause(shop, port, tmp_path):
    place, cause = ports_rate.compared(shop, port, tmp_path / "port").verdict
    assert place in ("exact", "near")
    if port not in ports.FINE:  # a change of 1e-5 may be that of another ε as well
        assert cause != "wrong"
