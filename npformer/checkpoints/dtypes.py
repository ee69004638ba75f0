"""Number formats of tensors on disk, and how they become arrays for computing.

NumPy has no bfloat16. Its 16 bits are held in a structured dtype of that name, which can be moved,
reshaped and written but not computed with, until `widen` makes float32 of them: a bfloat16 is the
upper half of the float32 of the same value, so that takes one shift.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import WeightsError

Tensors: TypeAlias = dict[str, NDArray[Any]]
"""Arrays by name, as a file holds them: PyTorch's shapes, the file's dtypes."""

BFLOAT16 = np.dtype([("bfloat16", "<u2")])

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": BFLOAT16,
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
"""What can be read, under the names that safetensors has for it."""

STORAGES = {
    "DoubleStorage": DTYPES["F64"],
    "FloatStorage": DTYPES["F32"],
    "HalfStorage": DTYPES["F16"],
    "BFloat16Storage": BFLOAT16,
    "LongStorage": DTYPES["I64"],
    "IntStorage": DTYPES["I32"],
    "ShortStorage": DTYPES["I16"],
    "CharStorage": DTYPES["I8"],
    "ByteStorage": DTYPES["U8"],
    "BoolStorage": DTYPES["BOOL"],
}
"""The same, under the names that PyTorch's files have for them."""

NAMES = {dtype: name for name, dtype in DTYPES.items()}

COMPUTED_WITH = ("float16", "float32", "float64")


def little_endian(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype as files hold it."""
    return dtype if dtype == BFLOAT16 else dtype.newbyteorder("<")


def name_of(dtype: np.dtype[Any]) -> str:
    """Name of a dtype, as PyTorch calls it."""
    return "bfloat16" if dtype == BFLOAT16 else dtype.name


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype holds real numbers."""
    return dtype == BFLOAT16 or dtype.kind == "f"


def widen(array: NDArray[Any]) -> NDArray[Any]:
    """Return bfloat16 as float32, exactly; other arrays as they are."""
    if array.dtype != BFLOAT16:
        return array
    bits = np.ascontiguousarray(array)["bfloat16"].astype("<u4") << np.uint32(16)
    return bits.view("<f4").reshape(array.shape)


def target(dtype: DTypeLike) -> np.dtype[Any]:
    """Check the dtype that parameters are wanted in."""
    wanted = np.dtype(dtype)
    if wanted.name not in COMPUTED_WITH:
        raise WeightsError(f"dtype is {wanted.name}; expected one of {', '.join(COMPUTED_WITH)}")
    return wanted
