"""Feature maps for detection, segmentation and other dense prediction.

    stem      stride 4, before any block
    stage1    stride 4       hidden_sizes[0] channels
    stage2    stride 8       hidden_sizes[1]
    stage3    stride 16      hidden_sizes[2]
    stage4    stride 32      hidden_sizes[3]; tokens, laid out as an image again

A feature map is what a stage hands to the next, as in the authors' code for detection
(``detection/backbone.py``, ``fork_feat``). There, and here with ``normalize=True``, a group norm
follows (`npformer.hf.group_norm`). It belongs to the task and not to ImageNet, so its weights are 1
and its biases 0 until the task has trained them.

Names and arguments are those of transformers' backbones (``utils/backbone_utils.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ConfigError
from ..layers import LayerNorm
from ..network.configuration import EfficientFormerConfig
from .group_norm import group_norm
from .outputs import BackboneOutput
from .pretrained import BATCH_SIZE, EfficientFormerPreTrainedModel, as_maps

if TYPE_CHECKING:
    from typing_extensions import Self


class EfficientFormerBackbone(EfficientFormerPreTrainedModel):
    """The network without a head: images in, feature maps of its stages out.

    Parameters
    ----------
    config : EfficientFormerConfig
    params : EfficientFormer, optional
        The weights; random ones by default.
    out_features : sequence of str, optional
        Which maps to return, by their names in ``stage_names``; those of all stages by default.
    out_indices : sequence of int, optional
        The same by index in ``stage_names``, instead of `out_features`.
    normalize : bool
        Whether a group norm follows each map.
    **options
        ``seed``, ``dtype`` and ``engine``, as in `EfficientFormerPreTrainedModel`.

    Attributes
    ----------
    out_features : list of str
        Can be set, and so can ``out_indices``.
    normalize : bool
    norms : dict of str to LayerNorm
        Weight and bias of the group norm of each map; can be replaced by trained ones.

    Raises
    ------
    ConfigError, WeightsError
        As in `EfficientFormerPreTrainedModel`; ConfigError also if there are no such maps, or both
        `out_features` and `out_indices` are given.

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
        pretrained_model_name_or_path: str | PathLike[str],
        *,
        out_features: Sequence[str] | None = None,
        out_indices: Sequence[int] | None = None,
        normalize: bool = False,
        **options: Any,
    ) -> Self:
        """Load a network.

        Parameters
        ----------
        pretrained_model_name_or_path : str or path
            As in `EfficientFormerPreTrainedModel.from_pretrained`.
        out_features, out_indices, normalize
            As in the constructor.
        **options
            As in `EfficientFormerPreTrainedModel.from_pretrained`.

        Returns
        -------
        EfficientFormerBackbone

        Raises
        ------
        MissingWeights, WeightsError, UnsafeCheckpointError, OfflineError, ConfigError, TypeError
            As in `EfficientFormerPreTrainedModel.from_pretrained`; ConfigError also if there are no
            such maps.
        """
        backbone = super().from_pretrained(pretrained_model_name_or_path, **options)
        backbone._select(out_features, out_indices)
        backbone.normalize = normalize
        return backbone

    def _select(self, features: Sequence[str] | None, indices: Sequence[int] | None) -> None:
        if features is not None and indices is not None:
            raise ConfigError("out_features and out_indices mean the same; give one of them")
        if indices is not None:
            self.out_indices = list(indices)
        else:
            self.out_features = self.stage_names[1:] if features is None else list(features)

    @property
    def stage_names(self) -> list[str]:
        """The names of all maps: ``["stem", "stage1", …]``."""
        return ["stem", *(f"stage{i + 1}" for i in range(len(self.config.depths)))]

    @property
    def out_features(self) -> list[str]:
        """The names of the maps that are returned, in order."""
        return self._out_features

    @out_features.setter
    def out_features(self, names: Sequence[str]) -> None:
        """Choose the maps to return; ConfigError if there are no such maps."""
        if not names or not set(names) <= set(self.stage_names):
            raise ConfigError(
                f"out_features is {names!r}; expected some of {', '.join(self.stage_names)}"
            )
        self._out_features = [name for name in self.stage_names if name in names]

    @property
    def out_indices(self) -> list[int]:
        """The indices in ``stage_names`` of the maps that are returned."""
        return [self.stage_names.index(name) for name in self.out_features]

    @out_indices.setter
    def out_indices(self, indices: Sequence[int]) -> None:
        """Choose the maps to return; ConfigError if there are no such maps."""
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
        """The numbers of channels of the maps that are returned."""
        return [self.out_feature_channels[name] for name in self.out_features]

    @property
    def strides(self) -> list[int]:
        """The strides of the maps that are returned, in pixels of the image."""
        strides = {"stem": 4}
        for i in range(len(self.config.depths)):
            shrinks = i > 0 and self.config.has_downsample(i)
            step = self.config.downsample_stride if shrinks else 1
            strides[self.stage_names[i + 1]] = strides[self.stage_names[i]] * step
        return [strides[name] for name in self.out_features]

    @overload
    def __call__(
        self, pixel_values: ArrayLike | None = ..., output_hidden_states: bool | None = ...,
        output_attentions: bool | None = ..., return_dict: Literal[True] | None = ..., *,
        batch_size: int = ...,
    ) -> BackboneOutput: ...  # fmt: skip
    @overload
    def __call__(
        self, pixel_values: ArrayLike | None = ..., output_hidden_states: bool | None = ...,
        output_attentions: bool | None = ..., *, return_dict: Literal[False],
        batch_size: int = ...,
    ) -> tuple[Any, ...]: ...  # fmt: skip
    @overload
    def __call__(
        self, pixel_values: ArrayLike | None = ..., output_hidden_states: bool | None = ...,
        output_attentions: bool | None = ..., return_dict: bool | None = ..., *,
        batch_size: int = ...,
    ) -> BackboneOutput | tuple[Any, ...]: ...  # fmt: skip
    def __call__(
        self,
        pixel_values: ArrayLike | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
        *,
        batch_size: int = BATCH_SIZE,
    ) -> BackboneOutput | tuple[Any, ...]:
        """Run the network. Arguments and errors are as in a call of `EfficientFormerModel`.

        Their order is that of transformers' backbones: `output_hidden_states` comes first.

        Returns
        -------
        BackboneOutput, or a tuple of its fields if not `return_dict`
        """
        stages = (f"stages.{i}" for i in range(len(self.config.depths)))
        traced = dict(zip(self.stage_names, ["stem", *stages], strict=True))
        seen = self._look(
            pixel_values, output_attentions, output_hidden_states, batch_size,
            also=[traced[name] for name in self.out_features],
        )  # fmt: skip
        maps = []
        for name in self.out_features:
            y = as_maps(seen.arrays[traced[name]], seen.grid)  # (B, C, H, W)
            maps.append(group_norm(y, self.norms[name]) if self.normalize else y)
        return self._returned(BackboneOutput(tuple(maps), **seen.inside), return_dict)
