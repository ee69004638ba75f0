"""Benchmarks: not how fast, but that tables show what was measured, of the right network."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from engine_cases import config, images, network

from npformer import engine
from npformer.bench import beside, inputs, peak, peers, training_peers, worker
from npformer.bench import measure as bench
from npformer.bench.profile import profile
from npformer.checkpoints import write
from npformer.commands.main import main
from npformer.errors import ConfigError
from npformer.network import forward
from npformer.network.configuration import EfficientFormerConfig


@pytest.fixture(autouse=True)
def _default_threads():
    yield
    engine.set_num_threads(None)


@pytest.fixture
def folder(tmp_path):
    c = config()
    p, x = network(c), images(2)
    write(tmp_path, c, p)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "expected.npy", forward(x, p, c).logits)
    return tmp_path


def test_a_table_of_timings(folder):
    result = bench.bench(str(folder), [1, 2], [1, 2], ["npformer", "numpy"], turns=2, seconds=0.01)
    assert not result.failures
    assert [(t.name, t.batch, t.threads) for t in result.timings] == [
        (name, batch, n) for batch in (1, 2) for n in (1, 2) for name in ("npformer", "numpy")
    ]
    for t in result.timings:
        assert 0 < t.low <= t.seconds <= t.high
        assert t.share == pytest.approx(t.gflops / result.peak[t.threads])
        assert (t.ratio is None) == (t.name == "npformer")
    text = str(result)
    assert text.count("\n") == 9
    assert "npformer÷this" in text
    json.dumps(result.to_dict())


def test_a_table_of_timings_beside_a_neighbor(folder):
    peers = ["npformer", "numpy"]
    result = bench.bench(str(folder), [2], [1, 2], peers, turns=2, seconds=0.01, beside="busy")
    assert [(b.name, b.batch, b.threads) for b in result.beside] == [
        (t.name, t.batch, t.threads) for t in result.timings
    ]
    for t, b in zip(result.timings, result.beside, strict=True):
        assert b.alone == pytest.approx(t.seconds)
        assert 0 < b.low <= b.seconds <= b.high
        assert b.slower == b.seconds / b.alone
        assert (b.ratio is None) == (b.name == "npformer")
    lines = str(result).splitlines()
    assert lines[6] == "beside a program that keeps one core busy:"
    assert lines[7].split()[-2:] == ["alone", "npformer÷this"]
    assert len(lines) == 12
    assert json.loads(json.dumps(result.to_dict()))["beside"][0]["name"] == "npformer"


def processor_ticks(pid):
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_neighbor_works_while_it_is_told_to():
    neighbor = beside.Neighbor()
    pid = neighbor._process.pid
    with neighbor.working():
        start = processor_ticks(pid)
        while processor_ticks(pid) < start + 10:  # for ever, if it does not
            pass
    end = processor_ticks(pid)
    worker.time.sleep(0.3)
    assert processor_ticks(pid) <= end + 5
    neighbor.stop()


def test_a_neighbor_that_has_ended_is_told():
    neighbor = beside.Neighbor()
    neighbor._process.kill()
    neighbor._process.wait()
    with pytest.raises(RuntimeError, match="neighbor answers ''"), neighbor.working():
        pass
    neighbor.stop()


def test_unknown_neighbors_are_refused(capsys):
    with pytest.raises(ConfigError, match="beside is 'noisy'; expected None or busy"):
        bench.bench("tiny", beside="noisy")
    assert main(["bench", "--beside", "noisy"]) == 2
    assert "invalid choice: 'noisy'" in capsys.readouterr().err


def test_wrong_logits_are_not_measured(folder):
    wrong = np.load(folder / "expected.npy") * 1.001
    np.save(folder / "expected.npy", wrong)
    failures = {}
    assert bench._start(["npformer"], folder, failures) == {}
    assert "differ by 1.0e-03" in failures["npformer"]


def test_a_contender_that_cannot_start_is_told(folder):
    (folder / "model.safetensors").write_bytes(b"")
    failures = {}
    assert bench._start(["npformer"], folder, failures) == {}
    assert "model.safetensors" in failures["npformer"]


def test_a_contender_that_dies_while_it_is_measured_is_told(folder):
    failures = {}
    workers = bench._start(["npformer", "numpy"], folder, failures)
    workers["numpy"]._process.kill()
    task = {"batch": 1, "threads": 1, "seconds": 0.0}
    assert [name for name, _ in bench._ask(workers, task, failures)] == ["npformer"]
    assert list(workers) == ["npformer"]
    assert failures == {"numpy": "batch 1, 1 threads: ended without a word"}
    workers["npformer"].stop()


@pytest.fixture
def broken_peer(tmp_path_factory, monkeypatch):
    """An ONNX Runtime that is installed but cannot be imported; NumPy is the only other peer."""
    place = tmp_path_factory.mktemp("broken")
    for package in ("onnx", "onnxruntime"):
        (place / f"{package}.py").write_text("raise RuntimeError('made for another processor')")
    monkeypatch.syspath_prepend(place)
    paths = filter(None, [str(place), os.environ.get("PYTHONPATH")])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    some = {"npformer": "npformer", "numpy": "npformer", "onnxruntime": "onnxruntime"}
    monkeypatch.setattr(bench, "PEERS", some | {"openvino": "a_package_that_there_is_not"})


@pytest.mark.parametrize(
    ("peers", "code"),
    [("onnxruntime,numpy", 1), ("openvino,numpy", 1), ("", 0), ("numpy", 0)],
)
def test_a_named_contender_has_to_run(folder, broken_peer, peers, code, capsys):
    """The table of the others is printed first. A peer that is merely installed need not run."""
    words = ["bench", "--model", str(folder), "--turns", "1", "--threads", "1", "--json", "--peers"]
    assert main([*words, *filter(None, [peers])]) == code
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert [t["name"] for t in result["timings"]] == ["npformer", "numpy"]
    reasons = {
        "onnxruntime": "RuntimeError: made for another processor",
        "openvino": "it is not installed; pip install a_package_that_there_is_not",
    }
    tried = {"": {"onnxruntime"}}.get(peers, set(peers.split(",")) - {"numpy"})
    assert result["failures"] == {name: reasons[name] for name in tried}
    told = [f"npformer: {name} was not measured: {reasons[name]}\n" for name in tried if code]
    assert err == "".join(told)


def test_npformer_itself_has_to_run(folder, capsys, monkeypatch):
    monkeypatch.setattr(bench, "AGREEMENT", 0)
    words = ["bench", "--model", str(folder), "--turns", "1", "--threads", "1"]
    assert main([*words, "--peers", "numpy"]) == 1
    out, err = capsys.readouterr()
    assert "\nnumpy " in out
    assert err.startswith("npformer: npformer was not measured: its logits differ by")


def test_unknown_contenders_are_refused():
    with pytest.raises(ConfigError, match="unknown peer abacus"):
        bench.bench("tiny", peers=["abacus"])


def test_a_worker_answers(folder, monkeypatch, capsys):
    tasks = [{"check": True}, {"batch": 3, "threads": 1, "seconds": 0.0}]
    monkeypatch.setattr("sys.stdin", [json.dumps(task) for task in tasks])
    monkeypatch.setattr("sys.stdout", worker.sys.stdout)
    worker.main("npformer", folder)
    checked, measured = map(json.loads, capsys.readouterr().out.splitlines())
    assert checked["error"] < 1e-5
    assert len(measured["seconds"]) == 1


def test_time_is_that_of_one_image():
    times = worker.measure(lambda x: worker.time.sleep(0.02), np.zeros(4), 0.0)
    assert 0.005 <= times[0] < 0.015


def test_the_peak_is_a_rate():
    one = peak.fma_peak(1, 2)
    assert 1 < one < 1000


def test_random_weights_make_every_layer_matter():
    c = config()
    p = inputs.random_weights(c)
    assert p.stages[0].blocks[0].ls2.gamma.min() >= 0.5
    assert np.isfinite(forward(images(1), p, c).logits).all()


def test_named_networks_get_random_weights():
    c, p = inputs.load_network("tiny")
    assert c.hidden_sizes == EfficientFormerConfig.variant("tiny").hidden_sizes
    assert p.stem.conv1.weight.std() > 0.1


def test_profile(folder):
    result = profile(str(folder), 2, 2)
    names = [name for name, _, _ in result.rows]
    assert names[0] == "stem"
    assert names[-1] == "head_dist"
    assert "stages.3.blocks.2" in names
    assert all(seconds > 0 for *_, seconds in result.rows)
    lines = str(result).splitlines()
    assert len(lines) == 1 + len(result.rows)
    assert "█" in str(result)


def test_what_kernels_cannot_run_has_no_profile(tmp_path):
    c = config(hidden_act="mish")
    write(tmp_path, c, network(c))
    with pytest.raises(ConfigError, match=r"engine='numba' cannot run: .*mish"):
        profile(str(tmp_path), 1, 1)


def test_commands(folder, capsys):
    assert main(["bench", "--model", str(folder), "--turns", "1", "--threads", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["timings"][0]["name"] == "npformer"
    assert main(["bench", "--model", str(folder), "--turns", "1", "--threads", "1",
                 "--peers", "numpy"]) == 0  # fmt: skip
    assert "numpy" in capsys.readouterr().out
    assert main(["profile", "--model", str(folder), "--passes", "1"]) == 0
    assert "pooling_block" in capsys.readouterr().out
    assert main(["profile", "--model", str(folder), "--passes", "1", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"model", "threads", "rows"}
    assert set(printed["rows"][0]) == {"name", "kernel", "seconds"}
    assert printed["rows"][0]["name"] == "stem"
    assert printed["rows"][0]["seconds"] > 0


@pytest.mark.parametrize("bad", ["0", "-1", "x", "1,,2", ""])
@pytest.mark.parametrize("option", ["bench --batch", "bench --threads", "bench --turns",
                                    "profile --threads", "profile --passes"])  # fmt: skip
def test_invalid_numbers_are_refused(option, bad, capsys):
    assert main([*option.split(), bad]) == 2
    assert "is not a whole number, 1 or more" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_that_of_a_batch_and_of_smaller_ones(folder):
    result = bench.bench(str(folder), [64, 1], [1], ["numpy"], turns=1, seconds=0.0)
    small, large = result.timings
    assert (small.batch, large.batch) == (1, 64)
    assert small.memory + 10 < large.memory


def test_every_contender_has_a_maker():
    assert set(peers.MAKERS) == set(bench.PEERS)
    assert set(training_peers.MAKERS) == set(bench.TRAINED)


def test_steps_of_training(folder):
    result = bench.bench(str(folder), [4], [1], ["npformer"], turns=1, seconds=0.0, training=True)
    assert not result.failures
    assert "ms/step" in str(result)
    with pytest.raises(ConfigError, match="peers is openvino; these can train"):
        bench.bench("tiny", peers=["openvino"], training=True)


def test_wrong_steps_are_not_measured(folder):
    x = images(4)
    np.save(folder / "x.npy", x)
    right = training_peers.two_losses(training_peers.MAKERS["numpy"](folder, 1), x)
    assert right[1] < right[0] * (1 - 10 * bench.AGREEMENT)  # a step left out would be seen
    np.save(folder / "expected.npy", right[:1].repeat(2))
    failures = {}
    assert bench._start(["numpy"], folder, failures, training=True) == {}
    assert "its losses differ by" in failures["numpy"]
