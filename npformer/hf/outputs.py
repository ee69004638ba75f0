"""What the classes of `npformer.hf.modeling` return, as the outputs of transformers are.

An output is read by attribute, by key, by index or by slice. Fields that are None can be read as
attributes alone; keys and indices skip them: ``output[0]`` is the first field that is not None.
Source: ``ModelOutput`` of ``transformers/utils/generic.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..layers import Array
from ..layers.precision import mean64


@dataclass(frozen=True, eq=False, repr=False)
class ModelOutput(Mapping[str, Any]):
    """An ordered mapping without the fields that are None."""

    def __getitem__(self, key: str | int | slice) -> Any:
        return dict(self._present())[key] if isinstance(key, str) else self.to_tuple()[key]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._present())

    def __len__(self) -> int:
        return len(self.to_tuple())

    def to_tuple(self) -> tuple[Any, ...]:
        """Return the fields that are not None, in order."""
        return tuple(value for _, value in self._present())

    def _present(self) -> Iterator[tuple[str, Any]]:
        pairs = ((field.name, getattr(self, field.name)) for field in fields(self))
        return ((name, value) for name, value in pairs if value is not None)

    # Comparing arrays gives arrays, so two outputs are equal only if they are the same object.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        def describe(value: Any) -> str:
            if isinstance(value, tuple):
                return f"({', '.join(map(describe, value))})"
            return f"{value.dtype}{list(value.shape)}"

        inside = ", ".join(f"{name}={describe(value)}" for name, value in self._present())
        return f"{type(self).__name__}({inside})"


@dataclass(frozen=True, eq=False, repr=False)
class BaseModelOutput(ModelOutput):
    """Tokens, without a head."""

    last_hidden_state: Array
    """(B, N, C), after the final layer norm"""
    hidden_states: tuple[Array, ...] | None = None
    """the output of the stem and of each stage and downsampling, before the final layer norm:
    (B, C, H, W), the last (B, N, C)"""
    attentions: tuple[Array, ...] | None = None
    """(B, heads, N, N) for each attention block, after the softmax"""

    @property
    def pooler_output(self) -> Array:
        """(B, C), the mean over tokens that the heads see.

        An attribute and not a key, so that indices stay as in the reference: its documentation
        promises this field, but its code has none.
        """
        return mean64(self.last_hidden_state, 1)


@dataclass(frozen=True, eq=False, repr=False)
class ImageClassifierOutput(ModelOutput):
    """Results of one head."""

    loss: Array | None
    """(), if labels were given"""
    logits: Array
    """(B, num_labels)"""
    hidden_states: tuple[Array, ...] | None = None
    """as in `BaseModelOutput`"""
    attentions: tuple[Array, ...] | None = None
    """as in `BaseModelOutput`"""


@dataclass(frozen=True, eq=False, repr=False)
class EfficientFormerForImageClassificationWithTeacherOutput(ModelOutput):
    """Results of two heads."""

    logits: Array
    """(B, num_labels), the mean of both"""
    cls_logits: Array
    """(B, num_labels), of the class head"""
    distillation_logits: Array
    """(B, num_labels), of the distillation head"""
    hidden_states: tuple[Array, ...] | None = None
    """as in `BaseModelOutput`"""
    attentions: tuple[Array, ...] | None = None
    """as in `BaseModelOutput`"""


@dataclass(frozen=True, eq=False, repr=False)
class BackboneOutput(ModelOutput):
    """Feature maps for dense prediction."""

    feature_maps: tuple[Array, ...]
    """(B, C, H, W) for each stage that was asked for"""
    hidden_states: tuple[Array, ...] | None = None
    """as in `BaseModelOutput`"""
    attentions: tuple[Array, ...] | None = None
    """as in `BaseModelOutput`"""
