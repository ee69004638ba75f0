"""The published models, from a server on this machine that plays the Hugging Face Hub."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hub_server import HubServer

from npformer import checkpoints
from npformer.checkpoints import hub
from npformer.commands import download
from npformer.errors import MissingWeights, OfflineError, WeightsError
from npformer.files.repository import Download
from npformer.network.configuration import EfficientFormerConfig
from npformer.network.params import initialize
from npformer.network.tree import leaves

huggingface_hub = pytest.importorskip("huggingface_hub")

ROOT = Path(__file__).parents[1]
REPOSITORY = "snap-research/efficientformer-l1-300"
COMMIT, LATER = "c0ffee" + "0" * 34, "decade" + "0" * 34
CONFIG = (ROOT / "weights/tiny/config.json").read_bytes()
PROCESSOR = (ROOT / "weights/tiny/preprocessor_config.json").read_bytes()
WEIGHTS = bytes(range(256)) * 512
OTHER_WEIGHTS = WEIGHTS[:-1] + b"!"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


FILES = {"config.json": CONFIG, "preprocessor_config.json": PROCESSOR, "pytorch_model.bin": WEIGHTS}
OTHER_FILES = FILES | {"pytorch_model.bin": OTHER_WEIGHTS}
MANIFEST = {
    "tiny": {"repository": None, "sha256": {}},
    "l1": {
        "repository": REPOSITORY,
        "revision": COMMIT,
        "file": "pytorch_model.bin",
        "sha256": {sha256(b"an older file"): "commit 0lder", sha256(WEIGHTS): "commit c0ffee"},
    },
}


def forget_connections() -> None:
    """Close the connections that huggingface_hub keeps open; how depends on its version."""
    http = huggingface_hub.utils._http
    (http.close_session if hasattr(http, "close_session") else http.reset_sessions)()


@pytest.fixture
def server():
    server = HubServer()
    server.publish(REPOSITORY, COMMIT, FILES)
    yield server
    server.close()


@pytest.fixture
def cache(server, tmp_path, monkeypatch):
    """An empty cache, and huggingface_hub made to ask the server, all in this process."""
    from huggingface_hub import constants, file_download

    url = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    for module in (constants, file_download):  # versions before 1 have a copy there
        if hasattr(module, "HUGGINGFACE_CO_URL_TEMPLATE"):
            monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", url)
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4096)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(hub, "manifest", lambda: MANIFEST)
    forget_connections()
    yield tmp_path / "cache"
    forget_connections()


def whole_files(cache: Path) -> list[bytes]:
    """Contents of every file of weights that could be loaded from the cache."""
    return [path.read_bytes() for path in cache.rglob("snapshots/*/*") if path.suffix == ".bin"]


def go_offline(monkeypatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    forget_connections()


def test_a_published_model_is_downloaded_once(server, cache):
    folder = hub.locate("l1")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert cache in folder.parents
    asked = len(server.requests)
    assert hub.locate("l1") == folder
    assert len(server.requests) == asked  # the second time, the hub is not asked


def test_fetch_tells_which_file_it_is(server, cache):
    found = hub.fetch("l1")
    assert found.published_as == f"{REPOSITORY}, commit c0ffee"
    assert found.weights.read_bytes() == WEIGHTS
    assert found[3:6] == (COMMIT, sha256(WEIGHTS), len(WEIGHTS))


def test_the_published_file_makes_no_remark(cache, caplog):
    with caplog.at_level(logging.WARNING):
        hub.locate("l1")
    assert not caplog.records


@pytest.mark.case(89)
@pytest.mark.parametrize("lying", [False, True], ids=["honest server", "lying server"])
def test_another_file_is_refused_and_does_not_stay(server, cache, lying):
    server.publish(REPOSITORY, COMMIT, OTHER_FILES)
    if lying:
        server.lie[sha256(OTHER_WEIGHTS)] = sha256(WEIGHTS)
    for _ in range(2):
        with pytest.raises(WeightsError) as error:
            hub.locate("l1")
        for part in (sha256(OTHER_WEIGHTS), sha256(WEIGHTS), "pytorch_model.bin", "download l1"):
            assert part in str(error.value)
        assert whole_files(cache) == []
        assert not any(path.read_bytes() == OTHER_WEIGHTS for path in cache.rglob("blobs/*"))
    with pytest.raises(OfflineError):
        hub.locate("l1", Download(local_files_only=True))


def test_a_file_that_would_be_read_before_the_published_one_is_refused(cache):
    folder = hub.locate("l1")
    (folder / "model.safetensors").write_bytes(OTHER_WEIGHTS)
    with pytest.raises(WeightsError, match=r"model\.safetensors: sha256"):
        hub.locate("l1")
    assert checkpoints.folder.weights_file(hub.locate("l1")).read_bytes() == WEIGHTS


def test_a_damaged_file_in_the_cache_is_downloaded_again(server, cache):
    weights = hub.fetch("l1").weights
    weights.resolve().write_bytes(OTHER_WEIGHTS)
    assert (hub.locate("l1") / "pytorch_model.bin").read_bytes() == WEIGHTS


@pytest.mark.case(89)
@pytest.mark.parametrize("how", ["local_only", "offline"])
def test_a_damaged_file_is_refused_without_a_connection(cache, monkeypatch, how):
    weights = hub.fetch("l1").weights
    weights.resolve().write_bytes(OTHER_WEIGHTS)
    if how == "offline":
        go_offline(monkeypatch)
    with pytest.raises(WeightsError, match=sha256(OTHER_WEIGHTS)):
        hub.locate("l1", Download(local_files_only=how == "local_only"))


def test_a_repository_that_nobody_recorded_is_taken_with_a_remark(server, cache, caplog):
    server.publish("someone/flowers", LATER, OTHER_FILES)
    with caplog.at_level(logging.WARNING):
        folder = hub.locate("someone/flowers")
    assert (folder / "pytorch_model.bin").read_bytes() == OTHER_WEIGHTS
    [record] = caplog.records
    for part in ("someone/flowers", "nobody has recorded", sha256(OTHER_WEIGHTS)):
        assert part in record.getMessage()


def test_a_published_file_is_known_wherever_it_lies(server, cache, caplog):
    server.publish("someone/mirror", LATER, FILES)
    with caplog.at_level(logging.WARNING):
        assert hub.fetch("someone/mirror").published_as == f"{REPOSITORY}, commit c0ffee"
        hub.locate(REPOSITORY)
    assert not caplog.records


def test_safetensors_are_preferred_and_the_processor_is_optional(server, cache):
    files = {"config.json": CONFIG, "pytorch_model.bin": WEIGHTS, "model.safetensors": b"safe"}
    server.publish("someone/flowers", LATER, files)
    found = hub.fetch("someone/flowers")
    assert found.weights.name == "model.safetensors"
    assert sorted(path.name for path in found.folder.iterdir()) == [
        "config.json",
        found.weights.name,
    ]
    asked = len(server.requests)
    hub.fetch("someone/flowers")  # the cache remembers that there is no processor's configuration
    assert len(server.requests) == asked


def test_what_others_have_cached_is_completed(server, cache):
    for name in ("config.json", "pytorch_model.bin"):
        huggingface_hub.hf_hub_download(REPOSITORY, name, revision=COMMIT)
    server.requests.clear()
    assert {path.name for path in hub.locate("l1").iterdir()} == set(FILES)
    assert server.asked("GET", "") == 1


def test_a_branch_that_moves_meanwhile_does_not_mix_two_commits(server, cache):
    server.publish("someone/flowers", COMMIT, FILES)
    server.after = lambda *_: server.publish("someone/flowers", LATER, OTHER_FILES)
    found = hub.fetch("someone/flowers")
    assert found.commit == COMMIT
    assert {path.name: path.read_bytes() for path in found.folder.iterdir()} == FILES


def test_another_revision_is_not_held_to_the_hash(server, cache):
    server.publish(REPOSITORY, LATER, OTHER_FILES)
    found = hub.fetch("l1", Download(revision="main"))
    assert (found.commit, found.published_as) == (LATER, None)
    assert found.weights.read_bytes() == OTHER_WEIGHTS


def test_refresh_follows_a_branch_that_has_moved(server, cache):
    server.publish("someone/flowers", COMMIT, FILES)
    assert hub.fetch("someone/flowers").commit == COMMIT
    server.publish("someone/flowers", LATER, OTHER_FILES)
    assert hub.fetch("someone/flowers").commit == COMMIT
    assert hub.fetch("someone/flowers", refresh=True).commit == LATER


@pytest.mark.parametrize("missing", ["config.json", "pytorch_model.bin"])
def test_a_repository_without_the_files_is_refused(server, cache, missing):
    server.publish(REPOSITORY, COMMIT, {k: v for k, v in FILES.items() if k != missing})
    with pytest.raises(MissingWeights, match=missing) as error:
        hub.locate("l1")
    assert f"{server.url}/{REPOSITORY}" in str(error.value)


@pytest.mark.case(90)
@pytest.mark.parametrize(
    ("name", "revision", "status"),
    [("nobody/nothing", None, 401), ("l1", "no-such-branch", 404), ("l1", None, 401)],
)
def test_refusals_of_the_hub_name_address_and_status(server, cache, name, revision, status):
    if (name, revision) == ("l1", None):
        server.status = status
    with pytest.raises(OfflineError) as error:
        hub.locate(name, Download(revision))
    assert f"answered {status}" in str(error.value)
    assert server.url in str(error.value)


@pytest.mark.case(90)
def test_a_hub_that_fails_or_is_away_says_what_to_do(server, cache, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)  # huggingface_hub tries several times
    server.status = 503
    with pytest.raises(OfflineError, match=f"{server.url} answered 503"):
        hub.locate("l1")
    server.close()
    forget_connections()
    with pytest.raises(OfflineError, match="no such folder here"):
        hub.locate("weights/tinny")
    with pytest.raises(OfflineError, match="cannot be reached") as error:
        hub.locate("l1")
    for part in (REPOSITORY, COMMIT, str(cache), "HF_HUB_OFFLINE", "npformer download l1"):
        assert part in str(error.value)
    assert whole_files(cache) == []


@pytest.mark.case(90)
def test_a_silent_hub_is_not_waited_for(server, cache, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
    # Newer versions wait for a minute, six times, if the file is not in the cache.
    retry = "huggingface_hub.file_download._ETAG_RETRY_TIMEOUT"
    monkeypatch.setattr(retry, 0.2, raising=False)
    monkeypatch.setattr("time.sleep", lambda _: None)  # huggingface_hub tries several times
    server.silent = True
    server.go_on.clear()
    with pytest.raises(OfflineError, match=f"{server.url} cannot be reached .*Time"):
        hub.locate("l1")


@pytest.mark.case(91)
def test_a_cut_connection_leaves_no_half_file_and_is_continued(server, cache):
    server.cut_after = 10 * 4096
    try:
        folder = hub.locate("l1")  # newer versions of huggingface_hub continue by themselves
    except OfflineError as error:
        assert "could not be downloaded" in str(error)  # noqa: PT017 - see above
        assert whole_files(cache) == []
        folder = hub.locate("l1")
    assert (folder / "pytorch_model.bin").read_bytes() == WEIGHTS
    [first, second] = [wanted for _, path, wanted in server.requests if path.startswith("/large/")]
    assert first is None
    assert second is not None
    assert second.startswith("bytes=")
    assert second != "bytes=0-"


@pytest.mark.case(91)
def test_a_full_disk_is_reported(server, cache, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", full)
    with pytest.raises(OfflineError, match="No space left on device"):
        hub.locate("l1")


def test_offline_with_everything_in_the_cache(server, cache, monkeypatch):
    folder = hub.locate("l1")
    go_offline(monkeypatch)
    asked = len(server.requests)
    assert hub.locate("l1") == hub.locate("l1", Download(local_files_only=True)) == folder
    assert len(server.requests) == asked


@pytest.mark.case(88)
@pytest.mark.parametrize("present", [False, True], ids=["nothing cached", "config cached"])
@pytest.mark.parametrize("how", ["local_only", "offline"])
def test_offline_without_the_files_says_what_to_do(server, cache, monkeypatch, how, present):
    if present:
        huggingface_hub.hf_hub_download(REPOSITORY, "config.json", revision=COMMIT)
    if how == "offline":
        go_offline(monkeypatch)
    asked = len(server.requests)
    with pytest.raises(OfflineError) as error:
        hub.locate("l1", Download(local_files_only=how == "local_only"))
    for part in (REPOSITORY, COMMIT, str(cache), "HF_HUB_OFFLINE", "npformer download l1"):
        assert part in str(error.value)
    assert len(server.requests) == asked


@pytest.mark.case(88)
def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(OfflineError, match=r'pip install "npformer\[hub\]"'):
        hub.locate("l1")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("l1", True), ("owner/name-1.b", True), ("tiny", False), ("l2", False), ("a/b/c", False),
     ("/tmp", False), ("./weights", False), ("../x", False), ("owner/", False)],
)  # fmt: skip
def test_names_of_the_hub(name, expected):
    assert hub.is_hub_name(name) is expected


# From the name to the network.


def test_a_network_from_the_hub_is_the_network_that_was_published(server, cache):
    folder = ROOT / "weights/tiny"
    names = ["config.json", "preprocessor_config.json", "model.safetensors"]
    server.publish("someone/tiny", LATER, {name: (folder / name).read_bytes() for name in names})
    ours, theirs = checkpoints.read("tiny"), checkpoints.read("someone/tiny")
    assert theirs.config.to_dict() == ours.config.to_dict()
    assert theirs.processor == ours.processor
    for (path, a), (_, b) in zip(leaves(ours.params), leaves(theirs.params), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=path)


def test_a_thousand_classes_without_names_get_those_of_imagenet(server, cache, tmp_path):
    config = EfficientFormerConfig(
        depths=[1, 1], hidden_sizes=[4, 8], dim=8, num_meta3d_blocks=1, key_dim=2,
        num_attention_heads=1, resolution=2, image_size=16, num_labels=1000,
    )  # fmt: skip
    checkpoints.write(tmp_path / "made", config, initialize(config, 0))
    files = {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()}
    assert b"tabby" not in files["config.json"]
    server.publish("someone/thousand", LATER, files)
    read = checkpoints.read("someone/thousand").config
    assert read.id2label[281] == "tabby"
    assert read.label2id["tabby"] == 281


# The command.


def run_download(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="npformer download")
    download.configure(parser)
    parser.set_defaults(parser=parser)
    return download.run(parser.parse_args(words))


def test_download_prints_where_it_lies_and_whether_it_is_pinned(server, cache, capsys):
    server.publish("someone/flowers", LATER, OTHER_FILES)
    assert run_download("l1", "someone/flowers", "tiny") == 0
    pinned, unpinned = capsys.readouterr().out.split("someone/flowers: ")
    for part in (COMMIT, str(cache), "0.1 MB", sha256(WEIGHTS), f"pinned  {REPOSITORY}, commit"):
        assert part in pinned
    for part in (LATER, sha256(OTHER_WEIGHTS), "pinned  no", "tiny comes with npformer"):
        assert part in unpinned


def test_download_goes_on_after_a_failure(server, cache, capsys):
    assert run_download("nobody/nothing", "l1") == 1
    out, err = capsys.readouterr()
    assert sha256(WEIGHTS) in out
    assert "answered 401" in err


@pytest.mark.parametrize("words", [[], ["l2"], ["l1", "no such model"]])
def test_wrong_usage_of_download_exits_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        run_download(*words)
    assert stop.value.code == 2
    assert "usage" in capsys.readouterr().err


# In separate processes, configured by environment variables as a user would.

DOWNLOAD = """
import argparse, json, os
from npformer.checkpoints import hub
from npformer.commands import download
hub.manifest = lambda: json.loads(os.environ["TEST_MANIFEST"])
parser = argparse.ArgumentParser()
download.configure(parser)
parser.set_defaults(parser=parser)
raise SystemExit(download.run(parser.parse_args(["l1"])))
"""


@pytest.fixture
def start(server, tmp_path):
    """Return a function that starts ``npformer download l1`` with an empty cache in `tmp_path`."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    environment |= {
        "HF_HOME": str(tmp_path),
        "HF_ENDPOINT": server.url,
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONPATH": str(ROOT),
        "TEST_MANIFEST": json.dumps(MANIFEST),
    }
    processes = []

    def start(**variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", DOWNLOAD],
            env=environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        with process:  # ended with the test, whatever happens
            process.kill()


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.case(92)
def test_two_processes_at_once_make_one_file(server, start, tmp_path):
    server.go_on.clear()  # the first request is held in the middle of the file
    processes = [start(), start()]
    assert server.halfway.wait(timeout=60)
    while server.asked("HEAD", "pytorch_model.bin") < 2:  # until the other process wants it too
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)
    server.go_on.set()
    for code, out, err in map(finish, processes):
        assert code == 0, err
        assert sha256(WEIGHTS) in out
    assert server.asked("GET", "/large/") == 1
    assert whole_files(tmp_path) == [WEIGHTS]


@pytest.mark.case(91)
def test_a_killed_download_leaves_no_half_file(server, start, tmp_path):
    server.go_on.clear()
    process = start()
    assert server.halfway.wait(timeout=60)
    process.kill()
    finish(process)
    assert whole_files(tmp_path) == []
    server.go_on.set()
    code, out, err = finish(start())
    assert code == 0, err
    assert sha256(WEIGHTS) in out
    assert whole_files(tmp_path) == [WEIGHTS]


@pytest.mark.case(88)
def test_the_variable_for_offline_mode(server, start, tmp_path):
    code, _, err = finish(start(HF_HUB_OFFLINE="1"))
    assert code == 1
    for part in ("npformer: ", REPOSITORY, COMMIT, str(tmp_path), "HF_HUB_OFFLINE is set"):
        assert part in err
    assert not server.requests
    assert finish(start())[0] == 0
    server.requests.clear()
    code, out, _ = finish(start(HF_HUB_OFFLINE="1"))
    assert (code, sha256(WEIGHTS) in out, server.requests) == (0, True, [])
