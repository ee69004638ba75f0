"""Faults planted in each backward, one term at a time: the difference quotients must see them all.

Forward stays as it is, so the quotients and the tapes are computed once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from golden import cases
from gradient_cases import dlogits
from gradient_check import TOLERANCE, aligned_direction, derivative, flatten, kinks, move
from planting import planted

from npformer import layers, network
from npformer.layers import Array, Mode, Run, Trace, activations, more_activations
from npformer.network import backward, forward

MUTANTS: dict[Callable[..., Any], list[tuple[str, str]]] = {
    layers.linear_backward: [
        ("p.weight.T", "p.weight.T * 0.99"),
        ("columns @ rows", "columns @ rows / len(x)"),
        ("sum64(rows, 0)", "rows[0]"),
    ],
    layers.conv2d_backward: [
        ("im2col(x, kh, kw, stride, padding)", "im2col(x[::-1], kh, kw, stride, padding)"),
        (", dp.bias)", ", 0 * dp.bias)"),
    ],
    layers.col2im: [
        ("dy[:, :, :, u, v]", "dy[:, :, :, v, u]"),
        ("+= dy", "= dy"),
        ("dx[:, padding : padding + H, padding", "dx[:, :H, padding"),
    ],
    layers.batch_norm_backward: [
        ("return g / sigma", "return g"),
        ("g = dy * p.weight", "g = dy"),
        (" - mean64(g, axes)", ""),
        (" - x_hat * mean64(g * x_hat, axes)", ""),
        ("np.sqrt(variance + eps)", "np.sqrt(variance)"),
        ("sum64(dy * x_hat, axes)", "sum64(dy, axes)"),
        ("sum64(dy, axes), zero", "mean64(dy, axes), zero"),
        ('"mean" in tape', "False"),
        ("(x - mean) / sigma", "x / sigma"),
    ],
    layers.layer_norm_backward: [
        ("g = dy * p.weight", "g = dy"),
        (" - g.mean(-1, keepdims=True)", ""),
        (" - x_hat * (g * x_hat).mean(-1, keepdims=True)", ""),
        (") / sigma\n    C =", ")\n    C ="),
        ("(dy * x_hat).reshape", "dy.reshape"),
        ("sum64(dy.reshape(-1, C), 0))", "dy.reshape(-1, C)[0])"),
    ],
    layers.softmax_backward: [(" - (dy * y).sum(-1, keepdims=True)", ""), ("y * (dy -", "(dy -")],
    layers.layer_scale_backward: [("dy * p.gamma", "dy"), ("(dy * x)", "dy")],
    layers.pooling_backward: [
        (" - dy", ""),
        ("dy / window_area(dy, size)", "dy"),
        ("window_sum(dy / window_area(dy, size), size)", "window_sum(dy, size) / size**2"),
    ],
    layers.attention_backward: [
        ('merge_heads(tape["attn"] @ v)', "merge_heads(v)"),
        ("dqkv, x, p.qkv", "2 * dqkv, x, p.qkv"),
        ("attn\"], K, K**-0.5", "attn\"], K, 1"),
    ],
    layers.attend_backward: [
        ("dv = attn.swapaxes(2, 3)", "dv = attn"),
        ("softmax_backward(dy @ v.swapaxes(2, 3), attn)", "dy @ v.swapaxes(2, 3)"),
        ("dq = dscores @ k * scale", "dq = dscores @ k"),
        ("dk = dscores.swapaxes(2, 3) @ q * scale", "dk = dscores @ q * scale"),
        ("dk = dscores.swapaxes(2, 3) @ q * scale", "dk = 0 * q"),
        ("[dq, dk, dv]", "[dk, dq, dv]"),
        ("sum64(dscores, 0)", "dscores[0]"),
    ],
    layers.relative_position_bias_backward: [
        ("dtable.transpose(1, 2, 0)", "dtable[..., ::-1].transpose(1, 2, 0)"),
        ("down * columns", "0 * columns"),
    ],
    layers.activation_backward: [("dy * DERIVATIVES", "dy + 0 * DERIVATIVES")],
    activations.gelu_derivative: [
        (" + x * np.exp(-0.5 * x * x) / sqrt(2 * pi)", ""),
        ("sqrt(2 * pi)", "sqrt(pi)"),
        ("1 + erf(", "erf("),
    ],
    more_activations.gelu_new_derivative: [
        ("1 + 3 * 0.044715 * (x * x)", "1"),
        ("(1 - t * t)", "(1 - t)"),
    ],
    more_activations.silu_derivative: [(" + x * s * (1 - s)", "")],
    activations.relu_derivative: [("x > 0", "x > -9")],
    layers.mlp_backward: [
        ('dy = apply_mask(dy, tape.within("drop2"))', "pass"),
        ('apply_mask(tape["act"], tape.within("drop1"))', 'tape["act"]'),
        ('dhidden = apply_mask(dhidden, tape.within("drop1"))', "pass"),
        ('activation_backward(dhidden, tape["fc1"]', 'activation_backward(dhidden, tape["act"]'),
    ],
    layers.conv_mlp_backward: [
        ('dy = apply_mask(dy, tape.within("drop2"))', "pass"),
        ('apply_mask(tape["act"], tape.within("drop1"))', 'tape["act"]'),
        ('dhidden = apply_mask(dhidden, tape.within("drop1"))', "pass"),
        ('activation_backward(dhidden, tape["norm1"]', 'activation_backward(dhidden, tape["fc1"]'),
    ],
    layers.pooling_block_backward: [
        ("dy = dy + branch", "dy = branch"),
        ("return dy + pooling_backward", "return pooling_backward"),
        ('x + apply_mask(tape["ls1"], tape.within("drop_path1"))', "x"),
        ('branch = apply_mask(dy, tape.within("drop_path1"))', "branch = dy"),
        ('branch = apply_mask(dy, tape.within("drop_path2"))', "branch = dy"),
    ],
    layers.attention_block_backward: [
        ("dy = dy + branch", "dy = branch"),
        ("return dy + branch", "return branch"),
        ('x + apply_mask(tape["ls1"], tape.within("drop_path1"))', "x"),
        ('branch = apply_mask(dy, tape.within("drop_path1"))', "branch = dy"),
        ('branch = apply_mask(dy, tape.within("drop_path2"))', "branch = dy"),
    ],
    layers.stem_backward: [
        ('dy = activation_backward(dy, tape["norm2"], relu)', "pass"),
        ('dy = activation_backward(dy, tape["norm1"], relu)', "pass"),
    ],
    layers.downsample_backward: [('tape.within("norm")', "{}")],
    network.stage_backward: [
        ("dy, inputs[i], params, config", "dy, 2 * inputs[i], params, config"),
    ],
    network.block_backward: [
        ("activation, eps, tape", "activation, 2 * eps, tape"),
        ("dy.reshape(x.shape)", "dy[:, ::-1].reshape(x.shape)"),
    ],
    network.heads_backward: [("dpooled + dpooled_dist", "dpooled")],
    network.average_heads_backward: [
        ("dy.logits / 2", "dy.logits"),
        ("share + dy.cls_logits", "share"),
        ("share + dy.distillation_logits", "share"),
    ],
    network.backward: [
        ("dpooled[:, None] / N", "dpooled[:, None]"),
        ("dx, dstem = stem_backward(dy,", "dx, dstem = stem_backward(2 * dy,"),
    ],
}  # fmt: skip


class Scene(NamedTuple):
    """A network after its forward, and the slope of its loss along a direction."""

    arguments: tuple[Any, ...]
    direction: Array
    slope: float

    def error(self) -> float:
        found = flatten(backward(*self.arguments)) @ self.direction
        return abs(found - self.slope) / abs(self.slope)


def scene(name: str, mode: Mode, seed: int) -> Scene:
    case = cases.SMALL[name]
    config, dy = cases.configuration(case), dlogits(case)
    x, p = cases.pixels(case), cases.parameters(case)
    size = flatten((x, p)).size

    def again() -> Mode:
        return mode._replace(rng=np.random.default_rng(5))

    tape = Trace(mode=again())
    forward(x, p, config, tape)
    direction = aligned_direction(np.zeros(size), seed)

    def loss(step: float) -> float:
        outputs = forward(*move((x, p), direction, step), config, Run(again()))
        return sum(float((d * y).sum()) for d, y in zip(dy, outputs, strict=True) if d is not None)

    def sides(step: float) -> Array:
        seen = Trace("stem.norm*", mode=again())
        forward(*move((x, p), direction, step), config, seen)
        return kinks(seen)

    return Scene((dy, x, p, config, tape), direction, derivative(loss, sides))


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    noisy = Mode(True, 0.3, 0.5)
    return [
        scene("usual", Mode(), 1), scene("usual", noisy, 2), scene("tokens", noisy, 3),
        scene("pools", Mode(), 4),
    ]  # fmt: skip


def test_without_a_fault_there_is_no_alarm(scenes: list[Scene]) -> None:
    assert max(scene.error() for scene in scenes) < TOLERANCE


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [(function, old, new) for function, pairs in MUTANTS.items() for old, new in pairs],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_mutant_is_caught(function: Any, old: str, new: str, scenes: list[Scene]) -> None:
    with planted(function, old, new):
        assert max(scene.error() for scene in scenes) > 100 * TOLERANCE


def test_every_backward_has_mutants() -> None:
    backwards = {
        value
        for room in (layers, network)
        for name, value in vars(room).items()
        if name == "backward" or name.endswith("_backward")
    } - {
        f for f in vars(layers.losses).values() if callable(f)
    }  # those have mutants in test_learn_losses
    assert backwards <= set(MUTANTS)
