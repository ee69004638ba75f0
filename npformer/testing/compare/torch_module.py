"""Run a PyTorch module, and record every array on the way.

Hooks see what modules return; a dispatch mode sees what every operator returns, functional ones
too. Together they give arrays with names: the path of the module that an operator ran in, and of
the module whose result an array is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import RecordingError
from ...files.optional import optional
from ...layers import Array
from .recorded import Recorded

VIEWS = (
    "view", "reshape", "transpose", "permute", "expand", "slice", "select", "squeeze", "unsqueeze",
    "t", "detach", "split", "chunk", "unbind", "alias", "as_strided", "split_with_sizes",
    "_unsafe_view",
)  # fmt: skip
"""Operators that copy nothing: what they return is recorded already."""


def is_module(value: object) -> bool:
    """Whether a value is a module of PyTorch, without importing PyTorch."""
    return any(
        f"{kind.__module__}.{kind.__name__}" == "torch.nn.modules.module.Module"
        for kind in type(value).__mro__
    )


def record_module(module: Any, pixels: Array) -> Recorded:
    """Run a module as it is, in its own mode and number format.

    Parameters
    ----------
    module : torch.nn.Module
        Left as it was: what a forward pass in training changes is put back.
    pixels : ndarray, shape (B, H, W, C)

    Returns
    -------
    Recorded

    Raises
    ------
    RecordingError
        If the module fails on a batch of pictures.
    """
    with optional("torch", "comparing with a PyTorch module", "torch"):
        import torch

    name = type(module).__name__
    tape = _Tape()
    first = next(iter(module.parameters()), torch.zeros(1))
    x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, 1)))
    x = x.to(first.device, first.dtype if first.is_floating_point() else torch.float32)
    before = {key: buffer.clone() for key, buffer in module.named_buffers()}
    hooks = [hook for path, part in module.named_modules() for hook in tape.hooks(path, part)]
    try:
        with torch.no_grad(), tape.mode():
            answer = module(x)
    except Exception as error:  # whatever their code raises
        raise RecordingError(
            f"{name} fails on a batch of pictures of shape {tuple(x.shape)}: "
            f"{type(error).__name__}: {error}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
        for key, buffer in module.named_buffers():
            buffer.data.copy_(before[key])
    outputs = []
    for i, tensor in enumerate(_tensors(answer)):
        outputs.append(f"output.{i}" if i else "output")
        tape.arrays[outputs[-1]] = _array(tensor)
    return Recorded(name, tape.arrays, tuple(outputs), pixels, is_graph=True)


class _Tape:
    """The arrays recorded so far, and in which module the program is."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self.inside: list[str] = [""]

    def hooks(self, path: str, module: Any) -> list[Any]:
        """Watch a module."""

        def enter(*_: Any) -> None:
            self.inside.append(path)

        def leave(_: Any, __: Any, result: Any) -> None:
            self.inside.pop()
            if path and len(found := _tensors(result)) == 1:
                self.keep(path, found[0])

        return [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]

    def keep(self, name: str, tensor: Any) -> None:
        """Record a tensor under a name that is not taken."""
        if not tensor.is_floating_point() or tensor.numel() < 2:
            return
        unique, n = name, 1
        while unique in self.arrays:
            n += 1
            unique = f"{name} #{n}"
        self.arrays[unique] = _array(tensor)

    def mode(self) -> Any:
        """Return what watches operators."""
        from torch.utils._python_dispatch import TorchDispatchMode

        tape = self

        class Watch(TorchDispatchMode):
            def __torch_dispatch__(
                self, func: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                result = func(*args, **(kwargs or {}))
                operator = func._schema.name.rpartition("::")[2]
                if operator not in VIEWS:
                    for tensor in _tensors(result)[:1]:
                        tape.keep(f"{tape.inside[-1]}:{operator}", tensor)
                return result

        return Watch()


def _tensors(value: Any) -> list[Any]:
    """Return the tensors in what a module or an operator returns."""
    if hasattr(value, "is_floating_point"):
        return [value]
    if isinstance(value, dict):  # ModelOutput of transformers too
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for part in value for tensor in _tensors(part)]
    return []


def _array(tensor: Any) -> Array:
    """Copy a tensor; bfloat16 becomes float32, exactly."""
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        tensor = tensor.float()
    return np.array(tensor.numpy())
