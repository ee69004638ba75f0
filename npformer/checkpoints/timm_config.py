"""The ``config.json`` of timm ⇄ a configuration and the keys of a processor.

timm's file names one of its functions (``"architecture": "efficientformer_l1"``), the arguments to
call it with (``model_args``), and how to preprocess images (``pretrained_cfg``). Sizes are inferred
from the tensors; only what tensors do not reveal is read from the file. Files written here also
contain the whole configuration, under the key ``npformer``, which timm ignores.

timm resizes the shorter side to ``crop / crop_pct``, rounded down, and takes the middle. Source:
``timm/models/_hub.py`` and ``timm/data/transforms_factory.py``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from ..images.settings import IMAGENET_MEAN, IMAGENET_STD
from ..network.configuration import EfficientFormerConfig
from .dtypes import Tensors
from .infer import infer_config, variant_of
from .processor import image_size, processor_keys

OWN = "npformer"
"""Key of the whole configuration."""

RESAMPLE = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}
"""timm's names for Pillow's numbers."""

_SEEN_IN_TENSORS = {"depths", "embed_dims", "num_vit", "mlp_ratios", "in_chans", "num_classes",
                    "downsamples"}  # fmt: skip
_OF_TRAINING = {"layer_scale_init_value", "drop_rate", "proj_drop_rate", "drop_path_rate",
                "global_pool", "img_size"}  # fmt: skip


def is_timm(values: Mapping[str, Any]) -> bool:
    """Whether the keys of a ``config.json`` are timm's."""
    return "architecture" in values and "model_type" not in values


def read_config(values: Mapping[str, Any], tensors: Tensors, source: str) -> EfficientFormerConfig:
    """Make a configuration from timm's file and the tensors.

    Parameters
    ----------
    values : mapping
        The keys and values of ``config.json``.
    tensors : dict of str to ndarray
    source : str
        What error messages call the file of weights.

    Returns
    -------
    EfficientFormerConfig

    Raises
    ------
    ConfigError
        If the file is for another type of model, or a key is not understood.
    WeightsError
        If no configuration fits the tensors.
    """
    name = values["architecture"]
    if not isinstance(name, str) or not re.match(r"efficientformer_", name):
        raise ConfigError(f"architecture is {name!r}; expected one of timm's efficientformer_…")
    if OWN in values:
        if not isinstance(values[OWN], Mapping):
            raise ConfigError(f"{OWN} is {values[OWN]!r}; expected a configuration")
        return EfficientFormerConfig.from_dict(values[OWN])
    config = infer_config(tensors, "timm", source)
    arguments = _object(values, "model_args")
    unknown = arguments.keys() - _SEEN_IN_TENSORS - _OF_TRAINING - {"pool_size"}
    if unknown:
        raise ConfigError(f"model_args has {', '.join(sorted(unknown))}, which is not understood")
    config.pool_size = arguments.get("pool_size", config.pool_size)
    labels = values.get("label_names")
    if labels is not None:
        if not isinstance(labels, list) or len(labels) != config.num_labels:
            raise ConfigError(f"label_names is not a list of {config.num_labels} names")
        config.name_classes({i: str(label) for i, label in enumerate(labels)})
    config.validate()
    return config


def read_processor(values: Mapping[str, Any]) -> dict[str, Any]:
    """Translate timm's preprocessing to the keys of a ``preprocessor_config.json``.

    Parameters
    ----------
    values : mapping
        The keys and values of timm's ``config.json``.

    Returns
    -------
    dict

    Raises
    ------
    ConfigError
        If timm's file does not describe the preprocessing, or in a way that is not understood.
    """
    how = _object(values, "pretrained_cfg") or values
    mode = how.get("crop_mode", "center")
    try:
        _, height, width = map(int, how.get("input_size", (3, 224, 224)))
        edges = [math.floor(side / float(how.get("crop_pct", 0.95))) for side in (height, width)]
        resample = RESAMPLE[how.get("interpolation", "bicubic")]
        mean = [float(value) for value in how.get("mean", IMAGENET_MEAN)]
        std = [float(value) for value in how.get("std", IMAGENET_STD)]
        size = {
            "center": {"shortest_edge": min(edges)},
            "squash": {"height": edges[0], "width": edges[1]},
        }[mode]
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ConfigError(f"pretrained_cfg does not say how to preprocess ({error!r})") from error
    return processor_keys(size, (height, width), resample, mean, std)


def write_config(
    config: EfficientFormerConfig, tensors: Tensors, processor: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the keys of a ``config.json`` from which timm builds the network.

    Parameters
    ----------
    config : EfficientFormerConfig
    tensors : dict of str to ndarray
        Under timm's names.
    processor : mapping
        The keys and values of ``preprocessor_config.json``.

    Returns
    -------
    dict

    Raises
    ------
    ConfigError
        If timm has no such network; the message names what it lacks.
    """
    _check_expressible(config, tensors)
    found = variant_of(config)
    variant = None if found == "tiny" else found  # timm does not know tiny
    classes = config.num_labels if "head.weight" in tensors else 0
    height, width = image_size(config)
    values: dict[str, Any] = {
        "architecture": f"efficientformer_{variant or 'l1'}",
        "num_classes": classes,
        "num_features": config.hidden_size,
        "pretrained_cfg": {
            "custom_load": False,
            "input_size": [config.num_channels, height, width],
            "fixed_input_size": True,
            **_crop(processor, height),
            "mean": processor.get("image_mean", list(IMAGENET_MEAN)),
            "std": processor.get("image_std", list(IMAGENET_STD)),
            "num_classes": classes,
            "pool_size": None,
            "first_conv": "stem.conv1",
            "classifier": ["head", "head_dist"],
        },
        OWN: config.to_diff_dict(),
    }
    arguments = _arguments(config)
    if variant is None or arguments != _arguments(EfficientFormerConfig.variant(variant)):
        values["model_args"] = arguments
    return values


def _check_expressible(config: EfficientFormerConfig, tensors: Tensors) -> None:
    """Refuse a network for which timm's class has no arguments."""
    fixed: dict[str, tuple[Any, ...]] = {
        "use_layer_scale": (True,),
        "hidden_act": ("gelu", "gelu_python"),
        "batch_norm_eps": (1e-5,),
        "downsample_patch_size": (3,),
        "downsample_stride": (2,),
        "downsample_pad": (1,),
    }
    if config.num_meta3d_blocks:
        fixed |= {"token_grid": ((7, 7),), "num_attention_heads": (8,), "key_dim": (32,),
                  "attention_ratio": (4,)}  # fmt: skip
    for name, values in fixed.items():
        if getattr(config, name) not in values:
            raise ConfigError(
                f"timm has no EfficientFormer with {name} {getattr(config, name)!r}, only "
                f"{values[0]!r}; the weights alone can be written, to a .safetensors file"
            )
    if ("head.weight" in tensors) != ("head_dist.weight" in tensors):
        raise ConfigError(
            "timm's EfficientFormer always has two heads, and these weights have one; the weights "
            "alone can be written, to a .safetensors file"
        )


def _arguments(config: EfficientFormerConfig) -> dict[str, Any]:
    """Return the arguments for timm's class."""
    return {
        "depths": list(config.depths),
        "embed_dims": list(config.hidden_sizes),
        "in_chans": config.num_channels,
        "num_vit": config.num_meta3d_blocks,
        "mlp_ratios": config.mlp_expansion_ratio,
        "pool_size": config.pool_size,
        "downsamples": [False, *map(config.has_downsample, range(1, len(config.depths)))],
    }


def _crop(processor: Mapping[str, Any], height: int) -> dict[str, Any]:
    """Describe resizing and cropping in timm's terms."""
    size = processor.get("size") or {}
    mode = "center" if "shortest_edge" in size else "squash"
    edge = size.get("shortest_edge") or size.get("height") or height
    fraction = height / edge
    while math.floor(height / fraction) < edge:  # the quotient was rounded up
        fraction = math.nextafter(fraction, 0)
    names = {number: name for name, number in RESAMPLE.items()}
    return {
        "crop_pct": fraction,
        "crop_mode": mode,
        "interpolation": names.get(processor.get("resample", 3), "bicubic"),
    }


def _object(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the object under a key; an empty one if the key is absent."""
    value = values.get(key) or {}
    if not isinstance(value, dict):
        raise ConfigError(f"{key} is {value!r}; expected a JSON object")
    return value
