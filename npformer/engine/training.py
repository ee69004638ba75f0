"""Training: forward and backward of a whole batch, by the compiled walk.

    convolutions, linear layers, pooling       steps of the walk, forwards and then backwards
    attention maps, layer norms, loss          NumPy, between the steps
    batch statistics, coefficients             NumPy, on a few numbers for each channel

A plan is drawn once for a size of batch. While the forward steps are written down, each layer
leaves what it takes to go back through it, and the list of that is drawn in reverse. Where numbers
of the whole batch must be known before the next step can begin, as the mean of a channel, the walk
stops and a function is called.

The masks of drop path are drawn before the walk begins, in the order of the blocks. Each image has
a layer scale of its own on the pooled branch, which the mask is part of; other branches have a step
for it.

Of a pooling block only its input, the mixed image, and what both batch norms see are kept; the
activation of the hidden map, the widest of all, is computed again on the way back.

A linear layer without a batch norm is one whose norm leaves everything as it is: μ = 0, a = 1 or
the layer scale that follows, and A = a. So attention blocks take the same steps.

Gradients are the same bits for any number of threads: the sums over a batch are those of parts that
the plan fixes, added up in order. The bias of a convolution before a batch norm moves the mean,
which the norm subtracts again: its gradient is exactly zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import TypeAlias

import numpy as np

from ..kernels.batch_norm import COEFFICIENTS, INVERSE, MEAN, SCALE, SHIFT, A, B, C
from ..kernels.layout import LANES, NONE, RELU, pack, packed_size, padded
from ..kernels.linear import tile_columns, tile_rows
from ..kernels.vector import TALL
from ..layers import (
    Array,
    Attention,
    AttentionBlock,
    Flat,
    LayerNorm,
    Linear,
    Mode,
    PoolingBlock,
    Rng,
    Trace,
    bias_table,
    bias_table_backward,
    head_sizes,
    layer_norm,
    layer_norm_backward,
    softmax,
    softmax_backward,
)
from ..layers.attention import merge_heads, split_heads
from ..layers.dropout import survival
from ..network.configuration import EfficientFormerConfig
from ..network.model import EfficientFormer, Gradients, Loss, check_input, join, join_backward
from ..network.tree import build, leaves
from . import steps as kinds
from .plan import ACTIVATIONS, ROWS, Arena, Buffer, Drawing, Memory, bring
from .threads import get_num_threads
from .walk import CHUNK

PARTS = 16
"""At least so many parts has a step, if there are enough rows."""


@dataclass(eq=False)
class Layer:
    """A linear layer or convolution, and the batch norm and layer scale that follow it."""

    layer: str
    """its path"""
    norm: str
    """path of the batch norm, or empty"""
    scale: str
    """path of the layer scale, or empty"""
    K: int
    N: int
    z: Buffer
    """its result, which the norm sees"""
    grain: int
    """rows of a part"""
    at: int
    """where its weights are packed; the transposed ones follow"""
    coefficients: int

    @property
    def transposed(self) -> int:
        """Where the transposed weights are packed."""
        return self.at + packed_size(self.K, self.N)


@dataclass
class Call:
    """What belongs to one call of a plan."""

    p: dict[str, Array]
    loss: Loss
    memory: Array
    weights: Array
    statistics: Trace = field(default_factory=Trace)
    dp: dict[str, Array] = field(default_factory=dict)
    maps: dict[str, Array] = field(default_factory=dict)
    """attention maps"""
    value: float = 0.0
    second: Array = field(default_factory=lambda: np.zeros(0))
    """gradient of the second head's output"""


Function: TypeAlias = Callable[..., Array]
"""``function(call, *inputs)``, of arrays (B, N, C)."""


class TrainingPlan(Drawing):
    """Steps and memory for one size of batch.

    Parameters
    ----------
    params : EfficientFormer
        For the shapes.
    config : EfficientFormerConfig
    batch, height, width : int
    drop_path : float
        Its rate in the last block.

    Attributes
    ----------
    room : int
        Numbers in the weights.
    """

    def __init__(
        self,
        params: EfficientFormer,
        config: EfficientFormerConfig,
        batch: int,
        height: int,
        width: int,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__(batch)
        self._config = config
        self._activation = ACTIVATIONS[config.hidden_act]
        self._shapes = {path: leaf.shape for path, leaf in leaves(params)}
        self.room = 0
        self._layers: list[Layer] = []
        self._gammas: list[tuple[str, int, int, int]] = []
        self._mode = Mode(drop_path=drop_path)
        self._masks: list[tuple[int, float]] = []
        self._stops: list[tuple[int, Callable[[Call], None]]] = []
        self._back: list[Callable[[Buffer], Buffer]] = []
        self._draw(params, height, width)
        self._finish()

    def __call__(
        self,
        x: Array,
        params: EfficientFormer,
        loss: Loss,
        rng: Rng,
        arena: Arena,
        weights: Array,
    ) -> Gradients:
        """Return loss, statistics and gradients of a batch, (B, H, W, C₀)."""
        call = Call(dict(leaves(params)), loss, arena.memory, weights)
        for mask, rate in self._masks:
            self._mask(call, mask)[:, 0] = survival((self.capacity,), rate, rng)
        self._pack(call)
        at = self._input.at
        bring(x, arena.memory[at : at + x.size].reshape(x.shape))
        self._run(arena, call)
        dp = build(lambda path, leaf: call.dp.get(path, np.zeros_like(leaf)), params)
        return Gradients(call.value, call.statistics, dp)

    def _run(self, arena: Arena, call: Call) -> None:
        """Go forwards, to the loss, whose threads may be others, and backwards."""
        middle, turn = self._stops[self._turn]
        for first, last, stops in (
            (0, middle, self._stops[: self._turn]),
            (middle, len(self.table), self._stops[self._turn + 1 :]),
        ):
            gates = [(stop - first, partial(function, call)) for stop, function in stops]
            arena.walk(self.table[first:last], call.weights, self.capacity, gates=gates)
            if first == 0:
                turn(call)

    def _pack(self, call: Call) -> None:
        """Bring all parameters into the form that the kernels read."""
        p, weights = call.p, call.weights
        for n in self._layers:
            W, b = p[f"{n.layer}.weight"].reshape(n.K, n.N), p[f"{n.layer}.bias"]
            pack(Linear(W, b), weights[n.at : n.transposed])
            end = n.transposed + packed_size(n.N, n.K)
            pack(Linear(W.T, np.zeros(n.K, W.dtype)), weights[n.transposed : end])
            if not n.norm:
                rows = self._coefficient_rows(call, n)
                rows[:] = 0
                rows[INVERSE, : n.N] = 1
                rows[[SCALE, A], : n.N] = p.get(n.scale, np.float32(1))
        for path, at, channels, mask in self._gammas:
            size = self.capacity * padded(channels)
            gammas = weights[at : at + size].reshape(self.capacity, -1)
            gammas[:] = 0
            gammas[:, :channels] = self._mask(call, mask) * p.get(path, np.float32(1))

    def _reserve(self, count: int) -> int:
        """Room among the weights."""
        at = self.room
        self.room += padded(count)
        return at

    def _stop(self, function: Callable[[Call], None]) -> None:
        """Call a function when all steps so far are done."""
        self._stops.append((len(self._drafts), function))
        self._gates.add(len(self._drafts))

    # What the steps are ---------------------------------------------------------------------------

    def _draw(self, params: EfficientFormer, height: int, width: int) -> None:
        """Write down all steps."""
        config, grid, number = self._config, (height, width), 0
        x = self._input = Buffer(height * width, config.num_channels, config.num_channels)
        for i in (1, 2):
            names = f"stem.conv{i}", f"stem.norm{i}"
            x, grid = self._conv2d(x, grid, *names, 3, 2, 1, RELU)
        for i, params_of_stage in enumerate(params.stages):
            name = self._where = f"stages.{i}.downsample"
            if params_of_stage.downsample is not None:
                window = config.downsample_patch_size, config.downsample_stride
                names = f"{name}.conv", f"{name}.norm"
                x, grid = self._conv2d(x, grid, *names, *window, config.downsample_pad, NONE)
            for j, block in enumerate(params_of_stage.blocks):
                self._where = f"stages.{i}.blocks.{j}"
                rate = self._mode.at(number, sum(config.depths)).drop_path
                if isinstance(block, PoolingBlock):
                    x = self._pooling_block(x, grid, self._where, rate)
                elif isinstance(block, AttentionBlock):
                    x = self._attention_block(x, block, self._where, rate)
                number += not isinstance(block, Flat)
        pooled, dy = Buffer(1, x.channels, x.step), _like(x)
        self._compute(self._pool, pooled, x)
        dpooled = self._heads(params, pooled)
        self._compute(self._pool_backward, dy, dpooled, x)
        for back in reversed(self._back):
            dy = back(dy)

    def _conv2d(
        self,
        x: Buffer,
        grid: tuple[int, int],
        layer: str,
        norm: str,
        size: int,
        stride: int,
        padding: int,
        activation: int,
    ) -> tuple[Buffer, tuple[int, int]]:
        """Convolution, batch norm, activation."""
        where = self._where
        down, across = ((length + 2 * padding - size) // stride + 1 for length in grid)
        window = {"window": size, "stride": stride, "padding": padding}
        window |= {"height": grid[0], "width": grid[1], "channels": x.channels}
        rows, K = down * across, size * size * x.channels
        # With room for what `patches` writes too much: the next row may be another thread's.
        patches = Buffer(rows, K, padded(K) + LANES)
        self._step(kinds.PATCHES, patches, x, rows, rows, **window)
        n = self._linear(patches, layer, norm)
        y = self._batch_norm(n, activation)

        def back(dy: Buffer) -> Buffer:
            self._where = where
            self._sums(n, dy, activation)
            inner = x is not self._input
            dwindows = self._backward(n, dy, dy, inner)
            self._linear_backward(n, patches, dy)
            if not inner:
                return dy
            dx = Buffer(x.rows, x.channels, x.step)
            return self._step(kinds.PATCHES_BACKWARD, dx, dwindows, 1, 1, **window)

        self._back.append(back)
        return y, (down, across)

    def _pooling_block(self, x: Buffer, grid: tuple[int, int], name: str, rate: float) -> Buffer:
        mask1, mask2 = self._room_for_mask(rate), self._room_for_mask(rate)
        gamma = self._reserve(self.capacity * x.step)
        self._gammas.append((f"{name}.ls1.gamma", gamma, x.channels, mask1))
        image = {"height": grid[0], "width": grid[1], "channels": x.channels}
        image |= {"window": self._config.pool_size, "gamma": gamma, "gamma_step": x.step}
        self.scratch = max(self.scratch, grid[1] * x.step)
        mixed = Buffer(x.rows, x.channels, x.step)
        self._step(kinds.POOLING, mixed, x, x.rows, x.rows, **image)
        fc1 = self._linear(mixed, f"{name}.mlp.fc1", f"{name}.mlp.norm1")
        names = f"{name}.mlp.fc2", f"{name}.mlp.norm2", f"{name}.ls2.gamma"
        fc2 = self._linear(fc1.z, *names, before=fc1)
        y = self._residual(mixed, fc2, mask2)

        def back(dy: Buffer) -> Buffer:
            self._where = name
            branch = self._residual_backward(dy, mask2)
            dmixed = self._mlp_backward(branch, mixed, fc1, fc2, residual=dy)
            dx, dgamma = _like(x), Buffer(1, x.channels, x.step)
            more = {"residual": dmixed, "sums": dgamma}
            self._step(kinds.POOLING_BACKWARD, dx, x, 1, 1, **image, **more)
            self._stop(lambda call: self._keep_gamma(call, f"{name}.ls1.gamma", dgamma, mask1))
            return dx

        self._back.append(back)
        return y

    def _attention_block(self, x: Buffer, block: AttentionBlock, name: str, rate: float) -> Buffer:
        mask1, mask2 = self._room_for_mask(rate), self._room_for_mask(rate)
        mixer = f"{name}.token_mixer"
        heads = len(block.token_mixer.attention_biases)
        _, V = head_sizes(block.token_mixer)
        normal1, normal2 = _like(x), _like(x)
        self._compute(self._layer_norm(f"{name}.norm1"), normal1, x)
        qkv = self._linear(normal1, f"{mixer}.qkv", "")
        mixed = Buffer(x.rows, heads * V, padded(heads * V))
        self._compute(self._attention(mixer), mixed, qkv.z)
        proj = self._linear(mixed, f"{mixer}.proj", "", f"{name}.ls1.gamma")
        middle = self._residual(x, proj, mask1)
        self._compute(self._layer_norm(f"{name}.norm2"), normal2, middle)
        fc1 = self._linear(normal2, f"{name}.mlp.fc1", "")
        fc2 = self._linear(fc1.z, f"{name}.mlp.fc2", "", f"{name}.ls2.gamma", before=fc1)
        y = self._residual(middle, fc2, mask2)

        def back(dy: Buffer) -> Buffer:
            self._where = name
            branch = self._residual_backward(dy, mask2)
            dnormal = self._mlp_backward(branch, normal2, fc1, fc2)
            dmiddle, dproj, dqkv, dx = _like(x), _like(x), _like(qkv.z), _like(x)
            norm_backward = self._layer_norm_backward(f"{name}.norm2")
            self._compute(norm_backward, dmiddle, dy, dnormal, middle)
            branch = self._residual_backward(dmiddle, mask1)
            self._sums(proj, branch, NONE)
            dmixed = self._backward(proj, branch, dproj, True)
            self._linear_backward(proj, mixed, dproj)
            self._compute(self._attention_backward(mixer), dqkv, dmixed, qkv.z)
            self._sums(qkv, dqkv, NONE)
            dnormal = self._backward(qkv, dqkv, dqkv, True)
            self._linear_backward(qkv, normal1, dqkv)
            norm_backward = self._layer_norm_backward(f"{name}.norm1")
            self._compute(norm_backward, dx, dmiddle, dnormal, x)
            return dx

        self._back.append(back)
        return y

    def _heads(self, params: EfficientFormer, pooled: Buffer) -> Buffer:
        """Classify, compute the loss, and go back to what the heads saw."""
        names = [name for name in ("head", "head_dist") if getattr(params, name) is not None]
        layers = [self._linear(pooled, name, "") for name in names]
        outputs = [n.z for n in layers] or [pooled]
        gradients = [_like(z) for z in outputs]
        self._turn = len(self._stops)
        for i, gradient in enumerate(gradients):
            self._compute(self._loss if i == 0 else _second, gradient, *outputs)
        dpooled = None
        for n, dz in zip(layers, gradients, strict=False):
            self._sums(n, dz, NONE)
            dpooled = self._backward(n, dz, dz, True, residual=dpooled)
            self._linear_backward(n, pooled, dz)
        return dpooled or gradients[0]

    def _linear(
        self,
        x: Buffer,
        layer: str,
        norm: str,
        scale: str = "",
        before: Layer | None = None,
    ) -> Layer:
        """Linear layer, after the activation of the layer before it; statistics of its result."""
        *window, N = self._shapes[f"{layer}.weight"]
        K = prod(window)
        z = Buffer(x.rows, N, padded(N))
        grain = self._grain(x.rows, x.step + z.step)
        at = self._reserve(packed_size(K, N) + packed_size(N, K))
        coefficients = self._reserve(len(COEFFICIENTS) * z.step)
        n = Layer(layer, norm, scale, K, N, z, grain, at, coefficients)
        self._layers.append(n)
        fields: dict[str, int | Buffer] = {"k": K, "w": at, "grain": grain}
        if before is not None:
            fields |= {"before": before.coefficients, "activation": self._activation}
            self.scratch = max(self.scratch, grain * x.step)
        total = x.rows * self.capacity
        if not norm:
            self._step(kinds.LINEAR_FOR_NORM, z, x, total, grain, **fields)
            return n
        sums = self._room_for_sums(z, grain)
        self._step(kinds.LINEAR_FOR_NORM, z, x, total, grain, sums=sums, **fields)
        self._stop(lambda call: self._statistics(call, n, sums))
        return n

    def _room_for_mask(self, rate: float) -> int:
        """Room for a mask of drop path, in the order in which they are drawn; −1 for none."""
        if rate == 0:
            return -1
        at = self._reserve(self.capacity)
        self._masks.append((at, rate))
        return at

    def _residual(self, x: Buffer, n: Layer, mask: int) -> Buffer:
        """Add the branch that ends with `n`, for those images that drop path spares."""
        if mask < 0:
            return self._batch_norm(n, NONE, x)
        y = self._batch_norm(n, NONE)
        return self._step(kinds.DROP_PATH, y, y, y.rows, y.rows, w=mask, residual=x)

    def _residual_backward(self, dy: Buffer, mask: int) -> Buffer:
        """Gradient of the branch."""
        if mask < 0:
            return dy
        return self._step(kinds.DROP_PATH, _like(dy), dy, dy.rows, dy.rows, w=mask)

    def _batch_norm(self, n: Layer, activation: int, residual: Buffer | None = None) -> Buffer:
        more = {} if residual is None else {"residual": residual}
        fields = {"grain": ROWS, "norm": n.coefficients, "activation": activation}
        y, total = _like(n.z), n.z.rows * self.capacity
        return self._step(kinds.BATCH_NORM, y, n.z, total, n.grain, **fields, **more)

    def _sums(self, n: Layer, dy: Buffer, activation: int) -> None:
        """Gradient of the activation, in place, and what the batch norm has to know of it."""
        sums = self._room_for_sums(n.z, n.grain)
        fields = {"norm": n.coefficients, "activation": activation, "grain": n.grain}
        total = n.z.rows * self.capacity
        buffers = {"z": n.z, "dz": dy}
        self._step(kinds.BATCH_NORM_SUMS, sums, dy, total, n.grain, **fields, **buffers)
        self._stop(lambda call: self._coefficients(call, n, sums))

    def _backward(
        self,
        n: Layer,
        du: Buffer,
        dz: Buffer,
        inner: bool,
        residual: Buffer | None = None,
        before: Layer | None = None,
        act: Buffer | None = None,
    ) -> Buffer:
        """Gradient of a batch norm and of its linear layer's input.

        With `before`, also that of the activation between, and what the norm before it needs.
        """
        total, grain = n.z.rows * self.capacity, n.grain
        fields: dict[str, int | Buffer] = {"norm": n.coefficients, "z": n.z, "dz": dz}
        dx = dz
        if inner:
            dx = Buffer(n.z.rows, n.K, padded(n.K))
            fields |= {"w": n.transposed, "k": n.N}
        else:
            fields["w"] = -1
        if residual is not None:
            fields["residual"] = residual
        if before is not None and act is not None:
            grain = before.grain
            sums = self._room_for_sums(before.z, grain)
            fields |= {"before": before.coefficients, "before_z": before.z}
            fields |= {"act": act, "sums": sums, "activation": self._activation}
        self._step(kinds.BATCH_NORM_BACKWARD, dx, du, total, grain, grain=grain, **fields)
        if before is not None:
            self._stop(lambda call: self._coefficients(call, before, sums))
        return dx

    def _mlp_backward(
        self, dy: Buffer, x: Buffer, fc1: Layer, fc2: Layer, residual: Buffer | None = None
    ) -> Buffer:
        """Gradient of two linear layers with an activation between."""
        self._sums(fc2, dy, NONE)
        dz, hidden = _like(fc2.z), _like(fc1.z)
        dhidden = self._backward(fc2, dy, dz, True, before=fc1, act=hidden)
        self._linear_backward(fc2, hidden, dz)
        dx = self._backward(fc1, dhidden, dhidden, True, residual=residual)
        self._linear_backward(fc1, x, dhidden)
        return dx

    def _linear_backward(self, n: Layer, x: Buffer, dz: Buffer) -> None:
        """Gradient of the weights."""
        panels, down = dz.step // LANES, tile_rows(n.K)
        dW = Buffer(down * TALL, n.N, dz.step, shared=True)
        tiles = down * tile_columns(panels)
        rows = x.rows * self.capacity
        self._step(kinds.LINEAR_BACKWARD, dW, x, tiles, tiles, dz=dz, k=n.K, height=rows)

        def copy(call: Call) -> None:
            path = f"{n.layer}.weight"
            found = self._rows(call, dW)[: n.K, : n.N]
            call.dp[path] = found.reshape(self._shapes[path]).copy()

        self._stop(copy)

    def _grain(self, rows: int, width: int) -> int:
        """How many rows a part has, if each takes `width` numbers: whole tiles, for the cache."""
        tile = 2 * ROWS
        most = min(CHUNK // width, -(-rows * self.capacity // PARTS))
        return max(-(-most // tile), 1) * tile

    def _room_for_sums(self, z: Buffer, grain: int) -> Buffer:
        """Two rows for each part."""
        parts = -(-z.rows * self.capacity // grain)
        return Buffer(2 * parts, z.channels, z.step, shared=True)

    # What happens between the steps ---------------------------------------------------------------

    def _rows(self, call: Call, buffer: Buffer) -> Array:
        """Rows of a buffer, as a view."""
        count = buffer.rows * (1 if buffer.shared else self.capacity)
        size = count * buffer.step
        return call.memory[buffer.at : buffer.at + size].reshape(count, buffer.step)

    def _sum_of_parts(self, call: Call, n: Layer, sums: Buffer) -> Array:
        """Both sums of each part, (parts, 2, N), in float64."""
        parts = self._rows(call, sums).reshape(-1, 2, n.z.step)
        return parts[:, :, : n.N].astype(np.float64)

    def _coefficient_rows(self, call: Call, n: Layer) -> Array:
        size = len(COEFFICIENTS) * n.z.step
        return call.weights[n.coefficients : n.coefficients + size].reshape(-1, n.z.step)

    def _statistics(self, call: Call, n: Layer, sums: Buffer) -> None:
        """Mean and variance over the batch (Chan, Golub & LeVeque 1979), and what follows."""
        parts = self._sum_of_parts(call, n, sums)
        total = n.z.rows * self.capacity
        counts = np.full((len(parts), 1), n.grain)
        counts[-1] = total - n.grain * (len(parts) - 1)
        mean = parts[:, 0].sum(0) / total  # (N,)
        between = counts * (parts[:, 0] / counts - mean) ** 2
        variance = (parts[:, 1] + between).sum(0) / total
        tape = call.statistics.within(n.norm)
        tape("mean", mean.astype(np.float32))
        tape("var", variance.astype(np.float32))
        tape("n", np.array(total))
        rows = self._coefficient_rows(call, n)
        rows[:] = 0
        inverse = 1 / np.sqrt(variance + self._config.batch_norm_eps)
        gamma = call.p.get(n.scale, np.float32(1))
        rows[MEAN, : n.N] = mean
        rows[INVERSE, : n.N] = inverse
        rows[SCALE, : n.N] = gamma * call.p[f"{n.norm}.weight"] * inverse
        rows[SHIFT, : n.N] = gamma * call.p[f"{n.norm}.bias"]

    def _coefficients(self, call: Call, n: Layer, sums: Buffer) -> None:
        """Coefficients of a batch norm's gradient, and the gradients of its parameters.

        With ``dz = s (du − mean(du) − x̂ mean(du x̂))``, s being the scale and x̂ = (z − μ)/σ.
        """
        by_one, by_normal = self._sum_of_parts(call, n, sums).sum(0)
        total = n.z.rows * self.capacity
        gamma = call.p.get(n.scale, np.float32(1))
        if not n.norm:
            call.dp[f"{n.layer}.bias"] = (gamma * by_one).astype(np.float32)
            if n.scale in call.p:
                call.dp[n.scale] = by_normal.astype(np.float32)
            return
        weight, bias = call.p[f"{n.norm}.weight"], call.p[f"{n.norm}.bias"]
        call.dp[f"{n.norm}.weight"] = (gamma * by_normal).astype(np.float32)
        call.dp[f"{n.norm}.bias"] = (gamma * by_one).astype(np.float32)
        if n.scale in call.p:
            call.dp[n.scale] = (weight * by_normal + bias * by_one).astype(np.float32)
        rows = self._coefficient_rows(call, n)
        scale, inverse = rows[SCALE, : n.N], rows[INVERSE, : n.N]
        rows[A, : n.N] = scale
        rows[B, : n.N] = -scale * inverse * by_normal / total
        rows[C, : n.N] = -scale * by_one / total

    def _mask(self, call: Call, mask: int) -> Array:
        """What the branch of each image is multiplied by, (B, 1); without drop path (1, 1)."""
        if mask < 0:
            return np.ones((1, 1), np.float32)
        return call.weights[mask : mask + self.capacity, None]

    def _keep_gamma(self, call: Call, path: str, dgamma: Buffer, mask: int) -> None:
        if path in call.p:
            images = self._rows(call, dgamma)[:, : dgamma.channels] * self._mask(call, mask)
            call.dp[path] = images.sum(0, dtype=np.float64).astype(np.float32)

    def _compute(self, function: Function, y: Buffer, *x: Buffer) -> None:
        """Let NumPy compute a buffer, of all images, from others."""
        y.born = y.needed = len(self._drafts)
        for buffer in x:
            buffer.needed = max(buffer.needed, len(self._drafts))

        def compute(call: Call) -> None:
            rows = self._rows(call, y)
            inputs = [self._rows(call, b)[:, : b.channels] for b in x]
            found = function(call, *(i.reshape(self.capacity, -1, i.shape[-1]) for i in inputs))
            rows[:, : y.channels] = found.reshape(len(rows), -1)
            rows[:, y.channels :] = 0

        self._stop(compute)

    def _layer_norm(self, path: str) -> Function:
        eps = self._config.layer_norm_eps

        def normalize(call: Call, x: Array) -> Array:
            return layer_norm(x, _norm(call, path), eps)

        return normalize

    def _layer_norm_backward(self, path: str) -> Function:
        eps = self._config.layer_norm_eps

        def back(call: Call, past: Array, dy: Array, x: Array) -> Array:
            dx, dp = layer_norm_backward(dy, x, _norm(call, path), eps)
            call.dp.update(leaves(dp, path))
            return past + dx

        return back

    def _attention(self, path: str) -> Function:
        """As `npformer.layers.attention`, between its linear layers."""

        def attend(call: Call, qkv: Array) -> Array:
            p = _mixer(call, path)
            q, k, v = split_heads(qkv, p)
            scores = q @ k.swapaxes(2, 3) * head_sizes(p)[0] ** -0.5
            attn = call.maps[path] = softmax(scores + bias_table(p.attention_biases))
            return merge_heads(attn @ v)

        return attend

    def _attention_backward(self, path: str) -> Function:
        def back(call: Call, dy: Array, qkv: Array) -> Array:
            p, attn = _mixer(call, path), call.maps.pop(path)
            q, k, v = split_heads(qkv, p)
            B, heads, N, V = v.shape
            dy = dy.reshape(B, N, heads, V).swapaxes(1, 2)
            dscores = softmax_backward(dy @ v.swapaxes(2, 3), attn)
            scale = head_sizes(p)[0] ** -0.5
            dq, dk = dscores @ k * scale, dscores.swapaxes(2, 3) @ q * scale
            dbiases = bias_table_backward(dscores.sum(0), p.attention_biases)
            call.dp[f"{path}.attention_biases"] = dbiases
            return merge_heads(np.concatenate([dq, dk, attn.swapaxes(2, 3) @ dy], axis=-1))

        return back

    def _pool(self, call: Call, tokens: Array) -> Array:
        """Final norm, and the mean over all tokens."""
        return layer_norm(tokens, _norm(call, "norm"), self._config.layer_norm_eps).mean(1)

    def _pool_backward(self, call: Call, dpooled: Array, tokens: Array) -> Array:
        dnormal = np.broadcast_to(dpooled / tokens.shape[1], tokens.shape)
        eps = self._config.layer_norm_eps
        dtokens, dp = layer_norm_backward(dnormal, tokens, _norm(call, "norm"), eps)
        call.dp.update(leaves(dp, "norm"))
        return dtokens

    def _loss(self, call: Call, *outputs: Array) -> Array:
        """Loss, and its gradient with respect to the first output; that of the second waits."""
        call.value, dlogits = call.loss(join(*(z[:, 0] for z in outputs)))
        if len(outputs) == 1:
            return dlogits.logits
        first, call.second = join_backward(dlogits)
        return first


def _second(call: Call, *outputs: Array) -> Array:
    return call.second


def _norm(call: Call, path: str) -> LayerNorm:
    return LayerNorm(call.p[f"{path}.weight"], call.p[f"{path}.bias"])


def _mixer(call: Call, path: str) -> Attention:
    qkv, proj = (
        Linear(call.p[f"{path}.{name}.weight"], call.p[f"{path}.{name}.bias"])
        for name in ("qkv", "proj")
    )
    return Attention(qkv, proj, call.p[f"{path}.attention_biases"])


def _like(buffer: Buffer) -> Buffer:
    """Another buffer of the same shape."""
    return Buffer(buffer.rows, buffer.channels, buffer.step)


class FastGradients:
    """Gradients by the compiled walk.

    The plan for the last size of batch is remembered, and drawn anew in milliseconds when another
    size comes. Memory is what takes long to get: that of the largest batch serves all.

    Parameters
    ----------
    config : EfficientFormerConfig
    drop_path : float
    """

    def __init__(self, config: EfficientFormerConfig, drop_path: float = 0.0) -> None:
        self._config, self._drop_path = config, drop_path
        self._plans: dict[tuple[int, ...], TrainingPlan] = {}
        self._arena, self._weights = Memory(), Memory()

    def __call__(self, x: Array, p: EfficientFormer, loss: Loss, rng: Rng) -> Gradients:
        """Return loss, statistics and gradients of a batch, (B, H, W, C₀)."""
        check_input(x.shape, p, self._config)
        batch, height, width, _ = x.shape
        size = batch, height, width
        if size not in self._plans:
            self._plans = {size: TrainingPlan(p, self._config, *size, self._drop_path)}
        plan = self._plans[size]
        arena = Arena(plan, get_num_threads(), self._arena)
        return plan(x, p, loss, rng, arena, self._weights(plan.room))
