"""The configuration of an EfficientFormer, named as transformers' ``EfficientFormerConfig``.

It holds the sizes and constants of a network, the names of its classes, and whatever else a
``config.json`` says. Sources: ``configuration_efficientformer.py`` and ``configuration_utils.py``
of transformers 4.40.2, whose files it reads and writes.
"""

from __future__ import annotations

import copy
import inspect
import json
import warnings
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..errors import ConfigError, MissingWeights
from ..files.shipped import shipped
from ..files.strict_json import read_object
from ..layers import ACTIVATIONS
from .labels import with_imagenet_names

TRANSFORMERS_VERSION = "4.40.2"
"""The version of transformers whose format is written."""

CONFIG_NAME = "config.json"

VARIANTS: dict[str, dict[str, Any]] = {
    "tiny": {
        "depths": [2, 2, 4, 3], "hidden_sizes": [32, 64, 128, 256], "dim": 256,
        "num_meta3d_blocks": 2, "resolution": 4, "image_size": 128, "layer_norm_eps": 1e-5,
        "layer_scale_init_value": 0.2, "num_labels": 200,
    },
    "l1": {
        "depths": [3, 2, 6, 4], "hidden_sizes": [48, 96, 224, 448], "dim": 448,
        "num_meta3d_blocks": 1, "num_labels": 1000,
    },
    "l3": {
        "depths": [4, 4, 12, 6], "hidden_sizes": [64, 128, 320, 512], "dim": 512,
        "num_meta3d_blocks": 4, "num_labels": 1000,
    },
    "l7": {
        "depths": [6, 6, 18, 8], "hidden_sizes": [96, 192, 384, 768], "dim": 768,
        "num_meta3d_blocks": 8, "num_labels": 1000,
    },
}  # fmt: skip
"""What the named networks set; the paper, table 1 and its code."""

PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")

MAX_BLOCKS = 1000
"""More blocks, a wider layer or more classes than this is a typing error, not a network."""
MAX_WIDTH = 65536
MAX_GRID = 512
MAX_LABELS = 1_000_000


class EfficientFormerConfig:
    """Sizes and constants of a network, and the names of its classes.

    Attributes can be set; `validate` is called here and again by whatever builds a network.

    Parameters
    ----------
    depths : sequence of int
        Number of blocks in each stage.
    hidden_sizes : sequence of int
        Number of channels in each stage.
    downsamples : sequence of bool
        Whether a downsampling follows stage i. Where the width changes there is one in any case;
        the entry of the last stage means nothing.
    dim : int
        Width of the attention; must equal ``hidden_sizes[-1]``.
    key_dim : int
        Width of a key in each attention head.
    attention_ratio : float
        The values of a head have ``int(attention_ratio * key_dim)`` numbers.
    resolution : int or pair of int
        Side of the square grid of tokens in the last stage. A pair is (rows, columns), which timm
        and npformer know and transformers does not.
    num_hidden_layers : int
        Means nothing, as in the reference.
    num_attention_heads : int
    mlp_expansion_ratio : float
        How much wider an MLP is inside.
    hidden_dropout_prob : float
        Dropout in the MLPs while training. (The reference's page says 0.1; its code has 0.)
    patch_size : int
        Means nothing, as in the reference.
    num_channels : int
        Colors of the input.
    pool_size : int
        Side of the pooling window; odd.
    downsample_patch_size, downsample_stride, downsample_pad : int
        Kernel, step and padding of the convolution between stages, in pixels.
    drop_path_rate : float
        Rate at which the last block skips its branches while training; it rises linearly to that.
    num_meta3d_blocks : int
        How many of the last blocks are attention blocks.
    distillation : bool
        Means nothing, as in the reference: the class decides whether there are two heads.
    use_layer_scale : bool
        Whether residual branches are scaled.
    layer_scale_init_value : float
        Layer scale of a fresh network.
    hidden_act : str
        Activation of the MLPs, a key of `npformer.layers.ACTIVATIONS`. The stem's is always ReLU.
    initializer_range : float
        Standard deviation of the weights of a fresh network.
    layer_norm_eps : float
        ε of the layer norms: 1e-12 in transformers, 1e-5 in timm and the original.
    image_size : int or pair of int
        Size (height, width) of the images that the network is meant for. It computes nothing.
    batch_norm_eps : float
        ε of the batch norms.
    **others
        What transformers takes for any model: ``num_labels``, ``id2label``, ``label2id``,
        ``problem_type``, ``output_attentions``, ``output_hidden_states``, ``return_dict``,
        ``architectures``, … Unknown keys are kept as attributes, with a warning where one looks
        like a typing error.

    Attributes
    ----------
    id2label : dict of int to str
        Class names; their number is ``num_labels``.
    label2id : dict of str to int
        The reverse.
    problem_type : str or None
        Which loss `labels` are for; None: found from their number and type.
    output_attentions, output_hidden_states, return_dict : bool
        What a call of a network does by default.

    Raises
    ------
    ConfigError
        If no network can be like that; the message names the key.

    Examples
    --------
    >>> config = EfficientFormerConfig(hidden_sizes=[48, 96, 224, 448], num_labels=10)
    >>> config.num_labels, config.hidden_size
    (10, 448)
    >>> EfficientFormerConfig.variant("l3").depths
    [4, 4, 12, 6]
    """

    model_type = "efficientformer"

    id2label: dict[int, str]
    label2id: dict[str, int]
    problem_type: str | None
    architectures: list[str] | None
    output_attentions: bool
    output_hidden_states: bool
    return_dict: bool
    torchscript: bool
    torch_dtype: str | None

    def __init__(
        self,
        depths: Sequence[int] = (3, 2, 6, 4),
        hidden_sizes: Sequence[int] = (48, 96, 224, 448),
        downsamples: Sequence[bool] = (True, True, True, True),
        dim: int = 448,
        key_dim: int = 32,
        attention_ratio: float = 4,
        resolution: int | Sequence[int] = 7,
        num_hidden_layers: int = 5,
        num_attention_heads: int = 8,
        mlp_expansion_ratio: float = 4,
        hidden_dropout_prob: float = 0.0,
        patch_size: int = 16,
        num_channels: int = 3,
        pool_size: int = 3,
        downsample_patch_size: int = 3,
        downsample_stride: int = 2,
        downsample_pad: int = 1,
        drop_path_rate: float = 0.0,
        num_meta3d_blocks: int = 1,
        distillation: bool = True,
        use_layer_scale: bool = True,
        layer_scale_init_value: float = 1e-5,
        hidden_act: str = "gelu",
        initializer_range: float = 0.02,
        layer_norm_eps: float = 1e-12,
        image_size: int | Sequence[int] = 224,
        batch_norm_eps: float = 1e-5,
        **others: Any,
    ) -> None:
        self.depths = _listed("depths", depths)
        self.hidden_sizes = _listed("hidden_sizes", hidden_sizes)
        self.downsamples = _listed("downsamples", downsamples)
        self.dim = dim
        self.key_dim = key_dim
        self.attention_ratio = attention_ratio
        self.resolution = resolution
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.mlp_expansion_ratio = mlp_expansion_ratio
        self.hidden_dropout_prob = hidden_dropout_prob
        self.patch_size = patch_size
        self.num_channels = num_channels
        self.pool_size = 3 if pool_size is None else pool_size  # as the reference reads null
        self.downsample_patch_size = downsample_patch_size
        self.downsample_stride = downsample_stride
        self.downsample_pad = downsample_pad
        self.drop_path_rate = drop_path_rate
        self.num_meta3d_blocks = num_meta3d_blocks
        self.distillation = distillation
        self.use_layer_scale = use_layer_scale
        self.layer_scale_init_value = layer_scale_init_value
        self.hidden_act = hidden_act
        self.initializer_range = initializer_range
        self.layer_norm_eps = layer_norm_eps
        self.image_size = image_size
        self.batch_norm_eps = batch_norm_eps

        kind = others.pop("model_type", self.model_type)
        _require(kind == self.model_type, "model_type", kind, f"{self.model_type!r}")
        self._set_labels(
            others.pop("num_labels", None),
            others.pop("id2label", None),
            others.pop("label2id", None),
        )
        self._hidden_size_given = False
        if others.get("hidden_size") is not None:
            self.hidden_size = others["hidden_size"]
        others.pop("hidden_size", None)
        others["_name_or_path"] = others.pop("name_or_path", others.get("_name_or_path", ""))
        if others.get("torch_dtype") is not None:
            others["torch_dtype"] = str(others["torch_dtype"]).removeprefix("torch.")
        for name in _NOT_KEPT & others.keys():
            del others[name]
        for name, value in {**copy.deepcopy(_ANY_MODEL), **others}.items():
            _require(not hasattr(type(self), name), name, value, "no such key: it is computed")
            setattr(self, name, value)
        _warn_of_typing_errors(others.keys() - _ANY_MODEL.keys())
        self.validate()

    def _set_labels(self, count: Any, id2label: Any, label2id: Any) -> None:
        """Settle the class names from what was given of their number, names and indices."""
        for name, value in (("id2label", id2label), ("label2id", label2id)):
            _require(value is None or isinstance(value, Mapping), name, value, "a mapping")
        for index in (label2id or {}).values():
            _require_whole("label2id", index, 0, MAX_LABELS)
        if id2label is None and label2id is not None:
            id2label = {index: label for label, index in label2id.items()}
        if id2label is None:
            count = 2 if count is None else count
            _require_whole("num_labels", count, 0, MAX_LABELS)
            id2label = {index: f"LABEL_{index}" for index in range(count)}
        _require(count in (None, len(id2label)), "num_labels", count,
                 f"{len(id2label)}, the number of names in id2label")  # fmt: skip
        try:
            id2label = {int(index): str(label) for index, label in id2label.items()}
        except (TypeError, ValueError) as error:
            raise ConfigError(f"id2label has a key that is not an index: {error}") from error
        self.id2label = dict(sorted(id2label.items()))
        self.label2id = _reverse(self.id2label) if label2id is None else dict(label2id)

    @property
    def num_labels(self) -> int:
        """Number of classes; 0 for a network without heads. Setting it names them anew."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        if count != self.num_labels:
            self._set_labels(count, None, None)

    @property
    def hidden_size(self) -> int:
        """Width of the last stage, which is that of the pooled features.

        Setting it checks it, and has it written to files, as in the reference.
        """
        return self.hidden_sizes[-1] if self.hidden_sizes else 0

    @hidden_size.setter
    def hidden_size(self, width: int) -> None:
        _require(width == self.hidden_size, "hidden_size", width,
                 f"the last of hidden_sizes, {self.hidden_size}")  # fmt: skip
        self._hidden_size_given = True

    @property
    def use_return_dict(self) -> bool:
        """Whether a call returns an output object by default, and not a tuple."""
        return self.return_dict and not self.torchscript

    @property
    def name_or_path(self) -> str:
        """Where the file says that it comes from."""
        return str(vars(self)["_name_or_path"])

    @property
    def token_grid(self) -> tuple[int, int]:
        """Rows and columns of the grid of tokens that the attention biases are for."""
        return _pair(self.resolution)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the images that the network is meant for."""
        return _pair(self.image_size)

    def has_downsample(self, stage: int) -> bool:
        """Whether a downsampling stands before `stage` (≥ 1)."""
        changed = self.hidden_sizes[stage - 1] != self.hidden_sizes[stage]
        return bool(self.downsamples[stage - 1]) or changed

    def validate(self) -> None:
        """Raise `ConfigError`, naming the key, if no network can be like that."""
        self._validate_stages()
        for name, (low, high) in _WHOLE.items():
            _require_whole(name, getattr(self, name), low, high)
        for name, high in (("resolution", MAX_GRID), ("image_size", MAX_WIDTH)):
            for side in _pair(getattr(self, name)):
                _require(_is_whole(side) and 1 <= side <= high, name, getattr(self, name),
                         f"a whole number from 1 to {high}, or a pair of them")  # fmt: skip
        for name, most in _REAL.items():
            value = getattr(self, name)
            ok = isinstance(value, (int, float)) and not isinstance(value, bool)
            _require(ok and 0 <= value <= most, name, value,
                     f"a number from 0 to {most:g}")  # fmt: skip
        for name in ("use_layer_scale", "distillation"):
            _require(getattr(self, name) in (True, False), name, getattr(self, name),
                     "true or false")  # fmt: skip
        self._validate_widths()
        _require(self.pool_size % 2 == 1, "pool_size", self.pool_size, "an odd number")
        _require(isinstance(self.hidden_act, str) and self.hidden_act in ACTIVATIONS, "hidden_act",
                 self.hidden_act, f"one of {', '.join(ACTIVATIONS)}")  # fmt: skip
        _require(self.problem_type in (None, *PROBLEM_TYPES), "problem_type", self.problem_type,
                 f"one of {', '.join(PROBLEM_TYPES)}")  # fmt: skip
        _require(self.architectures is None or isinstance(self.architectures, list),
                 "architectures", self.architectures, "a list of names of classes")  # fmt: skip
        n = self.num_labels
        _require(n <= MAX_LABELS, "id2label", f"{n} names", f"at most {MAX_LABELS}")
        _require(set(self.id2label) == set(range(n)), "id2label", _shortened(self.id2label),
                 f"its {n} indices to be 0 to {n - 1}")  # fmt: skip

    def _validate_stages(self) -> None:
        """Check the lists that have an entry for each stage, and what the last stage holds."""
        n = len(self.depths)
        _require(n >= 1, "depths", self.depths, "at least one stage")
        for name, low, high in (("depths", 0, MAX_BLOCKS), ("hidden_sizes", 1, MAX_WIDTH)):
            for value in getattr(self, name):
                _require(_is_whole(value) and low <= value <= high, name, getattr(self, name),
                         f"whole numbers from {low} to {high}")  # fmt: skip
        _require(sum(self.depths) <= MAX_BLOCKS, "depths", self.depths,
                 f"at most {MAX_BLOCKS} blocks")  # fmt: skip
        _require(len(self.hidden_sizes) == n, "hidden_sizes", self.hidden_sizes,
                 f"{n} widths, as depths")  # fmt: skip
        _require(self.hidden_sizes[0] >= 2, "hidden_sizes", self.hidden_sizes,
                 "a first width of 2 or more, because the stem halves it")  # fmt: skip
        _require(len(self.downsamples) >= n - 1, "downsamples", self.downsamples,
                 f"{n - 1} or more entries")  # fmt: skip
        for value in self.downsamples:
            _require(value in (True, False), "downsamples", self.downsamples, "true or false")
        _require_whole("num_meta3d_blocks", self.num_meta3d_blocks, 0, MAX_BLOCKS)
        _require(self.num_meta3d_blocks <= self.depths[-1], "num_meta3d_blocks",
                 self.num_meta3d_blocks, f"at most the last depth, {self.depths[-1]}")  # fmt: skip

    def _validate_widths(self) -> None:
        """Check the widths that are products, before anybody makes an array of that width."""
        if self.num_meta3d_blocks:
            _require(self.dim == self.hidden_size, "dim", self.dim,
                     f"the last of hidden_sizes, {self.hidden_size}")  # fmt: skip
        value_dim = int(self.attention_ratio * self.key_dim)
        heads = self.num_attention_heads
        _require(1 <= heads * (2 * self.key_dim + value_dim) <= MAX_WIDTH and value_dim >= 1,
                 "attention_ratio", self.attention_ratio, f"with key_dim {self.key_dim} and {heads}"
                 f" heads an attention of 1 to {MAX_WIDTH} columns")  # fmt: skip
        for size in self.hidden_sizes:
            _require(1 <= int(size * self.mlp_expansion_ratio) <= MAX_WIDTH, "mlp_expansion_ratio",
                     self.mlp_expansion_ratio,
                     f"with width {size} an MLP of 1 to {MAX_WIDTH} channels")  # fmt: skip

    @classmethod
    def variant(cls, name: str, **changes: Any) -> EfficientFormerConfig:
        """Make the configuration of a named network.

        Parameters
        ----------
        name : {"tiny", "l1", "l3", "l7"}
        **changes
            Other values for some keys.

        Returns
        -------
        EfficientFormerConfig
            Those of l1, l3 and l7 have the 1000 classes of ImageNet-1k.

        Raises
        ------
        ConfigError
            If the name is another.
        """
        _require(name in VARIANTS, "the variant", name, f"one of {', '.join(VARIANTS)}")
        values = copy.deepcopy(VARIANTS[name])
        if "id2label" in changes or "label2id" in changes:
            del values["num_labels"]
        config = cls(**{**values, **changes})
        config.id2label = with_imagenet_names(config.id2label)
        config.label2id = _reverse(config.id2label)
        return config

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **changes: Any) -> EfficientFormerConfig:
        """Make a configuration from the keys of a ``config.json``.

        Parameters
        ----------
        values : mapping
            The spellings of old files are understood: ``attn_ratio`` for ``attention_ratio``,
            ``layers`` for ``depths``, ``embed_dims`` for ``hidden_sizes``.
        **changes
            Other values for some keys.

        Returns
        -------
        EfficientFormerConfig

        Raises
        ------
        ConfigError
            If the keys are of another kind of model, or no network can be like that.
        """
        values = dict(values)
        for old, new in _OLD_NAMES.items():
            if old in values:
                value = values.pop(old)
                _require(values.setdefault(new, value) == value, old, value,
                         f"{values[new]!r}, as {new} in the same file")  # fmt: skip
        if {"num_labels", "id2label", "label2id"} & changes.keys():
            for name in ("num_labels", "id2label", "label2id"):
                values.pop(name, None)
        return cls(**{**values, **changes})

    @classmethod
    def from_json_file(cls, path: str | Path, **changes: Any) -> EfficientFormerConfig:
        """Read a ``config.json``; arguments and errors as in `from_dict`, naming the path."""
        values = read_object(path)
        try:
            return cls.from_dict(values, **changes)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    @classmethod
    def from_pretrained(cls, source: str | Path, **changes: Any) -> EfficientFormerConfig:
        """Read the configuration of a folder, or make that of a published network.

        Parameters
        ----------
        source : str or path
            A folder that holds a ``config.json``, such a file, the name of a variant, or that of
            its repository, such as ``"snap-research/efficientformer-l1-300"``. ``"tiny"`` means
            the network that comes with npformer, class names and all.
        **changes
            Other values for some keys.

        Returns
        -------
        EfficientFormerConfig

        Raises
        ------
        MissingWeights
            If there is no such file.
        ConfigError
            If the file is not usable.
        """
        path = shipped("tiny") if source == "tiny" else Path(source)
        file = path / CONFIG_NAME if path.is_dir() else path
        if file.is_file():
            return cls.from_json_file(file, **changes)
        name = _REPOSITORIES.get(str(source), str(source))
        if name in VARIANTS:
            return cls.variant(name, **changes)
        raise MissingWeights(
            f"{source}: no such folder with a {CONFIG_NAME}, no such file, and no name of a "
            f"network; names are {', '.join([*VARIANTS, *_REPOSITORIES])}"
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json`` into a folder, which is made if need be."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.to_json_file(Path(folder) / CONFIG_NAME)

    def to_dict(self) -> dict[str, Any]:
        """Return all keys and values, with those that transformers has for any model."""
        values = copy.deepcopy(vars(self))
        for name in ("resolution", "image_size"):
            if not _is_whole(values[name]):
                values[name] = list(values[name])
        two_heads = "EfficientFormerForImageClassificationWithTeacher" in (self.architectures or ())
        if values.pop("_hidden_size_given") or two_heads:  # transformers' class reads the key
            values["hidden_size"] = self.hidden_size
        values["model_type"] = self.model_type
        values["transformers_version"] = TRANSFORMERS_VERSION
        return values

    def to_diff_dict(self) -> dict[str, Any]:
        """Return what a file holds: all keys but those at the value that any model has."""
        usual = {
            **_ANY_MODEL,
            "id2label": {0: "LABEL_0", 1: "LABEL_1"},
            "label2id": {"LABEL_0": 0, "LABEL_1": 1},
        }
        return {
            name: value
            for name, value in self.to_dict().items()
            if name not in usual or value != usual[name]
        }

    def to_json_string(self, use_diff: bool = True) -> str:
        """Return the text of `to_diff_dict`, or of `to_dict`, with sorted keys."""
        values = self.to_diff_dict() if use_diff else self.to_dict()
        return json.dumps(values, indent=2, sort_keys=True) + "\n"

    def to_json_file(self, path: str | Path, use_diff: bool = True) -> None:
        """Write `to_json_string` to a file."""
        Path(path).write_text(self.to_json_string(use_diff), encoding="utf-8")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EfficientFormerConfig) and self.to_dict() == other.to_dict()

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


_WHOLE = {
    "dim": (1, MAX_WIDTH),
    "key_dim": (1, MAX_WIDTH),
    "num_attention_heads": (1, MAX_WIDTH),
    "num_channels": (1, MAX_WIDTH),
    "pool_size": (1, MAX_GRID),
    "downsample_patch_size": (1, MAX_GRID),
    "downsample_stride": (1, MAX_GRID),
    "downsample_pad": (0, MAX_GRID),
}
"""Least and greatest value of the whole numbers."""

_REAL = {
    "attention_ratio": 1e6,
    "mlp_expansion_ratio": 1e6,
    "hidden_dropout_prob": 1.0,
    "drop_path_rate": 1.0,
    "layer_scale_init_value": 1e6,
    "initializer_range": 1e6,
    "layer_norm_eps": 1.0,
    "batch_norm_eps": 1.0,
}
"""Greatest value of the real numbers."""

_OLD_NAMES = {"attn_ratio": "attention_ratio", "layers": "depths", "embed_dims": "hidden_sizes"}
"""Keys of the hub's files before January 2023."""

_REPOSITORIES = {
    "snap-research/efficientformer-l1-300": "l1",
    "snap-research/efficientformer-l3-300": "l3",
    "snap-research/efficientformer-l7-300": "l7",
}

_NOT_KEPT = {
    "_attn_implementation_internal",
    "_auto_class",
    "_commit_hash",
    "attn_implementation",
    "transformers_version",
    "xla_device",
}
"""Keys about the program that wrote a file, not about the network."""

_ANY_MODEL: dict[str, Any] = {
    "return_dict": True, "output_hidden_states": False, "output_attentions": False,
    "torchscript": False, "torch_dtype": None, "use_bfloat16": False, "tf_legacy_loss": False,
    "pruned_heads": {}, "tie_word_embeddings": True, "chunk_size_feed_forward": 0,
    "is_encoder_decoder": False, "is_decoder": False, "cross_attention_hidden_size": None,
    "add_cross_attention": False, "tie_encoder_decoder": False, "max_length": 20,
    "min_length": 0, "do_sample": False, "early_stopping": False, "num_beams": 1,
    "num_beam_groups": 1, "diversity_penalty": 0.0, "temperature": 1.0, "top_k": 50,
    "top_p": 1.0, "typical_p": 1.0, "repetition_penalty": 1.0, "length_penalty": 1.0,
    "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0, "bad_words_ids": None,
    "num_return_sequences": 1, "output_scores": False, "return_dict_in_generate": False,
    "forced_bos_token_id": None, "forced_eos_token_id": None, "remove_invalid_values": False,
    "exponential_decay_length_penalty": None, "suppress_tokens": None,
    "begin_suppress_tokens": None, "architectures": None, "finetuning_task": None,
    "tokenizer_class": None, "prefix": None, "bos_token_id": None, "pad_token_id": None,
    "eos_token_id": None, "sep_token_id": None, "decoder_start_token_id": None,
    "task_specific_params": None, "problem_type": None, "_name_or_path": "",
}  # fmt: skip
"""Keys that transformers has for any model, most of them about text, at the usual values."""


_FIELDS = tuple(inspect.signature(EfficientFormerConfig).parameters)[:-1]
"""The keys of this model, in the order of the arguments."""


def _warn_of_typing_errors(unknown: set[str]) -> None:
    """Warn of keys that look like a known one."""
    known = [*_FIELDS, *_ANY_MODEL, "num_labels", "id2label", "label2id"]
    for name in sorted(unknown):
        for meant in get_close_matches(name, known, n=1, cutoff=0.8):
            warnings.warn(
                f"unknown key {name!r} is kept, and means nothing; is it {meant!r}?", stacklevel=3
            )


def _listed(name: str, values: Any) -> list[Any]:
    ok = isinstance(values, Sequence) and not isinstance(values, str)
    _require(ok, name, values, "a list with an entry for each stage")
    return list(values)


def _pair(value: Any) -> tuple[Any, Any]:
    """Read a side as a square: 7 -> (7, 7)."""
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return value[0], value[1]
    return value, value


def _reverse(id2label: Mapping[int, str]) -> dict[str, int]:
    return {label: index for index, label in id2label.items()}


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _require_whole(name: str, value: Any, low: int, high: int) -> None:
    ok = _is_whole(value) and low <= value <= high
    _require(ok, name, value, f"a whole number from {low} to {high}")


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _require(ok: bool, name: str, found: object, expected: str) -> None:
    if not ok:
        raise ConfigError(f"{name} is {_shortened(found)}; expected {expected}")
