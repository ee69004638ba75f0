"""How far rounding may take a right result, derived from how it is computed.

arithmetic     the unit roundoff; what is known of an error
sums           sums and dot products in any order
products       matrix products, convolutions, averages
elementwise    norms, activations, softmax
integers       what eight bits cost
passing        how errors of the inputs come through
chain          bounds of a step, and of steps one after the other
parameters     is one parameter off by a hundred-thousandth?
"""

from .arithmetic import Error
from .chain import Estimate, error_bound, propagate, walk
from .parameters import Finding, found_in_parameter

__all__ = [
    "Error",
    "Estimate",
    "Finding",
    "error_bound",
    "found_in_parameter",
    "propagate",
    "walk",
]
