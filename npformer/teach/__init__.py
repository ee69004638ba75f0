"""For courses: the checker of exercises, plots, and the page about one photograph."""

from .checking import check
from .explaining import explain
from .explanation import Explanation
from .saliency import grad_cam, input_gradient

__all__ = ["Explanation", "check", "explain", "grad_cam", "input_gradient"]
