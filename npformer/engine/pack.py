"""Packing: all layers of a folded network in one array, in the order in which kernels read them."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..kernels.layout import (
    GELU,
    LANES,
    NONE,
    RELU,
    pack,
    pack_quantized,
    pack_sums,
    packed_size,
    padded,
    quantized_size,
    sums_size,
    use_strassen,
)
from ..kernels.processor import group_size
from ..layers import (
    Array,
    Attention,
    AttentionBlock,
    Conv2d,
    Flat,
    Linear,
    PoolingBlock,
    QuantizedConv2d,
    QuantizedLinear,
    as_linear,
    head_sizes,
    quantized_as_linear,
    relative_position_bias,
)
from ..network import EfficientFormer, stage_sizes
from ..network.configuration import EfficientFormerConfig
from ..network.tree import leaves
from .arena import empty_aligned
from .fold import (
    FoldedAttentionBlock,
    FoldedNetwork,
    FoldedPoolingBlock,
    fold_block,
    fold_downsample,
    fold_stem,
)

ACTIVATION_CODES = {"gelu": GELU, "gelu_python": GELU, "relu": RELU, "linear": NONE}
"""Activations that the kernels have: ``hidden_act`` of a configuration, and their code."""

FEW_ROWS = 128
"""With fewer rows than this, a layer is cut along its weights, which are larger, not its rows."""


class PackedLinear(NamedTuple):
    """A packed linear layer, or a convolution as the linear layer of its windows."""

    at: int
    """index of its first number in the weights"""
    K: int
    """inputs"""
    N: int
    """outputs"""
    strassen: bool
    """whether what `npformer.kernels.strassen` needs follows it"""


class PackedPoolingBlock(NamedTuple):
    """A packed pooling block."""

    gamma: int
    """where its first layer scale begins"""
    fc1: PackedLinear
    fc2: PackedLinear


class PackedAttentionBlock(NamedTuple):
    """A packed attention block."""

    qkv: PackedLinear
    bias: int
    """where the biases of all pairs of tokens begin"""
    proj: PackedLinear
    fc1: PackedLinear
    fc2: PackedLinear
    heads: int
    K: int
    """width of a key"""
    V: int
    """width of a value"""


class PackedStage(NamedTuple):
    """A packed stage."""

    downsample: PackedLinear | None
    blocks: tuple[PackedPoolingBlock | PackedAttentionBlock | Flat, ...]


class PackedNetwork:
    """A network, folded and packed.

    Parameters
    ----------
    p : EfficientFormer or FoldedNetwork
        Of float32, or in eight bits as `npformer.engine.quantize.quantize` makes it. Not kept.
    config : EfficientFormerConfig

    Attributes
    ----------
    weights : ndarray of float32, flat
        All packed layers.
    eps, norm : int
        Where ε of the layer norms and the weight and bias of the last one begin in `weights`.
    quantized : bool
        Whether layers are in eight bits.
    stem : list of PackedLinear
    stages : list of PackedStage
    heads : dict
        The classifiers that there are, by name.

    Notes
    -----
    Blocks are folded one at a time, so that there are never three copies of the weights.
    """

    def __init__(self, p: EfficientFormer | FoldedNetwork, config: EfficientFormerConfig) -> None:
        eps = config.batch_norm_eps
        sizes = [rows * columns for rows, columns in stage_sizes(*config.image_shape, config)]
        self._used, self.quantized = 0, is_quantized(p)
        self.weights = empty_aligned(_size_bound(p))
        self.config = config
        self.eps = self._add(np.array([config.layer_norm_eps]))
        self.stem = [self._add_conv2d(conv) for conv in fold_stem(p.stem, eps)]
        self.stages: list[PackedStage] = []
        stages: Any = p.stages
        for stage, pixels in zip(stages, sizes, strict=True):
            conv = fold_downsample(stage.downsample, eps)
            downsample = None if conv is None else self._add_conv2d(conv)
            blocks = tuple(self._add_block(block, eps, pixels) for block in stage.blocks)
            self.stages.append(PackedStage(downsample, blocks))
        self.norm = self._add(np.stack([_pad(p.norm.weight), _pad(p.norm.bias)]))
        self.heads = {
            name: self._add_linear(head)
            for name, head in (("head", p.head), ("head_dist", p.head_dist))
            if head is not None
        }

    def _add_block(
        self, block: PoolingBlock | AttentionBlock | Flat, eps: float, pixels: int
    ) -> PackedPoolingBlock | PackedAttentionBlock | Flat:
        """Fold and pack a block.

        Parameters
        ----------
        block : PoolingBlock, AttentionBlock or Flat
        eps : float
            ε of its batch norms.
        pixels : int
            Pixels of an image there.
        """
        folded = fold_block(block, eps)
        if isinstance(folded, FoldedPoolingBlock):
            C = folded.mlp.fc1.weight.shape[0]
            gamma = np.ones(C) if folded.ls1 is None else folded.ls1.gamma
            return PackedPoolingBlock(
                self._add(_pad(gamma)),
                self._add_linear(self._before_activation(folded.mlp.fc1), pixels >= FEW_ROWS),
                self._add_linear(folded.mlp.fc2, pixels >= FEW_ROWS),
            )
        if isinstance(folded, FoldedAttentionBlock):
            mixer = folded.token_mixer
            return PackedAttentionBlock(
                self._add_linear(mixer.qkv),
                self._add(_pad_biases(mixer)),
                self._add_linear(_pad_proj(mixer)),
                self._add_linear(self._before_activation(folded.mlp.fc1)),
                self._add_linear(folded.mlp.fc2),
                len(mixer.attention_biases),
                *head_sizes(mixer),
            )
        return Flat()

    def _add(self, array: Array) -> int:
        """Append an array, filled up with zeros, and return where it begins."""
        at = self._used
        self._used += padded(array.size)
        self.weights[at : at + array.size] = array.ravel()
        self.weights[at + array.size : self._used] = 0
        return at

    def _add_linear(self, p: Linear | QuantizedLinear, many_rows: bool = False) -> PackedLinear:
        """Append a layer; if it is for many rows and large enough, what Strassen needs as well."""
        at, (K, N) = self._used, p.weight.shape
        if isinstance(p, QuantizedLinear):
            self._used += quantized_size(K, N, group_size())
            pack_quantized(p, self.weights[at : self._used], group_size())
            return PackedLinear(at, K, N, False)
        self._used += packed_size(K, N)
        pack(p, self.weights[at : self._used])
        strassen = many_rows and use_strassen(p)
        if strassen:
            begin = self._used
            self._used += sums_size(K, N)
            pack_sums(p, self.weights[begin : self._used])
        return PackedLinear(at, K, N, strassen)

    def _add_conv2d(self, p: Conv2d | QuantizedConv2d) -> PackedLinear:
        return self._add_linear(as_linear(p) if isinstance(p, Conv2d) else quantized_as_linear(p))

    def _before_activation(self, p: Linear | QuantizedLinear) -> Linear | QuantizedLinear:
        """Halve a layer that GELU follows: the kernels' GELU is that of twice their sums."""
        if ACTIVATION_CODES[self.config.hidden_act] != GELU or isinstance(p, QuantizedLinear):
            return p
        return Linear(p.weight / 2, p.bias / 2)


def _pad(row: Array) -> Array:
    """Fill up a row with zeros to whole vectors."""
    return np.concatenate([row, np.zeros(padded(len(row)) - len(row), row.dtype)])


def _pad_biases(p: Attention) -> Array:
    """Attention biases, (heads, N, N), with rows of whole vectors: what fills them up gets −∞."""
    biases = relative_position_bias(p.attention_biases)
    n, N, _ = biases.shape
    table = np.full((n, N, padded(N)), -np.inf, np.float32)
    table[:, :, :N] = biases
    return table


def _pad_proj(p: Attention) -> Linear | QuantizedLinear:
    """The output projection for heads that are whole vectors: what fills them up has weight 0."""
    n, (_, V) = len(p.attention_biases), head_sizes(p)
    weight = np.zeros((n, padded(V), p.proj.weight.shape[1]), p.proj.weight.dtype)
    weight[:, :V] = p.proj.weight.reshape(n, V, -1)
    return p.proj._replace(weight=weight.reshape(n * padded(V), -1))


def is_quantized(p: EfficientFormer | FoldedNetwork) -> bool:
    """Whether layers of a network are in eight bits."""
    return any(leaf.dtype == np.int8 for _, leaf in leaves(p))


def _size_bound(p: EfficientFormer | FoldedNetwork) -> int:
    """Numbers that a packed network has at most; what is never written takes no memory."""
    count = LANES
    for path, leaf in leaves(p):
        if leaf.dtype == np.int8:
            K, N = prod(leaf.shape[:-1]), leaf.shape[-1]
            K = K + LANES * K if path.endswith("proj.weight") else K
            count += quantized_size(K, N, group_size()) + LANES
        elif path.endswith("attention_biases"):
            N = prod(leaf.shape[1:3])
            count += len(leaf) * N * padded(N)
        elif path.endswith("proj.weight"):
            count += 2 * prod(leaf.shape[:-1]) * padded(leaf.shape[-1]) + LANES**2 * leaf.shape[-1]
        else:
            times = 2 if ".blocks." in path else 1  # `pack_sums` makes as many again
            count += times * prod(leaf.shape[:-1]) * padded(leaf.shape[-1])
    return count
