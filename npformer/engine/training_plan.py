"""The plan of training: forward, loss and backward of the whole network, for one size of batch.

While the forward steps are added, each layer leaves a function that adds its backward steps; these
functions are called in reverse.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..kernels.layout import LANES, NONE, RELU, padded
from ..layers import Array, AttentionBlock, Flat, Mode, PoolingBlock, Rng, head_sizes
from ..layers.dropout import drop_path_mask
from ..network import EfficientFormer, Gradients, Loss
from ..network.configuration import EfficientFormerConfig
from ..network.tree import build, leaves
from .arena import Arena, Buffer
from .builder import image_fields, window_fields
from .pack import ACTIVATION_CODES
from .steps import Kind
from .training_builder import TrainingBuilder
from .training_call import PoolingScale, TrainingCall


class TrainingPlan(TrainingBuilder):
    """Steps and memory for one size of batch.

    Parameters
    ----------
    params : EfficientFormer
        For the shapes.
    config : EfficientFormerConfig
    batch, height, width : int
        Number and size of the images.
    drop_path : float
        Its rate in the last block.
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
        shapes = {path: leaf.shape for path, leaf in leaves(params)}
        super().__init__(batch, ACTIVATION_CODES[config.hidden_act], shapes)
        self._config = config
        self._mode = Mode(drop_path=drop_path)
        self._scales: list[PoolingScale] = []
        self._back: list[Callable[[Buffer], Buffer]] = []
        self._build(params, (height, width))
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
        """Return loss, statistics and gradients of a batch.

        Parameters
        ----------
        x : ndarray, shape (B, H, W, C₀)
            Preprocessed images.
        params : EfficientFormer
            Of float32.
        loss : callable
            ``loss(logits)`` returns the loss and its gradient with respect to the logits.
        rng : Generator
            Where the masks of drop path are drawn from, in the order of the blocks.
        arena : Arena
            Of `size` and `scratch` numbers.
        weights : ndarray of float32, shape (weights_size,)
            For packed parameters; overwritten.

        Returns
        -------
        Gradients
        """
        p = dict(leaves(params))
        call = TrainingCall(self._config, self.capacity, p, loss, arena.memory, weights)
        for mask, rate in self._masks:
            masks = call.mask(mask)
            masks[:] = drop_path_mask(masks, rate, rng)
        call.pack(self._layers, self._scales)
        at = self._input.at
        np.copyto(arena.memory[at : at + x.size].reshape(x.shape), x, "same_kind")
        self._run(arena, call)
        dp = build(lambda path, leaf: call.dp.get(path, np.zeros_like(leaf)), params)
        return Gradients(call.loss_value, call.statistics, dp)

    def _run(self, arena: Arena, call: TrainingCall) -> None:
        """Run the steps up to the loss, the loss, and the steps back.

        The helpers are sent away for the loss, which is the caller's and may use other threads.
        """
        middle, turn = self._stops[self._turn]
        for first, last, stops in (
            (0, middle, self._stops[: self._turn]),
            (middle, len(self.table), self._stops[self._turn + 1 :]),
        ):
            gates = [(stop - first, partial(function, call)) for stop, function in stops]
            arena.execute(self.table[first:last], call.weights, self.capacity, gates=gates)
            if first == 0:
                turn(call)

    def _build(self, params: EfficientFormer, grid: tuple[int, int]) -> None:
        """Add all steps, for images of so many rows and columns."""
        config, number = self._config, 0
        x = self._input = Buffer(grid[0] * grid[1], config.num_channels, config.num_channels)
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
        pooled, dy = Buffer(1, x.channels, x.step), x.like()
        self._compute(TrainingCall.pool, pooled, x)
        dpooled = self._heads(params, pooled)
        self._compute(TrainingCall.pool_backward, dy, dpooled, x)
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
        """Add a convolution, its batch norm and an activation.

        Parameters
        ----------
        x : Buffer
        grid : (int, int)
            Rows and columns of pixels of `x`.
        layer, norm : str
            Paths of the convolution and of the batch norm.
        size, stride, padding : int
            Of the window.
        activation : int
            Code of the activation.

        Returns
        -------
        y : Buffer
        grid : (int, int)
            Rows and columns of pixels of `y`.
        """
        where = self._where
        window, out = window_fields(grid, x.channels, size, stride, padding)
        rows, K = out[0] * out[1], size * size * x.channels
        # With room for the overrun of `im2col`: the next row may be another thread's.
        windows = Buffer(rows, K, padded(K) + LANES)
        self._step(Kind.IM2COL, windows, x, rows, rows, **window)
        n = self._linear(windows, layer, norm)
        y = self._batch_norm(n, activation)

        def back(dy: Buffer) -> Buffer:
            self._where = where
            self._sums(n, dy, activation)
            inner = x is not self._input
            dwindows = self._backward(n, dy, dy, inner)
            self._linear_backward(n, windows, dy)
            if not inner:
                return dy
            return self._step(Kind.COL2IM, x.like(), dwindows, 1, 1, **window)

        self._back.append(back)
        return y, out

    def _pooling_block(self, x: Buffer, grid: tuple[int, int], name: str, rate: float) -> Buffer:
        """Add a pooling block.

        Parameters
        ----------
        x : Buffer
        grid : (int, int)
            Rows and columns of pixels of `x`.
        name : str
            Path of the block.
        rate : float
            Rate of its drop path.

        Returns
        -------
        Buffer
        """
        mask1, mask2 = self._reserve_mask(rate), self._reserve_mask(rate)
        gamma = self._reserve(self.capacity * x.step)
        scale = PoolingScale(f"{name}.ls1.gamma", gamma, x.channels, mask1)
        self._scales.append(scale)
        image = image_fields(grid, x.channels)
        image |= {"window": self._config.pool_size, "gamma": gamma, "gamma_step": x.step}
        self.scratch = max(self.scratch, grid[1] * x.step)
        mixed = self._step(Kind.POOLING, x.like(), x, x.rows, x.rows, **image)
        fc1 = self._linear(mixed, f"{name}.mlp.fc1", f"{name}.mlp.norm1")
        names = f"{name}.mlp.fc2", f"{name}.mlp.norm2", f"{name}.ls2.gamma"
        fc2 = self._linear(fc1.z, *names, before=fc1)
        y = self._residual(mixed, fc2, mask2)

        def back(dy: Buffer) -> Buffer:
            self._where = name
            branch = self._residual_backward(dy, mask2)
            dmixed = self._mlp_backward(branch, mixed, fc1, fc2, residual=dy)
            dx, dgamma = x.like(), Buffer(1, x.channels, x.step)
            more = {"dy": dmixed, "dgamma": dgamma}
            self._step(Kind.POOLING_BACKWARD, dx, x, 1, 1, **image, **more)
            self._stop(lambda call: call.keep_gamma_gradient(scale, dgamma))
            return dx

        self._back.append(back)
        return y

    def _attention_block(self, x: Buffer, block: AttentionBlock, name: str, rate: float) -> Buffer:
        """Add an attention block.

        Parameters
        ----------
        x : Buffer
        block : AttentionBlock
            For the shapes.
        name : str
            Path of the block.
        rate : float
            Rate of its drop path.

        Returns
        -------
        Buffer
        """
        mask1, mask2 = self._reserve_mask(rate), self._reserve_mask(rate)
        mixer = f"{name}.token_mixer"
        heads, (_, V) = len(block.token_mixer.attention_biases), head_sizes(block.token_mixer)
        normal1, normal2 = x.like(), x.like()
        self._compute(partial(TrainingCall.layer_norm, path=f"{name}.norm1"), normal1, x)
        qkv = self._linear(normal1, f"{mixer}.qkv", "")
        mixed = Buffer(x.rows, heads * V, padded(heads * V))
        self._compute(partial(TrainingCall.attention, path=mixer), mixed, qkv.z)
        proj = self._linear(mixed, f"{mixer}.proj", "", f"{name}.ls1.gamma")
        middle = self._residual(x, proj, mask1)
        self._compute(partial(TrainingCall.layer_norm, path=f"{name}.norm2"), normal2, middle)
        fc1 = self._linear(normal2, f"{name}.mlp.fc1", "")
        fc2 = self._linear(fc1.z, f"{name}.mlp.fc2", "", f"{name}.ls2.gamma", before=fc1)
        y = self._residual(middle, fc2, mask2)

        def back(dy: Buffer) -> Buffer:
            self._where = name
            branch = self._residual_backward(dy, mask2)
            dnormal = self._mlp_backward(branch, normal2, fc1, fc2)
            dmiddle, dproj, dqkv, dx = x.like(), x.like(), qkv.z.like(), x.like()
            norm_backward = partial(TrainingCall.layer_norm_backward, path=f"{name}.norm2")
            self._compute(norm_backward, dmiddle, dy, dnormal, middle)
            branch = self._residual_backward(dmiddle, mask1)
            self._sums(proj, branch, NONE)
            dmixed = self._backward(proj, branch, dproj, True)
            self._linear_backward(proj, mixed, dproj)
            attention_backward = partial(TrainingCall.attention_backward, path=mixer)
            self._compute(attention_backward, dqkv, dmixed, qkv.z)
            self._sums(qkv, dqkv, NONE)
            dnormal = self._backward(qkv, dqkv, dqkv, True)
            self._linear_backward(qkv, normal1, dqkv)
            norm_backward = partial(TrainingCall.layer_norm_backward, path=f"{name}.norm1")
            self._compute(norm_backward, dx, dmiddle, dnormal, x)
            return dx

        self._back.append(back)
        return y

    def _heads(self, params: EfficientFormer, pooled: Buffer) -> Buffer:
        """Add the heads, the loss, and the backward steps of the heads.

        Parameters
        ----------
        params : EfficientFormer
            For the heads that there are; without any, `pooled` is the network's output.
        pooled : Buffer

        Returns
        -------
        Buffer
            Gradient of `pooled`.
        """
        names = [name for name in ("head", "head_dist") if getattr(params, name) is not None]
        layers = [self._linear(pooled, name, "") for name in names]
        outputs = [n.z for n in layers] or [pooled]
        gradients = [z.like() for z in outputs]
        self._turn = len(self._stops)
        functions = TrainingCall.loss_gradient, TrainingCall.second_gradient
        for function, gradient in zip(functions, gradients, strict=False):
            self._compute(function, gradient, *outputs)
        dpooled = None
        for n, dz in zip(layers, gradients, strict=False):
            self._sums(n, dz, NONE)
            dpooled = self._backward(n, dz, dz, True, residual=dpooled)
            self._linear_backward(n, pooled, dz)
        return dpooled or gradients[0]
