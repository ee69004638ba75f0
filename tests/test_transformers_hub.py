"""What ``from_pretrained`` is told about a download: revision, cache, token, subfolder …"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine_cases import config, network
from test_hub import COMMIT, LATER, REPOSITORY, cache, server  # noqa: F401 - fixtures

import npformer
from npformer.errors import MissingWeights, OfflineError

pytestmark = pytest.mark.filterwarnings("error")

KINDS = {
    "model": npformer.EfficientFormerModel,
    "backbone": npformer.EfficientFormerBackbone,
    "auto": npformer.AutoModelForImageClassification,
    "configuration": npformer.EfficientFormerConfig,
    "processor": npformer.EfficientFormerImageProcessor,
}
NAME = "someone/flowers"
ANOTHER = "a" * 40


def files(folder: Path, mark: int) -> dict[str, bytes]:
    """The files of a model, whose configuration and processor show a number."""
    c = config(layer_norm_eps=mark / 1000)
    model = npformer.EfficientFormerForImageClassificationWithTeacher(c, network(c), engine="numpy")
    model.save_pretrained(folder)
    npformer.EfficientFormerImageProcessor(size=mark).save_pretrained(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def mark(found: Any) -> int:
    """The number that was read."""
    if hasattr(found, "size"):
        return found.size["height"]
    return round(getattr(found, "config", found).layer_norm_eps * 1000)


@pytest.fixture
def hub(server, cache, tmp_path):  # noqa: F811
    server.publish(NAME, COMMIT, files(tmp_path / "1", 1))
    inside = {f"deep/er/{name}": data for name, data in files(tmp_path / "3", 3).items()}
    server.publish(NAME, LATER, files(tmp_path / "2", 2) | inside)
    server.branches[NAME]["old"] = COMMIT
    return server


@pytest.fixture(params=KINDS)
def load(request):
    return KINDS[request.param].from_pretrained


def test_the_main_branch_by_default(hub, load):
    assert mark(load(NAME)) == 2
    asked = len(hub.requests)
    assert mark(load(NAME)) == 2
    assert len(hub.requests) == asked, "the second time, the hub is not asked"


@pytest.mark.parametrize(("revision", "expected"), [("old", 1), (COMMIT, 1), ("main", 2)])
def test_revision(hub, load, revision, expected):
    assert mark(load(NAME, revision=revision)) == expected
    with pytest.raises(OfflineError, match="404"):
        load(NAME, revision="nothing")


def test_revision_of_a_named_network(hub, load):
    """What is known of the published ones holds for their revision."""
    hub.commits[REPOSITORY][ANOTHER] = hub.commits[NAME][COMMIT]
    hub.branches[REPOSITORY]["another"] = ANOTHER
    for name in ("l1", REPOSITORY):
        assert mark(load(name, revision="another")) == 1


def test_cache_dir(hub, load, cache, tmp_path):  # noqa: F811
    assert mark(load(NAME, cache_dir=tmp_path / "mine")) == 2
    assert not list(cache.rglob("config.json"))
    assert list((tmp_path / "mine").rglob("*config.json"))
    asked = len(hub.requests)
    assert mark(load(NAME, cache_dir=str(tmp_path / "mine"), local_files_only=True)) == 2
    assert len(hub.requests) == asked


def test_local_files_only(hub, load):
    with pytest.raises(OfflineError, match="only the cache may be used"):
        load(NAME, local_files_only=True)
    assert not hub.requests
    load(NAME)
    asked = len(hub.requests)
    assert mark(load(NAME, local_files_only=True)) == 2
    assert len(hub.requests) == asked


def test_token(hub, load):
    load(NAME, token="hf_secret")
    assert "Bearer hf_secret" in hub.authorizations
    hub.authorizations.clear()
    load(NAME, token=False, force_download=True)
    assert hub.authorizations
    assert set(hub.authorizations) == {None}


def test_force_download(hub, load):
    load(NAME)
    sent = [path for method, path, _ in hub.requests if method == "GET"]
    load(NAME, force_download=True)
    again = [path for method, path, _ in hub.requests if method == "GET"]
    assert sorted(again) == sorted([*sent, *sent])


def test_subfolder(hub, load):
    assert mark(load(NAME, subfolder="deep/er")) == 3
    with pytest.raises((MissingWeights, OfflineError)):
        load(NAME, subfolder="nothing")
    asked = len(hub.requests)
    assert mark(load(NAME, subfolder="deep/er", local_files_only=True)) == 3
    assert len(hub.requests) == asked
    with pytest.raises((MissingWeights, OfflineError)):
        load(NAME, subfolder="deep/er", revision="old")


def test_a_configuration_from_another_place(hub):
    model = npformer.EfficientFormerModel.from_pretrained(NAME, config=NAME, revision="old")
    assert mark(model) == 1


def test_what_is_known_is_not_asked_for(hub):
    for kind in ("configuration", "processor"):
        for name in ("l1", REPOSITORY, "tiny"):
            KINDS[kind].from_pretrained(name, local_files_only=True)
    assert not hub.requests
