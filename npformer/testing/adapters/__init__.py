"""How `npformer.testing.check_layer` calls what others have written.

    Function(channels="first", weights="torch")     a function on arrays, NumPy's or any other's
    Module(naming="timm")                           a PyTorch module
    Onnx(input="x", output="y")                     an ONNX file, a part of one, or a node
    C("y, x, weight, bias, rows, C, eps")           a C function, through ctypes

`adapter_for` chooses one by what it is given. An adapter of one's own is any object with a method
`port` (see `Adapter`).
"""

from __future__ import annotations

import sys
from os import PathLike
from typing import Any

from ...checks import require
from .c_functions import FUNCTION, C
from .functions import Function
from .modules import Module
from .onnx_files import Onnx
from .port import Adapter, Port

__all__ = ["Adapter", "C", "Function", "Module", "Onnx", "Port", "adapter_for"]


def adapter_for(theirs: Any) -> Adapter:
    """Choose how to call an implementation.

    Parameters
    ----------
    theirs : object

    Returns
    -------
    Adapter
        For a PyTorch module, an ONNX file, model or node, or a function on arrays.

    Raises
    ------
    ConfigError
        If it is a C function, which does not know its arguments, or nothing that can be called.
    """
    if isinstance(theirs, FUNCTION):
        require(
            False, "adapter", None, "C(signature), since a C function does not tell its arguments"
        )
    torch, onnx = sys.modules.get("torch"), sys.modules.get("onnx")
    if torch is not None and isinstance(theirs, torch.nn.Module):
        return Module()
    if isinstance(theirs, (str, PathLike)):
        return Onnx()
    if onnx is not None and isinstance(theirs, (onnx.ModelProto, onnx.NodeProto)):
        return Onnx()
    require(callable(theirs), "theirs", theirs,
            "a function on arrays, a PyTorch module, or an ONNX file")  # fmt: skip
    return Function()
