"""The layers of the test vectors in PyTorch, as its users would write them; also folded.

python tests/torch_vectors.py          the largest error of each layer, relative to its bound
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import load_file
from torch import Tensor

from npformer.testing.vectors import write_vectors

Params = dict[str, Tensor]


def batch_norm(x: Tensor, p: Params, prefix: str, o: dict[str, Any], training: bool) -> Tensor:
    mean, var = (
        (None, None) if training else (p[f"{prefix}running_mean"], p[f"{prefix}running_var"])
    )
    return F.batch_norm(
        x, mean, var, p[f"{prefix}weight"], p[f"{prefix}bias"], training, eps=o["eps"]
    )


def conv(x: Tensor, p: Params, prefix: str, stride: int = 1, padding: int = 0) -> Tensor:
    return F.conv2d(x, p[f"{prefix}weight"], p[f"{prefix}bias"], stride, padding)


def linear(x: Tensor, p: Params, prefix: str = "") -> Tensor:
    return F.linear(x, p[f"{prefix}weight"], p[f"{prefix}bias"])


def activation(x: Tensor, name: str) -> Tensor:
    if name == "quick_gelu":
        return x * torch.sigmoid(1.702 * x)
    if name == "gelu_new":
        return F.gelu(x, approximate="tanh")
    return {"gelu": F.gelu, "relu": F.relu, "silu": F.silu}[name](x)


def pooling(x: Tensor, size: int) -> Tensor:
    return F.avg_pool2d(x, size, 1, size // 2, count_include_pad=False) - x


def bias_table(biases: Tensor, rows: int, columns: int) -> Tensor:
    t = torch.arange(rows * columns)
    y, x = t // columns, t % columns
    index = (y[:, None] - y).abs() * columns + (x[:, None] - x).abs()
    return biases.flatten(1)[:, index]


def attention(x: Tensor, p: Params, prefix: str, o: dict[str, Any]) -> Tensor:
    biases = p[f"{prefix}attention_biases"]
    B, N, _ = x.shape
    heads = len(biases)
    V = p[f"{prefix}proj.weight"].shape[1] // heads
    K = (p[f"{prefix}qkv.weight"].shape[0] // heads - V) // 2
    qkv = linear(x, p, f"{prefix}qkv.").reshape(B, N, heads, -1).permute(0, 2, 1, 3)
    q, k, v = qkv.split([K, K, V], dim=3)
    y = F.scaled_dot_product_attention(q, k, v, bias_table(biases, *o["grid"])[None])
    return linear(y.transpose(1, 2).reshape(B, N, heads * V), p, f"{prefix}proj.")


def mlp(x: Tensor, p: Params, prefix: str, o: dict[str, Any]) -> Tensor:
    return linear(activation(linear(x, p, f"{prefix}fc1."), o["activation"]), p, f"{prefix}fc2.")


def conv_mlp(x: Tensor, p: Params, prefix: str, o: dict[str, Any], training: bool) -> Tensor:
    x = batch_norm(conv(x, p, f"{prefix}fc1."), p, f"{prefix}norm1.", o, training)
    x = conv(activation(x, o["activation"]), p, f"{prefix}fc2.")
    return batch_norm(x, p, f"{prefix}norm2.", o, training)


def scaled(x: Tensor, p: Params, name: str, shape: tuple[int, ...]) -> Tensor:
    return x * p[f"{name}.gamma"].reshape(shape) if f"{name}.gamma" in p else x


def pooling_block(x: Tensor, p: Params, o: dict[str, Any], training: bool) -> Tensor:
    x = x + scaled(pooling(x, o["pool_size"]), p, "ls1", (-1, 1, 1))
    return x + scaled(conv_mlp(x, p, "mlp.", o, training), p, "ls2", (-1, 1, 1))


def layer_norm(x: Tensor, p: Params, prefix: str, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], p[f"{prefix}weight"], p[f"{prefix}bias"], eps)


def attention_block(x: Tensor, p: Params, o: dict[str, Any]) -> Tensor:
    x = x + scaled(
        attention(layer_norm(x, p, "norm1.", o["eps"]), p, "token_mixer.", o), p, "ls1", (-1,)
    )
    return x + scaled(mlp(layer_norm(x, p, "norm2.", o["eps"]), p, "mlp.", o), p, "ls2", (-1,))


def stem(x: Tensor, p: Params, o: dict[str, Any], training: bool) -> Tensor:
    for i in (1, 2):
        x = F.relu(batch_norm(conv(x, p, f"conv{i}.", 2, 1), p, f"norm{i}.", o, training))
    return x


def downsample(x: Tensor, p: Params, o: dict[str, Any], training: bool) -> Tensor:
    return batch_norm(conv(x, p, "conv.", o["stride"], o["padding"]), p, "norm.", o, training)


LAYERS: dict[str, Callable[[Tensor, Params, dict[str, Any], bool], Tensor]] = {
    "linear": lambda x, p, o, t: linear(x, p),
    "conv2d": lambda x, p, o, t: conv(x, p, "", o["stride"], o["padding"]),
    "batch_norm": lambda x, p, o, t: batch_norm(x, p, "", o, t),
    "layer_norm": lambda x, p, o, t: layer_norm(x, p, "", o["eps"]),
    "softmax": lambda x, p, o, t: x.softmax(-1),
    **{
        name: lambda x, p, o, t: activation(x, o["activation"])
        for name in ("gelu", "relu", "gelu_new", "silu", "quick_gelu")
    },
    "pooling": lambda x, p, o, t: pooling(x, o["size"]),
    "layer_scale": lambda x, p, o, t: x * p["gamma"].reshape((-1, 1, 1) if x.ndim == 4 else (-1,)),
    "relative_position_bias": lambda x, p, o, t: bias_table(x, *x.shape[1:]),
    "attention": lambda x, p, o, t: attention(x, p, "", o),
    "mlp": lambda x, p, o, t: mlp(x, p, "", o),
    "conv_mlp": lambda x, p, o, t: conv_mlp(x, p, "", o, t),
    "pooling_block": pooling_block,
    "attention_block": lambda x, p, o, t: attention_block(x, p, o),
    "downsample": downsample,
    "stem": stem,
}


FOLDS = {"mlp.norm1.": "mlp.fc1.", "mlp.norm2.": "mlp.fc2.", "norm.": "conv."}
FOLDS |= {"norm1.": "fc1.", "norm2.": "fc2."}
STEM_FOLDS = {"norm1.": "conv1.", "norm2.": "conv2."}


def folded(p: Params, folds: dict[str, str], eps: float) -> Params:
    """Multiply each batch norm into the convolution before it; what is left of it does nothing."""
    p = dict(p)
    for norm, before in folds.items():
        if f"{norm}running_var" not in p:
            continue
        scale = p[f"{norm}weight"] / (p[f"{norm}running_var"] + eps).sqrt()
        shift = p[f"{norm}bias"] - p[f"{norm}running_mean"] * scale
        p[f"{before}weight"] = p[f"{before}weight"] * scale[:, None, None, None]
        p[f"{before}bias"] = p[f"{before}bias"] * scale + shift
        p[f"{norm}weight"] = torch.full_like(scale, 1 + eps).sqrt()
        p[f"{norm}bias"] = p[f"{norm}running_mean"] = torch.zeros_like(scale)
        p[f"{norm}running_var"] = torch.ones_like(scale)
    return p


class Compared(NamedTuple):
    """What PyTorch answers, and what it should."""

    layer: str
    case: str
    output: str
    found: Tensor
    expected: Tensor
    bound: Tensor


def answers(folder: Path, dtype: torch.dtype = torch.float32) -> Iterator[Compared]:
    """Run every case of every layer."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    for layer, function in LAYERS.items():
        entry = manifest["layers"][layer]
        tensors = load_file(folder / entry["file"])
        for case in entry["cases"]:
            number, options, training = case["case"], case["options"], case["training"]
            given = {
                name: tensors[f"{number}/{name}"].to(dtype).requires_grad_("running" not in name)
                for name in case["inputs"]
            }
            x, dy = given.pop("x"), given.pop("dy")
            p = {name.removeprefix("p."): tensor for name, tensor in given.items()}
            y = function(x, p, options, training)
            y.backward(dy)
            found = {"y": y, "dx": x.grad, **{f"dp.{name}": a.grad for name, a in p.items()}}
            computed = [(name, found[name]) for name in case["outputs"]]
            if layer in ("conv_mlp", "pooling_block", "downsample", "stem") and not training:
                folds = STEM_FOLDS if layer == "stem" else FOLDS
                y = function(x, folded(p, folds, options["eps"]), options, False)
                computed.append(("y", y))
            for name, tensor in computed:
                assert tensor is not None
                right, bound = (tensors[f"{number}/{kind}{name}"] for kind in ("", "bound/"))
                yield Compared(layer, number, name, tensor.detach(), right, bound)


def main() -> int:
    """Print the largest error of each layer."""
    with tempfile.TemporaryDirectory() as work:
        folder = write_vectors(Path(work) / "out").place
        worst: dict[tuple[str, bool], float] = {}
        for c in answers(folder):
            ratio = float(((c.found.double() - c.expected).abs() / c.bound).max())
            key = c.layer, c.output == "y"
            worst[key] = max(worst.get(key, 0.0), ratio)
    print(f"{'largest error / bound':26}forward  gradients")
    for layer in LAYERS:
        print(f"{layer:26}{worst[layer, True]:7.3f}    {worst[layer, False]:7.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
