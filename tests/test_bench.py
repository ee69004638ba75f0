"""Benchmarks: not how fast, but that tables show what was measured, of the right network."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from engine_cases import config, images, network
from PIL import Image

import npformer
from npformer import engine
from npformer.bench import beside, inputs, peak, peers, precision, training_peers, worker
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
        assert t.int8_ratio is None
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
    assert bench._start(["npformer"], folder, failures) == ({}, {})
    assert "differ by 1.0e-03" in failures["npformer"]


def test_a_contender_that_cannot_start_is_told(folder):
    (folder / "model.safetensors").write_bytes(b"")
    failures = {}
    assert bench._start(["npformer"], folder, failures) == ({}, {})
    assert "model.safetensors" in failures["npformer"]


def test_a_contender_that_dies_while_it_is_measured_is_told(folder):
    failures = {}
    workers, _ = bench._start(["npformer", "numpy"], folder, failures)
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
    some = {"npformer": "npformer", "numpy": "npformer", "onnxruntime int8": "onnxruntime"}
    monkeypatch.setattr(bench, "PEERS", some | {"openvino int8": "a_package_that_there_is_not"})
    ways = {"onnxruntime": ("onnxruntime int8",), "openvino": ("openvino int8",)}
    monkeypatch.setattr(bench, "WAYS", ways)


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
        "onnxruntime int8": "RuntimeError: made for another processor",
        "openvino int8": "it is not installed; pip install a_package_that_there_is_not",
    }
    asked = {"onnxruntime"} if peers == "" else set(peers.split(",")) - {"numpy"}
    tried = {f"{name} int8" for name in asked}
    assert result["failures"] == {name: reasons[name] for name in tried}
    told = [f"npformer: {name} was not measured: {reasons[name]}\n" for name in tried if code]
    assert err == "".join(told)


def test_npformer_itself_has_to_run(folder, capsys, monkeypatch):
    monkeypatch.setattr(bench, "AGREEMENT", {})
    words = ["bench", "--model", str(folder), "--turns", "1", "--threads", "1"]
    assert main([*words, "--peers", "numpy"]) == 1
    out, err = capsys.readouterr()
    assert "\nnumpy " in out
    assert err.startswith("npformer: npformer was not measured: its logits differ by")


def test_unknown_contenders_are_refused():
    with pytest.raises(ConfigError, match=r"unknown peer abacus; expected npformer, .*openvino"):
        bench.bench("tiny", peers=["abacus"])


def test_a_package_stands_for_all_ways_to_run_it():
    assert bench.contenders(["numpy", "openvino", "openvino int8", "numpy"]) == (
        *("numpy", "openvino as it comes", "openvino float32", "openvino int8"),
    )
    assert all(name in bench.PEERS for ways in bench.WAYS.values() for name in ways)


@pytest.mark.parametrize(
    ("operators", "expected"),
    [
        ([("MatMul", "float32"), ("Softmax", "float32")], "float32"),
        # what moves numbers or changes their type is not where they are computed
        ([("Conv", "int8"), ("Reorder", "float32"), ("QuantizeLinear", "float32")], "int8"),
        ([("QLinearConv", "int8")] * 2 + [("FusedConv", "float32")], "int8 + float32"),
        ([("Conv", "int8"), ("FusedConv", "float32"), ("Gemm", "float32")], "float32 + int8"),
        ([("FullyConnected", "int8"), ("Gelu", "bfloat16"), ("MVN", "bfloat16"),
          ("Eltwise", "float32")], "int8 + bfloat16"),
    ],
)  # fmt: skip
def test_the_precision_is_that_of_products_and_of_most_others(operators, expected):
    assert precision.described(operators) == expected


def test_coarse_numbers_may_be_off_further():
    limits = [bench.limit(name) for name in ("float32", "bfloat16 + float32", "int8 + bfloat16")]
    assert limits == [1e-4, 0.05, 0.3]
    assert bench.limit("int3") == 0  # nobody has measured how far these may be off


def test_a_contender_that_wrote_files_is_measured_in_a_new_process(folder, monkeypatch):
    made = []

    class Counted(bench.Worker):
        def __init__(self, *words):
            made.append(words[0])
            super().__init__(*words)

    monkeypatch.setattr(bench, "Worker", Counted)
    monkeypatch.setattr(bench, "WRITERS", ("numpy",))
    result = bench.bench(str(folder), peers=["npformer", "numpy"], turns=1, seconds=0.0)
    assert made == ["npformer", "numpy", "numpy"]
    assert [(t.name, t.precision) for t in result.timings] == [
        ("npformer", "float32"), ("numpy", "float32"),
    ]  # fmt: skip
    ours, plain = result.timings
    assert plain.difference == 0 < ours.difference < 1e-5
    rows = [line.split()[:3] for line in str(result).splitlines()[2:]]
    assert rows == [
        ["npformer", "float32", f"{ours.difference:.0e}"], ["numpy", "float32", "0e+00"],
    ]  # fmt: skip
    assert set(result.to_dict()["timings"][0]) >= {"precision", "difference"}


def test_eight_bits_beside_float(folder):
    """Its line says how far it is off, and how its time compares with that of every other."""
    names = ["npformer", "npformer int8", "numpy"]
    result = bench.bench(str(folder), peers=names, turns=1, seconds=0.0)
    real, eight, plain = result.timings
    assert [t.name for t in result.timings] == names
    assert eight.precision == "int8 + float32"
    assert 1e-4 < eight.difference < 0.1
    assert eight.int8_ratio is None
    for t in (real, plain):
        assert t.int8_ratio == pytest.approx(eight.seconds / t.seconds)
    assert eight.ratio == pytest.approx(real.seconds / eight.seconds)
    assert real.ratio is None


def test_a_model_in_eight_bits_is_measured_as_it_is(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("eight")
    npformer.load(folder, dtype="int8", engine="numpy").save(place)
    result = bench.bench(str(place), peers=["npformer", "numpy", "timm"], turns=1, seconds=0.0)
    assert {(t.name, t.precision) for t in result.timings} == {
        ("npformer", "int8 + float32"), ("numpy", "int8 + float32"),
    }  # fmt: skip
    assert next(row.name for row in profile(str(place), 1, 1).rows) == "stem"
    if "timm" in result.failures and "installed" not in result.failures["timm"]:
        assert "the weights are in eight bits" in result.failures["timm"]


def test_photographs_to_compare_on(folder, tmp_path_factory, capsys):
    place = tmp_path_factory.mktemp("photographs")
    for i in range(30):
        Image.new("RGB", (8, 8), (8 * i, 0, 0)).save(place / f"{i:02}.png")
    network = inputs.load_network(str(folder))
    x = inputs.photographs(network, str(place), 3)
    assert x.shape == (3, *network.config.image_shape, 3)
    reds = x[:, 0, 0, 0] * network.processor["image_std"][0] + network.processor["image_mean"][0]
    np.testing.assert_allclose(reds * 255, [0, 80, 160], atol=1e-3)
    words = ["bench", "--model", str(folder), "--turns", "1", "--threads", "1", "--images"]
    assert main([*words, str(place)]) == 0
    capsys.readouterr()
    for file in sorted(place.iterdir())[2:]:
        file.unlink()
    assert main([*words, str(place)]) == 1
    assert f"{place}: found 2 photographs; expected more than 2" in capsys.readouterr().err
    assert main([*words, str(folder)]) == 1
    assert f"{folder}: found no photographs" in capsys.readouterr().err


def test_a_worker_answers(folder, monkeypatch, capsys):
    tasks = [{"check": True}, {"batch": 3, "threads": 1, "seconds": 0.0}]
    monkeypatch.setattr("sys.stdin", [json.dumps(task) for task in tasks])
    monkeypatch.setattr("sys.stdout", worker.sys.stdout)
    worker.main("npformer", folder)
    checked, measured = map(json.loads, capsys.readouterr().out.splitlines())
    assert checked["difference"] < 1e-5
    assert checked["precision"] == "float32"
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
    c, p, _ = inputs.load_network("tiny")
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
    with pytest.raises(ConfigError, match=r"peers is openvino as it comes, .*; these can train"):
        bench.bench("tiny", peers=["openvino"], training=True)


def test_wrong_steps_are_not_measured(folder):
    x = images(4)
    np.save(folder / "x.npy", x)
    right = training_peers.two_losses(training_peers.MAKERS["numpy"](folder, 1), x)
    assert right[1] < right[0] * (1 - 10 * bench.limit("float32"))  # a step left out would be seen
    np.save(folder / "expected.npy", right[:1].repeat(2))
    failures = {}
    assert bench._start(["numpy"], folder, failures, training=True) == ({}, {})
    assert "its losses differ by" in failures["numpy"]
