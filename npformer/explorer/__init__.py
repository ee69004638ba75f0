"""The explorer: one page on which the network runs and can be looked at and changed."""

from .page import Exploration, explore

__all__ = ["Exploration", "explore"]
