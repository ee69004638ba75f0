"""For whoever writes this network elsewhere: what is right, and how near to it is near enough.

`check_layer` compares anyone's function, PyTorch module, ONNX file or C function with a layer.
`LAWS` holds what is true of each layer whatever the numbers, and `arguments` and the other
strategies draw inputs for tests of one's own by Hypothesis. These need the extra ``testing``.

steps     the network as a list of elementary steps
bounds    how far rounding may take the result of a step
compare   another implementation beside the reference: the first wrong layer, and its cause
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .bounds import Error, Estimate, Finding, error_bound, found_in_parameter, propagate, walk
from .compare import CAUSES
from .steps import Step, run_steps, steps

if TYPE_CHECKING:
    from . import adapters as adapters
    from .array_strategies import arrange as arrange
    from .array_strategies import arrays as arrays
    from .array_strategies import odd_arrays as odd_arrays
    from .checking import check_layer as check_layer
    from .laws import LAWS as LAWS
    from .laws import Law as Law
    from .laws import broken_laws as broken_laws
    from .layer_strategies import arguments as arguments
    from .layer_strategies import parameters as parameters
    from .layer_strategies import parameters_like as parameters_like
    from .network_strategies import configurations as configurations
    from .network_strategies import networks as networks
    from .random_networks import random_network as random_network
    from .report import LayerReport as LayerReport

_HOME = {
    "LAWS": "laws",
    "Law": "laws",
    "LayerReport": "report",
    "arguments": "layer_strategies",
    "arrange": "array_strategies",
    "arrays": "array_strategies",
    "broken_laws": "laws",
    "check_layer": "checking",
    "configurations": "network_strategies",
    "networks": "network_strategies",
    "odd_arrays": "array_strategies",
    "parameters": "layer_strategies",
    "parameters_like": "layer_strategies",
    "random_network": "random_networks",
}
"""What is imported on first use, and the module that it is in."""

__all__ = [
    "CAUSES",
    "Error",
    "Estimate",
    "Finding",
    "Step",
    "adapters",
    "error_bound",
    "found_in_parameter",
    "propagate",
    "run_steps",
    "steps",
    "walk",
    *_HOME,
]


def __getattr__(name: str) -> Any:
    if name == "adapters":
        return import_module(".adapters", __name__)
    if name not in _HOME:
        raise AttributeError(f"module 'npformer.testing' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOME[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
