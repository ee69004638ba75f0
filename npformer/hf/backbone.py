"""Feature maps for detection, segmentation and other dense prediction.

    stem      stride 4, before any block
    stage1    stride 4       hidden_sizes[0] channels
    stage2    stride 8       hidden_sizes[1]
    stage3    stride 16      hidden_sizes[2]
    stage4    stride 32      hidden_sizes[3]; tokens, laid out as an image again

What a stage hands to the next is what is returned, as by the authors' code for detection
(``detection/backbone.py``, ``fork_feat``). There, and here with ``normalize=True``, a group norm
with one group follows, over all numbers of an image (Wu & He 2018, equation 3):

    y = (x − mean(x)) / √(variance(x) + ε) · weight + bias      weight and bias for each channel

It belongs to the task, not to ImageNet: its weights are 1 and 0 until the task has trained them.
Names and arguments are those of transformers' backbones (``utils/backbone_utils.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ConfigError
from ..layers import Array, LayerNorm
from ..network import stage_sizes
from ..network.configuration import EfficientFormerConfig
from .outputs import BackboneOutput
from .pretrained import BATCH_SIZE, EfficientFormerPreTrainedModel, channels_first

if TYPE_CHECKING:
    from typing import Self


class EfficientFormerBackbone(EfficientFormerPreTrainedModel):
    """The network without a head: images in, feature maps of its stages out.

    Parameters
    ----------
    config : EfficientFormerConfig
    params : EfficientFormer, optional
        The weights; fresh ones by default.
    out_features : sequence of str, optional
        Which maps to return, from ``stage_names``; by default those of all stages.
    out_indices : sequence of int, optional
        The same by index in ``stage_names``, in place of `out_features`.
    normalize : bool
        Whether a group norm follows each map.
    **options
        As of the other model classes: ``seed``, ``dtype``, ``engine``.

    Attributes
    ----------
    out_features : list of str
        Can be set, as can ``out_indices``.
    normalize : bool
    norms : dict of str to LayerNorm
        Weight and bias of the group norm of each map; trained ones can be put in.

    Examples
    --------
    >>> backbone = EfficientFormerBackbone(EfficientFormerConfig.variant("tiny"))
    >>> maps = backbone(np.zeros((1, 3, 128, 128), np.float32)).feature_maps
    >>> [m.shape for m in maps]
    [(1, 32, 32, 32), (1, 64, 16, 16), (1, 128, 8, 8), (1, 256, 4, 4)]
    """

    def __init__(
        self,
        config: EfficientFormerConfig,
        params: Any = None,
        *,
        out_features: Sequence[str] | None = None,
        out_indices: Sequence[int] | None = None,
        normalize: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(config, params, **options)
        self._select(out_features, out_indices)
        self.normalize = normalize
        self.norms = {
            name: LayerNorm(np.ones(C, self.dtype), np.zeros(C, self.dtype))
            for name, C in self.out_feature_channels.items()
        }

    @classmethod
    def from_pretrained(
        cls,
        source: str | PathLike[str],
        *,
        out_features: Sequence[str] | None = None,
        out_indices: Sequence[int] | None = None,
        normalize: bool = False,
        **options: Any,
    ) -> Self:
        """Load a network; other arguments and errors as of the other model classes."""
        backbone = super().from_pretrained(source, **options)
        backbone._select(out_features, out_indices)
        backbone.normalize = normalize
        return backbone

    def _select(self, features: Sequence[str] | None, indices: Sequence[int] | None) -> None:
        if features is not None and indices is not None:
            raise ConfigError("out_features and out_indices say the same; give one of them")
        if indices is not None:
            self.out_indices = list(indices)
        else:
            self.out_features = self.stage_names[1:] if features is None else list(features)

    @property
    def stage_names(self) -> list[str]:
        """Names of all maps: ``["stem", "stage1", …]``."""
        return ["stem", *(f"stage{i + 1}" for i in range(len(self.config.depths)))]

    @property
    def out_features(self) -> list[str]:
        """Names of the maps that are returned, in order."""
        return self._out_features

    @out_features.setter
    def out_features(self, names: Sequence[str]) -> None:
        if not names or not set(names) <= set(self.stage_names):
            raise ConfigError(
                f"out_features is {names!r}; expected some of {', '.join(self.stage_names)}"
            )
        self._out_features = [name for name in self.stage_names if name in names]

    @property
    def out_indices(self) -> list[int]:
        """Places of the maps that are returned in ``stage_names``."""
        return [self.stage_names.index(name) for name in self.out_features]

    @out_indices.setter
    def out_indices(self, indices: Sequence[int]) -> None:
        n = len(self.stage_names)
        if not indices or not all(-n <= index < n for index in indices):
            raise ConfigError(f"out_indices is {indices!r}; expected some of 0 to {n - 1}")
        self.out_features = [self.stage_names[index] for index in indices]

    @property
    def out_feature_channels(self) -> dict[str, int]:
        """Number of channels of every map."""
        sizes = self.config.hidden_sizes
        return dict(zip(self.stage_names, [sizes[0], *sizes], strict=True))

    @property
    def channels(self) -> list[int]:
        """Numbers of channels of the maps that are returned."""
        return [self.out_feature_channels[name] for name in self.out_features]

    @property
    def strides(self) -> list[int]:
        """How many pixels of the image one of each returned map stands for."""
        strides = {"stem": 4}
        for i in range(len(self.config.depths)):
            shrinks = i > 0 and self.config.has_downsample(i)
            step = self.config.downsample_stride if shrinks else 1
            strides[self.stage_names[i + 1]] = strides[self.stage_names[i]] * step
        return [strides[name] for name in self.out_features]

    def __call__(
        self,
        pixel_values: ArrayLike | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
        *,
        batch_size: int = BATCH_SIZE,
    ) -> Any:
        """Run the network.

        Parameters
        ----------
        pixel_values : array_like of float, shape (B, C, H, W)
            Preprocessed images. Other sizes than the network was trained for: see ``image_size`` of
            `from_pretrained`.
        output_hidden_states, output_attentions, return_dict : bool, optional
            By default what the configuration says.
        batch_size : int
            How many images run at once.

        Returns
        -------
        BackboneOutput, or a tuple of its fields if not `return_dict`
        """
        traced = {"stem": "stem"} | {
            f"stage{i + 1}": f"stages.{i}" for i in range(len(self.config.depths))
        }
        x = self._channels_last(pixel_values)
        _, seen, inside = self._look(
            x, output_attentions, output_hidden_states, False, batch_size,
            also=[traced[name] for name in self.out_features],
        )  # fmt: skip
        grid = stage_sizes(x.shape[1], x.shape[2], self.config)[-1]
        maps = []
        for name in self.out_features:
            y = channels_first(seen[traced[name]], grid)  # (B, C, H, W)
            maps.append(group_norm(y, self.norms[name]) if self.normalize else y)
        return self._returned(BackboneOutput(tuple(maps), **inside), return_dict)


def group_norm(x: Array, p: LayerNorm, eps: float = 1e-5) -> Array:
    """Normalize each image by the mean and variance of all its numbers.

    Parameters
    ----------
    x : ndarray, shape (B, C, H, W)
    p : LayerNorm
        Weight and bias for each channel.
    eps : float
        Added to the variance.

    Returns
    -------
    ndarray of the shape of `x`
    """
    axes = (1, 2, 3)
    centered = x - x.mean(axes, keepdims=True)
    variance = np.square(centered).mean(axes, keepdims=True)  # (B, 1, 1, 1)
    weight, bias = p.weight[:, None, None], p.bias[:, None, None]  # (C, 1, 1)
    return centered / np.sqrt(variance + eps) * weight + bias
