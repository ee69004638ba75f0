"""Test vectors: the format as specified, the bounds, and the readers in C and JavaScript."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from safetensors.numpy import load_file

from npformer.checkpoints import safetensors_file
from npformer.checkpoints.dtypes import BFLOAT16, widen
from npformer.commands import main as cli
from npformer.errors import ConfigError
from npformer.layers import Mode, Trace
from npformer.network import Logits, backward, forward
from npformer.network.tree import leaves, transform
from npformer.testing.bounds import gradients as gradients_of
from npformer.testing.bounds.carried import carried, gradients
from npformer.testing.bounds.gradients import call_carried, call_named
from npformer.testing.vectors import write_vectors, writing
from npformer.testing.vectors.answers import (
    Answer,
    Wrong,
    answer_layer,
    answer_mistake,
    arguments,
    gradient_names,
    mistakes,
)
from npformer.testing.vectors.cases import Layer, table
from npformer.testing.vectors.layout import arrange_images
from npformer.testing.vectors.networks import networks
from npformer.testing.vectors.writing import layer_tensors

LAYERS = {layer.name: layer for layer in table()}
NETWORKS = {network.name: network for network in networks()}


@cache
def answer(name: str, i: int) -> Answer:
    return answer_layer(LAYERS[name], LAYERS[name].cases[i], f"{name}/{i}")


CASES = [(name, i) for name, layer in LAYERS.items() for i in range(len(layer.cases))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vectors(tmp_path_factory.mktemp("vectors") / "out").place


@pytest.fixture(scope="module")
def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text("utf-8"))


def entries(manifest: dict[str, Any]) -> list[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """Each file of float32, with the prefix and the description of its cases."""
    layers = [
        (layer["file"], [(f"{case['case']}/", case) for case in layer["cases"]])
        for layer in manifest["layers"].values()
    ]
    nets = manifest.get("networks", {}).values()
    return layers + [(net["file"], [("", net)]) for net in nets]


INPUTS = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2"), "bfloat16": BFLOAT16}
WHOLE = {"quantized.weight": "int8", "rows.q": "uint8", "products": "int32"}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8"])
def test_every_tensor_is_what_the_specification_says(
    folder: Path, manifest: dict[str, Any], dtype: str
) -> None:
    group = manifest if dtype == "float32" else manifest["types"][dtype]
    for file, cases in entries(group):
        tensors, _ = safetensors_file.read(folder / file)
        expected: dict[str, tuple[Any, str]] = {}
        for prefix, case in cases:
            for name in case["inputs"]:
                expected[prefix + name] = (INPUTS.get(dtype, INPUTS["float32"]), prefix + name)
            for name in case["outputs"]:
                wide = "float32" if dtype.endswith("float16") else "float64"
                expected[prefix + name] = (WHOLE.get(name, wide), prefix + name)
                if name not in WHOLE:
                    expected[f"{prefix}bound/{name}"] = ("float32", prefix + name)
            for number, names in case.get("wrong", {}).items():
                for name in names:
                    expected[f"{prefix}wrong/{number}/{name}"] = ("float64", prefix + name)
        assert set(tensors) == set(expected), file
        for name, (stored, like) in expected.items():
            assert tensors[name].dtype == stored, (file, name)
            assert tensors[name].shape == tensors[like].shape, (file, name)
            assert np.isfinite(widen(tensors[name])).all(), (file, name)
            assert "bound/" not in name or (tensors[name] > 0).all(), (file, name)


def test_bytes_of_a_file(folder: Path) -> None:
    """By hand, as on the page: length, header, bytes."""
    data = (folder / "layers/linear.safetensors").read_bytes()
    n = int.from_bytes(data[:8], "little")
    assert n % 8 == 0
    header = json.loads(data[8 : 8 + n].decode("utf-8"))
    assert header.pop("__metadata__") == {"format": "npformer-vectors", "version": "1"}
    first, last = header["0/x"]["data_offsets"]
    x = np.frombuffer(data[8 + n + first : 8 + n + last], "<f4").reshape(header["0/x"]["shape"])
    np.testing.assert_array_equal(x, LAYERS["linear"].cases[0].x)
    spans = sorted(entry["data_offsets"] for entry in header.values())
    assert [a for a, _ in spans] == [0, *[b for _, b in spans[:-1]]]
    assert spans[-1][1] == len(data) - 8 - n


def test_the_manifest_lists_every_file(folder: Path, manifest: dict[str, Any]) -> None:
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert there == set(manifest["files"]) | {"manifest.json"}
    for name, described in manifest["files"].items():
        data = (folder / name).read_bytes()
        assert described == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert sum(entry["bytes"] for entry in manifest["files"].values()) < 8e6


def test_inputs_are_those_of_version_1(folder: Path, manifest: dict[str, Any]) -> None:
    """A change of them needs another version of the format."""
    digest = hashlib.sha256()
    for file, cases in entries(manifest):
        tensors = load_file(folder / file)
        for prefix, case in cases:
            for name in sorted(case["inputs"]):
                digest.update(f"{file} {prefix}{name}".encode() + tensors[prefix + name].tobytes())
    assert digest.hexdigest()[:16] == "33f048fc73ee4eb3"


def test_the_other_layout_moves_axes_and_nothing_else(folder: Path) -> None:
    for name in ("conv2d", "attention"):
        theirs = load_file(folder / f"layers/{name}.safetensors")
        ours, _ = layer_tensors(LAYERS[name], "channels_last")
        assert set(ours) == set(theirs)
        for key, array in ours.items():
            if key.endswith("attention_biases"):
                array = array.reshape(len(array), -1)
            elif key.endswith("weight"):
                array = np.moveaxis(array, [-1, -2], [0, 1])
            elif array.ndim == 4:
                array = arrange_images("channels_first")(array)
            np.testing.assert_array_equal(array, theirs[key])


# Bounds ------------------------------------------------------------------------------------------


def single(array: Any) -> Any:
    return array.astype(np.float32)


def float32_answers(name: str, i: int) -> dict[str, Any]:
    """What the plain layers answer in float32."""
    layer, case = LAYERS[name], LAYERS[name].cases[i]
    case = case._replace(
        x=case.x.astype(np.float32), p=transform(lambda a: a.astype(np.float32), case.p)
    )
    values, tape = arguments(case), Trace(mode=Mode(case.training))
    y = call_named(layer.function, values | {"run": tape})
    dy = answer(name, i).inputs["dy"].astype(y.dtype)
    assert y.dtype == np.float32
    found = call_named(layer.backward, values | {"y": y, "dy": dy, "dtable": dy, "tape": tape})
    return {"y": y} | gradient_names(found)


@pytest.mark.parametrize(("name", "i"), CASES)
def test_the_plain_layers_in_float32_lie_within_the_bounds(name: str, i: int) -> None:
    right = answer(name, i)
    for key, found in float32_answers(name, i).items():
        error = abs(found.astype(np.float64) - right.outputs[key])
        assert (error <= right.bounds[key]).all(), (key, (error / right.bounds[key]).max())


@pytest.mark.parametrize(("name", "i"), CASES)
def test_gradients_are_those_of_the_arrays_that_carry_errors(name: str, i: int) -> None:
    """The layers' backward functions, and the chain rule applied to their forward functions."""
    layer, case = LAYERS[name], LAYERS[name].cases[i]
    right = answer(name, i)
    exact = {key: transform(carried, value) for key, value in (("x", case.x), ("p", case.p))}
    given = arguments(case) | {"x": exact["x"], "biases": exact["x"], "p": exact["p"]}
    y = call_carried(layer.function, given, Mode(case.training))
    sources = {"dx": exact["x"], **{f"dp.{path}": leaf for path, leaf in leaves(exact["p"])}}
    back = dict(
        zip(sources, gradients(y, carried(right.inputs["dy"]), sources.values()), strict=True)
    )
    for key, expected in right.outputs.items():
        found = y if key == "y" else back[key]
        assert abs(found.value - expected).max() <= 1e-12 * max(abs(found.mass).max(), 1), key


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_in_float32_lie_within_the_bounds(
    name: str, folder: Path, manifest: dict[str, Any]
) -> None:
    net, entry = NETWORKS[name], manifest["networks"][name]
    tensors = load_file(folder / entry["file"])
    x, p = single(net.images), transform(single, net.params)
    tape = Trace(mode=Mode(net.training))
    answer = forward(x, p, net.config, tape)
    dx, dp = backward(Logits(tensors["dy"], None, None), x, p, net.config, tape)
    first = arrange_images("channels_first")
    found: dict[str, Any] = {
        f"trace.{path}": a if path.endswith("attn") else first(a) for path, a in tape.items()
    }
    found |= {"logits": answer.logits, "dx": first(dx)}
    for key, array in found.items():
        if not key.endswith(".n"):
            error = abs(array.astype(np.float64) - tensors[key])
            assert (error <= tensors[f"bound/{key}"]).all(), key
    for path, array in leaves(dp):
        if "running" not in path and array.ndim == 1:
            error = abs(array.astype(np.float64) - tensors[f"dp.{path}"])
            assert (error <= tensors[f"bound/dp.{path}"]).all(), path


# Mistakes ----------------------------------------------------------------------------------------

NO_NUMBERS = {"None not handled"}
"""Mistakes that are about an argument of Python's, and so about no array."""


@pytest.mark.parametrize("name", LAYERS)
def test_every_typical_mistake_is_told_by_a_case(name: str, manifest: dict[str, Any]) -> None:
    """Its answer is stored, or it has no answer of the right shape."""
    layer, entry = LAYERS[name], manifest["layers"][name]
    told = {int(number) for case in entry["cases"] for number in case["wrong"]}
    missing = [
        (mistake.exercise, mistake.kind, mistake.hint)
        for number, mistake in enumerate(mistakes(layer))
        if number not in told and mistake.kind not in NO_NUMBERS
        if not any(has_no_answer(name, i, mistake) for i in range(len(layer.cases)))
    ]
    assert missing == []


def has_no_answer(name: str, i: int, mistake: Wrong) -> bool:
    """Whether a mistake raises an error, or gives another shape or no numbers."""
    layer, case = LAYERS[name], LAYERS[name].cases[i]
    if (
        case.training != mistake.exercise.endswith("_training")
        and "_backward" not in mistake.exercise
    ):
        return False
    values, tape = arguments(case), Trace(mode=Mode(case.training))
    y = call_named(layer.function, values | {"run": tape})
    dy = answer(name, i).inputs["dy"]
    values |= {"y": y, "dy": dy, "dtable": dy, "tape": tape}
    found = answer_mistake(case, mistake, values)
    return not found or any(
        array.shape != answer(name, i).outputs[key].shape or not np.isfinite(array).all()
        for key, array in found.items()
    )


# Readers -----------------------------------------------------------------------------------------

COMPILER = shutil.which("cc") or shutil.which("gcc")
NODE = shutil.which("node")
STRICT = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror"]


def run_c(folder: Path, source: Path, work: Path, *flags: str) -> Any:
    program = work / "check"
    command = [COMPILER, *STRICT, *flags, str(source), "-lm", "-o", str(program)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return subprocess.run(
        [program, folder], check=False, capture_output=True, text=True,
        env={"ASAN_OPTIONS": "detect_leaks=0"},  # memory is given back at the end
    )  # fmt: skip


def run_js(folder: Path, source: Path) -> Any:
    return subprocess.run([NODE, source, folder], check=False, capture_output=True, text=True)


def planted(folder: Path, work: Path, name: str, right: str, wrong: str) -> Path:
    """A copy of the readers with a fault in one of them."""
    copy = work / "readers"
    shutil.copytree(folder / "readers", copy)
    text = (copy / name).read_text("utf-8")
    assert text.count(right) == 1
    (copy / name).write_text(text.replace(right, wrong), "utf-8")
    return copy / name


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
def test_six_layers_in_c_are_right(folder: Path, tmp_path: Path) -> None:
    done = run_c(folder, folder / "readers/check.c", tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "conv2d", "gelu", "layer_norm", "linear", "softmax", "linear in int8",
    ]  # fmt: skip
    assert all(", 0 outputs wrong, " in line for line in lines)


@pytest.mark.skipif(NODE is None, reason="no Node")
def test_four_layers_in_three_types_in_javascript_are_right(folder: Path) -> None:
    done = run_js(folder, folder / "readers/check.mjs")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        f"{layer}{suffix}" for suffix in ("", " in float16", " in bfloat16")
        for layer in ("pooling", "batch_norm", "softmax", "attention")
    ]  # fmt: skip
    assert all(" 0 wrong, " in line for line in lines)


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
@pytest.mark.parametrize(
    ("right", "wrong", "layer", "named"),
    [
        ("* 0.70710678f", "* 1.0f", "gelu", "It is erf(x / √2)."),
        ("sqrtf(variance + eps)", "sqrtf(variance + 0 * eps)", "layer_norm", ""),
        ("stride * i + u - padding", "stride * i + u", "conv2d", ""),
        ("expf(x.single[first + i] - largest)", "expf(x.single[first + i])", "softmax", ""),
        ("db[o] += g;\n        }\n    expect", "db[o] = g;\n        }\n    expect", "linear", ""),
        ("255 / width : 0", "256 / width : 0", "linear in int8", ""),
    ],
)  # fmt: skip
def test_a_fault_in_c_is_found(
    folder: Path, tmp_path: Path, right: str, wrong: str, layer: str, named: str
) -> None:
    done = run_c(folder, planted(folder, tmp_path, "check.c", right, wrong), tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    summary = [line for line in done.stdout.splitlines() if " outputs wrong, " in line]
    assert [line.partition(":")[0] for line in summary if ", 0 outputs" not in line] == [layer]
    assert named in done.stdout


@pytest.mark.skipif(NODE is None, reason="no Node")
@pytest.mark.parametrize(
    ("right", "wrong", "layer", "named"),
    [
        ("sum / Math.sqrt(K)", "sum", "attention", "Divide q kᵀ by √K"),
        ("(i % columns)", "(j % columns)", "attention", ""),
        ("sum / count - x.data[place]", "sum / (size * size) - x.data[place]", "pooling", ""),
        ("** 2 / n;", "** 2 / (n - 1);", "batch_norm", ""),
    ],
)
def test_a_fault_in_javascript_is_found(
    folder: Path, tmp_path: Path, right: str, wrong: str, layer: str, named: str
) -> None:
    done = run_js(folder, planted(folder, tmp_path, "check.mjs", right, wrong))
    assert (done.returncode, done.stderr) == (1, "")
    summary = [line for line in done.stdout.splitlines() if " wrong, largest " in line]
    faulty = [line.partition(":")[0] for line in summary if " 0 wrong" not in line]
    assert {name.partition(" ")[0] for name in faulty} == {layer}
    assert faulty[0] == layer  # in float32; in 16 bits where it is larger than their rounding
    assert named in done.stdout


@pytest.mark.skipif(NODE is None, reason="no Node")
@pytest.mark.parametrize(
    ("right", "wrong", "type_"),
    [("(exponent - 25)", "(exponent - 24)", "float16"), ("bits << 16", "bits << 15", "bfloat16")],
)
def test_a_reader_that_takes_16_bits_for_others_is_found(
    folder: Path, tmp_path: Path, right: str, wrong: str, type_: str
) -> None:
    done = run_js(
        folder, planted(folder, tmp_path, "vectors.mjs", right, wrong).parent / "check.mjs"
    )
    assert (done.returncode, done.stderr) == (1, "")
    summary = [line for line in done.stdout.splitlines() if " wrong, largest " in line]
    faulty = {line.partition(":")[0] for line in summary if " 0 wrong" not in line}
    assert faulty == {
        f"{name} in {type_}" for name in ("pooling", "batch_norm", "softmax", "attention")
    }


def damaged(folder: Path, work: Path, how: str) -> Path:
    copy = work / "out"
    shutil.copytree(folder, copy)
    if how == "truncated":
        for file in (copy / "layers").glob("*.safetensors"):
            file.write_bytes(file.read_bytes()[:-4])
    elif how == "version":
        manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
        (copy / "manifest.json").write_text(json.dumps(manifest | {"version": 2}))
    elif how == "layout":
        manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
        (copy / "manifest.json").write_text(json.dumps(manifest | {"layout": "channels_last"}))
    else:
        (copy / "manifest.json").unlink()
    return copy


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("truncated", "its shape and its bytes do not fit together"),
        ("version", "expected test vectors of npformer, version 1"),
        ("layout", "expected the layout channels_first"),
        ("no manifest", "manifest.json"),
    ],
)
def test_readers_refuse_what_they_cannot_read(
    folder: Path, tmp_path: Path, how: str, said: str
) -> None:
    place = damaged(folder, tmp_path, how)
    if COMPILER:
        flags = ["-fsanitize=address,undefined"] if how == "truncated" else []
        try:
            done = run_c(place, folder / "readers/check.c", tmp_path, *flags)
        except subprocess.CalledProcessError:  # a compiler without sanitizers
            done = run_c(place, folder / "readers/check.c", tmp_path)
        assert done.returncode == 2
        assert said in done.stderr
    if NODE:
        done = run_js(place, folder / "readers/check.mjs")
        assert done.returncode == 2
        assert said in done.stderr


# Command -----------------------------------------------------------------------------------------


def test_the_command_says_what_it_wrote(
    capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradients_of, "SAMPLES", 1)  # bounds that nobody reads
    out = tmp_path / "new" / "out"
    for _ in range(2):  # the second time over the first
        assert cli.main(["vectors", str(out)]) == 0
        text, errors = capsys.readouterr()
        assert errors == ""
        assert text.startswith(
            f"{out}: {len(CASES)} cases of {len(LAYERS)} layers and {len(NETWORKS)} networks, "
        )


def test_other_files_are_not_written_over(capsys: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"other files, such as notes\.txt, and no manifest"):
        write_vectors(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": "something else"}')
    assert cli.main(["vectors", str(tmp_path)]) == 1
    assert "name another" in capsys.readouterr().err
    assert cli.main(["vectors", str(tmp_path / "notes.txt")]) == 1
    assert "is a file; expected a folder to write to" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "notes.txt"]
    with pytest.raises(ConfigError, match="layout is 'NHWC'; expected one of channels_first"):
        write_vectors(tmp_path / "x", "NHWC")  # type: ignore[arg-type]


def test_what_was_interrupted_has_no_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older vectors are not whole either, then; and the next attempt succeeds."""
    monkeypatch.setattr(gradients_of, "SAMPLES", 1)
    monkeypatch.setattr(writing, "table", lambda: [LAYERS["linear"], LAYERS["gelu"]])
    monkeypatch.setattr(writing, "networks", list)
    told: list[tuple[str, int, int]] = []
    out = write_vectors(tmp_path / "out", progress=lambda *words: told.append(words)).place
    assert told[:3] == [
        ("layers/linear", 0, 8),
        ("layers/gelu", 1, 8),
        ("float16/layers/linear", 2, 8),
    ]
    assert (out / "manifest.json").is_file()

    def stop(layer: Layer, layout: str) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writing, "layer_tensors", stop)
        with pytest.raises(KeyboardInterrupt):
            write_vectors(out)
    assert not (out / "manifest.json").exists()
    write_vectors(out)
    assert (out / "manifest.json").is_file()
