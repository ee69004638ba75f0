"""Rewrite ``docs/transformers.md``: ``python docs/transformers_table.py``. A test compares it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path

import npformer
from npformer.network import hf_arguments, hf_methods
from npformer.network.hf_arguments import Argument

PAGE = Path(__file__).with_name("transformers.md")

TEXT = """# Arguments and methods of transformers

Code written for transformers 4.40.2 finds most of what it uses under the same name. This page
lists every argument and every public attribute of its EfficientFormer, and what happens to it. It
is made from the tables that npformer itself answers with, and a test compares them with the
reference.

* **works**: it does what it says.
* **no effect**: it concerns what npformer does not have, and changes no result. A warning says so,
  once.
* **refused**: without it the result would be another one than asked for. The error says what to do
  instead.

An argument with the value that it has by default is always accepted.
"""

CALLS = """## Calls

All arguments of the reference work, in its order. npformer has a few more: `reshape_last`,
`batch_size`, `crop_rounding`, `batch_norm_eps` after it, by name.
"""

MODELS = (
    npformer.EfficientFormerModel,
    npformer.EfficientFormerForImageClassification,
    npformer.EfficientFormerForImageClassificationWithTeacher,
)
PROCESSOR = npformer.EfficientFormerImageProcessor
CLASSES = {
    "model": (MODELS[-1], hf_methods.MODEL),
    "configuration": (npformer.EfficientFormerConfig, hf_methods.CONFIG),
    "processor": (PROCESSOR, hf_methods.PROCESSOR),
}
"""Our class, and what it says about attributes that it does not have."""

HAVE = {
    "model": "base_model_prefix buffers config config_class cpu device double dtype eval float "
    "forward from_pretrained half main_input_name name_or_path named_buffers named_parameters "
    "num_labels num_parameters parameters save_pretrained state_dict to train training",
    "configuration": "from_dict from_json_file from_pretrained model_type name_or_path num_labels "
    "save_pretrained to_dict to_diff_dict to_json_file to_json_string use_return_dict",
    "processor": "from_dict from_json_file from_pretrained model_input_names preprocess "
    "save_pretrained to_dict to_json_file to_json_string",
}
"""What works; a test finds out that it is there."""

HOW = {
    "eval cpu": "return the model",
    "train": "`train(False)` returns the model; `train()` is refused, see `npformer.learn`",
    "to half float double": "return the model if it is so already; else refused, with what to do",
    "parameters named_parameters buffers named_buffers state_dict": "NumPy arrays, read-only",
    "device training": 'always `"cpu"`, `False`',
    "dtype": "NumPy's",
    "forward": "the same as calling the model",
}
"""What is to be said about some of them."""

NAMES = {
    "AutoConfig AutoImageProcessor AutoModel": "the class of EfficientFormer",
    "AutoModelForImageClassification": "finds the class that has the heads of the checkpoint",
}
"""Names of the library that work."""

SIGNATURES = {
    "EfficientFormerModel": (MODELS[0].__call__, "self"),
    "EfficientFormerForImageClassification": (MODELS[1].__call__, "self"),
    "EfficientFormerForImageClassificationWithTeacher": (MODELS[2].__call__, "self"),
    "EfficientFormerImageProcessor": (
        npformer.EfficientFormerImageProcessor.__init__,
        "self extra",
    ),
    "preprocess": (npformer.EfficientFormerImageProcessor.preprocess, "self unknown"),
    "EfficientFormerConfig": (npformer.EfficientFormerConfig.__init__, "self others"),
}
"""Functions whose arguments all work, and which names in them are not arguments."""

ARGUMENTS = {
    "`from_pretrained` of a model": hf_arguments.LOAD_MODEL,
    "`from_pretrained` of a configuration": hf_arguments.LOAD_CONFIG,
    "`from_pretrained` of an image processor": hf_arguments.LOAD_SETTINGS,
    "`save_pretrained` of a model": hf_arguments.SAVE_MODEL,
    "`save_pretrained` of a configuration or a processor": hf_arguments.SAVE_SETTINGS,
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a table."""
    head = list(head)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def code(names: Iterable[str]) -> str:
    """Write names as code."""
    return ", ".join(f"`{name}`" for name in names)


def arguments(rows: Mapping[str, Argument]) -> str:
    """Write the table of a function's arguments, those with the same answer in one row."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, argument in rows.items():
        groups.setdefault((argument.answer, argument.words), []).append(name)
    return table(
        ["argument", "", ""],
        [[code(names), answer, words] for (answer, words), names in groups.items()],
    )


def attributes(have: str, instead: Mapping[str, str], how: Mapping[str, str]) -> str:
    """Write the table of a class's attributes."""
    told = [name for names in how for name in names.split()]
    plain = [name for name in have.split() if name not in told]
    rows = [[code(plain), "works", "as in the reference"]] if plain else []
    for names, words in how.items():
        if present := [name for name in names.split() if name in have.split()]:
            rows.append([code(present), "works", words])
    groups: dict[str, list[str]] = {}
    for name, words in instead.items():
        groups.setdefault(words, []).append(name)
    rows += [[code(names), "refused", words] for words, names in groups.items()]
    return table(["name", "", ""], rows)


def page() -> str:
    """Write the page."""
    parts = [TEXT, CALLS]
    called = []
    for name, (function, no_arguments) in SIGNATURES.items():
        taken = [a for a in inspect.signature(function).parameters if a not in no_arguments.split()]
        called.append([f"`{name}(…)`", code(taken)])
    parts.append(table(["", "arguments"], called))
    for title, rows in ARGUMENTS.items():
        parts.append(f"## {title}\n\n{arguments(rows)}")
    for name, (_, instead) in CLASSES.items():
        article = "the" if name != "model" else "a"
        title = f"## Methods and attributes of {article} {name}"
        parts.append(f"{title}\n\n{attributes(HAVE[name], instead, HOW)}")
    library = attributes(" ".join(NAMES), hf_methods.LIBRARY, NAMES)
    pipeline = "| `pipeline` | refused | `npformer.load(model).classify(images, top=5)` |"
    parts.append(f"## Names of the library\n\n{library}\n{pipeline}")
    return "\n\n".join(part.strip() for part in parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
