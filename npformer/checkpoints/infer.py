"""The configuration of a network, read off its tensors.

Names tell the number of stages and blocks, shapes the widths. What leaves no trace in the tensors
is taken to be as in the published networks: the pooling window, the activation, the stride, and the
ε of the layer norms, which is 1e-12 in transformers and 1e-5 in timm and the original.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from ..errors import NpformerError, WeightsError
from ..network.configuration import VARIANTS, EfficientFormerConfig
from ..network.labels import with_imagenet_names
from .dtypes import Tensors
from .spellings import PREFIX, Spelling, detect, to_native

LAYER_NORM_EPS: dict[Spelling, float] = {"hf": 1e-12, "timm": 1e-5, "original": 1e-5}

_PLACES: dict[Spelling, re.Pattern[str]] = {
    "timm": re.compile(r"stages\.(?P<stage>\d{1,4})\.(?:downsample|blocks\.(?P<block>\d{1,4}))\."),
    "hf": re.compile(
        r"encoder\.(?:intermediate_stages\.(?P<stage>\d{1,4})|last_stage)\."
        r"(?:projection|norm|meta(?P<kind>[34])D_layers\.blocks\.(?P<block>\d{1,4}))\."
    ),
    "original": re.compile(r"network\.(?P<stage>\d{1,4})\.(?:proj|norm|(?P<block>\d{1,4}))\."),
}
"""Where a tensor stands: its stage, or its place in the list of stages and downsamplings, and its
block; a downsampling has none."""


_LAST = 10**6
"""Place of Hugging Face's ``last_stage``, whose name has none."""


def infer_config(
    tensors: Tensors, spelling: Spelling | None = None, source: str = "the checkpoint"
) -> EfficientFormerConfig:
    """Read the configuration of a network off its tensors.

    Parameters
    ----------
    tensors : dict of str to ndarray
    spelling : {"hf", "timm", "original"}, optional
        By default it is found out.
    source : str
        What errors call the file.

    Returns
    -------
    EfficientFormerConfig
        With the names of ImageNet-1k if there are 1000 classes.

    Raises
    ------
    WeightsError
        If the tensors do not tell.
    """
    spelling = spelling or detect(tensors, source)
    values = skeleton(tensors, spelling)
    narrow: dict[str, Any] = {"hidden_sizes": [2] * len(values["depths"]), "dim": 2}
    try:
        native = to_native(tensors, EfficientFormerConfig(**values, **narrow), spelling)
        values.update(_sizes(native, values, source))
        values["layer_norm_eps"] = LAYER_NORM_EPS[spelling]
        config = EfficientFormerConfig(**values)
    except WeightsError:
        raise
    except NpformerError as error:
        raise WeightsError(
            f"{source}: no network follows from its tensors ({error}); the file is damaged, or put "
            "its config.json beside it and name the folder"
        ) from error
    name_classes(config)
    return config


def name_classes(config: EfficientFormerConfig) -> None:
    """Give 1000 classes without names those of ImageNet-1k, which the published files lack."""
    named = with_imagenet_names(config.id2label)
    if named != config.id2label:
        config.id2label = named
        config.label2id = {label: index for index, label in named.items()}


def skeleton(keys: Iterable[str], spelling: Spelling) -> dict[str, Any]:
    """Read off names how many stages and blocks there are, and of which kind."""
    stages: dict[int, dict[tuple[str, int], bool]] = {}  # place -> block -> has it attention
    downsamplings = set()
    has_layer_scale = False
    for key in keys:
        found = _PLACES[spelling].match(key.removeprefix(PREFIX))
        if not found:
            continue
        has_layer_scale |= "layer_scale_" in key or key.endswith(".gamma")
        groups = found.groupdict()
        place = int(groups["stage"] or _LAST)
        if spelling == "timm":  # counts stages; make room for a downsampling before each
            place = 2 * place - (groups["block"] is None)
        if groups["block"] is None and place != _LAST:
            downsamplings.add(place)
        elif groups["block"] is not None:
            block = (groups.get("kind") or "", int(groups["block"]))
            blocks = stages.setdefault(place, {})
            blocks[block] = blocks.get(block, False) or "token_mixer." in key
    last = max({-1, *stages, *downsamplings} - {_LAST})
    if spelling == "hf" or last in downsamplings:
        last += 1
        stages[last] = stages.get(_LAST, {})

    depths: list[int] = []
    downsamples: list[bool] = []
    for place in range(last + 1):  # a stage without blocks leaves no names, but a place
        if place in downsamplings or (spelling == "timm" and place % 2):
            continue
        if depths:
            downsamples.append(place - 1 in downsamplings)
        depths.append(len(stages.get(place, {})))
    return {
        "depths": depths or [0],
        "downsamples": [*downsamples, True],
        "num_meta3d_blocks": sum(stages.get(last, {}).values()),
        "use_layer_scale": has_layer_scale,
    }


def resembles(tensors: Tensors) -> str | None:
    """Say in words which network the tensors belong to, or None if that cannot be told."""
    try:
        config = infer_config(tensors)
    except NpformerError:
        return None
    for name, values in VARIANTS.items():
        sizes = [config.depths, config.hidden_sizes, config.num_meta3d_blocks]
        if sizes == [values[key] for key in ("depths", "hidden_sizes", "num_meta3d_blocks")]:
            return f"variant {name!r} with {config.num_labels} classes"
    return (
        f"a network with depths {config.depths}, widths {config.hidden_sizes} and "
        f"{config.num_labels} classes"
    )


def _sizes(native: Tensors, values: dict[str, Any], source: str) -> dict[str, Any]:
    """Read widths off natively named tensors."""

    def shape(path: str, ndim: int) -> tuple[int, ...]:
        tensor = native.get(path)
        if tensor is None or tensor.ndim != ndim or not tensor.size:
            found = "is missing" if tensor is None else f"has shape {tensor.shape}"
            raise WeightsError(
                f"{source}: tensor {path!r} (timm's name) {found}; expected {ndim} dimensions"
            )
        return tensor.shape

    depths, attention = values["depths"], values["num_meta3d_blocks"]
    last, pools = len(depths) - 1, depths[-1] - attention
    widths = [shape("stem.conv2.weight", 4)[0]]
    result: dict[str, Any] = {"num_channels": shape("stem.conv1.weight", 4)[1]}
    for stage, downsampled in enumerate(values["downsamples"][:last], start=1):
        widths.append(widths[-1])
        if downsampled:
            widths[-1], _, k, _ = shape(f"stages.{stage}.downsample.conv.weight", 4)
            result |= {"downsample_patch_size": k, "downsample_pad": k // 2}
    result |= {"hidden_sizes": widths, "dim": widths[-1]}

    expansions = [
        (C, shape(f"stages.{stage}.blocks.0.mlp.fc1.weight", 4)[0])
        for stage, C in enumerate(widths)
        if (pools if stage == last else depths[stage])
    ]
    if attention:
        block = f"stages.{last}.blocks.{pools + 1}"
        expansions.append((widths[-1], shape(f"{block}.mlp.fc1.weight", 2)[0]))
        heads, N = shape(f"{block}.token_mixer.attention_biases", 2)
        V = shape(f"{block}.token_mixer.proj.weight", 2)[1] // heads
        K = (shape(f"{block}.token_mixer.qkv.weight", 2)[0] // heads - V) // 2
        R = math.isqrt(N)
        if R * R != N or K < 1 or V < 1:
            raise WeightsError(
                f"{source}: {block} has {N} attention biases, keys of {K} and values of {V} "
                f"numbers for each of {heads} heads, which fits no square grid; put the "
                "config.json beside the file and name the folder"
            )
        result |= {
            "num_attention_heads": heads,
            "key_dim": K,
            "attention_ratio": _ratio([(K, V)]),
            "resolution": R,
            "image_size": R * 4 * 2 ** sum(values["downsamples"][:last]),
        }
    if expansions:
        result["mlp_expansion_ratio"] = _ratio(expansions)
    result["num_labels"] = shape("head.weight", 2)[0] if "head.weight" in native else 0
    return result


def _ratio(widths: list[tuple[int, int]]) -> float:
    """Return the least ratio such that ``int(ratio · narrow) >= wide`` for all pairs."""
    ratio = max(wide / narrow for narrow, wide in widths)
    while any(int(ratio * narrow) < wide for narrow, wide in widths):  # a quotient rounded down
        ratio = math.nextafter(ratio, math.inf)
    return int(ratio) if ratio == int(ratio) else ratio
