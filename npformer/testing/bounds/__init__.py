"""How far rounding may take a right result, derived from how it is computed.

arithmetic     the unit roundoff; what is known of an error
functions      how accurate right functions are: exp, erf, …, and activations
sums           sums and dot products in any order
products       matrix products, convolutions, averages
elementwise    norms, softmax
integers       what eight bits cost
passing        how errors of the inputs come through
chain          bounds of a step, and of steps one after the other
parameters     is one parameter off by a hundred-thousandth?

There are two ways, for two questions. The above is for networks of any size: each elementary
step has a rule, most bounds are probabilistic, and recorded arrays are taken as they are. The other
is for whole layers with their gradients, small ones: it needs no rule for any backward step.

carried_array  arrays that carry a bound on their rounding error
carried        what NumPy's functions do to them, and how a gradient is led back
gradients      bounds of a layer's gradients
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
