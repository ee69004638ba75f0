"""The test vectors of `npformer vectors`, put to the layers of the explorer's page.

    python tests/explorer_vectors.py

prints how much of their bounds the page uses, under Node. What the page does not compute is left
out and named: gradients, batch norms in training, the head of a network that has none, types
other than float32, and layers that it does not have.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from readme import ROOT
from safetensors.numpy import load_file

from npformer.testing.vectors import write_vectors

WEB = ROOT / "npformer/explorer/web"
HARNESS = ROOT / "tests/explorer_vectors.mjs"
NODE_ASKS = """
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
await import(pathToFileURL(process.argv[1]));
const questions = JSON.parse(readFileSync(process.argv[2], "utf8"));
process.stdout.write(JSON.stringify(globalThis.answerVectors(questions)));
"""
TRAINING = "batch norm in training"
NO_LAYER = "the page has no such layer"
NO_HEAD = "a network without a head"
OTHER_TYPE = "the page computes in float32"

Answers = list[dict[str, Any] | None]


class Question(NamedTuple):
    """A case of a layer, or a network, and what has to come out."""

    subject: str
    """name of the layer or network"""
    name: str
    """the same with the number of the case and what it is for"""
    asked: dict[str, Any]
    """for the page, as JSON"""
    expected: dict[str, np.ndarray]
    bounds: dict[str, np.ndarray]
    mistakes: list[tuple[str, dict[str, np.ndarray]]]
    """typical mistakes, in words, and what they answer"""


class Questions(NamedTuple):
    """What the page is asked, and what is left out: why, by name."""

    asked: list[Question]
    left_out: dict[str, str]


def questions(folder: Path) -> Questions:
    """Read test vectors whose channels are last."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["layout"] == "channels_last"
    asked = []
    left_out = {f"all vectors of {kind}": OTHER_TYPE for kind in manifest.get("types", {})}
    for layer, entry in manifest["layers"].items():
        tensors = load_file(folder / entry["file"])
        for case in entry["cases"]:
            name = f"{layer}, case {case['case']} ({case['comment']})"
            if case["training"]:
                left_out[name] = TRAINING
            else:
                asked.append(layer_question(layer, name, entry, case, tensors))
    for network, entry in manifest["networks"].items():
        name = f"network {network} ({entry['comment']})"
        if entry["training"]:
            left_out[name] = TRAINING
            continue
        if entry["config"]["num_labels"] == 0:
            left_out[name] = NO_HEAD
        asked.append(network_question(name, entry, load_file(folder / entry["file"])))
    return Questions(asked, left_out)


def layer_question(
    layer: str, name: str, entry: dict[str, Any], case: dict[str, Any], tensors: dict[str, Any]
) -> Question:
    """A case of a layer, forward."""
    at = f"{case['case']}/"
    asked = {
        "layer": layer,
        "options": case["options"],
        "x": listed(tensors[f"{at}x"]),
        "params": parameters(case["inputs"], tensors, at),
    }
    mistakes = [
        (f"{kind}: {hint}", {"y": tensors[f"{at}wrong/{number}/y"]})
        for number, wrong in case["wrong"].items()
        if "y" in wrong
        for kind, hint in [(entry["mistakes"][int(number)][word] for word in ("kind", "hint"))]
    ]
    bounds = {"y": tensors[f"{at}bound/y"]}
    return Question(layer, name, asked, {"y": tensors[f"{at}y"]}, bounds, mistakes)


def network_question(name: str, entry: dict[str, Any], tensors: dict[str, Any]) -> Question:
    """A network: its answer, and every array inside that the page makes too."""
    config = entry["config"]
    asked = {
        "config": config,
        "x": listed(tensors["x"]),
        "params": parameters(entry["inputs"], tensors),
    }
    heads = {"cls_logits": "head", "distillation_logits": "head_dist"}  # names of the page
    if config["num_labels"] == 0:
        forward = [name for name in entry["outputs"] if name.startswith("trace.stages")]
    else:
        forward = [name for name in entry["outputs"] if not name.startswith(("dx", "dp."))]
        if "distillation_logits" not in forward:  # one head gives the logits by itself
            heads = {}
    path = {name: heads.get(name, name.removeprefix("trace.")) for name in forward}
    expected = {path[name]: tensors[name] for name in forward}
    bounds = {path[name]: tensors[f"bound/{name}"] for name in forward}
    return Question(name.partition(" (")[0], name, asked, expected, bounds, [])


def parameters(inputs: list[str], tensors: dict[str, Any], at: str = "") -> list[dict[str, Any]]:
    """The parameters as the page has them: matrices and kernels with the output first."""
    found = []
    for name in inputs:
        if name.startswith("p."):
            x = tensors[at + name]
            x = np.moveaxis(x, -1, 0) if name.endswith("weight") and x.ndim > 1 else x
            found.append({"path": name.removeprefix("p."), **listed(x)})
    return found


def listed(x: np.ndarray) -> dict[str, Any]:
    """An array as JSON; Python and JavaScript write every float32 so that it can be read back."""
    return {"shape": list(x.shape), "data": [float(number) for number in x.ravel()]}


def ask_node(asked: list[Question], folder: Path, harness: Path = HARNESS) -> Answers:
    """Return what the modules of the page answer under Node."""
    file = folder / "questions.json"
    file.write_text(json.dumps([question.asked for question in asked]))
    node = shutil.which("node")
    command = [str(node), "--input-type=module", "--eval", NODE_ASKS, str(harness), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def compared(question: Question, answer: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the name of each output and its largest error relative to the bound, ∞ for NaN."""
    for name, expected in question.expected.items():
        found = answer[name]
        if found["shape"] != list(expected.shape):
            yield f"{name} of {found['shape']} in place of {list(expected.shape)}", np.inf
            continue
        yield name, worst(found, expected, question.bounds[name])


def worst(found: dict[str, Any], expected: np.ndarray, bound: np.ndarray) -> float:
    """The largest error relative to the bound; infinite if a number is none."""
    numbers = np.array(found["data"], float).reshape(expected.shape)  # None, of NaN, becomes NaN
    ratio = np.abs(numbers - expected) / bound
    return float(np.nan_to_num(ratio, nan=np.inf).max(initial=0))


def faults(asked: list[Question], answers: Answers) -> dict[str, list[str]]:
    """Return a sentence for each output that is wrong, by layer or network."""
    found: dict[str, list[str]] = {}
    for question, answer in zip(asked, answers, strict=True):
        if answer is None:
            continue
        for name, ratio in compared(question, answer):
            if ratio <= 1:
                continue
            sentence = f"{question.name}: {name} is wrong: {ratio:.2g} bounds off"
            for words, wrong in question.mistakes:
                if worst(answer[name], wrong[name], question.bounds[name]) <= 1:
                    sentence += f"; this is the answer of a mistake, {words}"
            found.setdefault(question.subject, []).append(sentence)
    return found


def without_layer(asked: list[Question], answers: Answers) -> dict[str, str]:
    """Return the cases that the page has no layer for."""
    pairs = zip(asked, answers, strict=True)
    return {question.name: NO_LAYER for question, answer in pairs if answer is None}


def planted(work: Path, file: str, right: str, wrong: str) -> Path:
    """Copy the modules with a fault in one of them, and return the copy of what asks them."""
    shutil.copytree(WEB, work / WEB.relative_to(ROOT))
    text = (work / WEB.relative_to(ROOT) / file).read_text("utf-8")
    assert text.count(right) == 1, f"{right!r} is {text.count(right)} times in {file}"
    (work / WEB.relative_to(ROOT) / file).write_text(text.replace(right, wrong), "utf-8")
    (work / "tests").mkdir()
    return Path(shutil.copy(HARNESS, work / "tests"))


def main() -> None:
    """Print a table, and what is left out."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        asked, left_out = questions(write_vectors(folder / "vectors", "channels_last").place)
        answers = ask_node(asked, folder)
    largest: dict[str, float] = {}
    for question, answer in zip(asked, answers, strict=True):
        ratios = [ratio for _, ratio in compared(question, answer)] if answer else [0.0]
        largest[question.subject] = max(*ratios, largest.get(question.subject, 0.0))
    print(f"{'largest error / bound':<26}{'forward':>8}")
    for subject, ratio in largest.items():
        print(f"{subject:<26}{ratio:>8.3f}")
    for question, why in (left_out | without_layer(asked, answers)).items():
        print(f"left out, {why}: {question}")


if __name__ == "__main__":
    main()
