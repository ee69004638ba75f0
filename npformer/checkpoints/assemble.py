"""Tensors of a file ⇄ the tree of parameters.

A file holds PyTorch's shapes; the tree has its channels last and its matrices ready for ``x @ W``:

    convolution         (C_out, C_in, kh, kw)   ->  (kh, kw, C_in, C_out)
    linear              (C_out, C_in)           ->  (C_in, C_out)
    attention biases    (heads, R²)             ->  (heads, R, R)

Nothing is guessed and nothing is left over: a tensor that is missing, unexpected, of another shape,
not finite or not what it must be is refused, under the name that it has in the file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import WeightsError
from ..layers import Array
from ..network import EfficientFormer
from ..network.configuration import EfficientFormerConfig
from ..network.params import ParamSpec, param_specs
from ..network.tree import build, leaves
from .dtypes import Tensors, is_floating, name_of, target, widen
from .infer import resembles
from .naming import (
    BUFFER_NAMES,
    Naming,
    detect,
    enumerate_names,
    from_native,
    is_bare,
    names,
)


def assemble(
    tensors: Tensors,
    config: EfficientFormerConfig,
    naming: Naming | None = None,
    *,
    dtype: DTypeLike = "float32",
    distilled: bool | None = None,
    source: str = "the checkpoint",
) -> EfficientFormer:
    """Build the tree of parameters from the tensors of a file.

    Parameters
    ----------
    tensors : dict of str to ndarray
        Under the names of `naming`.
    config : EfficientFormerConfig
    naming : {"hf", "timm", "original"}, optional
        Detected by default.
    dtype : {"float32", "float64", "float16"}
        Of the parameters. Floating-point tensors of any dtype are converted to it.
    distilled : bool, optional
        Whether there must be a distillation head; by default there is one if the file has one.
    source : str
        What error messages call the file.

    Returns
    -------
    EfficientFormer
        Of read-only, contiguous arrays. If Hugging Face's class saved a network without heads, the
        tree has none either.

    Raises
    ------
    WeightsError
        If the dtype is none of these, if tensors are missing, unexpected, misshapen, not finite, or
        of whole numbers, or if a buffer contradicts them; the message names the tensors.
    ConfigError
        If no network can have this configuration, or there is no such naming.
    """
    wanted = target(dtype)
    naming = naming or detect(tensors, source)
    named, tree = _plan(tensors, config, naming, distilled)
    try:
        _check_names(tensors, named, tree, config)
        return build(lambda path, spec: _load(path, spec, named, tensors, config, wanted), tree)
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from None


def state_dict(
    params: EfficientFormer, config: EfficientFormerConfig, naming: Naming = "timm"
) -> Tensors:
    """Return the tensors of a file: PyTorch's shapes, with the buffers that its classes require.

    Parameters
    ----------
    params : EfficientFormer
    config : EfficientFormerConfig
    naming : {"timm", "hf", "original"}

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    ConfigError
        If there is no such naming.
    WeightsError
        If the attention biases were resized by "original", which no file can store.
    """
    tensors = {path: _outward(array) for path, array in leaves(params)}
    return from_native(with_buffers(tensors, config), config, naming)


def with_buffers(tensors: Tensors, config: EfficientFormerConfig) -> Tensors:
    """Add the buffers that natively named tensors lack, in PyTorch's order."""
    complete = {}
    for path in names(config, "timm"):
        if path in tensors:
            complete[path] = tensors[path]
        elif path.endswith("num_batches_tracked"):
            complete[path] = np.zeros((), np.int64)
        elif path.endswith("attention_bias_idxs"):
            complete[path] = bias_indices(*config.token_grid)
    return complete


def bias_indices(rows: int, columns: int) -> NDArray[np.int64]:
    """Return the table ``attention_bias_idxs``: which bias belongs to each pair of tokens.

    Parameters
    ----------
    rows, columns : int
        Size of the grid of tokens.

    Returns
    -------
    ndarray of int64, shape (N, N) with ``N = rows·columns``
        ``|Δy|·columns + |Δx|``. The reference numbers distances in the order in which they first
        appear, which gives the same numbers.
    """
    y, x = np.divmod(np.arange(rows * columns, dtype=np.int64), columns)
    return abs(y[:, None] - y) * columns + abs(x[:, None] - x)


def _plan(
    tensors: Tensors, config: EfficientFormerConfig, naming: Naming, distilled: bool | None
) -> tuple[dict[str, str], EfficientFormer]:
    """Return the name of each tensor in the file, and the tree of what the file must contain."""
    bare = naming == "hf" and is_bare(tensors)
    named = names(config, naming, bare)
    tree = param_specs(config)
    heads = {
        head: any(named.get(f"{head}.{leaf}") in tensors for leaf in ("weight", "bias"))
        for head in ("head", "head_dist")
    }
    if bare and not any(heads.values()):
        tree = tree._replace(head=None, head_dist=None)
    elif not (heads["head_dist"] if distilled is None else distilled):
        tree = tree._replace(head_dist=None)
    return named, tree


def _check_names(
    tensors: Tensors, named: dict[str, str], tree: EfficientFormer, config: EfficientFormerConfig
) -> None:
    """Refuse missing and unexpected tensors, and wrong buffers."""
    required = [named[path] for path, _ in leaves(tree)]
    buffers = {name: path for path, name in named.items() if path.endswith(BUFFER_NAMES)}
    missing = [name for name in required if name not in tensors]
    if missing:
        raise WeightsError(
            f"missing tensors ({len(missing)} of {len(required)}): {enumerate_names(missing)}. "
            f"{_advice(tensors, config)}"
        )
    allowed = {*required, *buffers}
    unexpected = [name for name in tensors if name not in allowed]
    if unexpected:
        raise WeightsError(
            f"unexpected tensors ({len(unexpected)}): {enumerate_names(unexpected)}. "
            f"{_advice(tensors, config)}"
        )
    for name in buffers.keys() & tensors.keys():
        _check_buffer(name, tensors[name], config)


def _load(
    path: str,
    spec: ParamSpec,
    named: dict[str, str],
    tensors: Tensors,
    config: EfficientFormerConfig,
    dtype: np.dtype[Any],
) -> Array:
    """Return one parameter, or refuse its tensor."""
    name = named[path]
    tensor, expected = tensors[name], _file_shape(spec.shape)
    if tensor.shape != expected:
        raise WeightsError(
            f"tensor {name!r} has shape {tensor.shape}, expected {expected}. "
            f"{_advice(tensors, config)}"
        )
    if not is_floating(tensor.dtype):
        raise WeightsError(
            f"tensor {name!r} is {name_of(tensor.dtype)}; expected real numbers (quantized "
            "checkpoints are not supported)"
        )
    with np.errstate(over="ignore"):  # an overflow gives an infinity, which is refused below
        array = np.array(_inward(widen(tensor), spec.shape), dtype, order="C")
    finite = np.isfinite(array)
    if not finite.all():
        raise WeightsError(
            f"tensor {name!r} has {array.size - np.count_nonzero(finite)} of {array.size} values "
            f"that are not finite in {dtype}; the training diverged or the file is damaged"
        )
    if path.endswith("running_var") and array.min() < 0:
        raise WeightsError(
            f"tensor {name!r} holds the variance {array.min():g}; no variance is negative: "
            "the file is damaged"
        )
    array.flags.writeable = False
    return array


def _check_buffer(name: str, array: NDArray[Any], config: EfficientFormerConfig) -> None:
    """Refuse a buffer that contradicts what it must be."""
    if name.endswith("num_batches_tracked"):
        if array.shape != () or array.dtype.kind not in "iu":
            raise WeightsError(
                f"tensor {name!r} is {name_of(array.dtype)} of shape {array.shape}; "
                "expected one whole number"
            )
        return
    expected = bias_indices(*config.token_grid)
    if array.shape != expected.shape or not np.array_equal(array, expected):
        raise WeightsError(
            f"tensor {name!r} is not the table that follows from a grid of "
            f"{config.token_grid[0]}×{config.token_grid[1]} tokens; the file is damaged, or its "
            "attention biases mean something else"
        )


def _advice(tensors: Tensors, config: EfficientFormerConfig) -> str:
    """Say which network the tensors would fit, and which one was wanted."""
    asked = f"The configuration has depths {config.depths} and widths {config.hidden_sizes}"
    found = resembles(tensors)
    if found is None:
        return f"{asked}; the file may be damaged or belong to another network"
    return f"{asked}; the tensors look like those of {found}"


def _file_shape(planned: tuple[int, ...]) -> tuple[int, ...]:
    """Shape in a file of a tensor that has the shape `planned` in the tree."""
    if len(planned) == 4:
        kh, kw, C_in, C_out = planned
        return (C_out, C_in, kh, kw)
    if len(planned) == 3:
        heads, rows, columns = planned
        return (heads, rows * columns)
    return planned[::-1]


def _inward(array: NDArray[Any], planned: tuple[int, ...]) -> NDArray[Any]:
    """Bring a tensor of a file into the shape that it has in the tree."""
    if len(planned) == 4:
        return array.transpose(2, 3, 1, 0)  # (C_out, C_in, kh, kw) -> (kh, kw, C_in, C_out)
    if len(planned) == 3:
        return array.reshape(planned)  # (heads, R²) -> (heads, R, R)
    return array.T  # (C_out, C_in) -> (C_in, C_out)


def _outward(array: Array) -> Array:
    """Bring an array of the tree into the shape that it has in a file."""
    if array.ndim == 4:
        array = array.transpose(3, 2, 0, 1)  # (kh, kw, C_in, C_out) -> (C_out, C_in, kh, kw)
    elif array.ndim == 3:
        array = array.reshape(len(array), -1)  # (heads, R, R) -> (heads, R²)
    elif array.ndim == 5:
        raise WeightsError(
            "attention biases that were resized by the method 'original' belong to pairs of "
            "tokens, which no checkpoint can store; resize them by 'offsets'"
        )
    else:
        array = array.T  # (C_in, C_out) -> (C_out, C_in)
    return np.ascontiguousarray(array)
