"""The plan: the network for one size of image, as a table of steps over one piece of memory.

Packing comes first, once for a network: all layers, folded, in one array in the order of use. A
plan then knows for each step where it reads and where it writes. Results that are no longer needed
make room for later ones, so that the network runs in the space of its two largest neighbors. A
result bears the name that the plain network's recorder gives it, and keeps its place to the end if
somebody asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod
from typing import NamedTuple, TypeAlias

import numpy as np

from ..kernels.layout import (
    GELU,
    LANES,
    NONE,
    RELU,
    halves,
    pack,
    pack_sums,
    packed_size,
    padded,
    stem_scratch,
    strassen_scratch,
    sums_size,
)
from ..layers import Array, Conv2d, Flat, Linear
from ..layers import AttentionBlock as PlainAttentionBlock
from ..layers import PoolingBlock as PlainPoolingBlock
from ..network.configuration import EfficientFormerConfig
from ..network.model import EfficientFormer, stage_sizes
from ..network.tree import leaves
from . import machine_code
from . import steps as kinds
from .fold import AttentionBlock, PoolingBlock, fold_batch_norm, fold_block, key_and_value
from .steps import STEP
from .threads import run

ACTIVATIONS = {"gelu": GELU, "gelu_python": GELU, "relu": RELU, "linear": NONE}
"""Those that the kernels have."""

FEW_ROWS = 128
"""With fewer rows than this, a layer is cut along its weights, which are larger, not its rows."""
ROWS, PANELS = 7, 2
"""What makes whole tiles of the micro-kernel, see `npformer.kernels.linear`."""
RELEASED = 2**62
"""What counters are set to after an error, so that nobody waits for what will not be done."""
SCRATCH = 65536
"""How many numbers a part may need besides input and result: 256 kB, half a second-level cache."""
SCRATCH_OF_PAIRS = 4 * SCRATCH
"""As many where pairs of rows are multiplied: all weights, and more of them, pass by for each part,
and each meets half as many rows. That there are few parts matters more than near memory."""


class Layer(NamedTuple):
    """A packed linear layer or convolution."""

    at: int
    K: int
    N: int
    halved: bool
    """whether what `npformer.kernels.strassen` needs lies behind it"""


class PackedPooling(NamedTuple):
    """A packed pooling block."""

    gamma: int
    fc1: Layer
    fc2: Layer


class PackedAttention(NamedTuple):
    """A packed attention block."""

    qkv: Layer
    bias: int
    proj: Layer
    fc1: Layer
    fc2: Layer
    heads: int
    K: int
    V: int


class PackedStage(NamedTuple):
    """A packed stage."""

    downsample: Layer | None
    blocks: tuple[PackedPooling | PackedAttention | Flat, ...]


class Packed:
    """A network, folded and packed.

    Parameters
    ----------
    p : EfficientFormer
    config : EfficientFormerConfig

    Notes
    -----
    Blocks are folded one at a time, so that there are never three copies of the weights.
    """

    def __init__(self, p: EfficientFormer, config: EfficientFormerConfig) -> None:
        eps = config.batch_norm_eps
        sizes = [rows * columns for rows, columns in stage_sizes(*config.image_shape, config)]
        self._used = 0
        self.weights = aligned(_room(p))
        self.config = config
        self.eps = self._add(np.array([config.layer_norm_eps]))
        self.stem = [
            self._add_conv(fold_batch_norm(p.stem.conv1, p.stem.norm1, eps)),
            self._add_conv(fold_batch_norm(p.stem.conv2, p.stem.norm2, eps)),
        ]
        self.stages = [
            PackedStage(
                stage.downsample and self._add_conv(fold_batch_norm(*stage.downsample, eps)),
                tuple(self._add_block(block, eps, pixels) for block in stage.blocks),
            )
            for stage, pixels in zip(p.stages, sizes, strict=True)
        ]
        self.norm = self._add(np.stack([_wide(p.norm.weight), _wide(p.norm.bias)]))
        self.heads = {
            name: self._add_linear(head)
            for name, head in (("head", p.head), ("head_dist", p.head_dist))
            if head is not None
        }

    def _add_block(
        self, block: PlainPoolingBlock | PlainAttentionBlock | Flat, eps: float, pixels: int
    ) -> PackedPooling | PackedAttention | Flat:
        folded = fold_block(block, eps)
        if isinstance(folded, PoolingBlock):
            C = folded.mlp.fc1.weight.shape[0]
            gamma = np.ones(C) if folded.ls1 is None else folded.ls1.gamma
            return PackedPooling(
                self._add(_wide(gamma)),
                self._add_linear(self._bent(folded.mlp.fc1), pixels >= FEW_ROWS),
                self._add_linear(folded.mlp.fc2, pixels >= FEW_ROWS),
            )
        if isinstance(folded, AttentionBlock):
            n, N, _ = folded.bias.shape
            K, V = key_and_value(folded)
            table = np.full((n, N, padded(N)), -np.inf, np.float32)
            table[:, :, :N] = folded.bias
            # The result of a head has room for whole vectors; what fills it up has weight 0.
            proj = np.zeros((n, padded(V), folded.proj.weight.shape[1]), np.float32)
            proj[:, :V] = folded.proj.weight.reshape(n, V, -1)
            spread = Linear(proj.reshape(n * padded(V), -1), folded.proj.bias)
            return PackedAttention(
                self._add_linear(folded.qkv),
                self._add(table),
                self._add_linear(spread),
                self._add_linear(self._bent(folded.mlp.fc1)),
                self._add_linear(folded.mlp.fc2),
                n,
                K,
                V,
            )
        return Flat()

    def _add(self, array: Array) -> int:
        at = self._used
        self._used += padded(array.size)
        self.weights[at : at + array.size] = array.ravel()
        self.weights[at + array.size : self._used] = 0
        return at

    def _add_linear(self, p: Linear, many_rows: bool = False) -> Layer:
        """Pack a layer; if it is for many rows, and large enough, as `strassen` needs it."""
        at, (K, N) = self._used, p.weight.shape
        self._used += packed_size(K, N)
        pack(p, self.weights[at : self._used])
        halved = many_rows and halves(p)
        if halved:
            begin = self._used
            self._used += sums_size(K, N)
            pack_sums(p, self.weights[begin : self._used])
        return Layer(at, K, N, halved)

    def _bent(self, p: Linear) -> Linear:
        """A layer before the activation: the kernels' GELU is that of twice their sums."""
        if ACTIVATIONS[self.config.hidden_act] != GELU:
            return p
        return Linear(p.weight / 2, p.bias / 2)

    def _add_conv(self, p: Conv2d) -> Layer:
        *window, N = p.weight.shape
        return self._add_linear(Linear(p.weight.reshape(prod(window), N), p.bias))


def _wide(row: Array) -> Array:
    return np.concatenate([row, np.zeros(padded(len(row)) - len(row), row.dtype)])


def _room(p: EfficientFormer) -> int:
    """At most so many numbers does a packed network need; what is never written takes no memory."""
    room = LANES
    for path, leaf in leaves(p):
        if path.endswith("attention_biases"):
            N = prod(leaf.shape[1:3])
            room += len(leaf) * N * padded(N)
        elif path.endswith("proj.weight"):
            room += 2 * prod(leaf.shape[:-1]) * padded(leaf.shape[-1]) + LANES**2 * leaf.shape[-1]
        else:
            times = 2 if ".blocks." in path else 1  # what `pack_sums` makes is as much again
            room += times * prod(leaf.shape[:-1]) * padded(leaf.shape[-1])
    return room


def aligned(count: int) -> Array:
    """Uninitialized float32 that begin at a cache line."""
    raw = np.empty(count + LANES, np.float32)
    start = -raw.ctypes.data % (4 * LANES) // 4
    return raw[start : start + count]


def bring(images: Array, place: Array) -> None:
    """Copy images, (images, H, W, C), to a place of the same shape."""
    np.copyto(place, images, "same_kind")


def flat(images: Array) -> Array:
    """Images as float32 one after the other: themselves if that is how they are, or a copy."""
    flags = images.flags
    if not (images.dtype == np.float32 and flags.c_contiguous and flags.aligned):
        images, same = np.empty(images.shape, np.float32), images
        bring(same, images)
    return images.reshape(-1)


class Memory:
    """Uninitialized float32 that serve again: as many as were ever asked for at once."""

    def __init__(self) -> None:
        self._numbers = aligned(0)

    def __call__(self, count: int) -> Array:
        """As `aligned`; what was returned before is not to be used any more."""
        if len(self._numbers) < count:
            self._numbers = aligned(0)  # so that there are never two
            self._numbers = aligned(count)
        return self._numbers[:count]


@dataclass(eq=False)
class Buffer:
    """A place in the arena: for each image some rows of `channels` numbers."""

    rows: int
    channels: int
    step: int
    outside: bool = False
    """whether it lies elsewhere than in the arena"""
    shared: bool = False
    """whether the rows are not for each image, but for all together"""
    born: int = -1
    """the step that writes it first; −1: it is there at the start"""
    needed: int = 0
    """the last step that reads it"""
    at: int = -1


@dataclass
class _Draft:
    """A step whose buffers have no places yet."""

    numbers: dict[str, int]
    buffers: dict[str, Buffer]


Gate: TypeAlias = tuple[int, Callable[[], None]]


class Arena:
    """The memory of one call.

    Parameters
    ----------
    plan : Drawing
    threads : int
        How many threads it has room for.
    take : callable
        Where the numbers come from.
    """

    def __init__(self, plan: Drawing, threads: int, take: Callable[[int], Array] = aligned) -> None:
        self.threads = threads
        self._place = plan.size, plan.scratch
        self.memory = take(plan.size + threads * plan.scratch)
        self._nowhere = np.zeros((threads, 2), np.int64)

    def walk(
        self,
        table: Array,
        weights: Array,
        images: int,
        pixels: Array | None = None,
        gates: Iterable[Gate] = (),
        alone: bool = False,
    ) -> None:
        """Send all threads, or this one alone, through steps of the plan.

        Parameters
        ----------
        table : ndarray of `npformer.engine.steps.STEP`
        weights : ndarray of float32, flat
        images : int
            How many images there are.
        pixels : ndarray of float32, flat, optional
            The images, if they are not in the arena.
        gates : iterable of (int, callable)
            Steps, and what this thread does before each of them; in this order.
        alone : bool
        """
        entry = machine_code.entry()
        threads = 1 if alone else self.threads
        end = len(table)
        counters = np.zeros(1 + end * (threads + 2), np.int64)
        pixels = self.memory if pixels is None else pixels
        arrays = [table, counters, self.memory, weights, pixels]
        flat = [number for array in arrays for number in machine_code.arguments(array)]
        size, scratch = self._place

        def enter(thread: int, first: int, last: int) -> None:
            nowhere = self._nowhere[thread].ctypes.data
            where = images, first, last, threads, thread, size + thread * scratch
            if entry(nowhere, nowhere + 8, *flat, *where):  # with NPFORMER_BOUNDSCHECK=1
                raise IndexError("a kernel reached outside of its memory")

        def work(thread: int) -> None:
            try:
                first = 0
                if thread == 0:
                    for gate, function in gates:
                        enter(0, first, gate)
                        function()
                        first = gate
                enter(thread, first, end)
            except BaseException:
                counters[1:] = RELEASED
                raise

        run(work, threads, lambda: int(counters[0]))


class Drawing:
    """What all plans are: steps that are written down one after the other, then their places.

    Parameters
    ----------
    capacity : int
        How many images go through at once.

    Attributes
    ----------
    table : ndarray of `npformer.engine.steps.STEP`
    names : list of str
        The module that each step belongs to.
    size : int
        Numbers in the arena, without what threads scribble on.
    scratch : int
        Numbers that each thread scribbles on.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.scratch = 0
        self.names: list[str] = []
        self._drafts: list[_Draft] = []
        self._gates: set[int] = set()
        self._where = "stem"

    def _step(
        self, kind: int, y: Buffer, x: Buffer, units: int, chunk: int, **fields: int | Buffer
    ) -> Buffer:
        """Write down a step; `fields` are those of `npformer.engine.steps`."""
        numbers = {"kind": kind, "units": units, "grain": 1, "chunk": chunk, "rows": y.rows}
        numbers["gate"] = len(self._drafts) in self._gates
        numbers |= dict.fromkeys(kinds.OPTIONAL, -1) | {"y_step": y.step, "x_step": x.step}
        buffers = {"y": y, "x": x}
        for name, value in fields.items():
            if isinstance(value, Buffer):
                buffers[name] = value
            else:
                numbers[name] = value
        for name, buffer in buffers.items():
            if name in kinds.WRITTEN and buffer.born < 0:
                buffer.born = len(self._drafts)
            buffer.needed = len(self._drafts)
        self._drafts.append(_Draft(numbers, buffers))
        self.names.append(self._where)
        return y

    def _finish(self) -> None:
        """Find places, and fill in the table."""
        self.size = self._place()
        self.table = np.zeros(len(self._drafts), STEP)
        for row, draft in zip(self.table, self._drafts, strict=True):
            for name, number in draft.numbers.items():
                row[name] = number
            for name, buffer in draft.buffers.items():
                row[name] = buffer.at

    def _place(self) -> int:
        """Give every buffer its place; those alive at the same time do not overlap.

        Returns
        -------
        int
            Size of the arena.
        """
        every = [b for draft in self._drafts for b in draft.buffers.values()]
        buffers = {id(b): b for b in every if not b.outside}
        end = 0
        placed: list[Buffer] = []
        for buffer in sorted(buffers.values(), key=lambda b: b.born):
            others = [o for o in placed if o.needed >= buffer.born and buffer.needed >= o.born]
            buffer.at = 0
            for other in sorted(others, key=lambda o: o.at):
                if buffer.at + self._size(buffer) <= other.at:
                    break
                buffer.at = max(buffer.at, other.at + self._size(other))
            placed.append(buffer)
            end = max(end, buffer.at + self._size(buffer))
        return end

    def _size(self, buffer: Buffer) -> int:
        """Numbers that a buffer takes, with a margin for the vectors that `patches` copies."""
        images = 1 if buffer.shared else self.capacity
        return padded(images * buffer.rows * buffer.step) + LANES


class Plan(Drawing):
    """Steps and memory for images of one size.

    Parameters
    ----------
    packed : Packed
    height, width : int
        Of the images.
    capacity : int
        How many images go through at once.
    wanted : tuple of str
        Names of results that are to be kept to the end, besides the last ones.

    Attributes
    ----------
    results : dict
        The shape for one image, and the buffer, of each named result, in the order of computation.
    """

    def __init__(
        self,
        packed: Packed,
        height: int,
        width: int,
        capacity: int = 1,
        wanted: tuple[str, ...] = (),
    ) -> None:
        super().__init__(capacity)
        self._idle: list[Arena] = []
        self.results: dict[str, tuple[tuple[int, ...], Buffer]] = {}
        self._packed = packed
        self._draw(height, width)
        self.wanted = wanted
        self.outputs = tuple(dict.fromkeys((*wanted, *(packed.heads or ("pooled",)))))
        for name in self.outputs:
            self.results[name][1].needed = len(self._drafts)
        self._finish()

    def borrow(self, threads: int) -> Arena:
        """Memory for one call: that of an earlier one, or new."""
        try:
            arena = self._idle.pop()
        except IndexError:
            return Arena(self, threads)
        return arena if arena.threads == threads else Arena(self, threads)

    def give_back(self, arena: Arena) -> None:
        """Let a later call have the memory."""
        self._idle.append(arena)

    def read(self, name: str, arena: Arena, out: Array) -> None:
        """Copy a result, (images, ...), out of the arena."""
        buffer = self.results[name][1]
        size = len(out) * buffer.rows * buffer.step
        rows = arena.memory[buffer.at : buffer.at + size].reshape(-1, buffer.step)
        np.copyto(out.reshape(len(rows), -1), rows[:, : out.shape[-1]])

    def _draw(self, height: int, width: int) -> None:
        """Write down all steps."""
        packed, config = self._packed, self._packed.config
        grid = height, width
        channels = config.num_channels
        x = Buffer(height * width, channels, channels, outside=True, at=0)
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
                if isinstance(block, PackedPooling):
                    x = self._pooling_block(x, grid, block)
                elif isinstance(block, PackedAttention):
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
        self._step(kinds.MEAN, pooled, norm, 1, 1, height=x.rows, width=1, channels=x.channels)
        self._name("pooled", pooled, (x.channels,))
        for name, layer in packed.heads.items():
            self._where = name
            self._name(name, self._linear(pooled, layer), (layer.N,))

    def _name(self, name: str, buffer: Buffer, shape: tuple[int, ...]) -> None:
        self.results[name] = shape, buffer

    def _stem(self, x: Buffer, grid: tuple[int, int]) -> tuple[Buffer, tuple[int, int]]:
        (height, width), (conv1, conv2) = grid, self._packed.stem
        down, across = ((length + 3) // 4 for length in grid)

        def room(rows: int) -> int:
            return stem_scratch(rows, width, x.channels, conv1.N)

        chunk = max((n for n in range(1, down + 1) if room(n) <= SCRATCH), default=1)
        self.scratch = max(self.scratch, room(chunk))
        y = Buffer(down * across, conv2.N, padded(conv2.N))
        image = {"height": height, "width": width, "channels": x.channels}
        layers = {"w": conv1.at, "hidden": conv1.N, "w2": conv2.at}
        return self._step(kinds.STEM, y, x, down, chunk, **image, **layers), (down, across)

    def _conv2d(
        self,
        x: Buffer,
        grid: tuple[int, int],
        layer: Layer,
        size: int,
        stride: int,
        padding: int,
    ) -> tuple[Buffer, tuple[int, int]]:
        height, width = grid
        down, across = ((length + 2 * padding - size) // stride + 1 for length in grid)
        window = {"window": size, "stride": stride, "padding": padding}
        window |= {"height": height, "width": width, "channels": x.channels}
        rows, step = down * across, padded(layer.K)
        if rows < FEW_ROWS:
            # With room for what `patches` writes too much: the next row may be another thread's.
            patches = Buffer(rows, layer.K, step + LANES)
            self._step(kinds.PATCHES, patches, x, rows, 6, **window)
            return self._linear(patches, layer), (down, across)
        y = Buffer(rows, layer.N, padded(layer.N))
        chunk = self._chunk(step)
        window |= {"w": layer.at, "k": layer.K, "activation": NONE, "grain": ROWS}
        return self._step(kinds.CONV2D, y, x, rows, chunk, **window), (down, across)

    def _chunk(self, step: int, scratch: int = SCRATCH) -> int:
        """How many rows a part has, if each takes `step` numbers of scratch."""
        chunk = max(scratch // step // (2 * ROWS), 1) * 2 * ROWS
        self.scratch = max(self.scratch, chunk * step + LANES)
        return chunk

    def _linear(
        self,
        x: Buffer,
        layer: Layer,
        activation: int = NONE,
        residual: Buffer | None = None,
    ) -> Buffer:
        y = Buffer(x.rows, layer.N, padded(layer.N))
        panels = y.step // LANES
        more = {} if residual is None else {"residual": residual}
        fields = {"w": layer.at, "k": layer.K, "activation": activation, "grain": PANELS}
        chunk = max(panels // 16, PANELS)
        return self._step(kinds.LINEAR, y, x, panels, chunk, **fields, **more)

    def _pooling_block(self, x: Buffer, grid: tuple[int, int], block: PackedPooling) -> Buffer:
        config = self._packed.config
        height, width = grid
        image = {"height": height, "width": width, "channels": x.channels}
        image |= {"window": config.pool_size, "gamma": block.gamma}
        y = Buffer(x.rows, x.channels, x.step)
        if x.rows < FEW_ROWS:
            pooled = self._step(kinds.POOLING, y, x, x.rows, 6, **image)
            return self._mlp(pooled, pooled, block.fc1, block.fc2)
        C, hidden, activation = block.fc1.K, block.fc1.N, ACTIVATIONS[config.hidden_act]
        room, pairs = x.step + padded(hidden), 0
        if block.fc1.halved and block.fc2.halved:
            pairs = x.rows // (2 * ROWS) * ROWS  # such as fill whole tiles
            room = 2 * room + max(strassen_scratch(1, C, hidden), strassen_scratch(1, hidden, C))
        image |= {"w": block.fc1.at, "w2": block.fc2.at, "hidden": hidden, "pairs": pairs}
        return self._step(
            kinds.POOLING_BLOCK,
            y,
            x,
            x.rows - pairs,
            self._chunk(room, SCRATCH_OF_PAIRS if pairs else SCRATCH),
            grain=ROWS,
            activation=activation,
            **image,
        )

    def _mlp(self, x: Buffer, residual: Buffer, fc1: Layer, fc2: Layer) -> Buffer:
        hidden = self._linear(x, fc1, ACTIVATIONS[self._packed.config.hidden_act])
        return self._linear(hidden, fc2, NONE, residual)

    def _layer_norm(self, x: Buffer, affine: int = -1) -> Buffer:
        y = Buffer(x.rows, x.channels, x.step)
        image = {"height": x.rows, "width": 1, "channels": x.channels}
        return self._step(
            kinds.LAYER_NORM, y, x, x.rows, 6, w=affine, eps=self._packed.eps, **image
        )

    def _attention_block(self, x: Buffer, block: PackedAttention, name: str) -> Buffer:
        tokens, heads, K, V = x.rows, block.heads, block.K, block.V
        qkv = self._linear(self._layer_norm(x), block.qkv)
        attn = Buffer(heads * tokens, tokens, padded(tokens))
        y = Buffer(tokens, heads * padded(V), heads * padded(V))
        self.scratch = max(self.scratch, (K + 1) * padded(tokens), (tokens + 1) * padded(V))
        self._step(
            kinds.ATTENTION,
            y,
            qkv,
            heads,
            1,
            attn=attn,
            w=block.bias,
            k=K,
            channels=V,
            hidden=padded(V),
            height=tokens,
            width=1,
        )
        self._name(f"{name}.token_mixer.attn", attn, (heads, tokens, tokens))
        x = self._linear(y, block.proj, NONE, x)
        return self._mlp(self._layer_norm(x), x, block.fc1, block.fc2)
