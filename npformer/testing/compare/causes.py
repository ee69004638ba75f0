"""The words for what is wrong, each with a sentence that says it to a person.

Scripts may rely on the words: `Comparison.cause` is one of these keys, or None.
"""

from __future__ import annotations

CAUSES = {
    "eps": "another ε is added to the variance",
    "gelu_tanh": "GELU is computed by its tanh approximation instead of erf",
    "activation": "another activation, or none",
    "pooling_counts_padding": "the pooling divides by the whole window at the border, where a part "
    "of it lies outside the image (count_include_pad=False is right)",
    "pooling_keeps_input": "the pooling does not subtract its input: pool(x), not pool(x) − x",
    "pooling_other": "the pooling takes another window, or another statistic than the mean",
    "qkv_blocks": "the columns of qkv are read as three blocks q, k, v; right is head by head, "
    "within a head q, k, v",
    "qkv_order": "q, k and v stand in another order within each head",
    "head_order": "the heads are interleaved or laid side by side in another order",
    "bias_scaled": "the attention bias is scaled like the scores; it is added after the scaling",
    "bias_transposed": "the attention bias reads its table with |Δx| and |Δy| exchanged",
    "bias_other_grid": "the attention bias is spread over another grid or numbering of distances",
    "bias_missing": "the attention bias is not added",
    "scores_not_scaled": "the scores q kᵀ are not divided by √K",
    "scores_scaled_by_dim": "the scores are scaled by another width than that of a key",
    "softmax_axis": "the softmax runs over another axis than the keys",
    "norm_missing": "a normalization is left out",
    "norm_twice": "a normalization is applied twice, as when it is folded twice or folded and run",
    "norm_axis": "a layer norm runs over another axis, or in another form",
    "batch_statistics": "a batch norm uses the statistics of the batch, as in training, instead of "
    "its running ones",
    "heads_not_averaged": "the logits are not the mean of both heads",
    "mean_std": "the picture is normalized by another mean or deviation",
    "bgr": "the colors of the picture are in the order blue, green, red",
    "resize": "the picture is resized by another filter or to another size",
    "crop": "another part of the picture is cut out",
    "rescale": "the values of the picture are in another range: 0 to 255, or rescaled twice",
    "channels_last": "an array with channels last is read as if they were first, or the reverse",
    "flatten_order": "the image is reshaped into tokens without moving its channels last first",
    "token_order": "the tokens are not in the order of rows",
    "half_precision": "the layer computes in half precision, or goes on from a rounded result",
    "random_start": "a parameter was not loaded and holds what it was initialized with",
    "parameter": "a parameter has other values",
    "layer_scale_missing": "the layer scale is left out",
    "residual_missing": "the residual connection is left out, or its branch",
    "padding": "the border of the image is padded in another way",
    "stride": "the convolution has another stride or dilation",
    "weight_transposed": "a weight is transposed, flipped or reshaped where it must be transposed",
    "bias_zero": "the bias of a linear layer or convolution is left out",
    "mean_missing": "the tokens are not averaged, but pooled in another way",
}  # fmt: skip
"""Word -> what it says."""
