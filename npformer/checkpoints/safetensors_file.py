"""Read and write ``.safetensors`` files, strictly.

    8 bytes     n, the length of the header: a little-endian unsigned integer
    n bytes     the header, JSON: {"name": {"dtype": "F32", "shape": [2, 3],
                "data_offsets": [0, 24]}, …, "__metadata__": {"key": "text"}}
    the rest    the tensors' bytes, without gaps

Files are parsed by the safetensors library. It checks them too, but does not always say which
tensor is wrong, and accepts duplicate names. Therefore the header is checked here first, and every
error names the file and the tensor. Files are written by this module, because the library cannot
write bfloat16 without PyTorch. Source: the description of the format in the safetensors repository.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize

from ..errors import WeightsError
from ..files.atomic import replacing
from ..files.sniff import what_is
from .dtypes import DTYPES, NAMES, Tensors, little_endian

MAX_HEADER = 100_000_000
"""The format's own limit, in bytes."""
MAX_TENSORS = 100_000
"""A limit far above the 649 tensors of L7, the largest network."""


def read(path: Path) -> tuple[Tensors, dict[str, str]]:
    """Read all tensors.

    Parameters
    ----------
    path : Path

    Returns
    -------
    tensors : dict of str to ndarray
        As they are in the file; bfloat16 as `BFLOAT16`.
    metadata : dict of str to str

    Raises
    ------
    WeightsError
        If the file is damaged, contradicts itself, or is another kind of file.
    OSError
        If the file cannot be read.
    """
    parse: Callable[[bytes], list[tuple[str, dict[str, Any]]]] = deserialize
    data = path.read_bytes()
    metadata = check(data, str(path))
    try:
        entries = parse(data)
    except SafetensorError as error:  # pragma: no cover - `check` refuses all known errors
        raise WeightsError(f"{path}: {error}") from error
    tensors = {
        name: np.frombuffer(entry["data"], DTYPES[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in entries
    }
    return tensors, metadata


def write(path: Path, tensors: Tensors, metadata: dict[str, str] | None = None) -> None:
    """Write tensors; the file appears whole or not at all.

    Parameters
    ----------
    path : Path
    tensors : dict of str to ndarray
    metadata : dict of str to str, optional
        ``{"format": "pt"}`` by default: transformers refuses a file that does not say which
        library's shapes its tensors have.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    header: dict[str, Any] = {"__metadata__": metadata or {"format": "pt"}}
    end = 0
    # Wide numbers come first, so that each tensor is aligned when the file is mapped into memory.
    order = sorted(tensors, key=lambda name: -tensors[name].itemsize)
    for name in order:
        array = tensors[name]
        header[name] = {
            "dtype": NAMES[little_endian(array.dtype)],
            "shape": array.shape,
            "data_offsets": [end, end + array.nbytes],
        }
        end += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as temporary, temporary.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little"))
        stream.write(text)
        for name in order:
            array = tensors[name]
            stream.write(array.astype(little_endian(array.dtype), copy=False).tobytes())


def check(data: bytes, source: str) -> dict[str, str]:
    """Check a whole file without creating tensors.

    Parameters
    ----------
    data : bytes
        The contents of the file.
    source : str
        What error messages call the file.

    Returns
    -------
    dict of str to str
        The metadata.

    Raises
    ------
    WeightsError
        If the file is damaged, contradicts itself, or is another kind of file; the message names
        `source` and, if possible, the tensor.
    """
    header, body = _split(data, source)
    metadata = header.pop("__metadata__", {})
    if not _is_text_map(metadata):
        raise WeightsError(f"{source}: __metadata__ is not a map of text to text")
    if len(header) > MAX_TENSORS:
        raise WeightsError(
            f"{source}: lists {len(header)} tensors; expected at most {MAX_TENSORS}, which is more "
            "than any EfficientFormer has"
        )
    spans = sorted(_span(name, entry, source) for name, entry in header.items())
    end = 0
    for first, last, name in spans:
        if first != end:
            kind = "overlaps the one before it" if first < end else "leaves a gap before it"
            raise WeightsError(
                f"{source}: tensor {name!r} {kind}: it begins at byte {first}, expected {end}; "
                "the file is damaged"
            )
        end = last
    if end != body:
        found, expected = len(data), len(data) - body + end
        what = "truncated" if found < expected else "followed by bytes that belong to no tensor"
        raise WeightsError(
            f"{source}: {what}: {found} bytes found, {expected} expected; download it again"
        )
    return metadata


def _split(data: bytes, source: str) -> tuple[dict[str, Any], int]:
    """Return the parsed header and the number of bytes after it."""
    if len(data) < 8:
        raise WeightsError(
            f"{source}: {len(data)} bytes; a safetensors file has at least 8: download it again"
        )
    length, body = int.from_bytes(data[:8], "little"), len(data) - 8
    text = data[8 : 8 + length]
    if length > min(MAX_HEADER, body) or not text.startswith(b"{"):
        raise WeightsError(f"{source}: {_why_not(data)}; expected a safetensors file")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) < len(pairs):
            (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
            raise WeightsError(f"{source}: the header names {twice!r} twice; the file is damaged")
        for word in chain.from_iterable(pairs):
            if isinstance(word, str):
                word.encode("utf-8")  # fails for half of a surrogate pair, which is not text
        return entries

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except WeightsError:
        raise
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{source}: the header is not JSON ({error}); download it again") from (
            error
        )
    return header, body - length


def _span(name: str, entry: Any, source: str) -> tuple[int, int, str]:
    """Check a tensor's entry in the header; return its first and last byte, and its name."""

    def refuse(found: str) -> WeightsError:
        return WeightsError(f"{source}: tensor {name!r} {found}")

    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise refuse("has no dtype, shape and data_offsets in the header; the file is damaged")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise refuse(f"has dtype {dtype!r}; npformer reads {', '.join(DTYPES)}")
    if not _is_sizes(shape) or not _fits_numpy(shape):
        raise refuse(f"has shape {shape!r}; expected a few whole numbers that NumPy can hold")
    if not _is_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise refuse(f"has data_offsets {offsets!r}; expected [first, last]")
    size = math.prod(shape) * DTYPES[dtype].itemsize
    if size != offsets[1] - offsets[0]:
        raise refuse(
            f"has {offsets[1] - offsets[0]} bytes; shape {shape} of {dtype} needs {size}; "
            "the file is damaged"
        )
    return offsets[0], offsets[1], name


def _is_sizes(values: Any) -> bool:
    # `type`, because True is an int
    return type(values) is list and all(type(v) is int and 0 <= v < 2**63 for v in values)


def _fits_numpy(shape: list[int]) -> bool:
    """Whether NumPy can make such an array; it refuses huge sizes even if another size is 0."""
    return len(shape) <= 32 and math.prod(size for size in shape if size) < 2**60


def _is_text_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _why_not(data: bytes) -> str:
    """Describe a file that is not a safetensors file."""
    length = int.from_bytes(data[:8], "little")
    if kind := what_is(data):
        return f"this is {kind}"
    return (
        f"its header would be {length} bytes long and the file has {len(data)}: it is truncated or "
        "another kind of file"
    )
