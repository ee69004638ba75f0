"""What is said of one layer."""

from __future__ import annotations

from typing import NamedTuple

from ...layers import Array


class Layer(NamedTuple):
    """A layer that was compared."""

    path: str
    """timm's path, or that of a step inside of such a layer"""
    recorded: str
    """the name under which the other has its result"""
    error: float
    """where it is largest in units of its bound"""
    bound: float
    """how far rounding may take a right result there"""
    ratio: float
    """error / bound: at most 1 if the layer is right"""


class Wrong(NamedTuple):
    """The first wrong array, for a picture of where it differs."""

    path: str
    found: Array
    right: Array
    bound: Array
