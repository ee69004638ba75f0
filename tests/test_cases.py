"""The page "Bad and odd inputs", and what no other test holds of it."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from readme import ROOT

import npformer
from npformer.commands import main as cli
from npformer.errors import ConfigError, ImageError
from npformer.scale import reading as listing

sys.path.append(str(ROOT / "docs"))
import cases as page

COFFEE = ROOT / "notebooks" / "images" / "coffee.png"
NUMBERS = list(range(1, 97))

# The page


def test_every_number_is_one_row() -> None:
    assert [case.number for rows in page.TOPICS.values() for case in rows] == NUMBERS


def test_every_row_has_a_test_and_no_test_has_another_number() -> None:
    assert {n for holder in page.holders() for n in holder.numbers} == set(NUMBERS)


def test_the_tables_are_those_of_the_tests() -> None:
    text = page.PAGE.read_text("utf-8")
    assert page.renewed(text) == text, "run python docs/cases.py"


def test_pytest_finds_the_tests_that_the_page_names() -> None:
    """The page is made from the text of the tests; pytest itself has to see the same marks."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "--case", "62"]
    files = sorted({f"tests/{h.file}" for h in page.holders() if 62 in h.numbers})
    done = subprocess.run([*command, *files], capture_output=True, text=True, cwd=ROOT, check=True)
    found = {
        line.split("::")[-1].split("[")[0] for line in done.stdout.splitlines() if "::" in line
    }
    assert found == {h.function for h in page.holders() if 62 in h.numbers}


# Photographs


@pytest.mark.case(18)
def test_files_that_vanish_or_change_after_they_were_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("gone", "good", "other"):
        shutil.copy(COFFEE, tmp_path / f"{name}.png")
    usual = listing.walk

    def then_changed(*arguments: Any) -> list[str]:
        found = list(usual(*arguments))
        (tmp_path / "gone.png").unlink()
        (tmp_path / "other.png").write_text("no picture")
        return found

    monkeypatch.setattr(listing, "walk", then_changed)
    assert cli.main(["classify", str(tmp_path), "--json"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(row["image"]).stem for row in rows] == ["gone", "good", "other"]
    assert ["error" in row for row in rows] == [True, False, True]


@pytest.fixture(scope="module")
def tiny() -> npformer.Classifier:
    return npformer.load("tiny", engine="numpy")


@pytest.mark.case(42)
def test_images_of_several_sizes_are_classified_by_a_processor_that_keeps_sizes(
    tiny: npformer.Classifier,
) -> None:
    processor = npformer.EfficientFormerImageProcessor(do_resize=False, do_center_crop=False)
    model = npformer.Classifier(tiny.model, processor)
    photographs = [np.zeros((128, 128, 3), np.uint8), np.zeros((120, 100, 3), np.uint8)]
    assert model.classify(photographs) == [model.classify(photograph) for photograph in photographs]


@pytest.mark.case(44)
def test_classify_names_the_index_of_what_is_no_image(tiny: npformer.Classifier) -> None:
    with pytest.raises(TypeError, match="image 1: an image cannot be a NoneType"):
        tiny.classify([np.zeros((8, 8), np.uint8), None])
    with pytest.raises(TypeError, match="image 2: an image cannot be a NoneType"):
        list(tiny.stream([np.zeros((8, 8), np.uint8)] * 2 + [None], batch_size=1))
    with pytest.raises(TypeError, match=r"^an image cannot be a NoneType"):
        tiny.classify(None)


# Inputs of the network

PIXELS = np.zeros((2, 3, 128, 128), np.float32)


@pytest.mark.case(45, 46, 47, 48, 49)
def test_a_classifier_takes_preprocessed_images_only(tiny: npformer.Classifier) -> None:
    for wrong in (PIXELS[:, :2], PIXELS[0], PIXELS.transpose(0, 2, 3, 1)):
        with pytest.raises((ConfigError, ImageError), match="have shape"):
            tiny.predict(wrong)
    for size, grid in (((256, 256), "8×8"), ((32, 512), "1×16")):
        with pytest.raises(ConfigError, match=f"grid of {grid} tokens; .* for 4×4.*image_size="):
            tiny.predict(np.zeros((1, 3, *size), np.float32))
    assert tiny.predict(PIXELS[:0]) == []
    assert tiny.forward(PIXELS[:0]).logits.shape == (0, 200)


@pytest.mark.case(45, 48)
@pytest.mark.parametrize(
    "pixels", [PIXELS[:, :2], PIXELS[0], PIXELS[0, 0], PIXELS[0, 0, 0], PIXELS[0, 0, 0, 0]]
)
def test_a_classifier_names_the_shape_that_it_was_given(
    pixels: np.ndarray, tiny: npformer.Classifier
) -> None:
    with pytest.raises((ConfigError, ImageError), match=re.escape(str(pixels.shape))):
        tiny.predict(pixels)


@pytest.mark.case(50)
@pytest.mark.parametrize("dtype", ["u1", "i8", "?"])
def test_a_classifier_refuses_pixels_that_were_not_preprocessed(
    dtype: str, tiny: npformer.Classifier
) -> None:
    with pytest.raises(TypeError, match="EfficientFormerImageProcessor"):
        tiny.predict(PIXELS.astype(dtype))


# The command line


@pytest.mark.case(93)
def test_an_empty_standard_input_is_an_error_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    assert cli.main(["classify", "-"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "empty (0 bytes)" in err
    assert err.count("\n") == 1


@pytest.mark.case(93)
def test_a_closed_standard_input_is_an_error_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # what Python makes of `<&-`
    assert cli.main(["classify", "-"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.case(93)
def test_an_output_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "nowhere" / "x.safetensors"
    assert cli.main(["convert", "tiny", str(out), "--to", "timm"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert str(out) in err


@pytest.mark.case(94)
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("delay", [0, 0.013, 0.029])
def test_ctrl_c_leaves_whole_lines(delay: float, tmp_path: Path) -> None:
    for i in range(400):
        Image.new("RGB", (200, 200), (i % 256, 0, 0)).save(tmp_path / f"{i}.png")
    words = ["classify", str(tmp_path), "--json", "--batch-size", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "npformer", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines = [process.stdout.readline()]  # written with others, the last of which is cut
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    lines += out.splitlines(keepends=True)
    assert 0 < len(lines) < 400
    assert all(line.endswith("\n") and json.loads(line)["predictions"] for line in lines)
