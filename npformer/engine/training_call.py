"""What NumPy does for one batch of training, before the compiled steps and between them.

Coefficients of batch norms come from sums over the batch, in float64; attention maps, layer norms
and the loss are those of the plain layers. Each method of `TrainingCall` that a plan calls between
two steps reads buffers of the arena, and writes buffers, coefficients or gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from ..kernels.batch_norm import COEFFICIENTS, INVERSE, MEAN, SCALE, SHIFT, A, B, C
from ..kernels.layout import pack, packed_size, padded
from ..layers import (
    Array,
    Attention,
    LayerNorm,
    Linear,
    Trace,
    attend,
    attend_backward,
    head_sizes,
    layer_norm,
    layer_norm_backward,
    relative_position_bias,
    relative_position_bias_backward,
)
from ..layers.precision import mean64
from ..network import Loss, average_heads, average_heads_backward
from ..network.configuration import EfficientFormerConfig
from ..network.tree import leaves
from .arena import Buffer


@dataclass(eq=False)
class TrainingLayer:
    """A linear layer or convolution, and the batch norm and layer scale that follow it."""

    layer: str
    """its path"""
    norm: str
    """path of the batch norm, or empty"""
    scale: str
    """path of the layer scale, or empty"""
    K: int
    """inputs"""
    N: int
    """outputs"""
    z: Buffer
    """its result, which the batch norm sees"""
    grain: int
    """rows of a part"""
    at: int
    """where its packed weights begin; the transposed ones follow"""
    coefficients: int
    """where the coefficients of its batch norm begin, in the weights"""

    @property
    def transposed(self) -> int:
        """Where the packed transposed weights begin."""
        return self.at + packed_size(self.K, self.N)


@dataclass
class PoolingScale:
    """The layer scale of a pooling, with the drop path of its branch: a row for each image."""

    path: str
    at: int
    """where the rows begin, in the weights"""
    channels: int
    mask: int
    """where the mask of drop path begins, in the weights; −1 for none"""


Function: TypeAlias = Callable[..., Array]
"""``function(call, *inputs)`` computes an array (B, N, C) from others."""


@dataclass
class TrainingCall:
    """One batch on its way through a plan."""

    config: EfficientFormerConfig
    batch: int
    """number of images"""
    p: dict[str, Array]
    """all parameters, by path"""
    loss: Loss
    memory: Array
    """the arena, flat"""
    weights: Array
    """what is packed, flat"""
    statistics: Trace = field(default_factory=Trace)
    """the tape: mean, variance and count of each batch norm"""
    dp: dict[str, Array] = field(default_factory=dict)
    """gradients of parameters, by path"""
    attention_maps: dict[str, Array] = field(default_factory=dict)
    """attention maps, by path of the attention"""
    loss_value: float = 0.0
    ddist: Array = field(default_factory=lambda: np.zeros(0))
    """gradient of the second head's output, between both functions that write gradients"""

    # Views ----------------------------------------------------------------------------------------

    def rows(self, buffer: Buffer) -> Array:
        """View a buffer as its rows, of `buffer.step` numbers each."""
        count = buffer.rows * (1 if buffer.shared else self.batch)
        size = count * buffer.step
        return self.memory[buffer.at : buffer.at + size].reshape(count, buffer.step)

    def coefficients(self, n: TrainingLayer) -> Array:
        """View the coefficients of a batch norm: a row for each of `COEFFICIENTS`."""
        size = len(COEFFICIENTS) * n.z.step
        return self.weights[n.coefficients : n.coefficients + size].reshape(-1, n.z.step)

    def mask(self, at: int) -> Array:
        """View the mask of drop path at `at`, (B, 1); without drop path, at −1, (1, 1) of ones."""
        if at < 0:
            return np.ones((1, 1), np.float32)
        return self.weights[at : at + self.batch, None]

    def gamma(self, n: TrainingLayer) -> Array:
        """The layer scale that follows a layer; 1 if there is none."""
        return self.p.get(n.scale, np.ones((), np.float32))

    def _sums_of_parts(self, n: TrainingLayer, sums: Buffer) -> Array:
        """Both rows of each part, (parts, 2, N), in float64."""
        parts = self.rows(sums).reshape(-1, 2, n.z.step)
        return parts[:, :, : n.N].astype(np.float64)

    # Before the steps -----------------------------------------------------------------------------

    def pack(self, layers: Sequence[TrainingLayer], scales: Sequence[PoolingScale]) -> None:
        """Bring all parameters into the form that the kernels read; masks must be drawn before."""
        for n in layers:
            self._pack_layer(n)
        for scale in scales:
            size = self.batch * padded(scale.channels)
            rows = self.weights[scale.at : scale.at + size].reshape(self.batch, -1)
            rows[:] = 0
            gamma = self.p.get(scale.path, np.float32(1))
            rows[:, : scale.channels] = self.mask(scale.mask) * gamma

    def _pack_layer(self, n: TrainingLayer) -> None:
        """Pack a layer and its transpose; without a batch norm, also coefficients of identity."""
        W, b = self.p[f"{n.layer}.weight"].reshape(n.K, n.N), self.p[f"{n.layer}.bias"]
        pack(Linear(W, b), self.weights[n.at : n.transposed])
        end = n.transposed + packed_size(n.N, n.K)
        pack(Linear(W.T, np.zeros(n.K, W.dtype)), self.weights[n.transposed : end])
        if not n.norm:
            rows = self.coefficients(n)
            rows[:] = 0
            rows[INVERSE, : n.N] = 1
            rows[[SCALE, A], : n.N] = self.gamma(n)

    # Batch norms ----------------------------------------------------------------------------------

    def batch_statistics(self, n: TrainingLayer, sums: Buffer) -> None:
        """Combine mean and variance of all parts, and set the coefficients of forward.

        The method is that of Chan, Golub & LeVeque (1979, "Updating formulae and a pairwise
        algorithm for computing sample variances"): squares within parts, plus those between them.

        Parameters
        ----------
        n : TrainingLayer
            With a batch norm.
        sums : Buffer
            For each part the mean, and the sum of squared distances from it.
        """
        parts = self._sums_of_parts(n, sums)
        total = n.z.rows * self.batch
        counts = np.full((len(parts), 1), n.grain)
        counts[-1] = total - n.grain * (len(parts) - 1)
        mean = (counts * parts[:, 0]).sum(0) / total  # (N,)
        between = counts * (parts[:, 0] - mean) ** 2
        variance = (parts[:, 1] + between).sum(0) / total
        tape = self.statistics.within(n.norm)
        tape("mean", mean.astype(np.float32))
        tape("var", variance.astype(np.float32))
        tape("n", np.array(total))
        rows = self.coefficients(n)
        rows[:] = 0
        inverse = 1 / np.sqrt(variance + self.config.batch_norm_eps)
        gamma = self.gamma(n)
        rows[MEAN, : n.N] = mean
        rows[INVERSE, : n.N] = inverse
        rows[SCALE, : n.N] = gamma * self.p[f"{n.norm}.weight"] * inverse
        rows[SHIFT, : n.N] = gamma * self.p[f"{n.norm}.bias"]

    def batch_norm_gradients(self, n: TrainingLayer, sums: Buffer) -> None:
        """Set the coefficients of a batch norm's backward, and the gradients of its parameters.

        With ``dz = s (du − mean(du) − x̂ mean(du x̂))``, where s is the scale and x̂ = (z − μ)/σ.

        Parameters
        ----------
        n : TrainingLayer
            Without a batch norm: the gradients are those of the layer's bias and layer scale.
        sums : Buffer
            For each part the sums of du and of du x̂.
        """
        by_one, by_normal = self._sums_of_parts(n, sums).sum(0)
        total = n.z.rows * self.batch
        gamma = self.gamma(n)
        if not n.norm:
            self.dp[f"{n.layer}.bias"] = (gamma * by_one).astype(np.float32)
            if n.scale in self.p:
                self.dp[n.scale] = by_normal.astype(np.float32)
            return
        weight, bias = self.p[f"{n.norm}.weight"], self.p[f"{n.norm}.bias"]
        self.dp[f"{n.norm}.weight"] = (gamma * by_normal).astype(np.float32)
        self.dp[f"{n.norm}.bias"] = (gamma * by_one).astype(np.float32)
        if n.scale in self.p:
            self.dp[n.scale] = (weight * by_normal + bias * by_one).astype(np.float32)
        rows = self.coefficients(n)
        scale, inverse = rows[SCALE, : n.N], rows[INVERSE, : n.N]
        rows[A, : n.N] = scale
        rows[B, : n.N] = -scale * inverse * by_normal / total
        rows[C, : n.N] = -scale * by_one / total

    # Gradients that kernels have computed ---------------------------------------------------------

    def keep_weight_gradient(self, n: TrainingLayer, dW: Buffer) -> None:
        """Copy the gradient of a layer's weight out of the arena."""
        path = f"{n.layer}.weight"
        self.dp[path] = self.rows(dW)[: n.K, : n.N].reshape(self.p[path].shape).copy()

    def keep_gamma_gradient(self, scale: PoolingScale, dgamma: Buffer) -> None:
        """Add up the gradient of a pooling's layer scale over all images."""
        if scale.path in self.p:
            images = self.rows(dgamma)[:, : dgamma.channels] * self.mask(scale.mask)
            self.dp[scale.path] = images.sum(0, dtype=np.float64).astype(np.float32)

    # Layers that NumPy computes -------------------------------------------------------------------

    def compute(self, function: Function, y: Buffer, x: Sequence[Buffer]) -> None:
        """Compute a buffer from others.

        Parameters
        ----------
        function : callable
            ``function(call, *inputs)`` takes and returns arrays (B, N, C).
        y : Buffer
            For the result.
        x : sequence of Buffer
            The inputs.
        """
        rows = self.rows(y)
        inputs = [self.rows(b)[:, : b.channels] for b in x]
        found = function(self, *(i.reshape(self.batch, -1, i.shape[-1]) for i in inputs))
        rows[:, : y.channels] = found.reshape(len(rows), -1)
        rows[:, y.channels :] = 0

    def layer_norm(self, x: Array, path: str) -> Array:
        """The layer norm of tokens, (B, N, C), whose path is `path`."""
        return layer_norm(x, self._layer_norm(path), self.config.layer_norm_eps)

    def layer_norm_backward(self, residual: Array, dy: Array, x: Array, path: str) -> Array:
        """Backward of `layer_norm`, plus the gradient `residual` of the residual connection."""
        eps = self.config.layer_norm_eps
        dx, dp = layer_norm_backward(dy, x, self._layer_norm(path), eps)
        self.dp.update(leaves(dp, path))
        return residual + dx

    def attention(self, qkv: Array, path: str) -> Array:
        """Attention between its linear layers: (B, N, heads·(2K + V)) -> (B, N, heads·V)."""
        y, self.attention_maps[path] = _attend(qkv, self._attention(path))
        return y

    def attention_backward(self, dy: Array, qkv: Array, path: str) -> Array:
        """Backward of `attention`."""
        p, attn = self._attention(path), self.attention_maps.pop(path)
        dqkv, self.dp[f"{path}.attention_biases"] = _attend_backward(dy, qkv, attn, p)
        return dqkv

    def pool(self, tokens: Array) -> Array:
        """Final layer norm, and the mean over all tokens: (B, N, C) -> (B, C)."""
        return mean64(self.layer_norm(tokens, "norm"), 1)

    def pool_backward(self, dpooled: Array, tokens: Array) -> Array:
        """Backward of `pool`: (B, 1, C) and (B, N, C) -> (B, N, C)."""
        dnormal = np.broadcast_to(dpooled / tokens.shape[1], tokens.shape)
        eps = self.config.layer_norm_eps
        dtokens, dp = layer_norm_backward(dnormal, tokens, self._layer_norm("norm"), eps)
        self.dp.update(leaves(dp, "norm"))
        return dtokens

    def loss_gradient(self, *outputs: Array) -> Array:
        """Compute the loss and its gradient with respect to the first head's output, (B, 1, n).

        That of the second one is kept for `second_gradient`.
        """
        self.loss_value, dlogits = self.loss(average_heads(*(z[:, 0] for z in outputs)))
        if len(outputs) == 1:
            return dlogits.logits
        first, self.ddist = average_heads_backward(dlogits)
        return first

    def second_gradient(self, *outputs: Array) -> Array:
        """Return the gradient of the loss with respect to the second head's output."""
        return self.ddist

    def _layer_norm(self, path: str) -> LayerNorm:
        return LayerNorm(self.p[f"{path}.weight"], self.p[f"{path}.bias"])

    def _attention(self, path: str) -> Attention:
        qkv, proj = (
            Linear(self.p[f"{path}.{name}.weight"], self.p[f"{path}.{name}.bias"])
            for name in ("qkv", "proj")
        )
        return Attention(qkv, proj, self.p[f"{path}.attention_biases"])


def _attend(qkv: Array, p: Attention) -> tuple[Array, Array]:
    """Attention between its linear layers, (B, N, heads·V), and the attention map."""
    K, _ = head_sizes(p)
    trace = Trace()
    y = attend(qkv, relative_position_bias(p.attention_biases), K, K**-0.5, trace)
    return y, trace["attn"]


def _attend_backward(dy: Array, qkv: Array, attn: Array, p: Attention) -> tuple[Array, Array]:
    """Gradients of `qkv` and of the attention biases."""
    K, _ = head_sizes(p)
    dqkv, dbias = attend_backward(dy, qkv, attn, K, K**-0.5)
    return dqkv, relative_position_bias_backward(dbias, p.attention_biases)
