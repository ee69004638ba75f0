"""Wrong ports, written here: attention, tokens, heads."""

from __future__ import annotations

from .answers import wrong
from .recordings import (
    BLOCKS,
    FEW,
    as_images,
    as_keras,
    first,
    last,
    numbered,
    only,
    recorded,
    shuffled,
    tokens_last,
    without,
    without_batch,
)

MIXER = "stages.2.blocks.2.token_mixer"  # of "small"
DEEP = "stages.3.blocks.2.token_mixer"  # of "deep", and the first of two of "tiny"
SQUARE = "stages.1.blocks.2.token_mixer"  # of "square", "oblong" and "alone"

# q, k, v and heads

wrong("q, k and v in three blocks", "small", f"{MIXER}.attn", "qkv_blocks",
      recorded({"*.token_mixer": "qkv_blocks"}))  # fmt: skip
wrong("q, k and v in three blocks, modules recorded", "deep", f"{DEEP}.attn", "qkv_blocks",
      recorded({"*.token_mixer": "qkv_blocks"}, tokens_last, without("*.attn")))  # fmt: skip
wrong("three blocks in the last block, stages recorded", "tiny",
      "stages.3.blocks.3.token_mixer.attn", "qkv_blocks",
      recorded({"stages.3.blocks.3.token_mixer": "qkv_blocks"}, last, FEW))  # fmt: skip
wrong("the head is the fastest axis of q, k and v", "square", f"{SQUARE}.attn",
      ("head_order", "qkv_blocks"),
      recorded({"*.token_mixer": "qkv_heads_inside"}, last))  # fmt: skip
wrong("k, v, q", "square", f"{SQUARE}.attn", (None, "qkv_blocks", "qkv_order"),
      recorded({"*.token_mixer": "kvq"}))  # fmt: skip
wrong("heads in reverse", "small", f"{MIXER}.proj", "head_order",
      recorded({"*.token_mixer": "head_order"}, numbered))  # fmt: skip
wrong("heads not moved behind tokens", "deep", f"{DEEP}.proj",
      ("head_order", "flatten_order", "token_order"),
      recorded({"*.token_mixer": "heads_not_moved"}))  # fmt: skip
wrong("heads inside values", "tiny", f"{DEEP}.proj", "head_order",
      recorded({"*.token_mixer": "heads_inside"}, as_keras))  # fmt: skip
wrong("heads inside values, blocks recorded", "square", f"{SQUARE}.proj", "head_order",
      recorded({"*.token_mixer": "heads_inside"}, last, BLOCKS))  # fmt: skip

# Scores

wrong("scores not scaled", "small", f"{MIXER}.attn", "scores_not_scaled",
      recorded({"*.token_mixer": "scores_not_scaled"}, last))  # fmt: skip
wrong("scores not scaled, no attention recorded", "oblong", f"{SQUARE}.attn", "scores_not_scaled",
      recorded({"*.token_mixer": "scores_not_scaled"}, without_batch,
               without("*.attn")))  # fmt: skip
wrong("scores scaled by the width of tokens", "tiny", f"{DEEP}.attn", "scores_scaled_by_dim",
      recorded({"*.token_mixer": "scores_scaled_by_dim"}, numbered))  # fmt: skip
wrong("scores scaled by the width of a head", "small", f"{MIXER}.attn",
      ("scores_scaled_by_dim", "scores_scaled_by_head_dim"),
      recorded({"*.token_mixer": "scores_scaled_by_head_dim"}))  # fmt: skip
wrong("scores scaled twice", "deep", f"{DEEP}.attn",
      (None, "scores_scaled_by_dim", "scores_scaled_twice"),
      recorded({"*.token_mixer": "scores_scaled_twice"}, shuffled))  # fmt: skip
wrong("softmax over queries", "deep", f"{DEEP}.attn", "softmax_axis",
      recorded({"*.attn": "softmax_axis=-2"}))  # fmt: skip
wrong("softmax over heads", "small", f"{MIXER}.attn", "softmax_axis",
      recorded({"*.attn": "softmax_axis=1"}, last))  # fmt: skip
wrong("attention applied from keys to queries", "oblong", f"{SQUARE}.proj",
      (None, "softmax_axis", "attn_transposed"),
      recorded({"*.token_mixer": "attn_transposed"}))  # fmt: skip

# Attention biases

wrong("biases scaled with the scores", "deep", f"{DEEP}.attn", "bias_scaled",
      recorded({"*.token_mixer": "bias_scaled"}, tokens_last))  # fmt: skip
wrong("biases scaled in the second block", "small", "stages.2.blocks.3.token_mixer.attn",
      "bias_scaled",
      recorded({"stages.2.blocks.3.token_mixer": "bias_scaled"}, last, BLOCKS))  # fmt: skip
wrong("biases by columns, then rows", "square", f"{SQUARE}.attn", "bias_transposed",
      recorded({"*.token_mixer": "bias_transposed"}, as_images))  # fmt: skip
wrong("biases by columns, then rows, of an oblong grid", "oblong", f"{SQUARE}.attn",
      ("bias_transposed", "bias_other_grid"),
      recorded({"*.token_mixer": "bias_transposed"}))  # fmt: skip
wrong("biases of a wider grid", "small", f"{MIXER}.attn", "bias_other_grid",
      recorded({"*.token_mixer": "bias_other_grid=3"}))  # fmt: skip
wrong("biases of a slightly wider grid", "tiny", f"{DEEP}.attn", "bias_other_grid",
      recorded({"*.token_mixer": "bias_other_grid=1"}, as_keras))  # fmt: skip
wrong("no biases", "deep", f"{DEEP}.attn", "bias_missing",
      recorded({"*.token_mixer": "bias_missing"}, numbered))  # fmt: skip
wrong("no biases in one block, blocks recorded", "tiny", "stages.3.blocks.3.token_mixer.attn",
      "bias_missing",
      recorded({"stages.3.blocks.3.token_mixer": "bias_missing"}, last, BLOCKS))  # fmt: skip
wrong("biases of the heads in reverse", "small", f"{MIXER}.attn",
      ("head_order", "parameter", None),
      recorded({"*.token_mixer": "bias_heads"}))  # fmt: skip

# Linear layers, norms, activations, residuals

wrong("an activation before the projection, as in LeViT", "deep", f"{DEEP}.proj", "activation",
      recorded({"*.token_mixer": "extra_activation"}, last))  # fmt: skip
wrong("a projection that is transposed", "square", f"{SQUARE}.proj", "weight_transposed",
      recorded({"*.token_mixer.proj": "weight_transposed"}, last))  # fmt: skip
wrong("both heads transposed", "square", "head", "weight_transposed",
      recorded({"head*": "weight_transposed"}))  # fmt: skip
wrong("no bias of q, k and v", "small", f"{MIXER}.qkv", "bias_zero",
      recorded({"*.qkv": "bias_zero"}, last))  # fmt: skip
wrong("no bias in the last layer of an MLP", "deep", "stages.3.blocks.2.mlp.fc2", "bias_zero",
      recorded({"stages.3.blocks.2.mlp.fc2": "bias_zero"}, shuffled))  # fmt: skip
wrong("epsilon of Keras in layer norms", "small", "stages.2.blocks.2.norm1", "eps",
      recorded({"stages.2.blocks.[23].norm?": "eps=0.001", "norm": "eps=0.001"},
               as_keras))  # fmt: skip
wrong("epsilon of transformers in the place of timm's", "tiny", "stages.3.blocks.2.norm1", "eps",
      recorded({"stages.3.blocks.?.norm?": "eps=1e-12", "norm": "eps=1e-12"}, last))  # fmt: skip
wrong("epsilon of timm in the place of transformers'", "deep", "stages.3.blocks.2.norm1", "eps",
      recorded({"stages.3.blocks.?.norm?": "eps=1e-5", "norm": "eps=1e-5"}, batch=2))  # fmt: skip
wrong("no final norm", "small", "norm", "norm_missing",
      recorded({"norm": "norm_missing"}, last))  # fmt: skip
wrong("no norm before the attention", "oblong", "stages.1.blocks.2.norm1", "norm_missing",
      recorded({"stages.1.blocks.2.norm1": "norm_missing"}, numbered))  # fmt: skip
wrong("no norm before an MLP, blocks recorded", "square", "stages.1.blocks.2.norm2",
      "norm_missing",
      recorded({"stages.1.blocks.2.norm2": "norm_missing"}, last, BLOCKS))  # fmt: skip
wrong("layer norm applied twice", "deep", "norm", "norm_twice",
      recorded({"norm": "norm_twice"}))  # fmt: skip
# The page of causes calls this another form of the norm; who names none is not wrong either.
wrong("layer norm by the unbiased variance", "small", "stages.2.blocks.2.norm1",
      ("norm_axis", None),
      recorded({"stages.2.blocks.2.norm?": "unbiased"}, shuffled))  # fmt: skip
wrong("layer norm without its weights", "tiny", "stages.3.blocks.3.norm2",
      (None, "norm_missing", "parameter"),
      recorded({"stages.3.blocks.3.norm2": "weight_missing"}))  # fmt: skip
wrong("GELU by tanh on tokens only", "tiny", "stages.3.blocks.2.mlp.act", "gelu_tanh",
      recorded({"stages.3.blocks.[23].mlp.act": "gelu_tanh"}, as_keras))  # fmt: skip
wrong("GELU by tanh on tokens, blocks recorded", "small", "stages.2.blocks.2.mlp.act", "gelu_tanh",
      recorded({"stages.2.blocks.[23].mlp.act": "gelu_tanh"}, first, BLOCKS))  # fmt: skip
wrong("ReLU on tokens", "oblong", "stages.1.blocks.2.mlp.act", "activation",
      recorded({"stages.1.blocks.2.mlp.act": "as_relu"}, without_batch))  # fmt: skip
wrong("no scale of an attention", "tiny", "stages.3.blocks.2.ls1", "layer_scale_missing",
      recorded({"stages.3.blocks.2": "layer_scale_missing=1"}, last))  # fmt: skip
wrong("no scale of an MLP on tokens, blocks recorded", "deep", "stages.3.blocks.2.ls2",
      "layer_scale_missing",
      recorded({"stages.3.blocks.2": "layer_scale_missing=2"}, last, BLOCKS))  # fmt: skip
wrong("no residual around an attention", "deep", "stages.3.blocks.2.norm2", "residual_missing",
      recorded({"stages.3.blocks.2": "residual_missing=1"}),
      also=("stages.3.blocks.2.ls1",))  # fmt: skip
wrong("residual from behind the norm", "small", "stages.2.blocks.2.norm2",
      (None, "residual_missing"),
      recorded({"stages.2.blocks.2": "residual_from_norm=1"}, last),
      also=("stages.2.blocks.2.ls1",))  # fmt: skip

# Tokens and heads

wrong("tokens by columns", "small", "stages.2.blocks.1", ("flatten_order", "token_order"),
      recorded({"stages.2.blocks.1": "columns_first"}))  # fmt: skip
wrong("tokens by columns, of an oblong grid", "oblong", "stages.1.blocks.1",
      ("flatten_order", "token_order"),
      recorded({"stages.1.blocks.1": "columns_first"}, last))  # fmt: skip
wrong("channels taken for tokens", "deep", "stages.3.blocks.1",
      ("flatten_order", "channels_last"),
      recorded({"stages.3.blocks.1": "channels_not_moved"}, numbered))  # fmt: skip
wrong("tokens in reverse", "tiny", "stages.3.blocks.1", ("token_order", "flatten_order"),
      recorded({"stages.3.blocks.1": "backward"}, last))  # fmt: skip
wrong("mean of the tokens before the norm", "small", "norm", None,
      recorded({"logits": "norm_after_mean"}))  # fmt: skip
# The page of causes calls this a mean that is missing, as the set `fresh` does.
wrong("maximum over tokens", "deep", "pooled", ("mean_missing", None),
      recorded({"logits": "maximum"}))  # fmt: skip
wrong("class head alone", "tiny", "logits", "heads_not_averaged",
      recorded({"logits": "heads_not_averaged"}, last), also=("head_dist", "head"))  # fmt: skip
wrong("class head alone, blocks recorded", "small", "logits", "heads_not_averaged",
      recorded({"logits": "heads_not_averaged"}, last, BLOCKS),
      also=("head_dist", "head"))  # fmt: skip
wrong("heads summed", "deep", "logits", "heads_not_averaged",
      recorded({"logits": "heads_summed"}, numbered))  # fmt: skip
wrong("only the picture and the answer", "square", f"{SQUARE}.attn", (None, "scores_not_scaled"),
      recorded({"*.token_mixer": "scores_not_scaled"}, last,
               only("pixel_values", "logits", "norm")))  # fmt: skip
