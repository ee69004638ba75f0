"""A set of ports of the network, right ones and wrong ones, to measure `npformer.compare` with."""

from importlib import import_module

from .answers import FINE, HALVED, RIGHT, SETS, WRONG, Made, Port, judge
from .shop import Shop

FILES = (
    *("image_ports", "token_ports", "library_ports", "onnx_ports", "checkpoint_ports"),
    *("photo_ports", "right_ports", "fine_ports"),
    *("fresh_images", "fresh_tokens", "fresh_modules", "fresh_files", "fresh_photos"),
    *("fresh_rights", "last_steps", "last_files"),
)
for file in FILES:
    import_module(f"{__name__}.{file}")

__all__ = ["FINE", "HALVED", "RIGHT", "SETS", "WRONG", "Made", "Port", "Shop", "judge"]
