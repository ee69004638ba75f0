"""An examiner's ports that takes the list of causes literally: each cause, each way of handing in, each place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from case import Case, Made
from faults import (
    ALL_PADDED,
    BATCH,
    COLUMNS,
    DILATED,
    FIVE,
    KEPT,
    LATER,
    MAXIMUM,
    OVER_BOTH,
    OVER_TOKENS,
    READ_LAST,
    REFLECT,
    REPLICATE,
    RESHAPED,
    RMS,
    SAME,
    TANH,
    TWICE,
    attn,
    edit,
    eps,
    half,
    no_mlp_branch,
    no_residual,  # fmt: skip
    no_second_residual,
    photo,
    pixels,
    put,
    reshaped,
    rounded,
    run,
    table,
)
from nets import NETS, Fault, Fn, paths, span
from torch import Tensor
from ways import (
    by_hand,
    checkpoint,
    export,
    hf_model,
    jax,
    keras,
    mine,
    module,
    record,
    rust,
    timm_model,
)

Change = Any
CASES: list[Case] = []
FINE: list[Case] = []
HF_HIDES = ("*.attn", "*.ls?", "stem.act?", "pooled", "stages.?")
MINE_HIDES = ("*.attn", "pooled", "stages.?", "*.mlp")


def add(
    name: str, make: Callable[[Path], Made], first: Iterable[str], causes: Any, why: str
) -> None:
    causes = (causes,) if isinstance(causes, str) or causes is None else causes
    CASES.append(Case(name, make, tuple(sorted(first)), causes, why))


def folded(net: str) -> list[str]:
    """The convolutions whose batch norm an exporter folds into them."""
    all_ = paths(NETS[net])
    pairs = [
        ("conv1", "norm1"),
        ("conv2", "norm2"),
        ("downsample.conv", "downsample.norm"),
        ("fc1", "norm1"),
        ("fc2", "norm2"),
    ]
    return [p for p in all_ for a, b in pairs if p.endswith(a) and p.removesuffix(a) + b in all_]


def T(name: str, net: str, at: str, fault: Change, causes: Any, why: str, **k: Any) -> None:
    add(
        f"{name}, timm module",
        module(timm_model, net, fault_at(at, fault), **k),
        span(net, at, ("*.attn",)),
        causes,
        why,
    )


def H(name: str, net: str, at: str, fault: Any, causes: Any, why: str) -> None:
    add(
        f"{name}, transformers module",
        module(hf_model, net, fault_at(at, fault)),
        span(net, at, HF_HIDES),
        causes,
        why,
    )


def M(name: str, net: str, at: str, fault: Any, causes: Any, why: str) -> None:
    add(
        f"{name}, module with names of its own",
        module(mine, net, fault_at(at, fault)),
        span(net, at, MINE_HIDES),
        causes,
        why,
    )


def X(name: str, net: str, at: str, fault: Any, causes: Any, why: str, **k: Any) -> None:
    add(
        f"{name}, exported ONNX",
        export(net, fault_at(at, fault), **k),
        span(net, at, folded(net)),
        causes,
        why,
    )


def R(
    name: str,
    net: str,
    at: str,
    fault: Any,
    causes: Any,
    why: str,
    only: Any = None,
    hidden: Any = (),
    **k: Any,
) -> None:
    add(
        f"{name}, recording",
        record(net, fault_at(at, fault), only=only, hidden=hidden, **k),
        span(net, at, hidden, only),
        causes,
        why,
    )


def G(name: str, net: str, at: str, fault: Any, word: str, causes: Any, why: str) -> None:
    add(
        f"{name}, ONNX by hand",
        by_hand(net, fault_at(at, fault), word, at),
        span(net, at, folded(net)),
        causes,
        why,
    )


def C(
    name: str,
    net: str,
    at: str,
    keys: Iterable[str],
    f: Callable[[Tensor], Tensor],
    causes: Any,
    why: str,
    **k: Any,
) -> None:
    def change(state: dict[str, Tensor]) -> None:
        for key in keys:
            state[key].copy_(f(state[key].clone()))

    owner = (
        {at.removesuffix(".attn")} if at.endswith(".attn") else set()
    )  # the layer that holds the biases
    add(f"{name}, checkpoint", checkpoint(net, change, **k), {*span(net, at), *owner}, causes, why)


def fault_at(at: str, fault: Any) -> Fault:
    """A fault is a dictionary, or a change of the module whose array `at` is."""
    if isinstance(fault, dict):
        return fault
    for inner in (".attn", ".proj"):
        if at.endswith("token_mixer" + inner) and getattr(fault, "__qualname__", "").startswith(
            ("attn", "table")
        ):
            at = at.removesuffix(inner)
    return {{"logits": "average", "pooled": "reduce"}.get(at, at): fault}


A, B, D = (
    "stages.0.blocks.0.",
    "stages.1.blocks.0.",
    "stages.2.blocks.0.",
)  # the first block of each stage
small, even, oblong, single, wide, three = (  # the last attention block of each network
    "stages.3.blocks.2.", "stages.3.blocks.3.", "stages.3.blocks.2.", "stages.3.blocks.2.", "stages.3.blocks.4.", "stages.2.blocks.2.")  # fmt: skip
tiny, l1, fresh, freshest = (
    "stages.3.blocks.2.",
    "stages.3.blocks.4.",
    "stages.3.blocks.2.",
    "stages.3.blocks.2.",
)
ALL_BN = {
    "*stem.norm?": eps(1e-3),
    "stages*downsample.norm": eps(1e-3),
    "stages.[012]*.mlp.norm?": eps(1e-3),
}
BLOCKS = ("stem", "stages.?.downsample", "stages.?.blocks.?", "norm", "logits")

# ε
R("epsilon of Keras in all batch norms", "small", "stem.norm1", ALL_BN, "eps", "Keras' BatchNormalization adds 1e-3",
  rename=keras, last=True)  # fmt: skip
X(
    "epsilon 1e-2 in a downsampling",
    "three",
    "stages.1.downsample.norm",
    eps(1e-2),
    "eps",
    "took another network's setting",
)
T(
    "epsilon 1e-1 in the last layer norm",
    "fresh",
    "norm",
    eps(1e-1),
    "eps",
    "mixed up momentum and epsilon",
)
H(
    "epsilon 1e-3 in a layer norm",
    "even",
    even + "norm2",
    eps(1e-3),
    "eps",
    "Keras' LayerNormalization adds 1e-3",
)
# GELU and other activations
T(
    "GELU by tanh in one block",
    "tiny",
    "stages.2.blocks.1.mlp.act",
    TANH,
    "gelu_tanh",
    "used approximate GELU in a fused kernel",
)
R("GELU by tanh everywhere", "oblong", A + "mlp.act", {"stages.*.mlp.act": TANH}, "gelu_tanh", "JAX's default of jax.nn.gelu",
  rename=jax, last=True, order="shuffle")  # fmt: skip
G(
    "GELU by tanh in the attention block",
    "single",
    single + "mlp.act",
    TANH,
    "tanh",
    "gelu_tanh",
    "the compiler had no Erf",
)
H(
    "GELU by tanh, freshly initialized",
    "fresh",
    A + "mlp.act",
    TANH,
    "gelu_tanh",
    "gelu_new in one stage's configuration",
)
X(
    "quick GELU",
    "even",
    D + "mlp.act",
    put(lambda x: x * torch.sigmoid(1.702 * x)),
    "activation",
    "CLIP's activation",
    opset=14,
)
M(
    "stem without its second ReLU",
    "wide",
    "stem.act2",
    put(lambda x: x),
    "activation",
    "believed that a stem ends with its norm",
)
R(
    "leaky ReLU in the stem",
    "tiny",
    "stem.act1",
    put(F.leaky_relu),
    "activation",
    "a detector's habit",
    numbers=True,
)
T(
    "ReLU in an attention block's MLP",
    "l1",
    l1 + "mlp.act",
    put(F.relu),
    "activation",
    "copied from a ViT for phones",
)
# pooling
R("pooling counts its padding, only blocks", "even", A + "token_mixer", {"stages.*.token_mixer": lambda o, s: ALL_PADDED(o, s) if hasattr(o, "pool") else None},
  "pooling_counts_padding", "MLX's and Keras' default", only=BLOCKS, rename=rust, batch=False)  # fmt: skip
G(
    "pooling counts its padding",
    "small",
    "stages.1.blocks.1.token_mixer",
    ALL_PADDED,
    "pad",
    "pooling_counts_padding",
    "ONNX's count_include_pad is 1",
)
X(
    "pooling counts its padding in a 5 by 5 window",
    "wide",
    D + "token_mixer",
    ALL_PADDED,
    "pooling_counts_padding",
    "the default of AvgPool2d",
)
H(
    "pooling without subtraction",
    "small",
    B + "token_mixer",
    KEPT,
    "pooling_keeps_input",
    "PoolFormer's figure shows no subtraction",
)
R("pooling without subtraction in the last stage", "tiny", "stages.3.blocks.0.token_mixer", KEPT, "pooling_keeps_input",
  "folded the subtraction into the residual, and forgot it", last=True, batch=False, suffix="safetensors")  # fmt: skip
M(
    "largest instead of mean",
    "oblong",
    D + "token_mixer",
    MAXIMUM,
    "pooling_other",
    "MaxPool stood nearby",
)
X(
    "window of 5",
    "fresh",
    A + "token_mixer",
    FIVE,
    "pooling_other",
    "a configuration of another PoolFormer",
    opset=13,
)
# q, k, v
T(
    "qkv in three blocks",
    "tiny",
    tiny + "token_mixer.attn",
    attn(cut="blocks"),
    "qkv_blocks",
    "as in ViT",
)
R("qkv in three blocks", "wide", "stages.3.blocks.2.token_mixer.attn", attn(cut="blocks"), "qkv_blocks", "three Dense layers from one kernel",
  rename=keras, maps=True, last=True)  # fmt: skip
X(
    "qkv in three blocks",
    "three",
    three + "token_mixer.attn",
    attn(cut="blocks"),
    "qkv_blocks",
    "as in ViT",
    strip=True,
)
H(
    "v before q and k",
    "even",
    even + "token_mixer.attn",
    attn(cut="vqk"),
    "qkv_order",
    "sorted v first for a cache",
)
R(
    "k and q exchanged",
    "small",
    small + "token_mixer.attn",
    attn(cut="kqv"),
    "qkv_order",
    "wrote k, q, v = split",
    numbers=True,
)
M(
    "heads innermost when cut",
    "oblong",
    oblong + "token_mixer.attn",
    attn(cut="inner"),
    "head_order",
    "rearrange '(c h) -> h c'",
)
R("heads interleaved when merged", "even", "stages.3.blocks.2.token_mixer.proj", attn(merge="inner"), "head_order", "einops 'b n (d h)'",
  order="reverse")  # fmt: skip
X("heads merged without moving the axis", "l1", l1 + "token_mixer.proj", attn(merge="raw"), ("head_order", "token_order", "flatten_order"),
  "forgot the transpose before the reshape")  # fmt: skip
# attention bias
T(
    "bias scaled with the scores",
    "wide",
    wide + "token_mixer.attn",
    attn(scaled=True),
    "bias_scaled",
    "added the bias before scaling",
)
R("bias scaled with the scores", "tiny", "stages.3.blocks.3.token_mixer.attn", attn(scaled=True), "bias_scaled", "passed the bias to a fused kernel",
  rename=rust, maps=True)  # fmt: skip
H(
    "table read with x and y exchanged",
    "small",
    small + "token_mixer.attn",
    table(lambda y, x, r, c: x * r + y),
    "bias_transposed",
    "meshgrid's xy",
)
X(
    "table read with x and y exchanged",
    "single",
    single + "token_mixer.attn",
    table(lambda y, x, r, c: x * r + y),
    "bias_transposed",
    "meshgrid's xy",
    fold=False,
)
R("table numbered by another width", "tiny", tiny + "token_mixer.attn", table(lambda y, x, r, c: (y * 7 + x) % 16), "bias_other_grid", "kept the 7 of ImageNet's grid",
  hidden=("*.mlp.*",))  # fmt: skip
M(
    "table numbered backwards",
    "three",
    three + "token_mixer.attn",
    table(lambda y, x, r, c: r * c - 1 - y * c - x),
    "bias_other_grid",
    "measured from the far corner",
)
T(
    "no bias",
    "oblong",
    oblong + "token_mixer.attn",
    attn(bias=lambda b: 0 * b),
    "bias_missing",
    "scaled_dot_product_attention without attn_mask",
)
X(
    "no bias in the first attention",
    "even",
    "stages.3.blocks.2.token_mixer.attn",
    attn(bias=lambda b: 0 * b),
    "bias_missing",
    "lost at the export",
    dynamic=True,
)
# scale
R(
    "scores not scaled",
    "single",
    "stages.3.blocks.1.token_mixer.attn",
    attn(scale=1.0),
    "scores_not_scaled",
    "believed q was scaled before",
    suffix="safetensors",
)
H(
    "scores not scaled, freshly initialized",
    "fresh hf",
    "stages.3.blocks.2.token_mixer.attn",
    attn(scale=1.0),
    "scores_not_scaled",
    "scale=1.0 in the fused kernel",
)
T(
    "scaled by the width of all heads",
    "small",
    small + "token_mixer.attn",
    attn(scale=48**-0.5),
    "scores_scaled_by_dim",
    "dim ** -0.5",
)
M(
    "scaled by the width of a value",
    "even",
    "stages.3.blocks.2.token_mixer.attn",
    attn(scale=64**-0.5),
    "scores_scaled_by_dim",
    "scaled by v's width",
)
G(
    "softmax over queries",
    "oblong",
    oblong + "token_mixer.attn",
    attn(axis=-2),
    "axis",
    "softmax_axis",
    "counted the axes from the wrong end",
)
R(
    "softmax over heads",
    "tiny",
    tiny + "token_mixer.attn",
    attn(axis=1),
    "softmax_axis",
    "an axis lost by a squeeze",
    batch=False,
    rename=jax,
)
# norms
M(
    "batch norm forgotten",
    "small",
    "stages.1.blocks.1.mlp.norm2",
    put(lambda x: x),
    "norm_missing",
    "a folding tool dropped it",
)
X(
    "last layer norm forgotten",
    "tiny",
    "norm",
    put(lambda x: x),
    "norm_missing",
    "took forward_features for normed",
    opset=16,
)
R(
    "first layer norm forgotten",
    "oblong",
    oblong + "norm1",
    put(lambda x: x),
    "norm_missing",
    "PoolFormer's blocks have none here",
    maps=True,
)
G(
    "batch norm folded twice",
    "even",
    D + "mlp.norm1",
    TWICE,
    "twice",
    "norm_twice",
    "the converter ran twice",
)
G("stem folded twice", "wide", "stem.norm2", TWICE, "twice", "norm_twice", "folded, and kept")
T(
    "downsampling's norm run twice",
    "l1",
    "stages.2.downsample.norm",
    TWICE,
    "norm_twice",
    "folded and run",
)
H("layer norm over the tokens", "even", even + "norm1", OVER_TOKENS, "norm_axis", "axis=1")
R(
    "layer norm over tokens and channels",
    "three",
    "norm",
    OVER_BOTH,
    "norm_axis",
    "normalized_shape=x.shape[1:]",
    rename=rust,
)
T(
    "root mean square instead of layer norm",
    "single",
    "stages.3.blocks.1.norm2",
    RMS,
    ("norm_axis", None),
    "as language models have it",
)
R("statistics of the batch everywhere", "small", "stem.norm1", {"stem.norm?": BATCH, "stages.*.mlp.norm?": lambda o, s: BATCH(o, s) if hasattr(o, "running_var") else None},
  "batch_statistics", "training=True", last=True, B=3)  # fmt: skip
T(
    "statistics of the batch in a downsampling",
    "tiny",
    "stages.3.downsample.norm",
    BATCH,
    "batch_statistics",
    "track_running_stats=False",
)
# heads
X(
    "one head only",
    "oblong",
    "logits",
    lambda o, s: Fn(None, lambda _, a, b: a),
    "heads_not_averaged",
    "took the class head alone",
)
R(
    "sum of both heads",
    "tiny",
    "logits",
    lambda o, s: Fn(None, lambda _, a, b: a + b),
    "heads_not_averaged",
    "forgot to halve",
    only=("norm", "pooled", "head*", "logits"),
)
T(
    "distillation head only",
    "l1",
    "logits",
    lambda o, s: Fn(None, lambda _, a, b: b + 0),
    "heads_not_averaged",
    "as in DeiT's teacher",
)
R(
    "largest token",
    "even",
    "pooled",
    lambda o, s: Fn(None, lambda _, x: x.amax(1)),
    "mean_missing",
    "GlobalMaxPooling1D",
    rename=keras,
)
T(
    "first token",
    "small",
    "pooled",
    lambda o, s: Fn(None, lambda _, x: x[:, 0]),
    "mean_missing",
    "as if there were a class token",
)


# a handful of arrays
R(
    "GELU by tanh, five arrays",
    "three",
    B + "mlp.act",
    {"stages.[12].*.mlp.act": TANH},
    "gelu_tanh",
    "kept the ends of stages",
    only=("stages.?", "logits"),
)
R(
    "no bias of attention, ends of blocks",
    "tiny",
    tiny + "token_mixer.attn",
    attn(bias=lambda b: 0 * b),
    "bias_missing",
    "kept the ends of blocks",
    only=BLOCKS,
    last=True,
    rename=keras,
)
R(
    "batch norm forgotten, norms and activations missing",
    "oblong",
    D + "mlp.norm1",
    put(lambda x: x),
    "norm_missing",
    "hooks on convolutions only",
    only=("*conv?", "*conv", "*fc?", "*qkv", "*proj", "head*", "logits"),
)


# pictures
def photograph(
    name: str,
    file: str,
    causes: Any,
    why: str,
    given: Callable[[], Tensor],
    only: Any = None,
    pix: bool = True,
    **k: Any,
) -> None:
    first = ("pixel_values", "image", "input", "picture")
    if not pix:
        first += span("tiny", "stem.conv1", (), only)
    both = lambda: (pixels(file), given())
    add(
        f"{name}, photograph",
        record(
            "tiny",
            {},
            only=only,
            x=both,
            image=photo(file),
            pixels="pixel_values" if pix else None,
            **k,
        ),
        first,
        causes,
        why,
    )


photograph(
    "deviation one half",
    "cat.png",
    "mean_std",
    "Inception's mean and deviation",
    lambda: pixels("cat.png", mean=[0.5] * 3, std=[0.5] * 3),
    only=BLOCKS,
)
photograph(
    "CLIP's mean",
    "rocket.jpg",
    "mean_std",
    "CLIP's numbers",
    lambda: pixels("rocket.jpg", mean=(0.4815, 0.4578, 0.4082), std=(0.2686, 0.2613, 0.2758)),
    rename=keras,
    last=True,
)
photograph(
    "no normalization",
    "coffee.png",
    "mean_std",
    "only divided by 255",
    lambda: pixels("coffee.png", mean=(0, 0, 0), std=(1, 1, 1)),
    pix=False,
    numbers=True,
)
photograph("blue first", "rocket.jpg", "bgr", "cv2.imread", lambda: pixels("rocket.jpg", bgr=True))
photograph(
    "blue first, only blocks",
    "coffee.png",
    "bgr",
    "cv2.imread",
    lambda: pixels("coffee.png", bgr=True),
    only=BLOCKS,
    pix=False,
)
photograph(
    "bilinear",
    "coffee.png",
    "resize",
    "the doc page says bilinear",
    lambda: pixels("coffee.png", how=2),
    rename=rust,
)
photograph(
    "squashed", "cat.png", "resize", "resize((128, 128))", lambda: pixels("cat.png", (128, 128))
)
photograph(
    "nearest",
    "astronaut.png",
    "resize",
    "a library's default",
    lambda: pixels("astronaut.png", how=0),
    last=True,
    batch=False,
)
photograph(
    "crop from the corner",
    "rocket.jpg",
    "crop",
    "image[:128, :128]",
    lambda: pixels("rocket.jpg", crop="corner"),
)
photograph(
    "crop of a larger picture",
    "astronaut.png",
    ("crop", "resize"),
    "timm's crop_pct of 0.875",
    lambda: pixels("astronaut.png", 146),
    suffix="safetensors",
)
photograph(
    "values to 255",
    "cat.png",
    "rescale",
    "no division by 255",
    lambda: pixels("cat.png", scale=1.0),
)
photograph(
    "rescaled twice",
    "coffee.png",
    "rescale",
    "ToTensor, then do_rescale",
    lambda: pixels("coffee.png", scale=1 / 255**2),
    only=("stem", "logits"),
)
# layouts
R(
    "picture with channels last read as first",
    "even",
    "stem.conv1",
    READ_LAST,
    "channels_last",
    "np.reshape instead of transpose",
)
T(
    "channels last read as first in a downsampling",
    "oblong",
    "stages.2.downsample.conv",
    READ_LAST,
    "channels_last",
    "a layout pass missed one layer",
)
X(
    "reshaped into tokens",
    "small",
    "stages.3.blocks.1",
    RESHAPED,
    "flatten_order",
    "reshape(B, N, C)",
)
R(
    "reshaped into tokens",
    "tiny",
    "stages.3.blocks.1",
    RESHAPED,
    "flatten_order",
    "reshape(B, N, C)",
    hidden=("*.attn", "*.ls?"),
    rename=jax,
)
T(
    "tokens in the order of columns",
    "wide",
    "stages.3.blocks.1",
    COLUMNS,
    "token_order",
    "width before height",
)
R(
    "tokens in the order of columns",
    "oblong",
    "stages.3.blocks.1",
    COLUMNS,
    "token_order",
    "Fortran's order",
    numbers=True,
    order="reverse",
)
# half precision, starts, parameters
R(
    "bfloat16 in one linear layer",
    "even",
    even + "mlp.fc1",
    half(torch.bfloat16),
    "half_precision",
    "autocast around one layer",
)
M(
    "float16 in a downsampling",
    "small",
    "stages.2.downsample.conv",
    half(torch.float16),
    "half_precision",
    "a GPU kernel in half",
)
T(
    "query, key and value stored in bfloat16",
    "l1",
    l1 + "token_mixer.qkv",
    rounded(torch.bfloat16),
    "half_precision",
    "stored in half between kernels",
)
R(
    "everything after the stem stored in float16",
    "tiny",
    A + "mlp.fc1",
    {"stages.*.mlp.fc?": rounded(torch.float16)},
    "half_precision",
    "ncnn's default storage",
    last=True,
)
C(
    "statistics not loaded",
    "small",
    "stages.1.downsample.norm",
    ["stages.1.downsample.norm.running_mean"],
    torch.zeros_like,
    "random_start",
    "state_dict without buffers",
)
C("biases of attention not loaded", "even", even + "token_mixer.attn", [even + "token_mixer.attention_biases"], torch.zeros_like, ("random_start", "bias_missing"), "the key had another name",
  naming="hf")  # fmt: skip
T(
    "layer scale not loaded",
    "oblong",
    D + "ls2",
    edit("gamma", lambda v: 0 * v + 1e-5),
    "random_start",
    "gamma and layer_scale_2 did not match",
)
X(
    "distillation head not loaded",
    "tiny",
    "head_dist",
    edit(
        "weight", lambda v: 0.02 * torch.randn(v.shape, generator=torch.Generator().manual_seed(1))
    ),
    "random_start",
    "dist_head and head_dist did not match",
)
C("one tensor of another training", "wide", D + "mlp.fc2", [D + "mlp.fc2.weight"], lambda v: v + 0.02 * v.abs().mean() * torch.randn(v.shape, generator=torch.Generator().manual_seed(2)), "parameter",
  "mixed two epochs", lone=False, naming="original")  # fmt: skip
R(
    "weights in eight bits",
    "three",
    "stages.1.blocks.0.mlp.fc1",
    edit("weight", lambda v: (v / v.abs().max() * 127).round() / 127 * v.abs().max()),
    ("parameter", None),
    "quantized one layer",
)
C(
    "pruned head",
    "tiny",
    "head",
    ["head.weight"],
    lambda v: v * (v.abs() > v.abs().mean() / 2),
    "parameter",
    "pruned small weights",
    naming="original",
)
# residuals, layer scale
R(
    "layer scale left out",
    "small",
    small + "ls1",
    put(lambda x: x),
    "layer_scale_missing",
    "a simplified block",
)
T(
    "layer scale left out, freshly initialized",
    "fresh l1",
    B + "ls2",
    put(lambda x: x),
    "layer_scale_missing",
    "use_layer_scale false",
)
M(
    "layer scale left out",
    "even",
    A + "ls1",
    put(lambda x: x),
    "layer_scale_missing",
    "a simplified block",
)
X(
    "layer scale left out, only in the MLP",
    "single",
    D + "ls2",
    put(lambda x: x),
    "layer_scale_missing",
    "dropped as a no-op",
)
T(
    "no residual around the pooling",
    "tiny",
    "stages.1.blocks.1.mlp.fc1",
    {"stages.1.blocks.1": run(no_residual)},
    "residual_missing",
    "thought that pool(x) − x holds it",
)
R(
    "no residual around the last MLP",
    "oblong",
    oblong.rstrip("."),
    run(no_second_residual),
    "residual_missing",
    "lost by a fusion",
)
X(
    "branch of the MLP left out",
    "small",
    B.rstrip("."),
    run(no_mlp_branch),
    "residual_missing",
    "dead code by a wrong name",
)
# convolutions
R(
    "TensorFlow's SAME padding in the stem",
    "small",
    "stem.conv1",
    SAME,
    "padding",
    "padding='same' with stride 2",
    rename=keras,
    last=True,
)
T(
    "SAME padding in a downsampling",
    "l1",
    "stages.1.downsample.conv",
    SAME,
    "padding",
    "padding='same' with stride 2",
)
M("reflected border", "wide", "stem.conv2", REFLECT, "padding", "copied from a GAN")
R(
    "border repeated",
    "three",
    "stages.2.downsample.conv",
    REPLICATE,
    "padding",
    "edge padding",
    numbers=True,
)
X("dilation of 2", "even", "stages.2.downsample.conv", DILATED, "stride", "a segmentation recipe")
R(
    "stride starts at the second pixel",
    "oblong",
    "stages.1.downsample.conv",
    LATER,
    ("stride", "padding"),
    "strided by slicing from 1",
)
R(
    "true convolution",
    "tiny",
    "stem.conv2",
    edit("weight", lambda w: w.flip(2, 3)),
    "weight_transposed",
    "scipy.signal.convolve2d",
    hidden=("*.ls?",),
    order="shuffle",
)
C(
    "kernel with height and width exchanged",
    "oblong",
    "stages.3.downsample.conv",
    ["stages.3.downsample.conv.weight"],
    lambda w: w.mT,
    "weight_transposed",
    "HWIO read as WHIO",
)
T(
    "matrix reshaped instead of transposed",
    "even",
    even + "mlp.fc2",
    edit("weight", reshaped),
    "weight_transposed",
    "Keras' kernel read by reshape",
)
X(
    "query, key and value reshaped",
    "wide",
    wide + "token_mixer.qkv",
    edit("weight", reshaped),
    "weight_transposed",
    "order of Fortran",
)
R(
    "projection without bias",
    "small",
    small + "token_mixer.proj",
    edit("bias", torch.zeros_like),
    "bias_zero",
    "use_bias=False",
    rename=jax,
)
H(
    "query, key and value without bias",
    "even",
    "stages.3.blocks.2.token_mixer.qkv",
    edit("bias", torch.zeros_like),
    "bias_zero",
    "qkv_bias=False",
)
M(
    "convolution without bias",
    "small",
    "stem.conv1",
    edit("bias", torch.zeros_like),
    "bias_zero",
    "bias=False before a batch norm",
)


# right ports
def right(name: str, make: Callable[[Path], Made], why: str) -> None:
    add(f"right: {name}", make, (), None, why)


def einsum(o: Any, s: Any) -> Any:
    """Attention by einsum, head by head, with the scale in q."""
    H, K = s.heads, s.key

    def forward(m: Any, x: Tensor) -> Tensor:
        t = m.qkv(x).unflatten(-1, (H, -1))
        q, k, v = t[..., :K] * K**-0.5, t[..., K : 2 * K], t[..., 2 * K :]
        p = torch.einsum("bqhk,bnhk->bhqn", q, k) + m.attention_biases[:, m.attention_bias_idxs]
        p = (p - p.logsumexp(-1, keepdim=True)).exp()
        return m.proj(torch.einsum("bhqn,bnhv->bqhv", p, v).flatten(2))

    return run(forward)(o, s)


def by_columns(m: Any, x: Tensor) -> Tensor:
    """A convolution as a matrix product of unfolded windows."""
    cols = F.unfold(x, m.kernel_size, padding=m.padding, stride=m.stride)
    y = m.weight.flatten(1) @ cols + m.bias[:, None]
    return y.unflatten(
        2, [(n + 2 * m.padding[0] - m.kernel_size[0]) // m.stride[0] + 1 for n in x.shape[2:]]
    )


def fused(o: Any, s: Any) -> Any:
    def forward(m: Any, x: Tensor) -> Tensor:
        q, k, v = (
            m.qkv(x)
            .unflatten(-1, (s.heads, -1))
            .transpose(1, 2)
            .split([s.key, s.key, int(s.ratio * s.key)], -1)
        )
        bias = m.attention_biases[:, m.attention_bias_idxs][None]
        return m.proj(
            F.scaled_dot_product_attention(q, k, v, bias.expand(len(x), -1, -1, -1))
            .transpose(1, 2)
            .flatten(2)
        )

    return run(forward)(o, s)


ATT = {"stages.?.blocks.?.token_mixer": lambda o, s: einsum(o, s) if hasattr(o, "qkv") else None}
SDPA = {"stages.?.blocks.?.token_mixer": lambda o, s: fused(o, s) if hasattr(o, "qkv") else None}
COLS = {
    "stem.conv?": run(by_columns),
    "stages.?.downsample.conv": run(by_columns),
    "stages.?.blocks.?.mlp.fc?": lambda o, s: (
        run(by_columns)(o, s) if hasattr(o, "kernel_size") else None
    ),
}
right("timm as it is, L1", module(timm_model, "l1", {}), "nothing")
right("timm as it is, freshly initialized L1", module(timm_model, "fresh l1", {}), "nothing")
right("attention by einsum", module(timm_model, "even", ATT), "wrote the attention anew")
right(
    "fused attention",
    module(timm_model, "tiny", SDPA),
    "used PyTorch's kernel with the bias as mask",
)
right("convolutions by matrix products", module(timm_model, "oblong", COLS), "im2col")
right("transformers as it is", module(hf_model, "even", {}), "nothing")
right("transformers freshly initialized", module(hf_model, "fresh hf", {}), "nothing")
right(
    "transformers with three attention blocks",
    module(hf_model, "wide", {}, naming="original"),
    "nothing",
)
right("module with names of its own", module(mine, "oblong", ATT), "wrote it anew")
right("module with names of its own and one head", module(mine, "single", {}), "wrote it anew")
right("recording with timm's names", record("three", {}), "hooks")
right(
    "numbered, channels last, shuffled",
    record("tiny", {}, numbers=True, last=True, order="shuffle"),
    "a dump without names",
)
right(
    "folded norms, Keras' names",
    record(
        "small",
        ATT,
        rename=keras,
        last=True,
        hidden=("stem.conv?", "*.downsample.conv", "*.mlp.norm?"),
    ),
    "folded",
)
right(
    "float64 in safetensors",
    record("oblong", {}, dtype="f8", suffix="safetensors"),
    "stored in double",
)
right(
    "only block outputs, tokens as maps",
    record("wide", COLS, only=BLOCKS, maps=True, rename=rust, naming="original"),
    "looked at blocks only",
)
right("logits only", record("tiny", SDPA, only=("logits",), pixels="x"), "kept the answer only")
right(
    "unrelated arrays and a duplicate",
    record("even", {}, extra=True, rename=jax),
    "dumped everything",
)
right(
    "no batch axis, reverse order", record("single", {}, batch=False, order="reverse"), "squeezed"
)
right("batch of five", record("small", {}, B=5, pixels="input_1"), "a larger batch")
right(
    "photograph",
    record(
        "tiny",
        {},
        x=lambda: (pixels("rocket.jpg"), pixels("rocket.jpg")),
        image=photo("rocket.jpg"),
    ),
    "Pillow by hand",
)
right(
    "photograph, no picture recorded",
    record(
        "tiny",
        ATT,
        x=lambda: (pixels("coffee.png"), pixels("coffee.png")),
        image=photo("coffee.png"),
        pixels=None,
        only=BLOCKS,
    ),
    "said which photograph",
)
right("exported L1", export("l1", {}), "exported")
right(
    "exported, stripped, dynamic",
    export("even", {}, kind=mine, opset=18, strip=True, dynamic=True),
    "a model zoo's file",
)
right(
    "exported with norms kept",
    export("single", {}, opset=13, fold=False, train=True),
    "exported without folding",
)
right("optimized a little", export("oblong", {}, level="BASIC"), "ONNX Runtime wrote it")
right(
    "optimized much",
    export("small", {}, kind=hf_model, level="EXTENDED", opset=14),
    "ONNX Runtime wrote it",
)
right(
    "optimized wholly",
    export("tiny", {}, level="ALL"),
    "ONNX Runtime wrote it, with its own layout",
)
right("graph by hand", by_hand("wide", {}), "a compiler's author")
right(
    "checkpoint in the original's names",
    checkpoint("three", lambda state: None, naming="original"),
    "converted",
)
right(
    "checkpoint in timm's names", checkpoint("tiny", lambda state: None, naming="timm"), "converted"
)


# fine faults
def fine(net: str, path: str, name: str, one: bool = False) -> None:
    def f(v: Tensor) -> Tensor:
        if not one:
            return v * (1 + 1e-5)
        flat = v.flatten()
        flat[flat.abs().argmax()] *= 1 + 1e-5
        return flat.reshape(v.shape)

    at = path + ".attn" if name == "attention_biases" else path
    FINE.append(Case(f"{net}: {'one number' if one else 'all'} of {path}.{name} times 1.00001", record(net, {path: edit(name, f)}), span(net, at),
                     ("parameter", None), "a parameter went through a narrower format or another parser"))  # fmt: skip


for net, path, name in [
    ("small", "stem.conv1", "weight"), ("tiny", "stem.norm1", "weight"), ("oblong", A + "mlp.fc1", "weight"), ("even", B + "mlp.norm1", "running_var"),
    ("three", A + "ls1", "gamma"), ("wide", "stages.2.downsample.conv", "weight"), ("single", "stages.1.downsample.norm", "bias"),
    ("tiny", tiny + "token_mixer.qkv", "weight"), ("even", even + "token_mixer", "attention_biases"), ("small", small + "token_mixer.proj", "weight"),
    ("l1", l1 + "mlp.fc2", "weight"), ("oblong", "head", "weight"),
]:  # fmt: skip
    fine(net, path, name)
for net, path, name in [("tiny", "stem.conv2", "weight"), ("small", D + "mlp.fc2", "weight"), ("three", B + "mlp.norm2", "running_var"),
                        ("wide", wide + "token_mixer.qkv", "bias"), ("even", even + "norm2", "weight"), ("single", "norm", "weight")]:  # fmt: skip
    fine(net, path, name, one=True)
