"""Make arrays of the tensors that a PyTorch file describes, as views of its storages.

A tensor is an offset, a shape and strides into a storage. Nothing is copied, so what shares numbers
in the file shares them in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from ..errors import WeightsError
from .dtypes import Tensors
from .torch_objects import StorageRef, TensorRef

MAX_UNFOLDED = 2 << 30
"""Limit in bytes of tensors that share numbers, far above the 0.7 GB of L7 in float64. Without it,
a small file could claim to hold terabytes."""


def make_views(
    tensors: Mapping[str, TensorRef], read: Callable[[StorageRef], NDArray[Any]], source: str
) -> Tensors:
    """Return tensors as views of their storages.

    Parameters
    ----------
    tensors : mapping of str to TensorRef
    read : callable
        Returns all numbers of a storage; it is called once for each storage and type.
    source : str
        What error messages call the file.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    WeightsError
        If a tensor does not lie in its storage, or tensors that share numbers would be too large.
    """
    storages: dict[tuple[str, np.dtype[Any]], NDArray[Any]] = {}
    found: Tensors = {}
    for name, tensor in tensors.items():
        storage = tensor.storage
        known = (storage.key, storage.dtype)
        if known not in storages:
            storages[known] = read(storage)
        numbers = storages[known]
        if storage.view is not None:
            first, count = storage.view
            numbers = numbers[first : first + count]
        found[name] = _view(name, tensor, numbers, source)
    unfolded = sum(tensor.nbytes for tensor in found.values())
    lengths = {key: numbers.nbytes for (key, _), numbers in storages.items()}
    if unfolded > max(MAX_UNFOLDED, sum(lengths.values())):
        raise WeightsError(
            f"{source}: its tensors share numbers, and would be {unfolded} bytes without sharing, "
            f"more than {MAX_UNFOLDED}; expected what torch.save writes"
        )
    return found


def _view(name: str, tensor: TensorRef, numbers: NDArray[Any], source: str) -> NDArray[Any]:
    """Return a tensor as a view of numbers, after checking that it lies among them."""
    shape, strides = tensor.shape, tensor.strides
    last = tensor.offset - (0 in shape)  # of no numbers none needs a place
    if len(shape) == len(strides) and 0 not in shape:
        # Along an axis of one number nobody steps, however large the stride.
        strides = tuple(s if n > 1 else 0 for n, s in zip(shape, strides, strict=True))
        last += sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if len(shape) != len(strides) or last >= len(numbers):
        raise WeightsError(
            f"{source}: tensor {name!r} of shape {shape} and strides {tensor.strides} from number "
            f"{tensor.offset} does not lie in its storage of {len(numbers)} numbers; expected what "
            "torch.save writes"
        )
    size = math.prod(shape) * numbers.itemsize
    if size > max(MAX_UNFOLDED, numbers.nbytes):
        raise WeightsError(
            f"{source}: tensor {name!r} of shape {shape} repeats the numbers of its storage and "
            f"would be {size} bytes, more than {MAX_UNFOLDED}; expected what torch.save writes"
        )
    if 0 in shape:
        return np.zeros(shape, numbers.dtype)
    steps = [stride * numbers.itemsize for stride in strides]
    return as_strided(numbers[tensor.offset :], shape, steps)
