"""The names of the tensors: three namings of one network.

    timm        stages.0.blocks.1.mlp.fc1.weight        the paths of the parameter tree
    hf          efficientformer.encoder.intermediate_stages.0.meta4D_layers.blocks.1.mlp.…
    original    network.0.1.mlp.fc1.weight

npformer's own names, here called native, are timm's. The tables below translate the modules. Two
numberings differ as well: Hugging Face and the original count stages and downsamplings in one list,
from which Hugging Face removes the last stage; and Hugging Face numbers attention blocks from 0,
whereas the others continue after the pooling blocks and give a number to the `Flat` in between,
which has no parameters.

Sources: ``convert_efficientformer_original_pytorch_checkpoint_to_pytorch.py`` of transformers
4.40.2 and ``checkpoint_filter_fn`` of timm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias, get_args

from ..checks import require
from ..errors import WeightsError
from ..layers import Flat
from ..network.configuration import EfficientFormerConfig
from ..network.params import param_specs
from ..network.tree import leaves
from .dtypes import Tensors
from .relatives import relative

Naming: TypeAlias = Literal["hf", "timm", "original"]
NAMINGS: tuple[Naming, ...] = get_args(Naming)

PREFIX = "efficientformer."
"""Hugging Face's prefix of all names except the heads'; a network saved without heads has none."""

Table: TypeAlias = dict[str, tuple[str, str]]
"""native module -> (Hugging Face's, the original's)"""

BODY: Table = {
    "stem.conv1": ("patch_embed.convolution1", "patch_embed.0"),
    "stem.norm1": ("patch_embed.batchnorm_before", "patch_embed.1"),
    "stem.conv2": ("patch_embed.convolution2", "patch_embed.3"),
    "stem.norm2": ("patch_embed.batchnorm_after", "patch_embed.4"),
    "norm": ("layernorm", "norm"),
}
HEADS: Table = {
    "head": ("classifier", "head"),
    "head_dist": ("distillation_classifier", "dist_head"),
}
DOWNSAMPLE: Table = {
    "conv": ("projection", "proj"),
    "norm": ("norm", "norm"),
}
POOLING_BLOCK: Table = {
    "ls1.gamma": ("layer_scale_1", "layer_scale_1"),
    "mlp.fc1": ("mlp.convolution1", "mlp.fc1"),
    "mlp.norm1": ("mlp.batchnorm_before", "mlp.norm1"),
    "mlp.fc2": ("mlp.convolution2", "mlp.fc2"),
    "mlp.norm2": ("mlp.batchnorm_after", "mlp.norm2"),
    "ls2.gamma": ("layer_scale_2", "layer_scale_2"),
}
ATTENTION_BLOCK: Table = {
    "norm1": ("layernorm1", "norm1"),
    "token_mixer": ("token_mixer", "token_mixer"),
    "token_mixer.qkv": ("token_mixer.qkv", "token_mixer.qkv"),
    "token_mixer.proj": ("token_mixer.projection", "token_mixer.proj"),
    "ls1.gamma": ("layer_scale_1", "layer_scale_1"),
    "norm2": ("layernorm2", "norm2"),
    "mlp.fc1": ("mlp.linear_in", "mlp.fc1"),
    "mlp.fc2": ("mlp.linear_out", "mlp.fc2"),
    "ls2.gamma": ("layer_scale_2", "layer_scale_2"),
}

BUFFERS = {"running_var": "num_batches_tracked", "attention_biases": "attention_bias_idxs"}
"""What PyTorch stores in addition to a tensor, and npformer does not need: counters of training
steps, and tables that follow from the shape."""
BUFFER_NAMES = tuple(BUFFERS.values())


def modules(config: EfficientFormerConfig) -> Iterator[tuple[str, str, str]]:
    """Yield the native, Hugging Face's and the original's name of each module that has tensors."""
    for native, (hf, original) in BODY.items():
        yield native, PREFIX + hf, original
    for native, (hf, original) in HEADS.items():
        yield native, hf, original
    place = 0  # in the list of stages and downsamplings
    for s, stage in enumerate(param_specs(config).stages):
        if stage.downsample is not None:
            for native, (hf, original) in DOWNSAMPLE.items():
                yield (
                    f"stages.{s}.downsample.{native}",
                    f"{PREFIX}encoder.intermediate_stages.{place}.{hf}",
                    f"network.{place}.{original}",
                )
            place += 1
        is_last = s == len(config.depths) - 1
        hf_stage = "last_stage" if is_last else f"intermediate_stages.{place}"
        table, hf_blocks, first = POOLING_BLOCK, "meta4D_layers", 0
        for b, block in enumerate(stage.blocks):
            if isinstance(block, Flat):
                table, hf_blocks, first = ATTENTION_BLOCK, "meta3D_layers", b + 1
                continue
            for native, (hf, original) in table.items():
                yield (
                    f"stages.{s}.blocks.{b}.{native}",
                    f"{PREFIX}encoder.{hf_stage}.{hf_blocks}.blocks.{b - first}.{hf}",
                    f"network.{place}.{b}.{original}",
                )
        place += 1


def names(config: EfficientFormerConfig, naming: Naming, bare: bool = False) -> dict[str, str]:
    """Translate the name of every tensor of a network.

    Parameters
    ----------
    config : EfficientFormerConfig
    naming : {"hf", "timm", "original"}
    bare : bool
        Whether to omit ``efficientformer.``, as Hugging Face's model without heads does.

    Returns
    -------
    dict of str to str
        Native name -> name in that naming, in the order of the tree, with both heads and with the
        `BUFFERS`.

    Raises
    ------
    ConfigError
        If no network can have this configuration, or there is no such naming.
    """
    require(naming in NAMINGS, "naming", naming, f"one of {', '.join(NAMINGS)}")
    column = ("timm", "hf", "original").index(naming)
    renamed = {row[0]: row[column] for row in modules(config)}
    result = {}
    for path, _ in leaves(param_specs(config)):
        module, _, leaf = path.rpartition(".")
        tensors = [leaf, BUFFERS[leaf]] if leaf in BUFFERS else [leaf]
        for tensor in tensors:
            native = f"{module}.{tensor}"
            name = renamed.get(native) or f"{renamed[module]}.{tensor}"
            result[native] = name.removeprefix(PREFIX) if bare else name
    return result


def to_native(tensors: Tensors, config: EfficientFormerConfig, naming: Naming) -> Tensors:
    """Give the tensors of a file their native names; unknown names stay as they are."""
    native = {name: path for path, name in names(config, naming, is_bare(tensors)).items()}
    return {native.get(name, name): tensor for name, tensor in tensors.items()}


def from_native(tensors: Tensors, config: EfficientFormerConfig, naming: Naming) -> Tensors:
    """Give native tensors the names of a file; for "hf" without a head, those of its bare model."""
    bare = naming == "hf" and "head.weight" not in tensors
    renamed = names(config, naming, bare)
    return {renamed.get(name, name): tensor for name, tensor in tensors.items()}


def is_bare(keys: Iterable[str]) -> bool:
    """Whether no key has Hugging Face's prefix."""
    return not any(key.startswith(PREFIX) for key in keys)


OPENINGS: dict[Naming, tuple[str, ...]] = {
    "hf": ("patch_embed.convolution", "patch_embed.batchnorm", "encoder.", "layernorm."),
    "timm": ("stem.", "stages."),
    "original": ("network.", *(f"patch_embed.{i}." for i in (0, 1, 3, 4))),
}

_STEMS = tuple(
    f"{module}.{leaf}"
    for native, renamed in BODY.items()
    if native != "norm"
    for module in (native, *renamed)
    for leaf in ("weight", "bias", "running_")
)
"""Beginnings of the names of the stem, of which every checkpoint has some."""


def detect(tensors: Iterable[str], source: str) -> Naming:
    """Recognize a naming.

    Parameters
    ----------
    tensors : iterable of str
        The names of the tensors.
    source : str
        What error messages call the file.

    Returns
    -------
    {"hf", "timm", "original"}

    Raises
    ------
    WeightsError
        If the names are those of another network, or of a network that contains this one.
    """
    keys = [key.removeprefix(PREFIX) for key in tensors]
    other = relative(keys)
    if other is not None:
        raise WeightsError(
            f"{source}: tensor {other.tensor!r} belongs to {other.network}. npformer reads "
            "checkpoints of the classifier EfficientFormer, under the names of Hugging Face, timm "
            "or the original"
        )
    counts = {
        naming: sum(key.startswith(openings) for key in keys)
        for naming, openings in OPENINGS.items()
    }
    best = max(NAMINGS, key=counts.__getitem__)
    if not counts[best] or not any(key.startswith(_STEMS) for key in keys):
        raise WeightsError(
            f"{source}: the names of its {len(keys)} tensors are not those of an EfficientFormer: "
            f"{enumerate_names(keys)}. Expected the names of Hugging Face "
            "(efficientformer.patch_embed…), of timm (stem…) or of the original (patch_embed.0…)"
        )
    return best


def enumerate_names(keys: list[str]) -> str:
    """List the first five of some names."""
    return ", ".join(repr(key) for key in keys[:5]) + (", …" if len(keys) > 5 else "")
