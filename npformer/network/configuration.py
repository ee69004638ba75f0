"""The configuration of an EfficientFormer: the sizes and constants that define a network.

Keys and defaults are those of transformers' ``EfficientFormerConfig``. Sources:
``configuration_efficientformer.py`` of transformers 4.40.2; the paper (Li et al. 2022), section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..checks import as_python, is_real, is_whole, require, require_whole
from ..layers import ACTIVATIONS
from .pretrained_config import PretrainedConfig

MAX_BLOCKS = 1000
"""More blocks than this, or a larger layer or grid, are a typing error, not a network."""
MAX_WIDTH = 65536
MAX_GRID = 512

WHOLE = {
    "dim": (1, MAX_WIDTH),
    "key_dim": (1, MAX_WIDTH),
    "num_attention_heads": (1, MAX_WIDTH),
    "num_channels": (1, MAX_WIDTH),
    "pool_size": (1, MAX_GRID),
    "downsample_patch_size": (1, MAX_GRID),
    "downsample_stride": (1, MAX_GRID),
    "downsample_pad": (0, MAX_GRID),
}
"""Keys that are whole numbers: smallest and largest value."""

REAL = {
    "attention_ratio": 1e6,
    "mlp_expansion_ratio": 1e6,
    "hidden_dropout_prob": 1.0,
    "drop_path_rate": 1.0,
    "layer_scale_init_value": 1e6,
    "initializer_range": 1e6,
    "layer_norm_eps": 1.0,
    "batch_norm_eps": 1.0,
}
"""Keys that are real numbers from 0: largest value."""


class EfficientFormerConfig(PretrainedConfig):
    """Sizes and constants of a network, and the names of its classes.

    Attributes can be set. `validate` runs here, and again in everything that builds a network.
    Reading and writing files is in `npformer.network.pretrained_config.PretrainedConfig`.

    Parameters
    ----------
    depths : sequence of int
        Number of blocks in each stage.
    hidden_sizes : sequence of int
        Number of channels in each stage.
    downsamples : sequence of bool
        Whether a downsampling follows stage i. Where the width changes there always is one; the
        entry of the last stage is ignored.
    dim : int
        Width of the attention; must equal ``hidden_sizes[-1]``.
    key_dim : int
        Width of a key in each attention head.
    attention_ratio : float
        Width of a value in each attention head, relative to `key_dim`; rounded down.
    resolution : int or pair of int
        Side of the square grid of tokens in the last stage. A pair is (rows, columns), which timm
        and npformer understand and transformers does not.
    num_hidden_layers : int
        Ignored; kept for compatibility with transformers, which ignores it too.
    num_attention_heads : int
        Number of heads in each attention layer.
    mlp_expansion_ratio : float
        Width of an MLP's hidden layer, relative to its input.
    hidden_dropout_prob : float
        Dropout rate in the MLPs during training. (The reference's page says 0.1; its code has 0.)
    patch_size : int
        Ignored; kept for compatibility with transformers, which ignores it too.
    num_channels : int
        Number of input channels.
    pool_size : int
        Side of the pooling window; odd.
    downsample_patch_size, downsample_stride, downsample_pad : int
        Kernel, stride and padding of the convolution between stages, in pixels.
    drop_path_rate : float
        Rate at which the last block drops its branches during training; the rate rises linearly
        from 0 at the first block.
    num_meta3d_blocks : int
        How many of the last blocks are attention blocks.
    distillation : bool
        Ignored, as in transformers: which class is used decides whether there are two heads.
    use_layer_scale : bool
        Whether residual branches are scaled.
    layer_scale_init_value : float
        Layer scale of a new network.
    hidden_act : str
        Activation of the MLPs, a key of `npformer.layers.ACTIVATIONS`. The stem's is always ReLU.
    initializer_range : float
        Standard deviation of the weights of a new network.
    layer_norm_eps : float
        ε of the layer norms: 1e-12 in transformers, 1e-5 in timm and the original.
    image_size : int or pair of int
        Size (height, width) of the images that the network is meant for, in pixels. Nothing is
        computed from it.
    batch_norm_eps : float
        ε of the batch norms.
    **others
        Keys that transformers gives to any model: ``num_labels``, ``id2label``, ``label2id``,
        ``problem_type``, ``output_attentions``, ``output_hidden_states``, ``return_dict``,
        ``architectures``, … Unknown keys are kept as attributes, with a warning if one looks like a
        typing error.

    Attributes
    ----------
    id2label : dict of int to str
        Class names; there are ``num_labels``.
    label2id : dict of str to int
        The reverse.
    problem_type : str or None
        Which loss `labels` are for; None: decided by their number and type.
    output_attentions, output_hidden_states, return_dict : bool
        What a call of a network returns by default.

    Raises
    ------
    ConfigError
        If no network can have these values; the message names the key.

    Examples
    --------
    >>> config = EfficientFormerConfig(hidden_sizes=[48, 96, 224, 448], num_labels=10)
    >>> config.num_labels, config.hidden_size
    (10, 448)
    >>> EfficientFormerConfig.variant("l3").depths
    [4, 4, 12, 6]
    """

    model_type = "efficientformer"

    def __init__(
        self,
        /,  # a file may have a key of that name
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

        width = others.pop("hidden_size", None)
        super().__init__(**others)
        self._hidden_size_given = False
        if width is not None:
            self.hidden_size = width
        self.validate()

    @property
    def hidden_size(self) -> int:
        """Width of the last stage and of the pooled features.

        Setting it checks it, and makes files contain it, as in transformers.
        """
        return self.hidden_sizes[-1] if self.hidden_sizes else 0

    @hidden_size.setter
    def hidden_size(self, width: int) -> None:
        require(width == self.hidden_size, "hidden_size", width,
                f"the last of hidden_sizes, {self.hidden_size}")  # fmt: skip
        self._hidden_size_given = True

    @property
    def value_dim(self) -> int:
        """Width of a value in each attention head."""
        return int(self.attention_ratio * self.key_dim)

    @property
    def token_grid(self) -> tuple[int, int]:
        """Rows and columns of the grid of tokens that the attention biases are for."""
        return _pair(self.resolution)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the images that the network is meant for, in pixels."""
        return _pair(self.image_size)

    def has_downsample(self, stage: int) -> bool:
        """Whether there is a downsampling before `stage` (≥ 1)."""
        changed = self.hidden_sizes[stage - 1] != self.hidden_sizes[stage]
        return bool(self.downsamples[stage - 1]) or changed

    def validate(self) -> None:
        """Check that a network can have these values.

        Raises
        ------
        ConfigError
            If not; the message names the key.
        """
        self._validate_stages()
        for name, (low, high) in WHOLE.items():
            require_whole(name, getattr(self, name), low, high)
        for name, high in (("resolution", MAX_GRID), ("image_size", MAX_WIDTH)):
            for side in _pair(getattr(self, name)):
                require(is_whole(side) and 1 <= side <= high, name, getattr(self, name),
                        f"a whole number from 1 to {high}, or a pair of them")  # fmt: skip
        for name, most in REAL.items():
            value = getattr(self, name)
            require(is_real(value) and 0 <= value <= most, name, value,
                    f"a number from 0 to {most:g}")  # fmt: skip
        for name in ("use_layer_scale", "distillation"):
            require(getattr(self, name) in (True, False), name, getattr(self, name),
                    "true or false")  # fmt: skip
        self._validate_widths()
        require(self.pool_size % 2 == 1, "pool_size", self.pool_size, "an odd number")
        require(isinstance(self.hidden_act, str) and self.hidden_act in ACTIVATIONS, "hidden_act",
                self.hidden_act, f"one of {', '.join(ACTIVATIONS)}")  # fmt: skip
        super().validate()

    def _validate_stages(self) -> None:
        """Check the lists that have an entry for each stage, and the blocks of the last stage."""
        n = len(self.depths)
        require(n >= 1, "depths", self.depths, "at least one stage")
        for name, low, high in (("depths", 0, MAX_BLOCKS), ("hidden_sizes", 1, MAX_WIDTH)):
            for value in getattr(self, name):
                require(is_whole(value) and low <= value <= high, name, getattr(self, name),
                        f"whole numbers from {low} to {high}")  # fmt: skip
        require(sum(self.depths) <= MAX_BLOCKS, "depths", self.depths,
                f"at most {MAX_BLOCKS} blocks")  # fmt: skip
        require(len(self.hidden_sizes) == n, "hidden_sizes", self.hidden_sizes,
                f"{n} widths, as many as depths")  # fmt: skip
        require(self.hidden_sizes[0] >= 2, "hidden_sizes", self.hidden_sizes,
                "a first width of 2 or more, because the stem halves it")  # fmt: skip
        require(len(self.downsamples) >= n - 1, "downsamples", self.downsamples,
                f"{n - 1} or more entries")  # fmt: skip
        for value in self.downsamples:
            require(value in (True, False), "downsamples", self.downsamples, "true or false")
        require_whole("num_meta3d_blocks", self.num_meta3d_blocks, 0, MAX_BLOCKS)
        require(self.num_meta3d_blocks <= self.depths[-1], "num_meta3d_blocks",
                self.num_meta3d_blocks, f"at most the last depth, {self.depths[-1]}")  # fmt: skip

    def _validate_widths(self) -> None:
        """Check the widths that are products, before anyone makes an array of that width."""
        if self.num_meta3d_blocks:
            require(self.dim == self.hidden_size, "dim", self.dim,
                    f"the last of hidden_sizes, {self.hidden_size}")  # fmt: skip
        heads = self.num_attention_heads
        columns = heads * (2 * self.key_dim + self.value_dim)
        require(1 <= columns <= MAX_WIDTH and self.value_dim >= 1, "attention_ratio",
                self.attention_ratio, f"with key_dim {self.key_dim} and {heads} heads "
                f"an attention of 1 to {MAX_WIDTH} columns")  # fmt: skip
        for size in self.hidden_sizes:
            require(1 <= int(size * self.mlp_expansion_ratio) <= MAX_WIDTH, "mlp_expansion_ratio",
                    self.mlp_expansion_ratio,
                    f"with width {size} an MLP of 1 to {MAX_WIDTH} channels")  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return all keys and values, including those that any model has."""
        values = super().to_dict()
        for name in ("resolution", "image_size"):
            if not is_whole(values[name]):
                values[name] = list(values[name])
        two_heads = "EfficientFormerForImageClassificationWithTeacher" in (self.architectures or ())
        if values.pop("_hidden_size_given") or two_heads:  # transformers' class reads the key
            values["hidden_size"] = self.hidden_size
        return values


def _listed(name: str, values: Any) -> list[Any]:
    values = as_python(values)
    ok = isinstance(values, Sequence) and not isinstance(values, str)
    require(ok, name, values, "a list with an entry for each stage")
    return list(values)


def _pair(value: Any) -> tuple[Any, Any]:
    """Read a side as a square: 7 -> (7, 7)."""
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return value[0], value[1]
    return value, value
