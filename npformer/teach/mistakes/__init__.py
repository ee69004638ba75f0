"""The mistakes that people make when they write a layer for the first time.

Each exercise is a layer of npformer, a way to draw inputs for it, and a table of typical mistakes:
a name, a hint, and *the layer with this mistake in it*. `npformer.check` recognizes a mistake by
running it. To teach it a new one, add a line to the file named after the layer's file.

Most mistakes use the right layers with one thing changed: a mistake in a block is that block with
other parameters, or with one step left out.
"""

from . import (
    activations,
    attention,
    attention_block,
    batch_norm,
    conv2d,
    conv_mlp,
    downsample,
    dropout,
    fold,
    layer_norm,
    layer_scale,
    linear,
    losses,
    mlp,
    pooling,
    pooling_block,
    quantized_linear,
    softmax,
    stem,
)
from .exercise import Draw, Exercise, Mistake

EXERCISES: dict[str, Exercise] = {
    name: exercise
    for layer in (
        linear, conv2d, batch_norm, layer_norm, layer_scale, activations, softmax, dropout, losses,
        pooling, attention, mlp, conv_mlp, pooling_block, attention_block, stem, downsample, fold,
        quantized_linear,
    )
    for name, exercise in layer.TABLE.items()
}  # fmt: skip
"""All exercises, by the name of the layer."""

__all__ = ["EXERCISES", "Draw", "Exercise", "Mistake"]
