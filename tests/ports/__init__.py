"""A set of ports of the network, right ones and wrong ones, to measure `npformer.compare` with."""

from importlib import import_module

from .answers import FINE, RIGHT, WRONG, Made, Port, judge
from .shop import Shop

FILES = ("image", "token", "library", "onnx", "checkpoint", "photo", "right", "fine")
for file in FILES:
    import_module(f"{__name__}.{file}_ports")

__all__ = ["FINE", "RIGHT", "WRONG", "Made", "Port", "Shop", "judge"]
