"""Photographs: from any file to pixels, and from pixels to the input of the network."""

from .layout import channels_first, channels_last
from .open import open_image
from .processor import EfficientFormerImageProcessor

__all__ = ["EfficientFormerImageProcessor", "channels_first", "channels_last", "open_image"]
