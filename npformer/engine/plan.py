"""The plan: the network for one size of image, as a table of steps over one piece of memory.

A plan knows for each step where it reads and where it writes. Results that are no longer needed
make way for later ones, so that the network runs in the space of its two largest neighbors. A
result has the name that the plain network's recorder gives it, and keeps its place to the end if
the caller asked for it.
"""

from __future__ import annotations

import numpy as np

from ..kernels.layout import LANES, NONE, padded, stem_scratch, strassen_scratch
from ..layers import Array
from .arena import Arena, Buffer
from .builder import TILE_PANELS, TILE_ROWS, PlanBuilder, image_fields, window_fields
from .pack import (
    ACTIVATION_CODES,
    FEW_ROWS,
    PackedAttentionBlock,
    PackedLinear,
    PackedNetwork,
    PackedPoolingBlock,
)
from .steps import Kind

SCRATCH = 65536
"""Numbers that a part may need besides input and result: 256 kB, half a second-level cache."""
SCRATCH_STRASSEN = 4 * SCRATCH
"""The same for Strassen's products: there, all weights and their sums pass by for each part, and
each meets half as many rows. Few parts matter more than near memory."""


class Plan(PlanBuilder):
    """Steps and memory for images of one size.

    Parameters
    ----------
    packed : PackedNetwork
    height, width : int
        Of the images.
    capacity : int
        How many images pass at once.
    wanted : tuple of str
        Names of results that are kept to the end, besides the last ones.

    Attributes
    ----------
    results : dict
        The shape for one image, and the buffer, of each named result, in the order of computation.
    outputs : tuple of str
        Names of all results that are kept: `wanted`, and the last ones.
    """

    def __init__(
        self,
        packed: PackedNetwork,
        height: int,
        width: int,
        capacity: int = 1,
        wanted: tuple[str, ...] = (),
    ) -> None:
        super().__init__(capacity)
        self._idle: list[Arena] = []
        self.results: dict[str, tuple[tuple[int, ...], Buffer]] = {}
        self._packed = packed
        self._build((height, width))
        self.wanted = wanted
        self.outputs = tuple(dict.fromkeys((*wanted, *(packed.heads or ("pooled",)))))
        for name in self.outputs:
            self.results[name][1].last_use = len(self._pending)
        self._finish()

    def borrow(self, threads: int) -> Arena:
        """Return memory for one call of so many threads: that of an earlier call, or new."""
        try:
            arena = self._idle.pop()
        except IndexError:
            return Arena(self.size, self.scratch, threads)
        return arena if arena.threads == threads else Arena(self.size, self.scratch, threads)

    def give_back(self, arena: Arena) -> None:
        """Let a later call have the memory."""
        self._idle.append(arena)

    def read(self, name: str, arena: Arena, out: Array) -> None:
        """Copy a result out of the arena.

        Parameters
        ----------
        name : str
            One of `outputs`.
        arena : Arena
        out : ndarray of float32, shape (images, …)
            With the shape of that result for one image; filled.
        """
        buffer = self.results[name][1]
        size = len(out) * buffer.rows * buffer.step
        rows = arena.memory[buffer.at : buffer.at + size].reshape(-1, buffer.step)
        np.copyto(out.reshape(len(rows), -1), rows[:, : out.shape[-1]])

    def _build(self, grid: tuple[int, int]) -> None:
        """Add all steps, for images of so many rows and columns."""
        packed, config = self._packed, self._packed.config
        channels = config.num_channels
        x = Buffer(grid[0] * grid[1], channels, channels, outside=True, at=0)
        x, grid = self._stem(x, grid)
        self._name("stem", x, (*grid, x.channels))
        shape: tuple[int, ...]
        for i, stage in enumerate(packed.stages):
            if stage.downsample is not None:
                self._where = f"stages.{i}.downsample"
                window = config.downsample_patch_size, config.downsample_stride
                x, grid = self._conv2d(x, grid, stage.downsample, *window, config.downsample_pad)
                self._name(f"stages.{i}.downsample", x, (*grid, x.channels))
            shape = *grid, x.channels
            for j, block in enumerate(stage.blocks):
                self._where = name = f"stages.{i}.blocks.{j}"
                if isinstance(block, PackedPoolingBlock):
                    x = self._pooling_block(x, grid, block)
                elif isinstance(block, PackedAttentionBlock):
                    x = self._attention_block(x, block, name)
                else:
                    shape = x.rows, x.channels
                self._name(name, x, shape)
            self._name(f"stages.{i}", x, shape)
        self._where = "norm"
        norm = self._layer_norm(x, packed.norm)
        self._name("norm", norm, (x.rows, x.channels))
        self._where = "pooled"
        pooled = Buffer(1, x.channels, padded(x.channels))
        self._step(Kind.MEAN, pooled, norm, 1, 1, channels=x.channels)
        self._name("pooled", pooled, (x.channels,))
        for name, layer in packed.heads.items():
            self._where = name
            self._name(name, self._linear(pooled, layer), (layer.N,))

    def _name(self, name: str, buffer: Buffer, shape: tuple[int, ...]) -> None:
        """Name a result; `shape` is that of one image."""
        self.results[name] = shape, buffer

    def _stem(self, x: Buffer, grid: tuple[int, int]) -> tuple[Buffer, tuple[int, int]]:
        """Add the stem, and return its result and the grid of that."""
        (_, width), (conv1, conv2) = grid, self._packed.stem
        down, across = ((length + 3) // 4 for length in grid)

        def scratch(rows: int) -> int:
            return stem_scratch(rows, width, x.channels, conv1.N)

        chunk = max((n for n in range(1, down + 1) if scratch(n) <= SCRATCH), default=1)
        self.scratch = max(self.scratch, scratch(chunk))
        y = Buffer(down * across, conv2.N, padded(conv2.N))
        image = image_fields(grid, x.channels)
        layers = {"layer": conv1.at, "hidden": conv1.N, "layer2": conv2.at}
        return self._step(Kind.STEM, y, x, down, chunk, **image, **layers), (down, across)

    def _conv2d(
        self,
        x: Buffer,
        grid: tuple[int, int],
        layer: PackedLinear,
        size: int,
        stride: int,
        padding: int,
    ) -> tuple[Buffer, tuple[int, int]]:
        """Add a convolution.

        Parameters
        ----------
        x : Buffer
        grid : (int, int)
            Rows and columns of pixels of `x`.
        layer : PackedLinear
        size, stride, padding : int
            Of the window.

        Returns
        -------
        y : Buffer
        grid : (int, int)
            Rows and columns of pixels of `y`.
        """
        window, out = window_fields(grid, x.channels, size, stride, padding)
        rows, step = out[0] * out[1], padded(layer.K)
        if rows < FEW_ROWS:
            # With room for the overrun of `im2col`: the next row may be another thread's.
            windows = Buffer(rows, layer.K, step + LANES)
            self._step(Kind.IM2COL, windows, x, rows, 6, **window)
            return self._linear(windows, layer), out
        y = Buffer(rows, layer.N, padded(layer.N))
        kind, room = self._window_step(layer)
        window |= {"layer": layer.at, "inputs": layer.K, "activation": NONE, "grain": TILE_ROWS}
        return self._step(kind, y, x, rows, self._chunk(room), **window), out

    def _window_step(self, layer: PackedLinear) -> tuple[Kind, int]:
        """Return the kind of a convolution's step, and the scratch that each of its rows needs."""
        return Kind.CONV2D, padded(layer.K)

    def _chunk(self, step: int, scratch: int = SCRATCH) -> int:
        """Rows of a part: whole tiles that need `scratch` numbers, if each row needs `step`."""
        chunk = max(scratch // step // (2 * TILE_ROWS), 1) * 2 * TILE_ROWS
        self.scratch = max(self.scratch, chunk * step + LANES)
        return chunk

    def _linear(
        self,
        x: Buffer,
        layer: PackedLinear,
        activation: int = NONE,
        residual: Buffer | None = None,
    ) -> Buffer:
        """Add a linear layer, cut along its outputs.

        Parameters
        ----------
        x : Buffer
        layer : PackedLinear
        activation : int
            Code of the activation that follows.
        residual : Buffer, optional
            What is added to the result.

        Returns
        -------
        Buffer
        """
        return self._product(Kind.LINEAR, x, layer, activation, residual)

    def _product(
        self, kind: Kind, x: Buffer, layer: PackedLinear, activation: int, residual: Buffer | None
    ) -> Buffer:
        """Add a step that multiplies by a layer; for the other arguments see `_linear`."""
        y = Buffer(x.rows, layer.N, padded(layer.N))
        panels = y.step // LANES
        more = {} if residual is None else {"residual": residual}
        fields = {
            "layer": layer.at,
            "inputs": layer.K,
            "activation": activation,
            "grain": TILE_PANELS,
        }
        chunk = max(panels // 16, TILE_PANELS)
        return self._step(kind, y, x, panels, chunk, **fields, **more)

    def _pooling_block(self, x: Buffer, grid: tuple[int, int], block: PackedPoolingBlock) -> Buffer:
        """Add a pooling block: as one step, or with few rows as three."""
        config = self._packed.config
        image = image_fields(grid, x.channels)
        image |= {"window": config.pool_size, "gamma": block.gamma}
        y = x.like()
        if x.rows < FEW_ROWS:
            pooled = self._step(Kind.POOLING, y, x, x.rows, 6, **image)
            return self._mlp(pooled, pooled, block.fc1, block.fc2)
        C, hidden, activation = block.fc1.K, block.fc1.N, ACTIVATION_CODES[config.hidden_act]
        scratch, pairs = x.step + padded(hidden), 0
        if block.fc1.strassen and block.fc2.strassen:
            pairs = x.rows // (2 * TILE_ROWS) * TILE_ROWS  # as many as fill whole tiles
            scratch *= 2
            scratch += max(strassen_scratch(1, C, hidden), strassen_scratch(1, hidden, C))
        image |= {"layer": block.fc1.at, "layer2": block.fc2.at, "hidden": hidden, "pairs": pairs}
        return self._step(
            Kind.POOLING_BLOCK,
            y,
            x,
            x.rows - pairs,
            self._chunk(scratch, SCRATCH_STRASSEN if pairs else SCRATCH),
            grain=TILE_ROWS,
            activation=activation,
            **image,
        )

    def _mlp(self, x: Buffer, residual: Buffer, fc1: PackedLinear, fc2: PackedLinear) -> Buffer:
        """Add two linear layers with an activation between, and the residual connection."""
        hidden = self._linear(x, fc1, ACTIVATION_CODES[self._packed.config.hidden_act])
        return self._linear(hidden, fc2, NONE, residual)

    def _layer_norm(self, x: Buffer, affine: int = -1) -> Buffer:
        """Add a layer norm; `affine` is where its weight and bias begin, −1 if it has none."""
        fields = {"channels": x.channels, "affine": affine, "eps": self._packed.eps}
        return self._step(Kind.LAYER_NORM, x.like(), x, x.rows, 6, **fields)

    def _attention_block(self, x: Buffer, block: PackedAttentionBlock, name: str) -> Buffer:
        """Add an attention block, whose module path is `name`."""
        tokens, heads, K, V = x.rows, block.heads, block.K, block.V
        qkv = self._linear(self._layer_norm(x), block.qkv)
        attn = Buffer(heads * tokens, tokens, padded(tokens))
        y = Buffer(tokens, V, heads * padded(V), runs=heads)
        self.scratch = max(self.scratch, (K + 1) * padded(tokens), (tokens + 1) * padded(V))
        self._step(
            Kind.ATTENTION,
            y,
            qkv,
            heads,
            1,
            attn=attn,
            biases=block.bias,
            key_width=K,
            value_width=V,
        )
        self._name(f"{name}.token_mixer.attn", attn, (heads, tokens, tokens))
        x = self._linear(y, block.proj, NONE, x)
        return self._mlp(self._layer_norm(x), x, block.fc1, block.fc2)
