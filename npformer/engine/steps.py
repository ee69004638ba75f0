"""The steps of a plan: the rows of the table that `npformer.engine.walk` goes through."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np


class Kind(IntEnum):
    """What a step does. From LINEAR on, a step takes all images at once."""

    STEM = 0
    CONV2D = 1
    IM2COL = 2
    POOLING_BLOCK = 3
    POOLING = 4
    LAYER_NORM = 5
    ATTENTION = 6
    MEAN = 7
    COL2IM = 8
    POOLING_BACKWARD = 9
    DROP_PATH = 10
    QUANTIZE_ROWS = 11
    QUANTIZED_CONV2D = 12
    QUANTIZED_POOLING_BLOCK = 13
    LINEAR = 14
    LINEAR_FOR_NORM = 15
    BATCH_NORM = 16
    BATCH_NORM_SUMS = 17
    BATCH_NORM_BACKWARD = 18
    LINEAR_BACKWARD = 19
    QUANTIZED_LINEAR = 20

    @property
    def kernel(self) -> str:
        """Name of the kernel."""
        return self.name.lower()


FIELDS = {
    # every step
    "kind": "a `Kind`",
    "units": "what the step is cut along: pixels, rows of them, panels of columns, heads or tokens",
    "grain": "how many of them should stay together, for whole tiles",
    "chunk": "how many of them a part has at most",
    "gate": "1 if the first thread has something to do before, else 0",
    "y": "where in the arena the result begins",
    "y_step": "numbers from one row to the next",
    "rows": "rows of the result, for each image",
    "x": "where the input begins",
    "x_step": "numbers from one row to the next",
    "x_rows": "rows of the input, for each image",
    # images
    "height": "rows of the image's pixels; in a backward step, of the forward step's input",
    "width": "columns of its pixels",
    "channels": "numbers of a pixel or token that count",
    "window": "side of a window",
    "stride": "step of a window",
    "padding": "zeros around the image",
    "gamma": "layer scale in the weights",
    "gamma_step": "numbers from that of one image to the next; 0 if they share it",
    "pairs": "how many pixels are multiplied together with the pixel as far behind; 0 for none",
    # layers
    "layer": "where in the weights the packed layer begins; −1 for none",
    "inputs": "inputs of that layer, or of the layer whose gradient is computed",
    "layer2": "the second packed layer",
    "hidden": "outputs of the first layer, which the second takes",
    "activation": "what follows the product; of rows that are rounded, what precedes that",
    "runs": "of how many runs, each filled up to whole vectors, an input row consists",
    "residual": "what is added to it, in the arena; −1 for nothing",
    # layer norm, attention, drop path
    "affine": "weight and bias of a layer norm in the weights; −1 if they are folded away",
    "eps": "ε in the weights",
    "attn": "attention maps in the arena",
    "biases": "attention biases in the weights, spread over all pairs of tokens",
    "key_width": "width K of a key in a head",
    "value_width": "width V of a value",
    "mask": "masks of drop path in the weights, a number for each image",
    # batch norm
    "norm": "coefficients of a batch norm in the weights; −1 for none",
    "z": "what that batch norm sees, in the arena",
    "dz": "the gradient of that",
    "before": "coefficients of the batch norm before the linear layer; −1 for none",
    "before_z": "what that one saw, in the arena",
    "act": "what follows from that, in the arena; −1 if it is not needed",
    "sums": "sums over each part, two rows, in the arena; −1 for none",
    # pooling, backwards
    "dy": "gradient of the pooled image, in the arena",
    "dgamma": "gradient of the layer scale, a row for each image, in the arena",
}
"""Each field of a step, and its one meaning. A step uses those that its kernel needs."""

WRITTEN = "y", "attn", "dz", "act", "sums", "dgamma"
"""Fields that hold results."""
OPTIONAL = "layer", "residual", "affine", "norm", "before", "act", "sums"
"""Fields that are −1 where there is nothing."""

STEP = np.dtype([(name, np.int64) for name in FIELDS])
Step: TypeAlias = Any
