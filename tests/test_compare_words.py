"""What `npformer compare` says of bad input: what was found, what is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import compare_cases as cases
import numpy as np
import pytest
from PIL import Image

import npformer
from npformer.checkpoints import safetensors_file
from npformer.commands import main as cli
from npformer.errors import NpformerError, RecordingError

RIGHT = cases.run(cases.pixels())


def without(*names: str) -> dict[str, Any]:
    return {path: array for path, array in RIGHT.items() if path not in names}


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({}, "holds no array; expected what the layers computed"),
        (without("pixel_values"), "the picture that went in is not among .*--image"),
        ({"pixel_values": RIGHT["pixel_values"]}, "none of its 1 arrays .*has as many numbers"),
        ({"pixel_values": RIGHT["pixel_values"], "a": np.zeros((3, 7))}, "stem 1×16×16×8"),
        ({**RIGHT, "pixel_values": np.full_like(RIGHT["pixel_values"], np.nan)},
         "12288 of the 12288 numbers of the picture 'pixel_values' are NaN"),
        ({"a": np.array(["x"])}, "'a' holds <U1; expected an array of real numbers"),
        ({"a": object()}, "'a' .*expected an array of real numbers"),
        ({"a": np.zeros(3, complex)}, "'a' holds complex128; expected an array of real"),
    ],
)  # fmt: skip
def test_recordings_that_say_too_little(arrays: dict[str, Any], said: str) -> None:
    with pytest.raises(RecordingError, match=said):
        npformer.compare(cases.reference(), arrays)


def test_activations_of_another_image(tmp_path: Path) -> None:
    processor = cases.reference().processor
    cat, coffee = (
        processor.pixels(npformer.data.photograph(name))[None] for name in ("cat", "coffee")
    )
    arrays = cases.run(cat)
    image = npformer.data.photograph("coffee")
    with pytest.raises(RecordingError, match="'pixel_values' is another picture than the one"):
        npformer.compare(cases.reference(), arrays, image=image)
    del arrays["pixel_values"]
    with pytest.raises(RecordingError, match="nothing in them follows from this picture"):
        npformer.compare(cases.reference(), arrays, image=image)
    mixed = {**cases.run(cat), "pixel_values": coffee}
    with pytest.raises(RecordingError, match="nothing in them follows from this picture"):
        npformer.compare(cases.reference(), mixed)


def test_numbers_that_are_not_finite_are_counted() -> None:
    arrays = {path: array.copy() for path, array in RIGHT.items() if path in cases.TRACED}
    arrays["stages.1.blocks.0.mlp.act"][0, 0, 0, :3] = np.nan
    found = npformer.compare(cases.reference(), arrays)
    assert found.first_wrong == "stages.1.blocks.0.mlp.act"
    assert "3 of 1536 numbers are not finite" in found.verdict


@pytest.mark.parametrize("other", [3, None, [1], b"x"])
def test_another_kind_of_object(other: Any) -> None:
    with pytest.raises(TypeError, match="expected an ONNX file, recorded arrays"):
        npformer.compare(cases.reference(), other)
    with pytest.raises(TypeError, match="expected a folder, a file or a name"):
        npformer.compare(other, {})


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.npz", b"<html>", "a web page"),
        ("a.npz", b"PK\x03\x04 damaged", "cannot be read as arrays"),
        ("a.npy", b"", "one array says too little"),
        ("a.txt", b"x", r"ends in \.txt; expected an ONNX graph"),
        ("a.safetensors", b"x", "a safetensors file has at least 8"),
    ],
)
def test_files_that_are_no_recordings(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(NpformerError, match=said):
        npformer.compare(cases.reference(), tmp_path / name)


@pytest.mark.parametrize("name", ["a.onnx", "a.npz", "a.safetensors", "a_folder"])
def test_files_that_are_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(NpformerError, match="no such file"):
        npformer.compare(cases.reference(), tmp_path / name)


def test_files_that_are_no_graph(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    for data in (b"", b"<html>", b"x" * 300):
        (tmp_path / "a.onnx").write_bytes(data)
        with pytest.raises(RecordingError, match="is no ONNX graph"):
            npformer.compare(cases.reference(), tmp_path / "a.onnx")


def test_objects_in_an_npz_are_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object))
    with pytest.raises(RecordingError, match="save plain arrays with"):
        npformer.compare(cases.reference(), tmp_path / "a.npz")


# The command -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cases.folder(tmp_path_factory.mktemp("compare") / "model")


def run(capsys: Any, *words: object) -> tuple[int, str, str]:
    code = cli.main(["compare", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_right_network_exits_with_0(capsys: Any, model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "right.npz", **RIGHT)
    code, out, err = run(capsys, model, tmp_path / "right.npz")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == ["layer", "error", "bound", "error/bound"]
    assert out.splitlines()[-1].startswith("right: ")


def test_a_wrong_network_exits_with_1(capsys: Any, model: Path, tmp_path: Path) -> None:
    step = next(s for s in cases.chain() if s.options.get("name") == "gelu")
    wrong = cases.run(cases.pixels(), cases.mistake(step.path, 0))
    file, page = tmp_path / "wrong.safetensors", tmp_path / "page.html"
    safetensors_file.write(file, {k: np.ascontiguousarray(a) for k, a in wrong.items()})
    code, out, err = run(capsys, model, file, "--json", "--report", page)
    assert (code, err) == (1, "")
    values = json.loads(out)
    assert (values["first_wrong"], values["cause"]) == (step.path, "gelu_tanh")
    assert {"path", "error", "bound", "ratio"} <= values["layers"][0].keys()
    assert step.path in page.read_text(encoding="utf-8")
    code, out, _ = run(capsys, model, file)
    assert code == 1
    assert "cause: gelu_tanh: " in out


def test_the_photograph_is_an_argument(capsys: Any, model: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    npformer.data.photograph("cat").save(photo)
    x = cases.reference().processor.pixels(photo)[None]
    arrays = cases.run(x)
    del arrays["pixel_values"]
    np.savez(tmp_path / "right.npz", **arrays)
    assert run(capsys, model, tmp_path / "right.npz", "--image", photo)[0] == 0
    Image.new("RGB", (8, 8)).save(photo)
    code, out, err = run(capsys, model, tmp_path / "right.npz", "--image", photo)
    assert (code, out) == (1, "")
    assert "another picture" in err


def test_a_page_of_another_kind_is_wrong_usage(capsys: Any, model: Path) -> None:
    code, out, err = run(capsys, model, "other.npz", "--report", "page.pdf")
    assert (code, out) == (2, "")
    assert "page.pdf" in err
    assert ".html" in err
