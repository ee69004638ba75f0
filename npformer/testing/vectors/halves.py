"""The same layers and networks for whoever stores numbers in 16 bits.

Inputs and parameters are those of float32, rounded to the type; the answers are computed from what
they then are, in float64. The bounds are those of an implementation that rounds the result of every
elementary step to the type and adds up in float32, as libraries do (`npformer.testing.bounds`);
whoever rounds less is within them. There are no gradients: training keeps parameters and sums of
gradients in float32, and how the rest is scaled differs from library to library.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ...layers import Array, Trace
from ...network import forward
from ...network.tree import leaves, transform
from ..bounds import propagate
from ..bounds.arithmetic import ARITHMETICS, arithmetic
from ..bounds.carried import Carried, carried
from ..bounds.carried_array import shares
from ..bounds.gradients import ALTERNATIVES, SMALLEST, spread_of
from ..sixteen_bits import rounded
from ..steps import INPUT, Step, steps
from .answers import Answer, Arrays, steps_of
from .cases import Case, Layer
from .networks import Network

TRIFLE = 1e-6
"""An array without larger numbers is one of zeros, as the pooling of a single pixel."""


def answer_layer_in(dtype: str, layer: Layer, case: Case) -> Answer | None:
    """Compute what a layer answers, and how far rounding in 16 bits may take others from it.

    Parameters
    ----------
    dtype : {"float16", "bfloat16"}
    layer : Layer
    case : Case

    Returns
    -------
    Answer or None
        None if nothing can be said: numbers are too large for the type, or all digits cancel.
    """
    x, p = rounded(case.x, dtype), _rounded(case.p, dtype)
    chain = steps_of(layer, case._replace(p=p))
    values, bounds = _answers(chain, {"x": x}, dtype)
    y = chain[-1].path
    if y not in bounds:
        return None
    return Answer(_inputs(x, p), {"y": values[y]}, {"y": bounds[y]}, {})


def answer_network_in(dtype: str, network: Network) -> Answer:
    """Compute what a network answers and what every module does; arguments as above.

    Arrays of which nothing can be said are left out.
    """
    x, p = rounded(network.images, dtype), _rounded(network.params, dtype)
    tape = Trace()
    forward(x, p, network.config, tape)
    values, bounds = _answers(steps(p, network.config), {INPUT: x}, dtype)
    names = {f"trace.{path}": path for path in tape} | {"logits": "logits"}
    names = {name: path for name, path in names.items() if path in bounds}
    return Answer(
        _inputs(x, p),
        {name: values[path] for name, path in names.items()},
        {name: bounds[path] for name, path in names.items()},
        {},
    )


def _answers(chain: Sequence[Step], arrays: Arrays, dtype: str) -> tuple[Arrays, Arrays]:
    """Return the results of all steps, and the bounds of those of which something can be said.

    Over several steps the same is done as in float32: results are rounded at random.
    """
    found = propagate(chain, arrays, dtype)
    values = {path: estimate.value for path, estimate in found.items()}
    bounds = {path: estimate.bound() for path, estimate in found.items()}
    if len(chain) > 1:
        near = partial(_rounded_at_random, chain, arrays, dtype)
        for path, spread in spread_of(values, near).items():
            bounds[path] = np.fmin(bounds[path], ALTERNATIVES * spread)
    known = {
        path: bound
        + ARITHMETICS["float32"].u * np.abs(values[path])
        + SMALLEST  # stored in float32
        for path, bound in bounds.items()
        if bound.max(initial=0) < max(np.abs(values[path]).max(initial=0), TRIFLE)
    }
    return values, known


def _rounded_at_random(
    chain: Sequence[Step], arrays: Arrays, dtype: str, random: np.random.RandomState
) -> dict[str, Carried]:
    a, found = arithmetic(dtype), dict(arrays)
    for step in chain:
        y = step(*(found[path] for path in step.inputs))
        if step.layer not in ("identity", "flat", "split_head"):  # which only move numbers
            y = y + (a.u * np.abs(y) + a.tiny) * shares(random, y.shape)
        found[step.path] = y
    return {path: carried(array) for path, array in found.items()}


def _rounded(tree: Any, dtype: str) -> Any:
    return transform(lambda a: rounded(a, dtype), tree)


def _inputs(x: Array, p: Any) -> dict[str, Array]:
    return {"x": x, **{f"p.{path}": leaf for path, leaf in leaves(p)}}
