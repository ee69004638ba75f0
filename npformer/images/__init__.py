"""Photographs: any file to pixels, pixels to what the network sees."""

from .open import open_image
from .processor import EfficientFormerImageProcessor

__all__ = ["EfficientFormerImageProcessor", "open_image"]
