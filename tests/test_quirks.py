"""The page "Differences from the reference", and what no other test holds of it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npformer.layers import AttentionBlock, Trace, training
from npformer.network import forward
from npformer.network.configuration import EfficientFormerConfig
from npformer.network.params import initialize, param_specs
from npformer.network.tree import leaves, transform

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "differences.md"
NUMBERS = [f"Q{i}" for i in range(1, 39)]

SMALL: dict[str, Any] = {
    "depths": [1, 2], "hidden_sizes": [4, 8], "downsamples": [True, True], "dim": 8, "key_dim": 2,
    "attention_ratio": 2, "num_attention_heads": 2, "mlp_expansion_ratio": 2, "resolution": 3,
    "num_labels": 5, "image_size": 24, "use_layer_scale": False, "initializer_range": 0.5,
}  # fmt: skip
"""24×24 pixels become 3×3 tokens."""


def config(**changes: Any) -> EfficientFormerConfig:
    return EfficientFormerConfig.from_dict({**SMALL, **changes})


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape)


# The page


def test_every_quirk_is_one_row_of_the_page() -> None:
    rows = re.findall(r"^\| (Q\d+) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text("utf-8"), re.M)
    assert sorted((number for number, _, _ in rows), key=NUMBERS.index) == NUMBERS
    for number, _, ours in rows:
        assert re.match(r"\*\*(follows|better)\*\*", ours), number


def named_tests() -> list[tuple[str, str, str]]:
    """Which quirk, file and function each line of a list of tests names."""
    lists = re.findall(r"^```text\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    found, number = [], ""
    for line in "".join(lists).splitlines():
        match = re.fullmatch(r"(Q\d+|also|) +(test_\w+\.py)::(test_\w+)", line)
        assert match, line
        number = match[1] or number
        found.append((number, match[2], match[3]))
    return found


def test_every_quirk_has_a_test_that_exists() -> None:
    named = named_tests()
    assert {number for number, _, _ in named} == {*NUMBERS, "also"}
    functions: dict[str, set[str]] = {}
    for _, file, function in named:
        if file not in functions:
            tree = ast.parse((TESTS / file).read_text("utf-8"))
            functions[file] = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert function in functions[file], f"{file}::{function}"


# The configuration


def test_q14_the_last_entry_of_downsamples_means_nothing() -> None:
    same_width = {"hidden_sizes": [8, 8]}
    assert param_specs(config(**same_width, downsamples=[True, False])) == param_specs(
        config(**same_width)
    )


def test_q14_where_the_width_changes_there_is_a_downsampling_in_any_case() -> None:
    assert param_specs(config(downsamples=[False, True])) == param_specs(config())
    same_width = config(downsamples=[False, True], hidden_sizes=[8, 8])
    assert param_specs(same_width).stages[1].downsample is None


def test_q17_drop_path_rises_linearly_to_its_rate() -> None:
    c = config(depths=[2, 4], num_meta3d_blocks=2)
    tape = Trace("*.mask", mode=training(np.random.default_rng(0), drop_path=0.5))
    forward(pixels(40, 24, 24, 3), initialize(c), c, tape)
    rates = {path: 1 - 1 / mask.max() for path, mask in tape.items()}  # survivors are enlarged
    blocks = [f"stages.1.blocks.{i}" for i in (0, 1, 3, 4)]  # 2 is the step to tokens
    expected = dict(zip(["stages.0.blocks.1", *blocks], [0.1, 0.2, 0.3, 0.4, 0.5], strict=True))
    assert rates == pytest.approx(
        {f"{block}.drop_path{i}.mask": p for block, p in expected.items() for i in (1, 2)}
    )


# The network


def test_q18_nothing_is_remembered_of_earlier_weights() -> None:
    c, x = config(), pixels(1, 24, 24, 3)
    params = initialize(c)
    before = forward(x, params, c).logits
    *stages, last = params.stages
    *blocks, block = last.blocks
    assert isinstance(block, AttentionBlock)
    biases = pixels(*block.token_mixer.attention_biases.shape)
    block = block._replace(token_mixer=block.token_mixer._replace(attention_biases=biases))
    changed = params._replace(stages=(*stages, last._replace(blocks=(*blocks, block))))
    assert not np.allclose(forward(x, changed, c).logits, before)
    assert not any(array.flags.writeable for _, array in leaves(params))
    for dtype in ("float16", "float64"):  # no copy of another type is left behind
        assert forward(x, transform(np.dtype(dtype).type, params), c).logits.dtype == dtype
