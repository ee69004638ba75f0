"""Faults planted one at a time: the golden comparison must name the layer of each.

A mutant is a replacement in the text of one function.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, NamedTuple

import pytest
from golden import check
from planting import planted

from npformer import layers, network
from npformer.layers.attend import split_heads
from npformer.layers.erf import erf
from npformer.layers.pooling import window_area, window_sum
from npformer.layers.position_bias import distances


class Mutant(NamedTuple):
    fault: str
    function: Callable[..., Any]
    text: str
    becomes: str
    layer: str
    """the first that is wrong"""
    case: str = "usual"


BLOCK = "stages.0.blocks.0"
TOKENS = "stages.2.blocks.2"
MIXER = f"{TOKENS}.token_mixer"

MUTANTS = (
    # The stem and the downsampling.
    Mutant("no ReLU after the stem's second norm", layers.stem,
           'run("act2", relu(x))', 'run("act2", x)', "stem.act2"),
    Mutant("no ReLU after the stem's first norm", layers.stem,
           'run("act1", relu(x))', 'run("act1", x)', "stem.act1"),
    Mutant("another activation in the stem", layers.stem,
           'run("act1", relu(x))', 'run("act1", abs(x))', "stem.act1"),
    Mutant("the stem without padding", layers.stem,
           "p.conv1, stride=2, padding=1", "p.conv1, stride=2, padding=0", "stem.conv1"),
    Mutant("windows one pixel late", layers.im2col,
           "windows[:, ::stride, ::stride]", "windows[:, stride - 1::stride, ::stride]",
           "stem.conv1"),
    Mutant("stride along one axis only", layers.im2col,
           "windows[:, ::stride, ::stride]", "windows[:, ::stride]", "stem.conv1"),
    Mutant("padding repeats the border", layers.im2col,
           "(padding, padding), (0, 0)))", '(padding, padding), (0, 0)), mode="edge")',
           "stem.conv1"),
    Mutant("kernel transposed", layers.im2col,
           "transpose(0, 1, 2, 4, 5, 3)", "transpose(0, 1, 2, 5, 4, 3)", "stem.conv1"),
    Mutant("kernel flipped, a true convolution", layers.conv2d,
           "as_linear(p)", "as_linear(p._replace(weight=p.weight[::-1, ::-1]))", "stem.conv1"),
    Mutant("no bias", layers.linear, "rows @ p.weight + p.bias", "rows @ p.weight", "stem.conv1"),
    Mutant("an activation after the downsampling", layers.downsample,
           "return run(\"norm\", batch_norm(x", "return run(\"norm\", batch_norm(abs(x)",
           "stages.1.downsample.norm"),
    Mutant("the stem's stride and padding for every downsampling", layers.downsample,
           "conv2d(x, p.conv, stride, padding)", "conv2d(x, p.conv, 2, 1)",
           "stages.1.downsample.conv", "window"),
    # Norms.
    Mutant("batch norm with ten times ε", layers.batch_norm,
           "variance + eps", "variance + 10 * eps", "stem.norm1"),
    Mutant("batch norm without ε", layers.batch_norm, "variance + eps", "variance", "stem.norm1"),
    Mutant("ε outside the root", layers.batch_norm,
           "np.sqrt(variance + eps)", "(np.sqrt(variance) + eps)", "stem.norm1"),
    Mutant("batch norm does not subtract the mean", layers.batch_norm,
           "(x - mean)", "x", "stem.norm1"),
    Mutant("batch norm divides by the variance", layers.batch_norm,
           "np.sqrt(variance + eps)", "(variance + eps)", "stem.norm1"),
    Mutant("batch norm by the batch at evaluation", layers.batch_norm,
           "if run.mode.batch_statistics:", "if True:", "stem.norm1.mean"),
    Mutant("timm's ε in every layer norm", layers.layer_norm,
           "variance + eps", "variance + 1e-5", f"{TOKENS}.norm1"),
    Mutant("transformers' ε in every layer norm", layers.layer_norm,
           "variance + eps", "variance + 1e-12", "stages.1.blocks.2.norm1", "native"),
    Mutant("the batch norm's ε in the layer norms of blocks", network.block,
           "activation, config.layer_norm_eps", "activation, config.batch_norm_eps",
           f"{TOKENS}.norm1"),
    Mutant("the usual ε in the batch norms of blocks", network.block,
           "activation, config.batch_norm_eps", "activation, 1e-5", f"{BLOCK}.mlp.norm1", "tokens"),
    Mutant("the usual ε in the last norm", network.features,
           "p.norm, config.layer_norm_eps", "p.norm, 1e-5", "norm"),
    Mutant("unbiased variance in layer norm", layers.layer_norm,
           "np.square(centered).mean(-1, keepdims=True)",
           "(np.square(centered).sum(-1, keepdims=True) / (x.shape[-1] - 1))", f"{TOKENS}.norm1"),
    Mutant("layer norm over tokens", layers.layer_norm,
           "x - x.mean(-1, keepdims=True)", "x - x.mean(1, keepdims=True)", f"{TOKENS}.norm1"),
    Mutant("no last norm", network.features,
           "layer_norm(x, p.norm, config.layer_norm_eps)", "x", "norm"),
    # The pooling block.
    Mutant("padding counted in the pool", window_area,
           "return count[:, :, None]", "return np.full((H, W, 1), size * size)",
           f"{BLOCK}.token_mixer"),
    Mutant("the pool reaches one pixel off", window_sum,
           "rows[:, :, k : k + W]", "rows[:, :, max(k - 1, 0) : max(k - 1, 0) + W]",
           f"{BLOCK}.token_mixer"),
    Mutant("a pool of 3 whatever the configuration", network.block,
           "config.pool_size", "3", f"{BLOCK}.token_mixer", "pools"),
    Mutant("pooling does not subtract x", layers.pooling,
           "average_pool(x, size) - x", "average_pool(x, size)", f"{BLOCK}.token_mixer"),
    Mutant("no residual around the pooling", layers.pooling_block,
           "x = x + run.drop_path", "x = run.drop_path", f"{BLOCK}.mlp.fc1"),
    Mutant("no residual around the convolutional MLP", layers.pooling_block,
           "return x + run.drop_path", "return run.drop_path", BLOCK),
    Mutant("the MLP beside the pooling instead of after it", layers.pooling_block,
           "conv_mlp(x, p.mlp", "conv_mlp(x - y, p.mlp", f"{BLOCK}.mlp.fc1"),
    Mutant("layer scales swapped", layers.pooling_block,
           "layer_scale(y, p.ls1)", "layer_scale(y, p.ls2)", f"{BLOCK}.ls1"),
    Mutant("no layer scale", layers.layer_scale, "x * p.gamma", "x", f"{BLOCK}.ls1"),
    Mutant("the activation before the norm", layers.conv_mlp,
           'run("norm1", batch_norm(x,', 'run("norm1", batch_norm(activation(x),',
           f"{BLOCK}.mlp.norm1"),
    Mutant("the second norm is the first", layers.conv_mlp,
           "batch_norm(x, p.norm2", "batch_norm(x, p.norm2._replace(bias=-p.norm2.bias)",
           f"{BLOCK}.mlp.norm2"),
    # Activations.
    Mutant("GELU by tanh", layers.gelu,
           "return 0.5 * x * (1 + erf(x * sqrt(0.5)))",
           "return 0.5 * x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))",
           f"{BLOCK}.mlp.act"),
    Mutant("erf of single precision", erf,
           "SINGLE if x.dtype.itemsize <= 4 else DOUBLE", "SINGLE", f"{BLOCK}.mlp.act"),
    Mutant("GELU whatever the configuration", network.block,
           "ACTIVATIONS[config.hidden_act]", 'ACTIVATIONS["gelu"]', f"{BLOCK}.mlp.act", "pools"),
    Mutant("no activation between tokens' linear layers", layers.mlp,
           'run("act", activation(x))', 'run("act", x)', f"{TOKENS}.mlp.act"),
    # The attention block.
    Mutant("tokens column by column", layers.flat,
           "x.reshape", "x.swapaxes(1, 2).reshape", "stages.2.blocks.1"),
    Mutant("q and k swapped", layers.attend,
           "q @ k.swapaxes(2, 3)", "k @ q.swapaxes(2, 3)", f"{MIXER}.attn"),
    Mutant("q, k and v as three blocks, not head by head", split_heads,
           "    return np.split(qkv, [K, 2 * K], axis=-1)",
           "    qkv = qkv.swapaxes(1, 2).reshape(B, N, -1)\n"
           "    parts = np.split(qkv, [heads * K, 2 * heads * K], axis=-1)\n"
           "    return [y.reshape(B, N, heads, -1).swapaxes(1, 2) for y in parts]",
           f"{MIXER}.attn"),
    Mutant("k before q", split_heads, "    return np.split(qkv, [K, 2 * K], axis=-1)",
           "    q, k, v = np.split(qkv, [K, 2 * K], axis=-1)\n    return [k, q, v]",
           f"{MIXER}.attn"),
    Mutant("heads interleaved", split_heads,
           "qkv.reshape(B, N, heads, width // heads).swapaxes(1, 2)",
           "qkv.reshape(B, N, width // heads, heads).transpose(0, 3, 1, 2)", f"{MIXER}.attn"),
    Mutant("scores not scaled", layers.attend, " * scale", "", f"{MIXER}.attn"),
    Mutant("scores scaled by the width of values", layers.attention,
           "K**-0.5", "(p.proj.weight.shape[0] / len(p.attention_biases))**-0.5", f"{MIXER}.attn"),
    Mutant("bias scaled with the scores", layers.attention,
           "(p.attention_biases), K,", "(p.attention_biases) * K**-0.5, K,",
           f"{MIXER}.attn"),
    Mutant("no bias of positions", layers.attend,
           "scores + bias", "scores", f"{MIXER}.attn"),
    Mutant("bias table transposed", layers.relative_position_bias,
           "biases[:, down, across]", "biases[:, across, down]", f"{MIXER}.attn"),
    Mutant("distances of a grid that runs down its columns", distances,
           "y, x = np.divmod(np.arange(rows * columns), columns)",
           "x, y = np.divmod(np.arange(rows * columns), rows)",
           "stages.1.blocks.2.token_mixer.attn", "oblong"),
    Mutant("softmax over queries", layers.softmax,
           "e / e.sum(-1, keepdims=True)", "e / e.sum(-2, keepdims=True)", f"{MIXER}.attn"),
    Mutant("heads not laid side by side", layers.attend,
           "merge_heads(attn @ v)", "(attn @ v).reshape(*qkv.shape[:2], -1)", f"{MIXER}.proj"),
    Mutant("the activation of LeViT before the projection", layers.attend,
           "return merge_heads(attn @ v)", "return np.maximum(merge_heads(attn @ v), 0)",
           f"{MIXER}.proj"),
    Mutant("no norm before the attention", layers.attention_block,
           'run("norm1", layer_norm(x, p.norm1, eps))', 'run("norm1", x)', f"{TOKENS}.norm1"),
    Mutant("no residual around the attention", layers.attention_block,
           "x = x + run.drop_path", "x = run.drop_path", f"{TOKENS}.norm2"),
    Mutant("no residual around the MLP of tokens", layers.attention_block,
           "return x + run.drop_path", "return run.drop_path", TOKENS),
    Mutant("the second norm sees the attention only", layers.attention_block,
           "layer_norm(x, p.norm2, eps)", "layer_norm(y, p.norm2, eps)", f"{TOKENS}.norm2"),
    # The heads.
    Mutant("the first token instead of the mean", network.forward,
           "mean64(tokens, 1)", "tokens[:, 0]", "pooled"),
    Mutant("heads added, not averaged", network.average_heads,
           "(cls_logits + dist_logits) / 2", "cls_logits + dist_logits", "logits"),
    Mutant("the class head alone", network.average_heads,
           "(cls_logits + dist_logits) / 2", "cls_logits", "logits"),
    Mutant("the distillation head is the class head", network.heads,
           "linear(pooled, p.head_dist)", "linear(pooled, p.head)", "head_dist"),
    # What is shown.
    Mutant("a layer hides its result", layers.mlp,
           'run("act", activation(x))', "activation(x)", f"{TOKENS}.mlp.act"),
    Mutant("an input is overwritten", layers.pooling,
           "    return average_pool(x, size) - x",
           "    y = average_pool(x, size) - x\n    x += y\n    return y", f"{BLOCK}.mlp.fc1"),
)  # fmt: skip

golden = cache(check.golden)


def plant(mutant: Mutant) -> AbstractContextManager[None]:
    return planted(mutant.function, mutant.text, mutant.becomes)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.fault)
def test_a_fault_is_found_where_it_is(mutant: Mutant) -> None:
    case, heard, _ = golden(mutant.case)
    with plant(mutant), pytest.raises(AssertionError, match=f"^{re.escape(mutant.layer)}: "):
        check.check_float64(case, heard)


@pytest.mark.parametrize("case", sorted({mutant.case for mutant in MUTANTS}))
def test_without_a_fault_nothing_is_found(case: str) -> None:
    check.check_float64(*golden(case)[:2])


def test_a_mutant_leaves_no_trace() -> None:
    for mutant in MUTANTS:
        before = inspect.unwrap(mutant.function).__code__
        with plant(mutant):
            assert inspect.unwrap(mutant.function).__code__ != before
        assert inspect.unwrap(mutant.function).__code__ is before
