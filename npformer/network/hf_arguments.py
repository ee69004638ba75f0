"""What happens to each argument of transformers' ``from_pretrained`` and ``save_pretrained``.

    works        it does what it says
    no effect    it concerns what npformer does not have, and changes no result: a warning, once
    refused      without it the result would be another one than asked for: an error in words

An argument that has the value that it has by default says nothing, and is always accepted. The page
"Arguments and methods of transformers" is made from these tables and from `hf_methods`.

Source: ``modeling_utils.py``, ``configuration_utils.py`` and ``image_processing_utils.py`` of
transformers 4.40.2, and ``dtype``, the later name of ``torch_dtype``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

WORKS, NO_EFFECT, REFUSED = "works", "no effect", "refused"


class Argument(NamedTuple):
    """An argument of the reference, and what npformer does with it."""

    answer: str
    """`WORKS`, `NO_EFFECT` or `REFUSED`"""
    words: str
    """what it does, why it does nothing, or what to use instead"""
    default: Any = None
    """its value in the reference if it is not given"""


_TOKEN = Argument(REFUSED, "use token, its later name")
_UNUSED = Argument(REFUSED, "an argument that means nothing is an error here, or warned of", False)
_PUSH = Argument(
    REFUSED,
    "npformer does not upload; save the folder, then run `hf upload OWNER/NAME FOLDER`",
    False,
)
_ONE_FILE = Argument(NO_EFFECT, "the weights are written as one file, whatever their size", "5GB")

DOWNLOADING = {
    "pretrained_model_name_or_path": Argument(WORKS, "a name, a repository, a folder or a file"),
    "revision": Argument(WORKS, "branch, tag or commit of the repository", "main"),
    "cache_dir": Argument(WORKS, "the folder of the cache"),
    "local_files_only": Argument(WORKS, "nothing is asked of the hub", False),
    "token": Argument(WORKS, "for private repositories"),
    "force_download": Argument(WORKS, "fetches the files again", False),
    "subfolder": Argument(WORKS, "of a repository or of a local folder", ""),
    "use_auth_token": _TOKEN,
    "proxies": Argument(REFUSED, "set the variable HTTPS_PROXY"),
    "resume_download": Argument(NO_EFFECT, "downloads are always resumed", False),
    "trust_remote_code": Argument(NO_EFFECT, "no code of a repository is ever run"),
}
"""What the three ``from_pretrained`` have in common."""

LOAD_SETTINGS = {**DOWNLOADING, "return_unused_kwargs": _UNUSED}
"""``from_pretrained`` of a configuration or a processor."""

LOAD_CONFIG = {
    **LOAD_SETTINGS,
    "attn_implementation": Argument(NO_EFFECT, "there is one attention, the exact one"),
}
"""``from_pretrained`` of a configuration."""

_NO_DEVICE = "npformer computes on the CPU"
_NO_OFFLOAD = "the weights are always in memory"
_NO_ADAPTER = "npformer has no adapters (PEFT)"
_NO_INTEGERS = "npformer has a scheme of its own: npformer.quantize, or name a folder that it made"

LOAD_MODEL = {
    **DOWNLOADING,
    "config": Argument(WORKS, "instead of the one beside the weights; an object, a name or a path"),
    "ignore_mismatched_sizes": Argument(WORKS, "heads that do not fit become random ones", False),
    "torch_dtype": Argument(WORKS, "float16, float32 or float64, by name or as PyTorch's object"),
    "dtype": Argument(WORKS, "the later name of torch_dtype"),
    "use_safetensors": Argument(NO_EFFECT, "either format is read, safetensors first, no code run"),
    "low_cpu_mem_usage": Argument(NO_EFFECT, "the weights are in memory once in any case"),
    "device_map": Argument(NO_EFFECT, _NO_DEVICE),
    "max_memory": Argument(NO_EFFECT, _NO_DEVICE),
    "offload_folder": Argument(NO_EFFECT, _NO_OFFLOAD),
    "offload_state_dict": Argument(NO_EFFECT, _NO_OFFLOAD, False),
    "offload_buffers": Argument(NO_EFFECT, _NO_OFFLOAD, False),
    "attn_implementation": LOAD_CONFIG["attn_implementation"],
    "use_flash_attention_2": Argument(
        NO_EFFECT, LOAD_CONFIG["attn_implementation"].words, False
    ),
    "mirror": Argument(NO_EFFECT, "it has none in the reference either; set HF_ENDPOINT"),
    "state_dict": Argument(
        REFUSED, "make parameters with npformer.checkpoints.assemble, and a model with them"
    ),
    "from_tf": Argument(REFUSED, "weights of TensorFlow are not read", False),
    "from_flax": Argument(REFUSED, "weights of Flax are not read", False),
    "output_loading_info": Argument(
        REFUSED, "weights that are missing or unexpected are an error, so there is nothing to tell",
        False,
    ),
    "load_in_8bit": Argument(REFUSED, _NO_INTEGERS, False),
    "load_in_4bit": Argument(REFUSED, _NO_INTEGERS, False),
    "quantization_config": Argument(REFUSED, _NO_INTEGERS),
    "variant": Argument(REFUSED, "give the path of the file of weights itself"),
    "adapter_kwargs": Argument(REFUSED, _NO_ADAPTER),
    "adapter_name": Argument(NO_EFFECT, _NO_ADAPTER, "default"),
}  # fmt: skip
"""``from_pretrained`` of a model."""

SAVE_SETTINGS = {
    "save_directory": Argument(WORKS, "is made if it does not exist"),
    "push_to_hub": _PUSH,
    "repo_id": Argument(REFUSED, _PUSH.words),
    "commit_message": Argument(REFUSED, _PUSH.words),
    "use_auth_token": Argument(REFUSED, _PUSH.words),
}
"""``save_pretrained`` of a configuration or a processor."""

SAVE_MODEL = {
    **SAVE_SETTINGS,
    "token": Argument(NO_EFFECT, "nothing is uploaded"),
    "ignore_metadata_errors": Argument(NO_EFFECT, "nothing is uploaded", False),
    "max_shard_size": _ONE_FILE,
    "safe_serialization": Argument(
        REFUSED, "models are saved as safetensors; for a file of PyTorch, run `npformer convert "
        "FOLDER FILE.pth`", True,
    ),
    "is_main_process": Argument(REFUSED, "call save_pretrained in one process only", True),
    "state_dict": Argument(REFUSED, "make a model with these parameters, and save that"),
    "save_function": Argument(REFUSED, "whole files are written, or none, by npformer itself"),
    "save_config": Argument(NO_EFFECT, "the configuration is always written", True),
    "save_peft_format": Argument(NO_EFFECT, _NO_ADAPTER, True),
    "variant": Argument(REFUSED, "rename the file of weights afterwards"),
}  # fmt: skip
"""``save_pretrained`` of a model."""


def settle(function: str, options: dict[str, Any], table: Mapping[str, Argument]) -> dict[str, Any]:
    """Answer the arguments of the reference that do not work here.

    Parameters
    ----------
    function : str
        Whose arguments they are.
    options : dict
        Keyword arguments.
    table : mapping
        The arguments of the reference.

    Returns
    -------
    dict
        The other keyword arguments.

    Raises
    ------
    TypeError
        If one is refused; the message says what to do instead.
    """
    left = {}
    for name, value in options.items():
        argument = table.get(name)
        if argument is None or argument.answer == WORKS:
            left[name] = value
        elif value is not None and value != argument.default:
            if argument.answer == REFUSED:
                raise TypeError(f"{function}: {name}={value!r} is not possible: {argument.words}")
            warn_once(f"{function}: {name} has no effect: {argument.words}")
    return left


def refuse_unknown(options: Mapping[str, Any]) -> None:
    """Refuse keyword arguments of save_pretrained that are left.

    Raises
    ------
    TypeError
        If there is one.
    """
    for name in options:
        raise TypeError(f"save_pretrained has no argument {name!r}")


@cache
def warn_once(text: str) -> None:
    """Warn, and not again in this process."""
    warnings.warn(text, stacklevel=4)
