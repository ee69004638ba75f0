"""Wrong ports of the fresh set in NumPy: stem, norms, activations, pooling, blocks on images."""

from __future__ import annotations

import numpy as np

from .fresh import wrong
from .plain import gelu, gelu_tanh, plain, windows
from .recordings import (
    BLOCKS,
    as_core_ml,
    as_flax,
    as_graph,
    as_ncnn,
    as_rust,
    crowded,
    every,
    first,
    fold,
    last,
    shuffled,
    stored,
    without,
)
from .twists import (
    after,
    bordered,
    channels_outside,
    dilated,
    dropped,
    exchanged,
    given,
    held,
    in_half,
    instead,
    of_batch,
    reread,
    reshaped,
    rounded,
    tensor,
    to_bfloat16,
    to_half,
    uniform,
)

FIRST = "stages.0.blocks.0"

# Convolutions

wrong("Keras: strided convolution of the stem pads as `same`", "hill", "stem.conv2", "padding",
      plain({"stem.conv2": given(pads=(0, 1, 0, 1))}, as_graph))  # fmt: skip
wrong("C++: mirrors at the border", "lake", "stem.conv1", "padding",
      plain({"*conv*": bordered("reflect")}, as_ncnn, BLOCKS))  # fmt: skip
wrong("Flax: dilation in the place of stride of windows", "lake", "stages.1.downsample.conv",
      "stride",
      plain({"stages.1.downsample.conv": dilated}, as_flax))  # fmt: skip
wrong("Rust: kernels of (O, I, kh, kw) read as (kh, kw, I, O)", "small", "stem.conv2",
      "weight_transposed",
      plain({"stem.conv2": held(1, reshaped)}, as_rust))  # fmt: skip
wrong("C++: patches of (kh, kw, I) with kernels of (I, kh, kw)", "lake",
      "stages.2.downsample.conv", "weight_transposed",
      plain({"stages.2.downsample.conv": held(1, channels_outside)}, as_ncnn))  # fmt: skip
wrong("Rust: expansion read as its transpose, in one block", "hill", f"{FIRST}.mlp.fc1",
      "weight_transposed",
      plain({f"{FIRST}.mlp.fc1": held(1, reread)}, shuffled))  # fmt: skip
wrong("Keras: convolutions of one pixel without bias, one block", "lake",
      "stages.1.blocks.1.mlp.fc1", "bias_zero",
      plain({"stages.1.blocks.1.mlp.fc?": held(2, np.zeros_like)}, as_graph))  # fmt: skip
wrong("C++: no bias where the norm is folded into the downsampling", "small",
      "stages.2.downsample.norm", "bias_zero",
      plain({"stages.2.downsample.conv": held(2, np.zeros_like)}, as_ncnn, fold),
      also=("stages.2.downsample.conv",))  # fmt: skip
wrong("C++: kernel never loaded in the last downsampling", "hill", "stages.1.downsample.conv",
      "random_start",
      plain(None, as_rust, tensors=tensor("stages.1.downsample.conv.weight",
                                          uniform(90**-0.5))))  # fmt: skip

# Batch norms

wrong("Keras: its epsilon in the MLPs alone", "lake", f"{FIRST}.mlp.norm1", "eps",
      plain({"*.mlp.norm?": given(eps=1e-3)}, as_graph))  # fmt: skip
wrong("C++: a large epsilon in one folded downsampling", "hill", "stages.1.downsample.norm", "eps",
      plain({"stages.1.downsample.norm": given(eps=1e-2)}, as_ncnn, fold))  # fmt: skip
wrong("C++: a folded norm that was lost", "lake", "stages.1.blocks.0.mlp.norm2", "norm_missing",
      plain({"stages.1.blocks.0.mlp.norm2": instead(lambda x: x)}, last, fold))  # fmt: skip
wrong("Rust: norms of the downsamplings folded and run", "lake", "stages.1.downsample.norm",
      "norm_twice",
      plain({"*.downsample.norm": lambda step, x, *held, **own: step(step(x, *held, **own), *held,
                                                                     **own)},
            as_rust, BLOCKS))  # fmt: skip
wrong("Flax: statistics of the batch in one norm", "hill", "stages.1.blocks.0.mlp.norm1",
      "batch_statistics",
      plain({"stages.1.blocks.0.mlp.norm1": of_batch}, as_flax, batch=3))  # fmt: skip
wrong("Keras: moving mean never loaded", "small", "stages.1.blocks.0.mlp.norm1",
      ("random_start", "parameter"),
      plain(None, as_graph, tensors=tensor("stages.1.blocks.0.mlp.norm1.running_mean",
                                           np.zeros_like)))  # fmt: skip
wrong("C++: gamma and beta exchanged", "lake", "stem.norm2", "parameter",
      plain({"stem.norm2": lambda step, x, weight, bias, *rest, **own: step(
          x, bias, weight, *rest, **own)}, as_ncnn))  # fmt: skip

# Activations

wrong("Flax: GELU by tanh is its default", "lake", f"{FIRST}.mlp.act", "gelu_tanh",
      plain({"*.mlp.act": instead(gelu_tanh)}, as_flax))  # fmt: skip
wrong("ncnn: GELU by tanh, every third blob", "hill", f"{FIRST}.mlp.act", "gelu_tanh",
      plain({"*.mlp.act": instead(gelu_tanh)}, as_ncnn, every(3)))  # fmt: skip
wrong("ggml: GELU from a table of half numbers", "small", f"{FIRST}.mlp.act", "half_precision",
      plain({"*.mlp.act": lambda step, x: to_half(step(to_half(x)))}, as_rust))  # fmt: skip
wrong("tiny ML: hard swish in one stage", "lake", "stages.1.blocks.0.mlp.act", "activation",
      plain({"stages.1.*.mlp.act": instead(lambda x: x * np.clip(x / 6 + 0.5, 0, 1))},
            as_core_ml))  # fmt: skip
wrong("mobile: ReLU with a ceiling in the stem", "hill", "stem.act1", "activation",
      plain({"stem.act?": instead(lambda x: np.clip(x, 0, 1))}, as_ncnn))  # fmt: skip
wrong("Rust: GELU without its half", "small", "stages.1.blocks.0.mlp.act", ("activation", None),
      plain({"stages.1.blocks.0.mlp.act": instead(lambda x: 2 * gelu(x))}, as_rust))  # fmt: skip
wrong("Keras: activation after the second norm too", "hill", "stages.1.blocks.0.mlp.norm2",
      ("activation", None),
      plain({"stages.1.blocks.0.mlp.norm2": after(gelu)}, as_graph))  # fmt: skip

# Pooling and blocks

wrong("Flax: average pooling counts padding by default", "hill", f"{FIRST}.token_mixer",
      "pooling_counts_padding",
      plain({"*.token_mixer.pool": given(counts=True)}, as_flax, every(3, 1)))  # fmt: skip
wrong("ncnn: padding counted in the last pooling", "tiny", "stages.3.blocks.0.token_mixer",
      "pooling_counts_padding",
      plain({"stages.3.blocks.0.token_mixer.pool": given(counts=True)}, as_ncnn,
            BLOCKS))  # fmt: skip
wrong("Core ML: the second pooling keeps its input", "lake", "stages.1.blocks.1.token_mixer",
      "pooling_keeps_input",
      plain({"stages.1.blocks.1.token_mixer": lambda step, y, x: y}, as_core_ml,
            BLOCKS))  # fmt: skip
wrong("Rust: pixel minus average", "hill", f"{FIRST}.token_mixer", None,
      plain({"*.token_mixer": lambda step, y, x, *rest, **own: x - y}, as_rust))  # fmt: skip
wrong("Keras: windows of two pixels", "lake", f"{FIRST}.token_mixer", "pooling_other",
      plain({"*.token_mixer.pool": given(size=2)}, as_graph, without("*.pool")))  # fmt: skip
wrong("C++: median of the window", "small", f"{FIRST}.token_mixer", "pooling_other",
      plain({"*.token_mixer.pool": lambda step, x, size: np.median(windows(x, size), axis=0)},
            as_ncnn))  # fmt: skip
wrong("Rust: a layer scale applied twice", "lake", "stages.1.blocks.0.ls2", None,
      plain({"stages.1.blocks.0.ls2": lambda step, x, gamma: x * gamma * gamma}, as_rust,
            batch=2))  # fmt: skip
wrong("Flax: no layer scale of MLPs on images", "hill", f"{FIRST}.ls2", "layer_scale_missing",
      plain({"stages.?.blocks.0.ls2": instead(lambda x: x)}, as_flax, BLOCKS))  # fmt: skip
wrong("Keras: branches weighted by 0.9, a survival probability", "small", "stages.0.blocks.0",
      None,
      plain({"stages.?.blocks.[023]": lambda step, x, y: x + np.float32(0.9) * y},
            as_graph))  # fmt: skip
wrong("C++: an MLP is added to the wrong buffer", "lake", "stages.1.blocks.1", "residual_missing",
      plain({"stages.1.blocks.1": lambda step, x, y: y}, as_ncnn))  # fmt: skip
wrong("C++: sums clamped to a byte's scale", "hill", "stages.1.blocks.0", None,
      plain({"stages.1.blocks.0": after(lambda x: np.clip(x, -2, 2))}, as_ncnn, fold))  # fmt: skip
wrong("Keras: dropout left on in an MLP", "lake", "stages.1.blocks.0.mlp.fc2", None,
      plain({"stages.1.blocks.0.mlp.fc2": dropped(0.1)}, as_graph))  # fmt: skip
wrong("converter: weights of two blocks exchanged", "lake", "stages.1.blocks.0.mlp.fc1",
      ("parameter", None),
      plain(None, as_flax, tensors=exchanged("stages.1.blocks.0.mlp.",
                                             "stages.1.blocks.1.mlp.")))  # fmt: skip

# Half precision

wrong("ncnn: the stem accumulates in half", "small", "stem.conv1", "half_precision",
      plain({"stem.conv?": in_half}, as_ncnn))  # fmt: skip
wrong("ncnn: weights stored in half from the second stage on", "hill", "stages.1.downsample.conv",
      "half_precision",
      plain({"stages.1.*conv": held(1, to_half), "stages.1.*.fc?": held(1, to_half)},
            as_ncnn))  # fmt: skip
wrong("JAX: convolutions take bfloat16, as on a TPU", "lake", "stem.conv1", "half_precision",
      plain({"*conv*": rounded(to_bfloat16, results=False)}, as_flax))  # fmt: skip

# Two faults

wrong("two: GELU by tanh, and biases not added", "lake", f"{FIRST}.mlp.act", "gelu_tanh",
      plain({"*.mlp.act": instead(gelu_tanh), "*.biased": lambda step, x, *_, **own: x},
            crowded))  # fmt: skip
wrong("two: padding counted, and another epsilon at the end", "hill", f"{FIRST}.token_mixer",
      "pooling_counts_padding",
      plain({"*.token_mixer.pool": given(counts=True), "norm": given(eps=1e-2)},
            stored("float16", first)))  # fmt: skip
wrong("two: a missing norm and then a missing scale", "small", "stages.1.downsample.norm",
      "norm_missing",
      plain({"stages.1.downsample.norm": instead(lambda x: x),
             "stages.1.blocks.0.ls1": instead(lambda x: x)}, as_core_ml))  # fmt: skip
