"""What a layer or a network answers, forward and backward, and how near others have to be to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...layers import (
    ACTIVATIONS,
    Array,
    Mode,
    Trace,
)
from ...network import Logits, backward, forward
from ...network.tree import leaves, transform
from ...teach.cases import call, parameter_names
from ...teach.mistakes import EXERCISES
from ..bounds import Estimate, propagate
from ..bounds.carried import Carried, carried
from ..bounds.gradients import (
    ALTERNATIVES,
    SMALLEST,
    Random,
    Stored,
    call_carried,
    call_named,
    led_back,
    spread_of,
)
from ..layer_steps import layer_steps
from ..steps import Step
from .cases import Case, Layer
from .drawing import numbers
from .networks import Network

ONLY_MOVES = ("relative_position_bias",)
"""Layers that compute nothing. All others have a second bound, that of their steps: the smaller one
holds."""

Arrays: TypeAlias = dict[str, Array]


class Answer(NamedTuple):
    """The inputs of a case, and what has to come out."""

    inputs: Arrays
    outputs: Arrays
    bounds: Arrays
    """largest difference from each output that rounding in float32 explains"""
    wrong: dict[str, Arrays]
    """what the typical mistakes answer: number of the mistake -> outputs"""


class Wrong(NamedTuple):
    """A typical mistake."""

    kind: str
    hint: str
    exercise: str
    """which function it is a mistake in: the layer, its training or its backward pass"""
    function: Callable[..., Any]


def answer_layer(layer: Layer, case: Case, name: str) -> Answer:
    """Compute what a layer answers, the bounds, and what its typical mistakes answer.

    Parameters
    ----------
    layer : Layer
    case : Case
    name : str
        What the gradient that comes in depends on.

    Returns
    -------
    Answer
        By the names of `npformer.testing.vectors`.
    """
    values = arguments(case)
    tape = Trace(mode=Mode(case.training))
    y = call_named(layer.function, values | {"run": tape})
    dy = numbers(f"{name}/dy", y.shape)
    values |= {"y": y, "dy": dy, "dtable": dy, "tape": tape}
    outputs = {"y": y} | gradient_names(call_named(layer.backward, values))

    def near(random: Random) -> dict[str, Carried]:
        x, p = carried(case.x, random), transform(lambda a: carried(a, random), case.p)
        given = arguments(case) | {"x": x, "biases": x, "p": p}
        y = call_carried(layer.function, given, Mode(case.training))
        return {"y": y} | led_back(y, carried(dy, random), x, p)

    bounds = bounds_of(near, outputs)
    if layer.name not in ONLY_MOVES and not case.training:
        known = by_steps(layer, case).bound()
        bounds["y"] = np.minimum(bounds["y"], known + SMALLEST)

    inputs = {"x": case.x, "dy": dy, **{f"p.{path}": leaf for path, leaf in leaves(case.p)}}
    wrong = {}
    for i, mistake in enumerate(mistakes(layer)):
        found = answer_mistake(case, mistake, values)
        told = {
            key: a
            for key, a in found.items()
            if key in outputs and tells(a, outputs[key], bounds[key])
        }
        if told:
            wrong[str(i)] = told
    return Answer(inputs, outputs, bounds, wrong)


def by_steps(layer: Layer, case: Case, dtype: str = "float32") -> Estimate:
    """Return a layer's result and its error, by the bounds of its elementary steps."""
    chain = steps_of(layer, case)
    return propagate(chain, {"x": case.x}, dtype)[chain[-1].path]


def steps_of(layer: Layer, case: Case) -> tuple[Step, ...]:
    """Take a case apart into elementary steps."""
    values = arguments(case)  # activations as functions
    return layer_steps(layer.name, case.p, {key: values[key] for key in case.options})


def answer_network(network: Network) -> Answer:
    """Compute what a network answers and every array inside, their bounds, and all gradients."""
    mode = Mode(network.training)
    x, p, config = network.images, network.params, network.config
    tape = Trace(mode=mode)
    answer = forward(x, p, config, tape)
    dlogits = numbers(f"network/{network.name}/dlogits", answer.logits.shape)
    dx, dp = backward(Logits(dlogits, None, None), x, p, config, tape)
    outputs = {**_inside(tape), **_named(answer), **gradient_names((dx, dp))}

    def near(random: Random) -> dict[str, Carried]:
        run = Stored(ACTIVATIONS[config.hidden_act], mode)
        images: Any = carried(x, random)
        params: Any = transform(lambda a: carried(a, random), p)
        logits = forward(images, params, config, run)
        back = led_back(logits.logits, carried(dlogits, random), images, params)
        return {**_inside(run), **_named(logits), **back}

    bounds = bounds_of(near, outputs)
    inputs = {"x": x, "dy": dlogits, **{f"p.{path}": leaf for path, leaf in leaves(p)}}
    return Answer(inputs, outputs, bounds, {})


def _inside(tape: Trace) -> dict[str, Any]:
    """The arrays of a trace, except the counts of batch norms."""
    return {f"trace.{path}": a for path, a in tape.items() if not path.endswith(".n")}


def _named(answer: Logits) -> dict[str, Any]:
    return {name: array for name, array in answer._asdict().items() if array is not None}


def gradient_names(result: Any) -> Arrays:
    """Name the results of a backward function; running statistics are not learned."""
    dx, dp = result if isinstance(result, tuple) else (result, None)
    learned = {path: leaf for path, leaf in leaves(dp) if "running" not in path}
    return {"dx": dx, **{f"dp.{path}": leaf for path, leaf in learned.items()}}


def bounds_of(near: Callable[[Random], dict[str, Carried]], outputs: Arrays) -> Arrays:
    """Return the bound of every output, in float64: the worst case, or λ standard deviations.

    Parameters
    ----------
    near : callable
        Computes all outputs in arrays that carry errors, or with a source of random roundings.
    outputs : dict of str to ndarray
        The outputs, whose names and shapes the bounds get.

    Returns
    -------
    dict of str to ndarray
    """
    with np.errstate(all="ignore"):  # the worst case may be infinite
        exact = near(None)
    spreads = spread_of({name: exact[name].value for name in outputs}, near)
    return {
        name: ALTERNATIVES * np.fmin(exact[name].error, spread) + SMALLEST
        for name, spread in spreads.items()
    }


def arguments(case: Case) -> dict[str, Any]:
    """Return the arguments of a case, by the names that the layers give to them."""
    options = case.options
    if "activation" in options:
        options = options | {"activation": ACTIVATIONS[options["activation"]]}
    return {"x": case.x, "biases": case.x, "p": case.p, **options}


def mistakes(layer: Layer) -> list[Wrong]:
    """Return the typical mistakes of a layer, forward and backward."""
    return [
        Wrong(mistake.kind, mistake.hint, layer.name + suffix, mistake.function)
        for suffix in ("", "_training", "_backward")
        if layer.name + suffix in EXERCISES
        for mistake in EXERCISES[layer.name + suffix].mistakes
    ]


def answer_mistake(case: Case, mistake: Wrong, values: dict[str, Any]) -> Arrays:
    """Return what a mistake answers; nothing where it raises an error, or is about another mode."""
    forward, training, gradient = (
        not mistake.exercise.endswith(("_training", "_backward")),
        mistake.exercise.endswith("_training"),
        mistake.exercise.endswith("_backward"),
    )
    if (training and not case.training) or (forward and case.training):
        return {}
    exercise = EXERCISES[mistake.exercise]
    names = [name for name in parameter_names(exercise) if name != "run"]
    outcome = call(mistake.function, tuple(values[name] for name in names), exercise)
    if outcome.error is not None:
        return {}
    found = gradient_names(outcome.value) if gradient else {"y": outcome.value}
    return {name: a for name, a in found.items() if isinstance(a, np.ndarray)}


def tells(found: Array, expected: Array, bound: Array) -> bool:
    """Whether an answer of the right shape is further off than rounding explains."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return False
    return bool(np.any(abs(found - expected) > bound))
