"""For whoever writes this network elsewhere: what is right, and how near to it is near enough.

steps     the network as a list of elementary steps
bounds    how far rounding may take the result of a step
"""

from .bounds import Error, Estimate, Finding, error_bound, found_in_parameter, propagate, walk
from .steps import Step, run_steps, steps

__all__ = [
    "Error",
    "Estimate",
    "Finding",
    "Step",
    "error_bound",
    "found_in_parameter",
    "propagate",
    "run_steps",
    "steps",
    "walk",
]
