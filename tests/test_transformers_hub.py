"""What ``from_pretrained`` is told about a download: revision, cache, token, subfolder …"""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_cases import config, network
from test_hub import COMMIT, LATER, REPOSITORY, cache, server  # noqa: F401 - fixtures

import npformer
from npformer.checkpoints import safetensors_file, torch_writer
from npformer.checkpoints.hub import fetch
from npformer.errors import MissingWeights, OfflineError, WeightsError
from npformer.network.tree import leaves

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


# Weights in several files


def in_several_files(folder: Path, mark: int, suffix: str) -> dict[str, bytes]:
    """The files of a model whose weights are distributed over three."""
    whole = files(folder, mark)
    weights = folder / "model.safetensors"
    tensors, _ = safetensors_file.read(weights)
    del whole[weights.name]
    stem, write = {
        ".safetensors": ("model", safetensors_file.write),
        ".bin": ("pytorch_model", torch_writer.write),
    }[suffix]
    mapping = {}
    for i in range(3):
        path = folder / f"{stem}-{i + 1:05}-of-00003{suffix}"
        part = dict(list(tensors.items())[i::3])
        write(path, part)
        whole[path.name] = path.read_bytes()
        mapping |= dict.fromkeys(part, path.name)
    whole[f"{stem}{suffix}.index.json"] = json.dumps({"weight_map": mapping}).encode()
    return whole


SHARDED = "someone/sharded"


@pytest.fixture(params=[".safetensors", ".bin"])
def sharded(request, hub, tmp_path):
    """A repository whose main branch, older commit and sub-folder hold distributed weights."""
    make = partial(in_several_files, suffix=request.param)
    hub.publish(SHARDED, COMMIT, make(tmp_path / "s1", 1))
    inside = {f"deep/er/{name}": data for name, data in make(tmp_path / "s3", 3).items()}
    hub.publish(SHARDED, LATER, make(tmp_path / "s2", 2) | inside)
    return hub


def of_shards(hub) -> int:
    return sum("/large/" in path for method, path, _ in hub.requests if method == "GET")


def test_distributed_weights_are_downloaded(sharded):
    model = npformer.EfficientFormerModel.from_pretrained(SHARDED)
    assert mark(model) == 2
    c = config()
    assert all(map(np.array_equal, *(dict(leaves(p)).values() for p in (model.params, network(c)))))
    asked = len(sharded.requests)
    assert mark(npformer.EfficientFormerModel.from_pretrained(SHARDED, local_files_only=True)) == 2
    assert len(sharded.requests) == asked, "the second time, the hub is not asked"


def test_arguments_hold_for_every_shard(sharded, cache, tmp_path):  # noqa: F811
    load = npformer.EfficientFormerModel.from_pretrained
    mine = {"cache_dir": tmp_path / "mine"}
    with pytest.raises(OfflineError, match="only the cache may be used"):
        load(SHARDED, local_files_only=True, **mine)
    assert mark(load(SHARDED, revision=COMMIT, token="hf_secret", **mine)) == 1
    sent = zip(sharded.requests, sharded.authorizations, strict=True)
    assert {token for (_, path, _), token in sent if SHARDED in path} == {"Bearer hf_secret"}
    assert len(list((tmp_path / "mine").rglob("snapshots/*/*-of-00003*"))) == 3
    assert not list(cache.rglob("*-of-00003*"))
    assert mark(load(SHARDED, subfolder="deep/er", **mine)) == 3
    before = of_shards(sharded)
    assert mark(load(SHARDED, force_download=True, revision=COMMIT, **mine)) == 1
    assert of_shards(sharded) - before == 3


def test_a_shard_that_is_missing_in_the_cache_is_fetched(sharded, cache):  # noqa: F811
    load = npformer.EfficientFormerModel.from_pretrained
    load(SHARDED)
    lost = sorted(cache.rglob(f"snapshots/{LATER}/*-of-00003*"))[1]
    lost.unlink()
    with pytest.raises(OfflineError, match="missing or incomplete in the cache"):
        load(SHARDED, local_files_only=True)
    before = of_shards(sharded)
    load(SHARDED)
    assert lost.exists()
    assert of_shards(sharded) - before <= 1


def test_a_repository_that_lacks_a_shard_is_refused(sharded, cache):  # noqa: F811
    lost = sorted(name for name in sharded.commits[SHARDED][LATER] if "-of-00003" in name)[-1]
    del sharded.commits[SHARDED][LATER][lost]
    with pytest.raises(MissingWeights, match=f"has no {lost}, which its .*index.json lists"):
        npformer.EfficientFormerModel.from_pretrained(SHARDED)


@pytest.mark.parametrize("place", ["../model-1.safetensors", "/etc/model.bin", "a/b.bin", 3])
def test_a_list_that_leads_elsewhere_is_refused(place, sharded, cache):  # noqa: F811
    files = sharded.commits[SHARDED][LATER]
    (index,) = (name for name in files if name.endswith(".index.json") and "/" not in name)
    files[index] = json.dumps({"weight_map": {"x": place}}).encode()
    with pytest.raises(WeightsError, match="expected the name of a file beside it"):
        npformer.EfficientFormerModel.from_pretrained(SHARDED)
    assert not of_shards(sharded)


def test_download_says_what_there_is_of_distributed_weights(sharded, cache):  # noqa: F811
    found = fetch(SHARDED)
    shards = sorted(found.folder.glob("*-of-00003*"))
    joined = b"".join(shard.read_bytes() for shard in shards)
    assert (found.size, found.sha256) == (len(joined), hashlib.sha256(joined).hexdigest())
    assert found.weights.name.endswith(".index.json")
