"""What a model has in common with PyTorch's modules: type, place, mode, and its tensors by name.

A model never changes, so a method that would change it either finds it as asked for, and returns
it, or says what to do instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from ..checkpoints.dtypes import COMPUTED_WITH
from ..checkpoints.naming import BUFFERS
from ..errors import ConfigError, WeightsError
from ..layers import Array
from ..network import EfficientFormer
from ..network.hf_methods import MODEL, SaysWhatInstead
from ..network.tree import leaves

if TYPE_CHECKING:
    from typing_extensions import Self

_BUFFERS = (*BUFFERS.values(), "running_mean", "running_var")
"""Endings of the names of tensors that are not learned."""


class ModuleMethods(SaysWhatInstead):
    """Methods of PyTorch's modules that read."""

    _instead = MODEL

    device = "cpu"
    """where the weights are"""
    training = False
    """a model is always in evaluation mode"""

    if TYPE_CHECKING:  # the rest of a model
        params: EfficientFormer
        state_dict: Callable[[], dict[str, Array]]
        __call__: Callable[..., Any]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the weights, as far as they are not whole numbers, and of all results."""
        return self.params.norm.weight.dtype

    def forward(self, *arguments: Any, **options: Any) -> Any:
        """Call the model; arguments, results and errors are those of a call."""
        return self(*arguments, **options)

    def eval(self) -> Self:
        """Return the model itself: it is always in evaluation mode."""
        return self

    def train(self, mode: bool = True) -> Self:
        """Return the model itself if `mode` is False.

        Raises
        ------
        ConfigError
            If it is True: a model is always in evaluation mode.
        """
        if mode:
            raise ConfigError(
                "train(): a model is always in evaluation mode and never changes; to train a "
                "network, see npformer.learn.fit"
            )
        return self

    def to(self, *arguments: Any, **options: Any) -> Self:
        """Return the model itself if it has this type and is on this device, the CPU.

        Parameters
        ----------
        *arguments, **options
            A device or a type, by name or as an object of PyTorch or NumPy.

        Raises
        ------
        ConfigError
            If it would have to be another.
        """
        for value in (*arguments, *options.values()):
            if value is None or isinstance(value, bool):  # such as non_blocking
                continue
            if str(value).partition(":")[0] != "cpu" and dtype_name(value) != self.dtype.name:
                raise ConfigError(
                    f"to({value!r}): this model is {self.dtype.name}, is on the CPU, and never "
                    f"changes. For another type ({', '.join(COMPUTED_WITH)}) load it again, with "
                    "from_pretrained(…, dtype=…); there is no other device"
                )
        return self

    def cpu(self) -> Self:
        """Return the model itself: it is on the CPU."""
        return self

    def half(self) -> Self:
        """Return the model itself if it is float16; else ConfigError, as in `to`."""
        return self.to("float16")

    def float(self) -> Self:
        """Return the model itself if it is float32; else ConfigError, as in `to`."""
        return self.to("float32")

    def double(self) -> Self:
        """Return the model itself if it is float64; else ConfigError, as in `to`."""
        return self.to("float64")

    def named_parameters(self) -> Iterator[tuple[str, Array]]:
        """Yield the names in transformers and the arrays, in PyTorch's shapes, that are learned."""
        for name, array in self.state_dict().items():
            if not name.endswith(_BUFFERS):
                yield name, array

    def parameters(self) -> Iterator[Array]:
        """Yield the arrays of `named_parameters`; the tree of them is ``params``."""
        return (array for _, array in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Array]]:
        """Yield names and arrays that are not learned: running statistics and tables."""
        for name, array in self.state_dict().items():
            if name.endswith(_BUFFERS):
                yield name, array

    def buffers(self) -> Iterator[Array]:
        """Yield the arrays of `named_buffers`."""
        return (array for _, array in self.named_buffers())

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Return the number of learned parameters, without running statistics or scales.

        Parameters
        ----------
        only_trainable, exclude_embeddings : bool
            Change nothing: all are trainable, and there are no embeddings.
        """
        return sum(
            array.size
            for path, array in leaves(self.params)
            if ".running_" not in path and not path.endswith(".scale")
        )


def dtype_name(value: Any) -> str | None:
    """Return NumPy's name of a type by NumPy or PyTorch; None if it is not a type."""
    text = str(value).removeprefix("torch.")
    try:
        return np.dtype(text if str(value).startswith("torch.") else value).name
    except TypeError:
        return None


def chosen_dtype(dtype: Any, torch_dtype: Any) -> DTypeLike:
    """Settle the type of the weights from its two names.

    Raises
    ------
    WeightsError
        If it is none that can be computed with.
    TypeError
        If both are given, and differ.
    """
    given = {
        name: value
        for name, value in (("dtype", dtype), ("torch_dtype", torch_dtype))
        if value is not None
    }
    names = {name: dtype_name(value) for name, value in given.items()}
    for name, found in names.items():
        if found not in COMPUTED_WITH:
            raise WeightsError(
                f"{name} is {given[name]!r}; expected one of {', '.join(COMPUTED_WITH)}"
            )
    if len(set(names.values())) > 1:
        raise TypeError(f"dtype is {dtype!r} and torch_dtype is {torch_dtype!r}; give one of them")
    return next(iter(names.values()), None) or "float32"
