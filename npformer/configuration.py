"""The configuration of an EfficientFormer, named as transformers' ``EfficientFormerConfig``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .errors import ConfigError
from .layers import ACTIVATIONS

MAX_BLOCKS = 1000
"""More blocks or a wider layer than this is a typing error, not a network."""
MAX_WIDTH = 65536


@dataclass
class EfficientFormerConfig:
    """Sizes and constants of a network.

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
    key_dim, attention_ratio, num_attention_heads : int
        A head has keys of ``key_dim`` numbers and values of ``int(attention_ratio * key_dim)``.
    resolution : int
        Side of the grid of tokens in the last stage.
    mlp_expansion_ratio : float
        How much wider an MLP is inside.
    hidden_dropout_prob, drop_path_rate : float
        Noise for training, probabilities.
    num_channels : int
        Colours of the input.
    pool_size : int
        Side of the pooling window; odd.
    downsample_patch_size, downsample_stride, downsample_pad : int
        Kernel of the convolution between stages, in pixels.
    num_meta3d_blocks : int
        How many of the last blocks are attention blocks.
    use_layer_scale : bool
    layer_scale_init_value, initializer_range : float
        Values of a fresh network.
    hidden_act : str
        Activation of the MLPs, a key of `npformer.layers.ACTIVATIONS`.
    layer_norm_eps, batch_norm_eps : float
    num_hidden_layers, patch_size, distillation, image_size
        Documented by the reference and not used by its code; ``image_size`` names the size that an
        image should have in error messages.
    id2label : mapping of int to str
        Class names; their number is ``num_labels``.
    extra : dict
        Further keys of the file, kept as they are.

    Raises
    ------
    ConfigError
        By `validate`, which every constructor of a network calls, if no network can be like that.
    """

    depths: Sequence[int] = (3, 2, 6, 4)
    hidden_sizes: Sequence[int] = (48, 96, 224, 448)
    downsamples: Sequence[bool] = (True, True, True, True)
    dim: int = 448
    key_dim: int = 32
    attention_ratio: float = 4
    resolution: int = 7
    num_hidden_layers: int = 5
    num_attention_heads: int = 8
    mlp_expansion_ratio: float = 4
    hidden_dropout_prob: float = 0.0
    patch_size: int = 16
    num_channels: int = 3
    pool_size: int = 3
    downsample_patch_size: int = 3
    downsample_stride: int = 2
    downsample_pad: int = 1
    drop_path_rate: float = 0.0
    num_meta3d_blocks: int = 1
    distillation: bool = True
    use_layer_scale: bool = True
    layer_scale_init_value: float = 1e-5
    hidden_act: str = "gelu"
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    image_size: int = 224
    batch_norm_eps: float = 1e-5
    id2label: Mapping[int, str] = field(default_factory=lambda: {0: "LABEL_0", 1: "LABEL_1"})
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def num_labels(self) -> int:
        """Number of classes; 0 for a network without heads."""
        return len(self.id2label)

    def has_downsample(self, stage: int) -> bool:
        """Whether a downsampling stands before `stage` (≥ 1)."""
        changed = self.hidden_sizes[stage - 1] != self.hidden_sizes[stage]
        return bool(self.downsamples[stage - 1]) or changed

    def validate(self) -> None:
        """Raise `ConfigError`, naming the field, if no network can be like that."""
        n = len(self.depths)
        _require(n >= 1, "depths", self.depths, "at least one stage")
        _require(
            len(self.hidden_sizes) == n, "hidden_sizes", self.hidden_sizes, f"{n} widths, as depths"
        )
        _require(
            len(self.downsamples) >= n - 1,
            "downsamples",
            self.downsamples,
            f"{n - 1} or more entries",
        )
        for name in ("depths", "hidden_sizes"):
            low = 0 if name == "depths" else 1
            for value in getattr(self, name):
                ok = _is_int(value) and low <= value <= MAX_WIDTH
                _require(ok, name, getattr(self, name), f"whole numbers from {low} to {MAX_WIDTH}")
        _require(
            sum(self.depths) <= MAX_BLOCKS, "depths", self.depths, f"at most {MAX_BLOCKS} blocks"
        )
        for name, low in _WHOLE.items():
            value = getattr(self, name)
            ok = _is_int(value) and low <= value <= MAX_WIDTH
            _require(ok, name, value, f"a whole number from {low} to {MAX_WIDTH}")
        for name in _REAL:
            value = getattr(self, name)
            ok = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
            _require(ok and value < float("inf"), name, value, "a number, not negative")
        _require(
            self.hidden_sizes[0] >= 2,
            "hidden_sizes",
            self.hidden_sizes,
            "a first width of 2 or more",
        )
        if self.num_meta3d_blocks:
            _require(self.dim == self.hidden_sizes[-1], "dim", self.dim,
                     f"the last of hidden_sizes, {self.hidden_sizes[-1]}")  # fmt: skip
        _require(self.pool_size % 2 == 1, "pool_size", self.pool_size, "an odd number")
        _require(self.num_meta3d_blocks <= self.depths[-1], "num_meta3d_blocks",
                 self.num_meta3d_blocks, f"at most the last depth, {self.depths[-1]}")  # fmt: skip
        _require(self.hidden_act in ACTIVATIONS, "hidden_act", self.hidden_act,
                 f"one of {', '.join(ACTIVATIONS)}")  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EfficientFormerConfig:
        """Make a configuration from the keys of a ``config.json``.

        Raises
        ------
        ConfigError
            If the file is of another kind of model, or `validate` refuses it.
        """
        values = dict(values)
        kind = values.get("model_type", "efficientformer")
        _require(kind == "efficientformer", "model_type", kind, "'efficientformer'")
        known = {f.name for f in fields(cls)} - {"extra", "id2label"}
        labels = values.pop("id2label", None)
        count = values.pop("num_labels", 2 if labels is None else len(labels))
        if labels is None:
            labels = {i: f"LABEL_{i}" for i in range(count)}
        try:
            labels = {int(i): str(label) for i, label in labels.items()}
        except (AttributeError, ValueError) as error:
            raise ConfigError(f"id2label is {labels!r}; expected {{index: name}}") from error
        _require(sorted(labels) == list(range(count)), "id2label", f"{len(labels)} entries",
                 f"the indices 0 to {count - 1}")  # fmt: skip
        config = cls(
            **{k: v for k, v in values.items() if k in known},
            id2label=dict(sorted(labels.items())),
            extra={k: v for k, v in values.items() if k not in known},
        )
        config.validate()
        return config

    @classmethod
    def from_json_file(cls, path: str | Path) -> EfficientFormerConfig:
        """Read a ``config.json``.

        Raises
        ------
        ConfigError
            If the file is not a JSON object or `from_dict` refuses it; the message names the path.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            _require(isinstance(values, dict), "the file", type(values).__name__, "a JSON object")
            return cls.from_dict(values)
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from error


_WHOLE = {
    "dim": 1, "key_dim": 1, "resolution": 1, "num_attention_heads": 1, "num_channels": 1,
    "pool_size": 1, "downsample_patch_size": 1, "downsample_stride": 1, "downsample_pad": 0,
    "num_meta3d_blocks": 0, "image_size": 1,
}  # fmt: skip
_REAL = (
    "attention_ratio", "mlp_expansion_ratio", "hidden_dropout_prob", "drop_path_rate",
    "layer_scale_init_value", "initializer_range", "layer_norm_eps", "batch_norm_eps",
)  # fmt: skip


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _require(ok: bool, name: str, found: object, expected: str) -> None:
    if not ok:
        raise ConfigError(f"{name} is {found!r}; expected {expected}")
