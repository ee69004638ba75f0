"""The names of the tensors: three spellings of one network.

    timm        stages.0.blocks.1.mlp.fc1.weight        the paths of the parameter tree
    hf          efficientformer.encoder.intermediate_stages.0.meta4D_layers.blocks.1.mlp.…
    original    network.0.1.mlp.fc1.weight

timm's spelling is the native one. The tables below translate the modules; two numberings differ as
well. Hugging Face and the original count stages and downsamplings in one list, of which Hugging
Face takes the last stage out; and Hugging Face counts attention blocks anew from 0, whereas the
others count on after the pooling blocks and give a number to the parameterless `Flat` between.
Sources: ``convert_efficientformer_original_pytorch_checkpoint_to_pytorch.py`` of transformers
4.40.2 and ``checkpoint_filter_fn`` of timm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias, get_args

from ..errors import WeightsError
from ..layers import Flat
from ..network.configuration import EfficientFormerConfig
from ..network.params import blueprint
from ..network.tree import leaves
from .dtypes import Tensors

Spelling: TypeAlias = Literal["hf", "timm", "original"]
SPELLINGS: tuple[Spelling, ...] = get_args(Spelling)

PREFIX = "efficientformer."
"""What Hugging Face puts before all but the heads, unless the network was saved without heads."""

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
"""What PyTorch stores beside a tensor and npformer has no use for: counters of training steps, and
tables that follow from the shape."""
BUFFER_NAMES = tuple(BUFFERS.values())


def modules(config: EfficientFormerConfig) -> Iterator[tuple[str, str, str]]:
    """Yield (native, Hugging Face's, the original's) name of each module that holds tensors."""
    for native, (hf, original) in BODY.items():
        yield native, PREFIX + hf, original
    for native, (hf, original) in HEADS.items():
        yield native, hf, original
    place = 0  # in the list of stages and downsamplings
    for s, stage in enumerate(blueprint(config).stages):
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


def names(config: EfficientFormerConfig, spelling: Spelling, bare: bool = False) -> dict[str, str]:
    """Return the name of every tensor of a network: native name -> name in a spelling.

    Parameters
    ----------
    config : EfficientFormerConfig
    spelling : {"hf", "timm", "original"}
    bare : bool
        Hugging Face's names without ``efficientformer.``, as its model without heads is saved.

    Returns
    -------
    dict of str to str
        In the order of the tree, with both heads and with the `BUFFERS`.
    """
    column = ("timm", "hf", "original").index(spelling)
    spelled = {row[0]: row[column] for row in modules(config)}
    result = {}
    for path, _ in leaves(blueprint(config)):
        module, _, leaf = path.rpartition(".")
        tensors = [leaf, BUFFERS[leaf]] if leaf in BUFFERS else [leaf]
        for tensor in tensors:
            native = f"{module}.{tensor}"
            name = spelled.get(native) or f"{spelled[module]}.{tensor}"
            result[native] = name.removeprefix(PREFIX) if bare else name
    return result


def to_native(tensors: Tensors, config: EfficientFormerConfig, spelling: Spelling) -> Tensors:
    """Rename the tensors of a file natively; names that the network has not stay as they are."""
    native = {name: path for path, name in names(config, spelling, is_bare(tensors)).items()}
    return {native.get(name, name): tensor for name, tensor in tensors.items()}


def from_native(tensors: Tensors, config: EfficientFormerConfig, spelling: Spelling) -> Tensors:
    """Rename native tensors; without a head, Hugging Face's names are those of its bare model."""
    bare = spelling == "hf" and "head.weight" not in tensors
    spelled = names(config, spelling, bare)
    return {spelled.get(name, name): tensor for name, tensor in tensors.items()}


def is_bare(keys: Iterable[str]) -> bool:
    """Whether no key has Hugging Face's prefix."""
    return not any(key.startswith(PREFIX) for key in keys)


_OPENINGS: dict[Spelling, tuple[str, ...]] = {
    "hf": ("patch_embed.convolution", "patch_embed.batchnorm", "encoder.", "layernorm."),
    "timm": ("stem.", "stages."),
    "original": ("network.", *(f"patch_embed.{i}." for i in (0, 1, 3, 4))),
}


def detect(tensors: Iterable[str], source: str) -> Spelling:
    """Find out in which spelling names are.

    Parameters
    ----------
    tensors : iterable of str
        The names.
    source : str
        What errors call the file.

    Returns
    -------
    {"hf", "timm", "original"}

    Raises
    ------
    WeightsError
        If they are those of a detector, of OpenMMLab, or of no EfficientFormer.
    """
    keys = [key.removeprefix(PREFIX) for key in tensors]
    _refuse_relatives(keys, source)
    counts = {
        spelling: sum(key.startswith(openings) for key in keys)
        for spelling, openings in _OPENINGS.items()
    }
    best = max(SPELLINGS, key=counts.__getitem__)
    if not counts[best]:
        raise WeightsError(
            f"{source}: the names of its {len(keys)} tensors are not those of an EfficientFormer: "
            f"{enumerate_names(keys)}. Expected the spelling of Hugging Face "
            "(efficientformer.patch_embed…), of timm (stem…) or of the original (patch_embed.0…)"
        )
    return best


def _refuse_relatives(keys: list[str], source: str) -> None:
    """Refuse checkpoints of other networks that share names with this one."""
    for key in keys:
        if key.startswith("backbone."):
            kind = "a detector or a checkpoint of OpenMMLab (mmpretrain, mmdetection, EasyCV)"
        elif "attention_biases_seg" in key or key.startswith(("norm0.", "norm2.", "norm4.")):
            kind = "a backbone for detection or segmentation, whose attention biases are others"
        else:
            continue
        raise WeightsError(
            f"{source}: tensor {key!r} belongs to {kind}. npformer reads checkpoints of the "
            "classifier: in the spelling of Hugging Face, timm or the original"
        )


def enumerate_names(keys: list[str]) -> str:
    """Write out the first five of some names."""
    return ", ".join(repr(key) for key in keys[:5]) + (", …" if len(keys) > 5 else "")
