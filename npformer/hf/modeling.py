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

from typing import Any

from numpy.typing import ArrayLike

from ..network import Logits
from .outputs import (
    BaseModelOutput,
    EfficientFormerForImageClassificationWithTeacherOutput,
    ImageClassifierOutput,
)
from .pretrained import BATCH_SIZE, EfficientFormerPreTrainedModel
from .task_loss import classification_loss

__all__ = [
    "EfficientFormerForImageClassification",
    "EfficientFormerForImageClassificationWithTeacher",
    "EfficientFormerModel",
    "EfficientFormerPreTrainedModel",
]


class EfficientFormerModel(EfficientFormerPreTrainedModel):
    """The network without a head: images in, tokens out."""

    def __call__(
        self,
        pixel_values: ArrayLike | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        reshape_last: bool = False,
        batch_size: int = BATCH_SIZE,
    ) -> Any:
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
            How many images run at once; bounds the memory and changes no number.

        Returns
        -------
        BaseModelOutput, or a tuple of its fields if not `return_dict`

        Raises
        ------
        ImageError, TypeError
            If these are not preprocessed images.
        ConfigError
            If the size of the images does not fit the attention biases.
        """
        x = self._channels_last(pixel_values)
        _, seen, inside = self._look(
            x, output_attentions, output_hidden_states, reshape_last, batch_size, also=["norm"]
        )
        return self._returned(BaseModelOutput(seen["norm"], **inside), return_dict)


class EfficientFormerForImageClassification(EfficientFormerPreTrainedModel):
    """The network with one head."""

    heads = ("head",)

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
    ) -> Any:
        """Run the network; arguments and errors as of `EfficientFormerModel`, and `labels`.

        Parameters
        ----------
        pixel_values : array_like of float, shape (B, C, H, W)
        labels : array_like, optional
            What the logits should be, for ``loss``; see `classification_loss`.
        output_attentions, output_hidden_states, return_dict : bool, optional
        reshape_last : bool
        batch_size : int

        Returns
        -------
        ImageClassifierOutput, or a tuple of its fields if not `return_dict`
            For ``num_labels=0`` the logits are the pooled features.
        """
        x = self._channels_last(pixel_values)
        answer, _, inside = self._look(
            x, output_attentions, output_hidden_states, reshape_last, batch_size
        )
        loss = None
        if labels is not None:
            loss = classification_loss(
                answer.logits, labels, self.num_labels, self.config.problem_type
            )
        return self._returned(ImageClassifierOutput(loss, answer.logits, **inside), return_dict)


class EfficientFormerForImageClassificationWithTeacher(EfficientFormerPreTrainedModel):
    """The network with two heads, one of which was taught by another network (distillation)."""

    heads = ("head", "head_dist")

    def __call__(
        self,
        pixel_values: ArrayLike | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        reshape_last: bool = False,
        batch_size: int = BATCH_SIZE,
    ) -> Any:
        """Run the network; arguments and errors as of `EfficientFormerModel`.

        Parameters
        ----------
        pixel_values : array_like of float, shape (B, C, H, W)
        output_attentions, output_hidden_states, return_dict : bool, optional
        reshape_last : bool
        batch_size : int

        Returns
        -------
        EfficientFormerForImageClassificationWithTeacherOutput, or a tuple of its fields
            For ``num_labels=0`` all three logits are the pooled features.
        """
        x = self._channels_last(pixel_values)
        answer, _, inside = self._look(
            x, output_attentions, output_hidden_states, reshape_last, batch_size
        )
        if self.num_labels == 0:
            answer = Logits(answer.logits, answer.logits, answer.logits)
        output = EfficientFormerForImageClassificationWithTeacherOutput(*answer, **inside)
        return self._returned(output, return_dict)
