"""For whoever writes this network elsewhere: what is right, and how near to it is near enough.

steps     the network as a list of elementary steps
bounds    how far rounding may take the result of a step
compare   another implementation beside the reference: the first wrong layer, and its cause
"""

from .bounds import Error, Estimate, Finding, error_bound, found_in_parameter, propagate, walk
from .compare import CAUSES
from .steps import Step, run_steps, steps

__all__ = [
    "CAUSES",
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
