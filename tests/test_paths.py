"""What is no path, but given as one: an address, an empty text; and what ``~`` stands for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_cases import config, network

import npformer
from npformer.checkpoints import convert, read, write
from npformer.commands import main as cli
from npformer.errors import ImageError, MissingWeights, NpformerError
from npformer.files.paths import as_path, is_address
from npformer.learn import evaluate, find_photographs, fit
from npformer.testing.vectors import write_vectors

ADDRESS = "https://example.org/photos/cat.jpg"
HUB = "https://huggingface.co/someone/flowers"
ADDRESSES = [
    ADDRESS, "http://example.org", "HTTPS://EXAMPLE.ORG/A", "ftp://example.org/a", "s3://bucket/a",
    "gs://bucket/a", "hf://someone/flowers", "file:///a.jpg", Path(ADDRESS), Path("s3://bucket/a"),
]  # fmt: skip
PATHS = ["a.jpg", "./https/a.jpg", "C:/a.jpg", "C:\\a.jpg", "a:b", "a:/b", "http", "//server/a.jpg"]

C = config()
MODEL = npformer.EfficientFormerForImageClassificationWithTeacher(C, network(C), engine="numpy")
PROCESSOR = npformer.EfficientFormerImageProcessor()
MODEL_WITH_PROCESSOR = npformer.Classifier(MODEL, PROCESSOR)

MODELS: dict[str, Callable[[Any], Any]] = {
    "load": npformer.load,
    "classify": lambda place: npformer.classify(np.zeros((8, 8), np.uint8), place),
    "explain": lambda place: npformer.explain(np.zeros((8, 8), np.uint8), place),
    "explore": lambda place: npformer.explore(None, place),
    "read": read,
    "convert": lambda place: convert(place, "out", to="hf"),
    "model": npformer.EfficientFormerModel.from_pretrained,
    "auto": npformer.AutoModelForImageClassification.from_pretrained,
    "backbone": npformer.EfficientFormerBackbone.from_pretrained,
    "configuration": npformer.EfficientFormerConfig.from_pretrained,
    "processor": npformer.EfficientFormerImageProcessor.from_pretrained,
    "configuration beside": lambda place: npformer.EfficientFormerModel.from_pretrained(
        "tiny", config=place
    ),
    "evaluate": lambda place: evaluate(".", place),
    "quantize": lambda place: npformer.quantize(place, "photos"),
    "compare": lambda place: npformer.compare(place, {}),
}
"""What takes the name of a model."""

OTHERS: dict[str, Callable[[Any], Any]] = {
    "classify": npformer.classify,
    "classify a list": lambda place: npformer.classify([np.zeros((8, 8), np.uint8), place]),
    "explain": npformer.explain,
    "explore": npformer.explore,
    "compare": lambda place: npformer.compare("tiny", place),
    "processor": lambda place: PROCESSOR(place),
    "trace": lambda place: npformer.load("tiny", engine="numpy").trace(place),
    "evaluate": evaluate,
    "find_photographs": find_photographs,
    "quantize": lambda place: npformer.quantize(MODEL_WITH_PROCESSOR, place),
    "fit": lambda place: fit(place, "out"),
    "fit, out": lambda place: fit("photos", place),
    "fit, val": lambda place: fit("photos", "out", val=place),
    "convert": lambda place: convert("tiny", place, to="hf"),
    "write": lambda place: write(place, C, MODEL.params),
    "save the model": MODEL.save_pretrained,
    "save the configuration": C.save_pretrained,
    "save the processor": PROCESSOR.save_pretrained,
    "write test vectors": write_vectors,
    "write the configuration": C.to_json_file,
    "write the processor": PROCESSOR.to_json_file,
    "read a configuration": npformer.EfficientFormerConfig.from_json_file,
    "read a processor": npformer.EfficientFormerImageProcessor.from_json_file,
}
"""What takes a path."""


@pytest.mark.parametrize("place", ADDRESSES, ids=str)
def test_addresses_are_told_from_paths(place: str | Path) -> None:
    assert is_address(str(place))


@pytest.mark.parametrize("place", PATHS)
def test_paths_are_no_addresses(place: str) -> None:
    assert as_path(place, "x", ImageError) == Path(place)


@pytest.mark.parametrize("use", [*MODELS.values(), *OTHERS.values()], ids=[*MODELS, *OTHERS])
def test_addresses_are_refused_everywhere(
    use: Callable[[Any], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in (ADDRESS, Path(ADDRESS)):
        with pytest.raises(NpformerError, match=r"example\.org.*is an address.*download it first"):
            use(place)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("use", [*MODELS.values(), *OTHERS.values()], ids=[*MODELS, *OTHERS])
def test_an_empty_text_is_not_the_current_folder(
    use: Callable[[Any], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MODEL.save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NpformerError, match="is empty; expected a path"):
        use("")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("use", MODELS.values(), ids=MODELS)
def test_the_name_in_an_address_of_the_hub_is_said(use: Callable[[Any], Any]) -> None:
    for address in (HUB, Path(HUB), f"{HUB}/resolve/main/model.safetensors", f"{HUB}?x=1"):
        with pytest.raises(MissingWeights, match='on the Hugging Face Hub, "someone/flowers"'):
            use(address)


def test_a_page_is_not_written_to_an_address() -> None:
    page = npformer.explain(np.zeros((8, 8), np.uint8))
    for place in ("", f"{ADDRESS}.html"):
        with pytest.raises(ValueError, match=r"is empty|is an address"):
            page.save(place)


def test_a_graph_is_not_written_to_an_address() -> None:
    pytest.importorskip("onnx")
    from npformer.bench.onnx_graph import export

    for place in ("", f"{ADDRESS}.onnx"):
        with pytest.raises(NpformerError, match=r"is empty|is an address"):
            export("tiny", place)


def test_the_user_s_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    MODEL.save_pretrained("~/model")
    PROCESSOR.save_pretrained(Path("~/model"))
    assert {path.name for path in tmp_path.iterdir()} == {"model"}
    assert npformer.load("~/model", engine="numpy").config.depths == C.depths
    assert npformer.EfficientFormerConfig.from_pretrained("~/model").depths == C.depths
    with pytest.raises(FileNotFoundError, match=r"model/cat\.jpg"):
        npformer.classify("~/model/cat.jpg")
    assert as_path("~nobody.jpg", "x", ImageError) == Path("~nobody.jpg")


@pytest.mark.parametrize(
    "words",
    [
        ["classify", "x.jpg", "--model", "@"], ["explain", "@"],
        ["explore", "@"], ["explore", "-o", "@"],
        ["explain", "x.jpg", "-o", "@"], ["evaluate", "@"], ["evaluate", ".", "--model", "@"],
        ["train", "@"], ["train", ".", "--out", "@"], ["train", ".", "--val", "@"],
        ["train", ".", "--from", "@"], ["train", ".", "--teacher", "@"], ["info", "@"],
        ["convert", "@", "x"], ["convert", "tiny", "@", "--to", "hf"], ["bench", "--model", "@"],
        ["profile", "--model", "@"], ["download", "@"], ["train", ".", "--out=@"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_command_refuses_both(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for value, said in ((ADDRESS, "is an address"), ("", "is empty")):
        assert cli.main([word.replace("@", value) for word in words]) == 2
        assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
