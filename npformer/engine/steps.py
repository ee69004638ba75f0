"""The steps of a plan: what the table holds that `npformer.engine.walk` goes through."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

(
    STEM,
    CONV2D,
    PATCHES,
    POOLING_BLOCK,
    POOLING,
    LAYER_NORM,
    ATTENTION,
    MEAN,
    PATCHES_BACKWARD,
    POOLING_BACKWARD,
    DROP_PATH,
    LINEAR,
    LINEAR_FOR_NORM,
    BATCH_NORM,
    BATCH_NORM_SUMS,
    BATCH_NORM_BACKWARD,
    LINEAR_BACKWARD,
) = range(17)
"""Which kernel a step runs. From LINEAR on, a step takes all images at once."""

KERNELS = (
    "stem",
    "conv2d",
    "patches",
    "pooling_block",
    "pooling",
    "layer_norm",
    "attention",
    "mean",
    "patches_backward",
    "pooling_backward",
    "drop_path",
    "linear",
    "linear for batch norm",
    "batch_norm",
    "batch_norm_sums",
    "batch_norm_backward",
    "linear_backward",
)
"""Their names"""

FIELDS = {
    "kind": "one of the above",
    "units": "what the step is cut along: pixels, rows of them, panels of columns, heads or tokens",
    "grain": "how many of them should stay together, for whole tiles",
    "chunk": "how many of them a part has at most",
    "gate": "1 if the first thread has something to do before, else 0",
    "y": "where in the arena the result begins",
    "y_step": "numbers from one row to the next",
    "rows": "rows of the result, for each image",
    "pairs": "how many pixels are multiplied together with the pixel as far behind; 0 for none",
    "x": "where the input begins",
    "x_step": "numbers from one row to the next",
    "height": "rows of the input's pixels",
    "width": "columns of the input's pixels",
    "channels": "numbers of a pixel that count; in attention the width V of a value",
    "window": "side of a window",
    "stride": "step of a window",
    "padding": "zeros around the image",
    "w": "where in the weights the packed layer begins, the bias table, the affine part or mask",
    "k": "rows of the packed matrix; in attention the width K of a key",
    "w2": "the second packed layer",
    "hidden": "width between both layers; in attention the width of a head's result",
    "gamma": "layer scale in the weights",
    "gamma_step": "numbers from that of one image to the next; 0 if they share it",
    "eps": "ε in the weights",
    "activation": "what follows the product",
    "residual": "what is added to it, in the arena; −1 for nothing",
    "attn": "attention map in the arena",
    "norm": "coefficients of a batch norm in the weights; −1 for none",
    "z": "what that batch norm sees, in the arena",
    "dz": "the gradient of that",
    "before": "coefficients of the batch norm before the linear layer; −1 for none",
    "before_z": "what that one saw, in the arena",
    "act": "what follows from that, in the arena; −1 if nobody needs it",
    "sums": "sums over each part, two rows, in the arena; −1 for none",
}
"""Each field of a step and what it means."""

WRITTEN = "y", "attn", "dz", "act", "sums"
"""Fields that hold results."""
OPTIONAL = "residual", "norm", "before", "act", "sums"
"""Fields that are −1 where there is nothing."""

STEP = np.dtype([(name, np.int64) for name in FIELDS])
Step: TypeAlias = Any
