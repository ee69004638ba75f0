"""Number formats of tensors on disk, and how they become arrays for computing.

NumPy has no bfloat16. Its 16 bits are kept in a structured dtype of that name, which can be moved,
reshaped and written, but not computed with. `widen` turns them into float32 by one shift, because a
bfloat16 is the upper half of the float32 of the same value.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import WeightsError

Tensors: TypeAlias = dict[str, NDArray[Any]]
"""Arrays by name, as a file stores them: PyTorch's shapes, the file's dtypes."""

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
"""Number formats that can be read, by their names in safetensors."""

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
"""The same, by their names in PyTorch's files."""

OTHER_STORAGES = {
    "ComplexDoubleStorage": 16,
    "ComplexFloatStorage": 8,
    "QInt32Storage": 4,
    "QInt8Storage": 1,
    "QUInt8Storage": 1,
    "QUInt4x2Storage": 1,
    "QUInt2x4Storage": 1,
    "UntypedStorage": 1,
}
"""PyTorch's other number formats, which are not read, and the size of a number in bytes."""

NAMES = {dtype: name for name, dtype in DTYPES.items()}
"""The names in safetensors, by number format."""

COMPUTED_WITH = ("float16", "float32", "float64")
"""Dtypes that parameters can have."""


def little_endian(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in the byte order of files."""
    return dtype if dtype == BFLOAT16 else dtype.newbyteorder("<")


def name_of(dtype: np.dtype[Any]) -> str:
    """Return PyTorch's name of a dtype."""
    return "bfloat16" if dtype == BFLOAT16 else dtype.name


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype holds real numbers."""
    return dtype == BFLOAT16 or dtype.kind == "f"


def widen(array: NDArray[Any]) -> NDArray[Any]:
    """Convert bfloat16 to float32, exactly; return other arrays unchanged."""
    if array.dtype != BFLOAT16:
        return array
    bits = np.ascontiguousarray(array)["bfloat16"].astype("<u4") << np.uint32(16)
    return bits.view("<f4").reshape(array.shape)


def target(dtype: DTypeLike) -> np.dtype[Any]:
    """Check the dtype that parameters are to have.

    Raises
    ------
    WeightsError
        If it is not one of `COMPUTED_WITH`.
    """
    wanted = np.dtype(dtype)
    if wanted.name not in COMPUTED_WITH:
        raise WeightsError(f"dtype is {wanted.name}; expected one of {', '.join(COMPUTED_WITH)}")
    return wanted
