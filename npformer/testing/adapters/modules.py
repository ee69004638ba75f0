"""A PyTorch module, with the tensors of timm, Hugging Face or the original."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...checkpoints.infer import LAYER_NORM_EPS
from ...checkpoints.naming import Naming
from ...checks import require
from ...files.optional import optional
from ...layers import Array
from ...network.tree import build, leaves
from ..layer_table import BACKWARD
from .names import Match, match, native_axes, torch_axes
from .port import Port, channels_first, channels_last, default_options, of_fixed_size, tokens_of


@dataclass(frozen=True)
class Module:
    """A PyTorch module, in evaluation mode.

    Its sizes stay as they are. Its parameters are replaced by drawn ones, in a copy: the module
    itself is not changed. Images go in and come out as (B, C, H, W), tokens as (B, N, C); of a
    tuple the first member counts. The gradient of a layer, such as ``"attention_backward"``, is
    that of autograd; that of attention biases is the one in training, since in evaluation mode the
    original and transformers keep a copy of them that is not learned.

    Attributes
    ----------
    naming : {"timm", "hf", "original"}, optional
        Whose names its tensors have; found out if not given. In a whole block the ε of the layer
        norms is that of this library, unless the options say otherwise.
    dtypes : tuple of str
        In which types the module is run.
    """

    naming: Naming | None = None
    dtypes: tuple[str, ...] = ("float32", "float64")

    def port(self, layer: str, theirs: Any, options: Mapping[str, Any]) -> Port:
        """Make the module callable as npformer's layer is.

        Parameters
        ----------
        layer : str
        theirs : torch.nn.Module
        options : mapping
            What the module was made with, such as ``eps``; npformer's defaults otherwise.

        Returns
        -------
        Port

        Raises
        ------
        MissingPackage
            If PyTorch is not installed.
        ConfigError
            If it is no module, the layer has no such option, or its gradient cannot be had.
        WeightsError
            If its tensors are not those of the layer.
        """
        with optional("PyTorch", "a PyTorch module", "torch"):
            import torch
        require(isinstance(theirs, torch.nn.Module), "theirs", theirs, "a torch.nn.Module")
        require(layer != "softmax_backward", "layer", layer,
                "softmax itself, since this gradient is a function of its result")  # fmt: skip
        forward = layer.removesuffix("_backward")
        state = {name: t.detach().cpu().float().numpy() for name, t in theirs.state_dict().items()}
        found = match(forward, state, f"the module {type(theirs).__name__}", self.naming)
        if forward == "attention_block" and "eps" not in options:
            options = {**options, "eps": LAYER_NORM_EPS[found.naming]}
        copies = {
            np.dtype(dtype): copy.deepcopy(theirs).cpu().to(getattr(torch, dtype))
            for dtype in self.dtypes
        }
        run = _Run(copies, found)
        values = default_options(layer, options)
        return Port(
            run.gradient if layer in BACKWARD else run.forward,
            of_fixed_size(layer, values, like=found.parameters, shape=tokens_of(layer)),
            self.dtypes,
            any_size=False,
        )


class _Run:
    """Runs copies of a module, one for each dtype."""

    def __init__(self, copies: dict[Any, Any], found: Match) -> None:
        self.copies, self.names = copies, found.names
        self.has_parameters = found.parameters is not None

    def forward(self, x: Array, *rest: Any) -> Array:
        """Return what the module makes of an input."""
        import torch

        with torch.no_grad():
            return channels_last(self._result(self._loaded(x, rest), _tensor(x)).numpy())

    def gradient(self, dy: Array, x: Array, *rest: Any) -> Any:
        """Return what autograd makes of the gradient of the result: dx, and dp as npformer does."""
        if not isinstance(x, np.ndarray):  # that of pooling, which is linear, needs none
            x, rest = np.zeros_like(dy), (x,)
        module = self._loaded(x, rest)
        module.requires_grad_(True)
        module.zero_grad()
        _learn_biases(module)
        inputs = _tensor(x).requires_grad_(True)
        self._result(module, inputs).backward(_tensor(dy))
        dx = channels_last(inputs.grad.numpy())
        if not self.has_parameters:
            return dx
        gradients = {name: t.grad for name, t in module.named_parameters()}

        def fill(path: str, leaf: Array) -> Array:
            gradient = gradients.get(self.names[path])
            if gradient is None:  # running statistics are not learned
                return np.zeros_like(leaf)
            array = gradient.numpy()
            return array.reshape(leaf.shape) if leaf.ndim == 3 else native_axes(array)

        return dx, build(fill, rest[0])

    def _loaded(self, x: Array, rest: tuple[Any, ...]) -> Any:
        """Return the copy for the type of the input, with these parameters."""
        import torch

        module = self.copies[x.dtype]
        if self.has_parameters:
            state = {
                self.names[path]: torch.from_numpy(np.array(torch_axes(path, leaf)))
                for path, leaf in leaves(rest[0])
            }
            module.load_state_dict(state, strict=False)
        module.train()  # timm remembers the attention biases of all pairs until the mode changes
        module.eval()
        return module

    def _result(self, module: Any, x: Any) -> Any:
        y = module(x)
        return y[0] if isinstance(y, tuple) else y


def _learn_biases(module: Any) -> None:
    """Look the attention biases up anew, so that their gradient is not lost.

    In evaluation mode the attention of the original and of transformers keeps ``ab``, the biases of
    all pairs, apart from the parameter: autograd then says that they have no gradient.
    """
    import torch

    for part in module.modules():
        if isinstance(getattr(part, "ab", None), torch.Tensor):
            part.ab = part.attention_biases[:, part.attention_bias_idxs]


def _tensor(x: Array) -> Any:
    import torch

    return torch.from_numpy(np.array(channels_first(x)))
