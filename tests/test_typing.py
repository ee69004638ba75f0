"""What mypy finds, strictly, in a script of somebody who uses the installed package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import npformer

pytest.importorskip("mypy")

RIGHT = """
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import npformer
from npformer import layers
from npformer.errors import ConfigError as SameError
from npformer.hf.outputs import (
    BackboneOutput,
    BaseModelOutput,
    EfficientFormerForImageClassificationWithTeacherOutput,
    ImageClassifierOutput,
)
from npformer.network import Logits, forward

Array = NDArray[Any]

# One photograph, or several
assert_type(npformer.classify("coffee.png"), npformer.Predictions)
assert_type(npformer.classify(["coffee.png", Path("cat.png")]), list[npformer.Predictions])
best = npformer.classify(Path("coffee.png"), "l1", top=1)[0]
assert_type(best, npformer.Prediction)
assert_type(best.label, str)
assert_type(best.score, float)
assert_type(best.index, int)

classifier = npformer.load("tiny", dtype="float64", engine="numpy", image_size=(96, 192))
assert_type(classifier, npformer.Classifier)
assert_type(classifier.preprocess(b"..."), Array)
assert_type(classifier.predict(np.zeros((1, 3, 128, 128))), list[npformer.Predictions])
assert_type(classifier.trace("coffee.png", "*.attn")["stem"], Array)
assert_type(classifier.labels, tuple[str, ...])
assert_type(classifier.model, npformer.EfficientFormerPreTrainedModel)
for answers in classifier.stream(["coffee.png"], batch_size=2):
    assert_type(answers, npformer.Predictions)

# Models
config = npformer.EfficientFormerConfig.variant("l1")
x = np.zeros((1, 3, 224, 224), np.float32)
flag = bool(x.any())

body = npformer.EfficientFormerModel(config)
assert_type(body(x), BaseModelOutput)
assert_type(body(x, return_dict=None).last_hidden_state, Array)
assert_type(body(x, None, True, True).hidden_states, tuple[Array, ...] | None)
assert_type(body(x, return_dict=True, reshape_last=True), BaseModelOutput)
assert_type(body(x, return_dict=False), tuple[Any, ...])
assert_type(body(x, return_dict=flag), BaseModelOutput | tuple[Any, ...])

head = npformer.EfficientFormerForImageClassification.from_pretrained("l1", num_labels=10)
assert_type(head, npformer.EfficientFormerForImageClassification)
assert_type(head(x), ImageClassifierOutput)
assert_type(head(x).logits.argmax(-1), Any)
assert_type(head(x, [3]).loss, Array | None)
assert_type(head(x, return_dict=True, output_attentions=True).attentions, tuple[Array, ...] | None)
assert_type(head(x, return_dict=False), tuple[Any, ...])
assert_type(head(x, None, None, None, flag), ImageClassifierOutput | tuple[Any, ...])

heads = npformer.EfficientFormerForImageClassificationWithTeacher(config, seed=1, dtype="float64")
assert_type(heads(x), EfficientFormerForImageClassificationWithTeacherOutput)
assert_type(heads(x).distillation_logits, Array)
assert_type(heads(x, return_dict=False, batch_size=2), tuple[Any, ...])

backbone = npformer.EfficientFormerBackbone(config, out_indices=[1, 2], normalize=True)
assert_type(backbone(x).feature_maps, tuple[Array, ...])
assert_type(backbone(x, return_dict=True), BackboneOutput)
assert_type(backbone(x, return_dict=False), tuple[Any, ...])
assert_type(backbone(x, return_dict=flag), BackboneOutput | tuple[Any, ...])
assert_type(backbone.strides, list[int])

# Images
processor = npformer.EfficientFormerImageProcessor.from_pretrained("tiny", size=224)
assert_type(processor, npformer.EfficientFormerImageProcessor)
pixel_values: Array = processor("coffee.png", return_tensors="np").pixel_values
assert_type(processor.pixels("coffee.png"), Array)
assert_type(npformer.open_image("coffee.png").size, tuple[int, int])

# The plain layers
pixels = processor.pixels("coffee.png")[None]
assert_type(forward(pixels, classifier.params, classifier.config), Logits)
assert_type(forward(pixels, classifier.params, classifier.config).logits, Array)
tokens = layers.layer_norm(np.zeros((1, 4, 8)), layers.LayerNorm(np.ones(8), np.zeros(8)))
assert_type(tokens, Array)
assert_type(npformer.layers.softmax(tokens), Array)
assert_type(layers.linear(tokens, layers.Linear(np.ones((8, 2)), np.zeros(2))), Array)

try:
    npformer.load("nothing")
except (npformer.MissingWeights, npformer.ImageError, SameError) as error:
    assert isinstance(error, npformer.NpformerError)
"""

WRONG = """
import numpy as np

import npformer
from npformer.network import forward

x = np.zeros((1, 3, 224, 224), np.float32)
model = npformer.EfficientFormerForImageClassification(npformer.EfficientFormerConfig())
backbone = npformer.EfficientFormerBackbone(npformer.EfficientFormerConfig())
classifier = npformer.load("tiny")

model(x).logit  # no such field
model(x, return_dict=False).logits  # of a tuple
model(x).hidden_states[0]  # may be None
model(x, return_dct=False)  # no such argument
model(x, return_dict="no")  # not a bool
backbone(x).last_hidden_state  # another model's
backbone(x, reshape_last=True)  # another model's
npformer.EfficientFormerModel(npformer.EfficientFormerConfig())(x).logits  # it has no head
npformer.classify("coffee.png").label  # of all predictions
npformer.classify(["coffee.png"])[0].score  # of all predictions of the first image
npformer.load(model=7)  # not a name
npformer.load("tiny", engin="numpy")  # no such argument
classifier.labels.append("cat")  # a tuple
classifier.config = None  # cannot be set
forward(x, classifier.config, classifier.params)  # exchanged
npformer.layers.softmx(x)  # no such layer
npformer.EfficientFormerImageProcessor().pixel("coffee.png")  # no such method
npformer.ImagError  # no such name
"""


def lines(script: str, pattern: str) -> list[int]:
    return [i for i, line in enumerate(script.splitlines(), 1) if re.search(pattern, line)]


@pytest.fixture(scope="module")
def errors(tmp_path_factory) -> dict[str, dict[int, str]]:
    """The errors in both scripts, by line; mypy starts in a folder of its own."""
    folder = tmp_path_factory.mktemp("user")
    for name, script in {"right": RIGHT, "wrong": WRONG}.items():
        (folder / f"{name}.py").write_text(script, "utf-8")
    # mypy finds packages where Python does: this one where the test itself has it from.
    here = str(Path(npformer.__file__).parents[1])
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--no-color-output",
         "--cache-dir", "cache", "right.py", "wrong.py"],
        cwd=folder, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path},
        check=False,
    )  # fmt: skip
    assert not done.stderr
    found: dict[str, dict[int, str]] = {"right": {}, "wrong": {}}
    for line in done.stdout.splitlines():
        place = re.fullmatch(r"(right|wrong)\.py:(\d+): (error: .*)", line)
        if place:
            found[place[1]].setdefault(int(place[2]), place[3])
        else:
            assert ": note: " in line, line  # nothing is reported in the package itself
    return found


def test_a_script_that_is_right_has_no_errors(errors) -> None:
    assert errors["right"] == {}


def test_each_mistake_is_reported_in_its_line(errors) -> None:
    assert sorted(errors["wrong"]) == lines(WRONG, r"  # ")
