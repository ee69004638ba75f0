"""The classes of transformers' EfficientFormer, without PyTorch.

>>> import numpy as np
>>> from npformer import EfficientFormerConfig, EfficientFormerForImageClassification
>>> model = EfficientFormerForImageClassification(EfficientFormerConfig(num_labels=10))
>>> outputs = model(np.zeros((1, 3, 224, 224), np.float32), output_hidden_states=True)
>>> outputs.logits.shape, len(outputs.hidden_states)
((1, 10), 8)

Source: ``modeling_efficientformer.py`` of transformers 4.40.2. Where it errs or surprises, see
``docs/differences.md``.
"""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Literal, cast, overload

from numpy.typing import ArrayLike

from ..engine.fold import FoldedNetwork
from ..layers import Array
from ..network import EfficientFormer
from .outputs import (
    BaseModelOutput,
    EfficientFormerForImageClassificationWithTeacherOutput,
    ImageClassifierOutput,
)
from .pretrained import BATCH_SIZE, EfficientFormerPreTrainedModel, Output, Seen
from .task_loss import classification_loss

__all__ = [
    "EfficientFormerForImageClassification",
    "EfficientFormerForImageClassificationWithTeacher",
    "EfficientFormerModel",
    "EfficientFormerPreTrainedModel",
    "model_class",
]


class _PixelsToOutput(EfficientFormerPreTrainedModel, Generic[Output]):
    """A model whose only input is pixel values."""

    _arrays: ClassVar[tuple[str, ...]] = ()
    """Names of the arrays of the trace that `_output` needs."""

    def _output(self, seen: Seen) -> Output:
        raise NotImplementedError

    @overload
    def __call__(
        self, pixel_values: ArrayLike | None = ..., output_attentions: bool | None = ...,
        output_hidden_states: bool | None = ..., return_dict: Literal[True] | None = ..., *,
        reshape_last: bool = ..., batch_size: int = ...,
    ) -> Output: ...  # fmt: skip
    @overload
    def __call__(
        self, pixel_values: ArrayLike | None = ..., output_attentions: bool | None = ...,
        output_hidden_states: bool | None = ..., *, return_dict: Literal[False],
        reshape_last: bool = ..., batch_size: int = ...,
    ) -> tuple[Any, ...]: ...  # fmt: skip
    @overload
    def __call__(
        self, pixel_values: ArrayLike | None = ..., output_attentions: bool | None = ...,
        output_hidden_states: bool | None = ..., return_dict: bool | None = ..., *,
        reshape_last: bool = ..., batch_size: int = ...,
    ) -> Output | tuple[Any, ...]: ...  # fmt: skip
    def __call__(
        self,
        pixel_values: ArrayLike | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        reshape_last: bool = False,
        batch_size: int = BATCH_SIZE,
    ) -> Output | tuple[Any, ...]:
        """Run the network.

        Parameters
        ----------
        pixel_values : array_like of float, shape (B, C, H, W)
            Preprocessed images.
        output_attentions, output_hidden_states, return_dict : bool, optional
            By default what the configuration says: False, False, True.
        reshape_last : bool
            Whether the last hidden state, the tokens, comes as (B, C, H, W) like the others.
        batch_size : int
            How many images run at once; bounds the memory and changes no result.

        Returns
        -------
        output : ModelOutput
            Of the class that belongs to this model; a tuple of its fields if not `return_dict`.

        Raises
        ------
        ValueError
            If there are no `pixel_values`.
        ImageError, TypeError
            If they are not preprocessed images: of another shape, or whole numbers.
        ConfigError
            If the size of the images does not fit the attention biases, or `batch_size` is not
            positive.
        """
        seen = self._look(
            pixel_values, output_attentions, output_hidden_states, batch_size, reshape_last,
            self._arrays,
        )  # fmt: skip
        return self._returned(self._output(seen), return_dict)


class EfficientFormerModel(_PixelsToOutput[BaseModelOutput]):
    """The network without a head: images in, tokens out, as a `BaseModelOutput`."""

    _arrays = ("norm",)

    def _output(self, seen: Seen) -> BaseModelOutput:
        return BaseModelOutput(seen.arrays["norm"], **seen.inside)


class EfficientFormerForImageClassification(EfficientFormerPreTrainedModel):
    """The network with one head."""

    heads = ("head",)

    @overload
    def __call__(
        self, pixel_values: ArrayLike | None = ..., labels: ArrayLike | None = ...,
        output_attentions: bool | None = ..., output_hidden_states: bool | None = ...,
        return_dict: Literal[True] | None = ..., *,
        reshape_last: bool = ..., batch_size: int = ...,
    ) -> ImageClassifierOutput: ...  # fmt: skip
    @overload
    def __call__(
        self, pixel_values: ArrayLike | None = ..., labels: ArrayLike | None = ...,
        output_attentions: bool | None = ..., output_hidden_states: bool | None = ..., *,
        return_dict: Literal[False], reshape_last: bool = ..., batch_size: int = ...,
    ) -> tuple[Any, ...]: ...  # fmt: skip
    @overload
    def __call__(
        self, pixel_values: ArrayLike | None = ..., labels: ArrayLike | None = ...,
        output_attentions: bool | None = ..., output_hidden_states: bool | None = ...,
        return_dict: bool | None = ..., *, reshape_last: bool = ..., batch_size: int = ...,
    ) -> ImageClassifierOutput | tuple[Any, ...]: ...  # fmt: skip
    def __call__(
        self,
        pixel_values: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        reshape_last: bool = False,
        batch_size: int = BATCH_SIZE,
    ) -> ImageClassifierOutput | tuple[Any, ...]:
        """Run the network. All but `labels` is as in a call of `EfficientFormerModel`.

        Parameters
        ----------
        labels : array_like, optional
            The right answers, to compute ``loss``; see `classification_loss`.

        Returns
        -------
        ImageClassifierOutput, or a tuple of its fields if not `return_dict`
            If ``num_labels`` is 0, the logits are the pooled features.

        Raises
        ------
        ConfigError, TypeError, ValueError
            Also if the labels do not fit the logits, as in `classification_loss`.
        """
        seen = self._look(
            pixel_values, output_attentions, output_hidden_states, batch_size, reshape_last
        )
        logits, loss = seen.logits.logits, None
        if labels is not None:
            loss = classification_loss(logits, labels, self.num_labels, self.config.problem_type)
        return self._returned(ImageClassifierOutput(loss, logits, **seen.inside), return_dict)


class EfficientFormerForImageClassificationWithTeacher(
    _PixelsToOutput[EfficientFormerForImageClassificationWithTeacherOutput]
):
    """The network with two heads, one of which was taught by another network (distillation).

    If ``num_labels`` is 0, all three logits are the pooled features.
    """

    heads = ("head", "head_dist")

    def _output(self, seen: Seen) -> EfficientFormerForImageClassificationWithTeacherOutput:
        logits = cast("tuple[Array, Array, Array]", seen.logits)  # there are two heads, or none
        if self.num_labels == 0:
            logits = (logits[0],) * 3
        return EfficientFormerForImageClassificationWithTeacherOutput(*logits, **seen.inside)


def model_class(params: EfficientFormer | FoldedNetwork) -> type[EfficientFormerPreTrainedModel]:
    """Return the class that has the heads of `params`."""
    if params.head is None:
        return EfficientFormerModel
    if params.head_dist is None:
        return EfficientFormerForImageClassification
    return EfficientFormerForImageClassificationWithTeacher
