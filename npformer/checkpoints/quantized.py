"""Folders with a network in eight bits.

    config.json                 the network's, with "quantization_config": {"quant_method":
                                "npformer_int8", "version": 1}
    model.safetensors           the leaves of the folded tree under their paths, in its shapes:
                                int8 weights, float32 scales, biases and all the rest
    preprocessor_config.json    as in every folder

The folded tree is that of `npformer.engine.quantize`; the numbers mean what
`npformer.layers.quantized_linear` says. Attention biases, which the tree has for each pair of
tokens, are stored by distance. Nothing is guessed and nothing is left over, as in every checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..engine.fold import (
    FoldedAttentionBlock,
    FoldedNetwork,
    FoldedPoolingBlock,
    FoldedStage,
)
from ..engine.quantize import IN_FLOAT, is_below
from ..errors import WeightsError
from ..files.atomic import write_json
from ..files.names import CONFIG_NAME, PROCESSOR_NAME, WEIGHTS_NAMES
from ..layers import (
    Attention,
    AttentionBlock,
    Conv2d,
    LayerNorm,
    LayerScale,
    Mlp,
    PoolingBlock,
    QuantizedConv2d,
    QuantizedLinear,
    relative_position_bias,
)
from ..network.configuration import EfficientFormerConfig
from ..network.params import param_specs
from ..network.tree import build, leaves
from . import safetensors_file
from .dtypes import Tensors, name_of
from .naming import enumerate_names
from .processor import default_processor

KEY = "quantization_config"
"""The key of ``config.json`` under which transformers too has such things, in its own schemes."""
METHOD = "npformer_int8"
VERSION = 1
"""Raised when the same numbers would mean something else."""

HEADS = {
    "EfficientFormerModel": (),
    "EfficientFormerForImageClassification": ("head",),
    "EfficientFormerForImageClassificationWithTeacher": ("head", "head_dist"),
}
"""The heads of each class that ``architectures`` in ``config.json`` can name."""


def scheme_of(values: dict[str, Any], source: Path) -> bool:
    """Whether a ``config.json`` describes a network in eight bits.

    Parameters
    ----------
    values : dict
        The keys and values of the file.
    source : Path
        What error messages call it.

    Raises
    ------
    WeightsError
        If it describes another scheme than this module's.
    """
    if KEY not in values:
        return False
    found = values[KEY]
    if found != {"quant_method": METHOD, "version": VERSION}:
        raise WeightsError(
            f"{source}: {KEY} is {found!r}; expected quant_method {METHOD!r} and version "
            f"{VERSION}, which npformer quantize writes: quantize the weights that it was made from"
        )
    return True


def refuse_without_scheme(tensors: Tensors, source: str) -> None:
    """Refuse whole numbers for weights where nothing says what they mean.

    Raises
    ------
    WeightsError
        If there are some.
    """
    whole = [
        name
        for name, tensor in tensors.items()
        if name.endswith("weight") and tensor.dtype in (np.int8, np.uint8)
    ]
    if whole:
        raise WeightsError(
            f"{source}: tensor {whole[0]!r} is {name_of(tensors[whole[0]].dtype)} and nothing says "
            f"what its numbers mean; expected real numbers, or a folder whose {CONFIG_NAME} has "
            f"{KEY}, as npformer quantize writes it: name the folder"
        )


def assemble(tensors: Tensors, config: EfficientFormerConfig, source: str) -> FoldedNetwork:
    """Build the folded tree from the tensors of a file.

    Parameters
    ----------
    tensors : dict of str to ndarray
    config : EfficientFormerConfig
        Whose ``architectures`` say which heads there are; if not, the tensors do.
    source : str
        What error messages call the file.

    Returns
    -------
    FoldedNetwork
        Of read-only arrays; those of the file, without a copy.

    Raises
    ------
    WeightsError
        If tensors are missing, unexpected, of another shape or dtype, or hold numbers that none of
        their kind can be; the message names the tensors.
    ConfigError
        If no network can have this configuration.
    """
    kind = (config.architectures or [""])[0]
    heads = HEADS.get(kind, tuple(name.split(".")[0] for name in tensors))
    tree = specs(config)
    tree = tree._replace(
        head=tree.head if "head" in heads else None,
        head_dist=tree.head_dist if "head_dist" in heads else None,
    )
    expected = dict(leaves(tree))
    for problem, wrong in (
        ("missing", [name for name in expected if name not in tensors]),
        ("unexpected", [name for name in tensors if name not in expected]),
    ):
        if wrong:
            raise WeightsError(
                f"{source}: {problem} tensors ({len(wrong)}): {enumerate_names(wrong)}. Expected "
                f"those of a network in eight bits with depths {config.depths} and widths "
                f"{config.hidden_sizes}; quantize the weights again"
            )
    for name, spec in expected.items():
        wrong_is = what_is_wrong(name, tensors[name], spec)
        if wrong_is:
            raise WeightsError(f"{source}: tensor {name!r} {wrong_is}; quantize the weights again")

    def leaf(path: str, _: Any) -> Any:
        array = tensors[path]
        if path.endswith("attention_biases"):
            n, rows, columns = array.shape
            array = relative_position_bias(array).reshape(n, rows, columns, rows, columns)
        array.flags.writeable = False
        return array

    return build(leaf, tree)


def what_is_wrong(name: str, tensor: Any, spec: Any) -> str:
    """Say what is wrong with a tensor; an empty text if nothing is."""
    if tensor.shape != spec.shape:
        return f"has shape {tensor.shape}, expected {spec.shape}"
    if tensor.dtype != spec.dtype:
        return f"is {name_of(tensor.dtype)}, expected {spec.dtype}"
    if tensor.dtype == np.int8:
        low = np.count_nonzero(tensor == -128)
        return f"holds −128 {low} times, expected −127 to 127" if low else ""
    finite = np.count_nonzero(np.isfinite(tensor))
    if finite < tensor.size:
        return f"has {tensor.size - finite} of {tensor.size} values that are not finite"
    if name.endswith(".scale") and tensor.min(initial=1) <= 0:
        return f"holds the scale {tensor.min():g}, expected positive ones"
    return ""


def specs(config: EfficientFormerConfig) -> FoldedNetwork:
    """Describe the folded tree of a network with both heads: each leaf has its shape and dtype.

    Raises
    ------
    ConfigError
        If no network can have this configuration.
    """
    p = param_specs(config)

    def array(shape: tuple[int, ...], dtype: str = "float32") -> Any:
        return np.broadcast_to(np.zeros((), dtype), shape)  # which takes no memory

    def quantized(kind: Any, shape: tuple[int, ...]) -> Any:
        return kind(array(shape, "int8"), array(shape[-1:]), array(shape[-1:]))

    def linear(layer: Any) -> Any:
        return quantized(QuantizedLinear, layer.weight.shape[-2:])  # also of 1×1 convolutions

    def block(node: Any) -> Any:
        if isinstance(node, PoolingBlock):
            ls1 = None if node.ls1 is None else LayerScale(array(node.ls1.gamma.shape))
            return FoldedPoolingBlock(ls1, Mlp(linear(node.mlp.fc1), linear(node.mlp.fc2)))
        if isinstance(node, AttentionBlock):
            mixer = node.token_mixer
            biases = array(mixer.attention_biases.shape)
            return FoldedAttentionBlock(
                Attention(linear(mixer.qkv), linear(mixer.proj), biases),
                Mlp(linear(node.mlp.fc1), linear(node.mlp.fc2)),
            )
        return node

    def conv(path: str, layer: Any) -> Any:
        shape = layer.weight.shape
        if is_below(path, IN_FLOAT):
            return Conv2d(array(shape), array(shape[-1:]))
        return quantized(QuantizedConv2d, shape)

    return FoldedNetwork(
        stem=(conv("stem.0", p.stem.conv1), conv("stem.1", p.stem.conv2)),
        stages=tuple(
            FoldedStage(
                None if stage.downsample is None else conv("", stage.downsample.conv),
                tuple(block(node) for node in stage.blocks),
            )
            for stage in p.stages
        ),
        norm=LayerNorm(*(array(leaf.shape) for leaf in p.norm)),
        head=None if p.head is None else linear(p.head),
        head_dist=None if p.head_dist is None else linear(p.head_dist),
    )


def write(
    folder: Path,
    config: EfficientFormerConfig,
    params: FoldedNetwork,
    processor: dict[str, Any] | None = None,
) -> None:
    """Write a folder.

    Parameters
    ----------
    folder : Path
        Created if it does not exist. Each file appears whole or not at all, the weights first.
    config : EfficientFormerConfig
    params : FoldedNetwork
        In eight bits.
    processor : dict, optional
        The keys and values of ``preprocessor_config.json``; by default those that fit the network.

    Raises
    ------
    WeightsError
        If the attention biases were resized by "original", which no file can store.
    OSError
        If a file cannot be written.
    """
    tensors: Tensors = {}
    for path, array in leaves(params):
        if path.endswith("attention_biases"):
            by_distance = array[:, 0, 0]
            by_pair = relative_position_bias(array)
            if not np.array_equal(relative_position_bias(by_distance), by_pair):
                raise WeightsError(
                    f"{folder}: there is an attention bias for each pair of tokens "
                    "(method='original'), which no folder holds; resize by method='offsets' first"
                )
            array = by_distance
        tensors[path] = np.ascontiguousarray(array)
    heads = (params.head is not None) + (params.head_dist is not None)
    described = {
        **config.to_diff_dict(),
        "architectures": [list(HEADS)[heads]],
        "hidden_size": config.hidden_size,
        KEY: {"quant_method": METHOD, "version": VERSION},
    }
    folder.mkdir(parents=True, exist_ok=True)
    safetensors_file.write(folder / WEIGHTS_NAMES[0], tensors)
    write_json(folder / PROCESSOR_NAME, processor or default_processor(config, "hf"))
    write_json(folder / CONFIG_NAME, described)
