"""Infer the configuration of a network from its tensors.

Names reveal the number of stages and blocks, shapes the widths. Whatever leaves no trace in the
tensors is assumed to be as in the published networks: the pooling window, the activation, the
stride, and the ε of the layer norms, which is 1e-12 in transformers and 1e-5 in timm and the
original.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from ..checks import shortened
from ..errors import NpformerError, WeightsError
from ..network.configuration import EfficientFormerConfig
from ..network.variants import VARIANTS
from .dtypes import Tensors
from .naming import PREFIX, Naming, detect, to_native

LAYER_NORM_EPS: dict[Naming, float] = {"hf": 1e-12, "timm": 1e-5, "original": 1e-5}
"""The ε of the layer norms in each library."""

_PLACES: dict[Naming, re.Pattern[str]] = {
    "timm": re.compile(r"stages\.(?P<stage>\d{1,4})\.(?:downsample|blocks\.(?P<block>\d{1,4}))\."),
    "hf": re.compile(
        r"encoder\.(?:intermediate_stages\.(?P<stage>\d{1,4})|last_stage)\."
        r"(?:projection|norm|meta(?P<kind>[34])D_layers\.blocks\.(?P<block>\d{1,4}))\."
    ),
    "original": re.compile(r"network\.(?P<stage>\d{1,4})\.(?:proj|norm|(?P<block>\d{1,4}))\."),
}
"""Where a tensor belongs: its stage, or its place in the list of stages and downsamplings, and its
block, which a downsampling does not have."""

MAX_PLACE = 200
"""A limit far above the 7 places of the published networks."""

_LAST = 10**6
"""Place of Hugging Face's ``last_stage``, whose name contains no number."""


def infer_config(
    tensors: Tensors, naming: Naming | None = None, source: str = "the checkpoint"
) -> EfficientFormerConfig:
    """Infer the configuration of a network from its tensors.

    Parameters
    ----------
    tensors : dict of str to ndarray
    naming : {"hf", "timm", "original"}, optional
        Detected by default.
    source : str
        What error messages call the file.

    Returns
    -------
    EfficientFormerConfig
        With the names of ImageNet-1k if there are 1000 classes.

    Raises
    ------
    WeightsError
        If no configuration fits the tensors.
    """
    naming = naming or detect(tensors, source)
    try:
        values = skeleton(tensors, naming)
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from None
    narrow: dict[str, Any] = {"hidden_sizes": [2] * len(values["depths"]), "dim": 2}
    try:
        native = to_native(tensors, EfficientFormerConfig(**values, **narrow), naming)
        values.update(_sizes(native, values, source))
        values["layer_norm_eps"] = LAYER_NORM_EPS[naming]
        config = EfficientFormerConfig(**values)
    except WeightsError:
        raise
    except NpformerError as error:
        raise WeightsError(
            f"{source}: no network has these tensors ({error}). If the file is not damaged, put "
            "its config.json beside it and name the folder"
        ) from error
    config.add_imagenet_names()
    return config


def skeleton(keys: Iterable[str], naming: Naming) -> dict[str, Any]:
    """Infer from names how many stages and blocks there are, and of which kind.

    Raises
    ------
    WeightsError
        If a name belongs to a stage that no network has.
    """
    stages: dict[int, dict[tuple[str, int], bool]] = {}  # place -> block -> has attention
    downsamplings = set()
    has_layer_scale = False
    for key in keys:
        found = _PLACES[naming].match(key.removeprefix(PREFIX))
        if not found:
            continue
        has_layer_scale |= "layer_scale_" in key or key.endswith(".gamma")
        groups = found.groupdict()
        place = int(groups["stage"] or _LAST)
        if naming == "timm":  # numbers only stages; make room for a downsampling before each
            place = 2 * place - (groups["block"] is None)
        if place > MAX_PLACE and place != _LAST:
            raise WeightsError(
                f"tensor {shortened(key)} belongs to stage {groups['stage']}; no EfficientFormer "
                "has so many stages"
            )
        if groups["block"] is None and place != _LAST:
            downsamplings.add(place)
        elif groups["block"] is not None:
            block = (groups.get("kind") or "", int(groups["block"]))
            blocks = stages.setdefault(place, {})
            blocks[block] = blocks.get(block, False) or "token_mixer." in key
    last = max({-1, *stages, *downsamplings} - {_LAST})
    if naming == "hf" or last in downsamplings:
        last += 1
        stages[last] = stages.get(_LAST, {})

    depths: list[int] = []
    downsamples: list[bool] = []
    for place in range(last + 1):  # a stage without blocks has a place, but no names
        if place in downsamplings or (naming == "timm" and place % 2):
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
    """Describe the network that tensors belong to; None if they do not reveal it."""
    try:
        config = infer_config(tensors)
    except NpformerError:
        return None
    variant = variant_of(config)
    if variant is not None:
        return f"variant {variant!r} with {config.num_labels} classes"
    return (
        f"a network with depths {config.depths}, widths {config.hidden_sizes} and "
        f"{config.num_labels} classes"
    )


def variant_of(config: EfficientFormerConfig) -> str | None:
    """Return the name of the variant whose stages a network has, or None."""
    keys = ("depths", "hidden_sizes", "num_meta3d_blocks")
    sizes = [getattr(config, key) for key in keys]
    found = (name for name, values in VARIANTS.items() if sizes == [values[key] for key in keys])
    return next(found, None)


def _sizes(native: Tensors, values: dict[str, Any], source: str) -> dict[str, Any]:
    """Infer widths from natively named tensors."""

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
                f"{source}: {block} has {N} attention biases, keys of width {K} and values of "
                f"width {V} in each of {heads} heads, which fits no square grid of tokens; put the "
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
    """Return the smallest ratio such that ``int(ratio · narrow) >= wide`` for all pairs."""
    ratio = max(wide / narrow for narrow, wide in widths)
    while any(int(ratio * narrow) < wide for narrow, wide in widths):  # a quotient rounded down
        ratio = math.nextafter(ratio, math.inf)
    return int(ratio) if ratio == int(ratio) else ratio
