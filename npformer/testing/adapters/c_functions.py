"""A C function, called through ctypes on memory whose borders are watched."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...checks import require
from ...layers import Array, head_sizes
from ...network.tree import build, leaves
from ..layer_strategies import arguments
from ..layer_table import LAYERS, reference
from .names import skeleton, torch_axes
from .port import (
    Port,
    channels_first,
    channels_last,
    default_options,
    forward_only,
    split,
    tokens_of,
)

FUNCTION: Any = type(ctypes.CFUNCTYPE(None)()).__mro__[1]
"""What all functions of ctypes are."""
MARK = -1.2345e30
"""What lies around the result, so that NaN would be seen there too."""
GUARD = 64
"""How many numbers before and behind each array must not be touched."""

SIZES = {
    "B": "images in the batch", "H": "rows", "W": "columns", "N": "tokens of an image",
    "C": "channels of the input", "C_out": "channels of the result", "H_out": "rows of the result",
    "W_out": "columns of the result", "count": "numbers in the input", "rows": "all but the last "
    "axis of the input", "kh": "rows of a kernel", "kw": "columns of a kernel", "heads": "heads",
    "K": "width of a key", "V": "width of a value", "hidden": "channels inside an MLP",
}  # fmt: skip
"""The sizes that a signature can name."""


@dataclass(frozen=True)
class C:
    """A C function of a shared library, with a signature in words.

    Each array lies between guards. Around inputs they are not a number, and so is the result of a
    function that reads them; one that writes there, or around the result, is found out. (A function
    that writes far away crashes the process, as it does everywhere.)

    Attributes
    ----------
    signature : str
        The arguments of the function, separated by commas: ``x`` and ``y``, the input and the
        result; parameters by timm's names, such as ``weight`` or ``qkv.bias``; sizes, of which
        `SIZES` is the list; and options of the layer, such as ``eps``. Arrays are pointers, sizes
        and options that are whole numbers are ``int``, ε is of the type of the arrays.
    dtype : {"float32", "float64"}
        Type of the arrays: ``float`` or ``double``.
    channels : {"last", "first"}
        Where the channels of images are.
    weights : {"npformer", "torch"}
        The axes of weights, as in `npformer.testing.adapters.Function`.
    size : ctypes type
        Of sizes and options that are whole numbers.

    Examples
    --------
    >>> C("y, x, weight, bias, rows, C, eps").arguments()
    ['y', 'x', 'weight', 'bias', 'rows', 'C', 'eps']
    """

    signature: str
    dtype: Literal["float32", "float64"] = "float32"
    channels: Literal["last", "first"] = "last"
    weights: Literal["npformer", "torch"] = "npformer"
    size: Any = ctypes.c_int

    def arguments(self) -> list[str]:
        """Return the names of the arguments, in order."""
        return [name.strip() for name in self.signature.split(",")]

    def port(self, layer: str, theirs: Any, options: Mapping[str, Any]) -> Port:
        """Make the function callable as npformer's layer is.

        Options that the signature does not name have the value given in `options`, or npformer's
        default.

        Parameters
        ----------
        layer : str
        theirs : ctypes function
            Such as ``ctypes.CDLL("./layers.so").layer_norm``.
        options : mapping

        Returns
        -------
        Port

        Raises
        ------
        ConfigError
            If it is no function of ctypes, or the signature names what the layer does not have.
        """
        require(isinstance(theirs, FUNCTION), "theirs", theirs,
                "a function of a library that was opened by ctypes.CDLL")  # fmt: skip
        forward_only(layer, "a C function")
        names, own = self.arguments(), LAYERS[layer].options
        paths = [path for path, _ in leaves(skeleton(layer))]
        known = ("x", "y", *paths, *own, *SIZES)
        for name in names:
            require(name in known, "an argument of the signature", name,
                    f"one of {', '.join(known)}")  # fmt: skip
        for name in ("x", "y"):
            require(name in names, "the signature", self.signature, f"a list with {name} in it")
        fixed = {
            name: value
            for name, value in default_options(layer, options).items()
            if name in options or name not in names
        }

        def function(*args: Any) -> Array:
            return self._call(layer, theirs, args)

        return Port(
            function,
            lambda dtype: arguments(
                layer, dtype, options=fixed, layouts=("C",),
                shape=tokens_of(layer),
            ),
            (self.dtype,),
            any_size=False,
        )  # fmt: skip

    def _call(self, layer: str, theirs: Any, args: tuple[Any, ...]) -> Array:
        """Call the function on guarded copies of the arrays.

        Raises
        ------
        BufferError
            If it wrote where it should not have.
        """
        x, p, options = split(layer, args)
        expected = np.shape(reference(layer)(*args))
        is_first = self.channels == "first"
        shape = (
            (expected[0], expected[3], *expected[1:3])
            if is_first and len(expected) == 4
            else expected
        )
        held = {"x": channels_first(x) if is_first else x}
        turned = build(torch_axes, p) if self.weights == "torch" else p
        held |= dict(leaves(turned))
        held["y"] = np.full(shape, np.nan)
        memory = {
            name: guarded(array, self.dtype, MARK if name == "y" else np.nan)
            for name, array in held.items()
        }
        before = {name: data.copy() for name, data in memory.items()}
        sizes = sizes_of(layer, x, p, expected)
        theirs(*(self._argument(name, memory, sizes, options) for name in self.arguments()))
        for name, data in memory.items():
            inside = data[GUARD:-GUARD].copy()
            if name == "y":
                before[name][GUARD:-GUARD] = inside
            if not np.array_equal(data, before[name], equal_nan=True):
                where = (
                    f"outside of y, which has {inside.size} numbers"
                    if name == "y"
                    else f"into {name}, which it should only read, or outside of it"
                )
                raise BufferError(f"the function writes {where}")
        y = memory["y"][GUARD:-GUARD].reshape(shape)
        return channels_last(y) if is_first else y

    def _argument(
        self, name: str, memory: dict[str, Array], sizes: dict[str, int], options: dict[str, Any]
    ) -> Any:
        """Return an argument as ctypes passes it."""
        if name in memory:
            data = memory[name]
            return ctypes.c_void_p(data.ctypes.data + GUARD * data.itemsize)
        value = sizes[name] if name in sizes else options[name]
        if name == "eps":
            return (ctypes.c_float if self.dtype == "float32" else ctypes.c_double)(value)
        return self.size(value)


def guarded(array: Array, dtype: str, guard: float) -> Array:
    """Return a flat copy of an array with `GUARD` times a number before and behind it."""
    data = np.full(array.size + 2 * GUARD, guard, dtype)
    data[GUARD:-GUARD] = np.ascontiguousarray(array).ravel()
    return data


def sizes_of(layer: str, x: Array, p: Any, result: tuple[int, ...]) -> dict[str, int]:
    """Return every size that a signature can name."""
    sizes = {"B": len(x), "C": x.shape[-1], "C_out": result[-1], "count": x.size,
             "rows": x.size // x.shape[-1]}  # fmt: skip
    if x.ndim == 4:
        sizes |= {"H": x.shape[1], "W": x.shape[2], "H_out": result[1], "W_out": result[2]}
    else:
        sizes["N"] = x.size // len(x) // x.shape[-1]
    named = dict(leaves(p))
    kernel = next((leaf for leaf in named.values() if leaf.ndim == 4), None)
    if kernel is not None:
        sizes |= {"kh": kernel.shape[0], "kw": kernel.shape[1]}
    mixer = p if layer == "attention" else getattr(p, "token_mixer", None)
    if mixer is not None:
        K, V = head_sizes(mixer)
        heads, H, W = mixer.attention_biases.shape
        sizes |= {"heads": heads, "K": K, "V": V, "H": H, "W": W}
    inner = p if layer in ("mlp", "conv_mlp") else getattr(p, "mlp", None)
    if inner is not None:
        sizes["hidden"] = inner.fc1.weight.shape[-1]
    return sizes
