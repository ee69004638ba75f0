"""Wrong ports made of timm and transformers: modules patched, set wrongly, or loaded wrongly."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .answers import wrong
from .libraries import (
    at,
    attend,
    each,
    forwards,
    halved,
    hooked,
    identity,
    module,
    replaced,
    scaled_bias,
    seeded,
    weights,
)
from .recordings import BLOCKS, as_keras, last, numbered, shuffled, without

MIXER = "stages.2.blocks.2.token_mixer"  # of "small"
DEEP = "stages.3.blocks.2.token_mixer"  # of "deep"

# timm, run by `compare`

wrong("timm: GELU by tanh", "small", "stages.0.blocks.0.mlp.act", "gelu_tanh",
      module(replaced("mlp.act", lambda _: nn.GELU("tanh"))))  # fmt: skip
wrong("timm: padding counts in averages", "small", "stages.0.blocks.0.token_mixer",
      "pooling_counts_padding",
      module(at("token_mixer.pool", count_include_pad=True)))  # fmt: skip
wrong("timm: its own epsilon for weights of transformers", "deep", "stages.3.blocks.2.norm1",
      "eps",
      module(each(at("blocks.2.norm1", eps=1e-5), at("blocks.2.norm2", eps=1e-5),
                  at("norm", eps=1e-5))))  # fmt: skip
wrong("timm: scores not scaled", "oblong", "stages.1.blocks.2.token_mixer.attn",
      "scores_not_scaled",
      module(at("blocks.2.token_mixer", scale=1.0)))  # fmt: skip
wrong("timm: q, k and v in three blocks", "small", f"{MIXER}.attn", "qkv_blocks",
      module(forwards("blocks.2.token_mixer", lambda self, x: three_blocks(self, x))))  # fmt: skip
wrong("timm: pooling does not subtract", "small", "stages.0.blocks.0.token_mixer",
      "pooling_keeps_input",
      module(forwards("blocks.0.token_mixer", lambda self, x: self.pool(x))))  # fmt: skip
wrong("timm: batch norms without running statistics", "square", "stem.norm1", "batch_statistics",
      module(lambda model: forget_statistics(model)))  # fmt: skip
wrong("timm: colors exchanged", "tiny", "stem.conv1", "bgr",
      module(forwards("stem.conv1", lambda self, x: self._conv_forward(
          x.flip(1), self.weight, self.bias))), also=("pixel_values",))  # fmt: skip
wrong("timm: a new head", "small", "head", ("random_start", "parameter"),
      module(weights("head.weight", lambda w: seeded(w.shape))))  # fmt: skip
wrong("timm: distilled head alone", "square", "logits", "heads_not_averaged",
      module(lambda model: only_distilled(model)), also=("head", "head_dist"))  # fmt: skip
wrong("timm: layer scales as they are initialized", "tiny", "stages.2.blocks.0.ls1",
      ("random_start", "parameter"),
      module(weights("2.blocks.0.ls1.gamma", lambda w: torch.full_like(w, 1e-5))))  # fmt: skip

# timm, recorded by hooks

wrong("timm: softmax over queries", "small", f"{MIXER}.attn", "softmax_axis",
      hooked(forwards("blocks.2.token_mixer", lambda s, x: attend(s, x, axis=-2)),
             dress=numbered))  # fmt: skip
wrong("timm: biases scaled with the scores", "small", f"{MIXER}.attn", "bias_scaled",
      hooked(forwards("blocks.2.token_mixer", scaled_bias),
          keep=without("*.attn")))  # fmt: skip
wrong("timm: heads not moved behind tokens", "tiny", f"{DEEP}.proj",
      ("head_order", "flatten_order", "token_order"),
      hooked(forwards("3.blocks.2.token_mixer", lambda s, x: attend(
          s, x, merge=lambda y: y.reshape(y.shape[0], y.shape[2], -1))),
          dress=last))  # fmt: skip
wrong("timm: layer scale replaced by nothing", "small", "stages.1.blocks.0.ls2",
      "layer_scale_missing",
      hooked(replaced("stages.1.blocks.0.ls2", identity), dress=shuffled))  # fmt: skip
wrong("timm: half precision in the MLPs of the last stage", "tiny", "stages.3.blocks.0.mlp.fc1",
      "half_precision",
      hooked(each(*(halved(f"stages.3.blocks.{b}.mlp.{layer}")
                    for b in (0, 2, 3) for layer in ("fc1", "fc2")))))  # fmt: skip
wrong("timm: bfloat16 in linear layers", "small", f"{MIXER}.qkv", "half_precision",
      hooked(each(halved(".qkv", "bfloat16"), halved(".proj", "bfloat16")), dress=as_keras,
             keep=without("*.ls?")))  # fmt: skip
wrong("timm: half precision in one convolution", "small", "stem.conv2", "half_precision",
      hooked(halved("stem.conv2"), kind="safetensors"))  # fmt: skip
wrong("timm: half precision in the final norm", "square", "norm", "half_precision",
      hooked(lambda model: halved_norm(model), dress=last))  # fmt: skip
wrong("timm: automatic mixed precision", "small", "stem.conv1", "half_precision",
      module(lambda model: autocast(model)))  # fmt: skip
wrong("timm: biases by columns, then rows", "small", f"{MIXER}.attn", "bias_transposed",
      hooked(weights("attention_biases", lambda b: b.unflatten(1, (4, 4)).mT.flatten(1)),
             keep=BLOCKS))  # fmt: skip

# transformers

wrong("transformers: gelu_new", "deep", "stages.0.blocks.0.mlp.act", "gelu_tanh",
      module(library="transformers", hidden_act="gelu_new"))  # fmt: skip
wrong("transformers: quick_gelu, recorded", "deep", "stages.0.blocks.0.mlp.act", "activation",
      hooked(library="transformers", hidden_act="quick_gelu"))  # fmt: skip
wrong("transformers: another epsilon of layer norms", "alone", "stages.1.blocks.2.norm1", "eps",
      module(library="transformers", layer_norm_eps=1e-3))  # fmt: skip
wrong("transformers: another epsilon of batch norms", "deep", "stem.norm1", "eps",
      hooked(library="transformers", batch_norm_eps=1e-3, dress=numbered))  # fmt: skip
wrong("transformers: weights loaded after the biases were gathered", "deep", f"{DEEP}.attn",
      "bias_missing",
      hooked(lambda model: stale(model), library="transformers"))  # fmt: skip
wrong("transformers: no layer scales", "deep", "stages.0.blocks.0.ls1", "layer_scale_missing",
      hooked(lambda model: unscaled(model), library="transformers", dress=last))  # fmt: skip
wrong("transformers: a larger pool", "alone", "stages.0.blocks.0.token_mixer",
      (None, "pooling_other"),
      module(library="transformers", pool_size=5))  # fmt: skip
wrong("transformers: no norm before the attention", "deep", "stages.3.blocks.2.norm1",
      "norm_missing",
      module(replaced("blocks.0.layernorm1", identity), library="transformers"))  # fmt: skip
wrong("transformers: a downsampling left at its start", "deep", "stages.2.downsample.conv",
      "random_start",
      hooked(weights("intermediate_stages.3.projection.weight", lambda w: seeded(w.shape)),
             library="transformers"))  # fmt: skip
wrong("transformers: statistics of a batch norm lost", "deep", "stages.1.downsample.norm",
      ("random_start", "parameter"),
      module(each(weights("intermediate_stages.1.norm.running_mean", torch.zeros_like),
                  weights("intermediate_stages.1.norm.running_var", torch.ones_like)),
             library="transformers"))  # fmt: skip
wrong("transformers: half precision in the attention", "deep", f"{DEEP}.qkv", "half_precision",
      hooked(each(halved("token_mixer.qkv"), halved("token_mixer.projection")),
             library="transformers", dress=shuffled))  # fmt: skip
wrong("transformers: weights rounded to half precision", "alone", "stem.conv1", "half_precision",
      module(lambda model: rounded(model), library="transformers"))  # fmt: skip


def three_blocks(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Timm's attention with all q, then all k, then all v."""
    B, N, _ = x.shape
    parts = self.qkv(x).split([self.key_attn_dim, self.key_attn_dim, self.val_attn_dim], -1)
    q, k, v = (part.reshape(B, N, self.num_heads, -1).transpose(1, 2) for part in parts)
    bias = self.attention_biases[:, self.attention_bias_idxs]
    attn = (q @ k.transpose(-2, -1) * self.scale + bias).softmax(dim=-1)
    return self.proj((attn @ v).transpose(1, 2).reshape(B, N, -1))


def forget_statistics(model: nn.Module) -> None:
    """Let batch norms use those of the batch, as if they had never been trained."""
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean = part.running_var = None


def only_distilled(model: Any) -> None:
    """Return the second head's answer alone."""
    model.forward_head = lambda x, pre_logits=False: model.head_dist(x.mean(1))


def halved_norm(model: Any) -> None:
    """Round what the final norm takes and gives; others' names end like its own."""
    norm = model.norm
    norm.register_forward_pre_hook(lambda _, args: (args[0].half().float(),))
    norm.register_forward_hook(lambda _, args, result: result.half().float())


def autocast(model: Any) -> Any:
    """Run the network in what PyTorch chooses for bfloat16; float32 is recorded."""
    inner = model.forward

    def forward(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return inner(x).float()

    model.forward = forward
    for part in model.modules():
        if not list(part.children()):
            part.register_forward_hook(
                lambda _, args, result: result.float() if torch.is_tensor(result) else result
            )


def stale(model: Any) -> None:
    """Keep the biases that a new network has, which are zero."""
    for part in model.modules():
        if hasattr(part, "ab"):
            part.ab = torch.zeros_like(part.ab)


def unscaled(model: Any) -> None:
    for part in model.modules():
        if hasattr(part, "use_layer_scale"):
            part.use_layer_scale = False


def rounded(model: Any) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float())
