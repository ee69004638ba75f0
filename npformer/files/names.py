"""Names of the files in a model's folder, as transformers and timm write them."""

from __future__ import annotations

CONFIG_NAME = "config.json"
"""The configuration of the network."""

PROCESSOR_NAME = "preprocessor_config.json"
"""How images become pixel values."""

WEIGHTS_NAMES = ("model.safetensors", "pytorch_model.bin")
"""The weights in one file."""

TORCH_SUFFIXES = (".bin", ".pth", ".pt")
"""Endings of files that ``torch.save`` writes."""

INDEX_SUFFIX = ".index.json"
"""Ending of the list of the files over which weights are distributed."""

WEIGHTS_OR_LISTS = tuple(name + end for name in WEIGHTS_NAMES for end in ("", INDEX_SUFFIX))
"""The weights, or the list of the files over which they are distributed: the first is read."""

SUFFIXES = (".safetensors", *TORCH_SUFFIXES)
"""Endings of all files of weights that can be read."""
