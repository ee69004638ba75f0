"""Is one parameter off by a hundred-thousandth? A statistic, for what no single number shows.

In float32 a fault of 1e-5 can be smaller than the bound of every element. But it is the same fault
in all of them: if a parameter θ is really (1 + a) θ, then the differences are

    r = theirs − ours = a d + rounding          d = ∂y/∂log θ: the direction in which θ moves y

and a is found by weighted least squares (Gauss 1821), with the standard error of White 1980, which
does not need to know how large each rounding is, only that they are independent:

    a = Σ w r d / Σ w d²       SE² = Σ w² d² (r − a d)² / (Σ w d²)²       w = 1/variance

A parameter is accused if |a| exceeds what could come of `DEVIATIONS` standard errors *and* of all
that a right implementation may do to its parameters: folding rounds every weight once more, and a
scale that is shared by a channel is off by a few u. What these can contribute to a is known: it is
their own direction, projected onto d. At last the accused parameter has to explain the differences:
with it, all of them are within the bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from ...layers import Array, Conv2d, Linear, as_linear
from ...network.tree import build, leaves
from ..steps import Step, run_steps
from .arithmetic import arithmetic
from .chain import propagate
from .products import windows

DEVIATIONS = 8.0
"""Of millions of numbers none is so many standard errors out by chance."""
FREEDOM = 6.0
"""Of fewer numbers nothing is said."""
SHARED = 8.0
"""A right scale of a channel is within so many u."""
STEP = 2.0**-10
"""of the differences that give d; most parameters act linearly, the others nearly so"""
LIKELY = 16
"""How many weights of a matrix are looked at closely."""
CHANNELWISE = frozenset(
    ("identity", "batch_norm", "activation", "layer_scale", "residual", "subtract", "flat")
)
"""Steps that let no number of a channel come into another."""


class Finding(NamedTuple):
    """A parameter that differs."""

    parameter: str
    """timm's key"""
    place: tuple[int, ...] | None
    """which of its numbers; None: all of them, by the same factor"""
    factor: float
    """theirs ÷ ours"""
    deviations: float
    """how many standard errors the factor is beyond what is right"""


class _Candidate(NamedTuple):
    """An accused parameter, and how much of the differences it explains."""

    energy: float
    finding: Finding
    channel: int | None
    """where it acts; None: in all channels"""
    explained: Array
    """a d, of what `channel` says"""


def _rank(candidate: _Candidate) -> float:
    """Who explains most comes first; of those who explain the same, who is first in the tree."""
    return -float(f"{candidate.energy:.2e}")


class _Differences(NamedTuple):
    """Differences to a recorded array, at positions no two of which had the same input."""

    r: Array
    """(positions, channels)"""
    y: Array
    w: Array
    u: float


def found_in_parameter(
    chain: Step | Sequence[Step],
    inputs: Sequence[Array] | Mapping[str, Array],
    output: Array,
    dtype: str = "float32",
) -> Finding | None:
    """Find the parameter, or the number of one, whose change explains what was recorded.

    Parameters
    ----------
    chain : Step or sequence of Step
        One step, or several in the order of computation, the last of which gives `output`.
    inputs : sequence or mapping of ndarray
        The recorded inputs of the step; or, by path, of the chain.
    output : ndarray
        The recorded result, of the shape of ours.
    dtype : str
        As in `npformer.testing.error_bound`.

    Returns
    -------
    Finding or None
        None if everything may be right, or if no change of one parameter explains it.

    Raises
    ------
    KeyError
        If an input is missing.
    ConfigError
        If nothing is known of the dtype.
    """
    steps = [chain] if isinstance(chain, Step) else chain
    if not isinstance(inputs, Mapping):
        inputs = dict(zip(steps[0].inputs, inputs, strict=True))
    chain = [step.astype(np.float64) for step in steps]
    estimates = propagate(chain, inputs, dtype)
    y, bound = estimates[chain[-1].path].value, estimates[chain[-1].path].bound()
    difference = output.astype(np.float64) - y
    if not y.size or not np.isfinite(difference).all() or not np.isfinite(bound).all():
        return None
    values = {path: found.value for path, found in estimates.items()}
    chosen = _distinct(y)
    variance = np.square(bound) + np.finfo(np.float64).tiny
    r, rows, w = (_rows(part, chosen) for part in (difference, y, 1 / variance))
    of = _Differences(r, rows, w, arithmetic(dtype).u)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        candidates = sorted(_candidates(chain, values, of, chosen), key=_rank)
    for candidate in candidates[:4]:
        left = of.r.copy()
        left[:, _channels(candidate.channel)] -= candidate.explained
        if (np.abs(left) <= _rows(bound, chosen)).all():
            return candidate.finding
    return None


def _candidates(
    chain: Sequence[Step], values: Mapping[str, Array], of: _Differences, chosen: Array
) -> Iterator[_Candidate]:
    """Yield all parameters that could be accused."""
    moved = {
        (i, key): _rows(direction, chosen)
        for i, step in enumerate(chain)
        for key, direction in _directions(chain, i, step, values)
    }
    shared = [of.y, *moved.values()]
    for (i, key), d in moved.items():
        theta = chain[i].parameters()[key]
        channelwise = all(step.layer in CHANNELWISE for step in chain[i + 1 :])
        yield from _whole(key, d, shared, of)
        if theta.ndim == 1 and channelwise:
            yield from _each(key, d, shared, of)
        elif theta.ndim in (2, 4) and channelwise and chain[i].layer in ("conv2d", "linear"):
            yield from _weights(key, chain, i, values, of, chosen)


def _directions(
    chain: Sequence[Step], i: int, step: Step, values: Mapping[str, Array]
) -> Iterator[tuple[str, Array]]:
    """Yield the key of each parameter of a step, and ∂y/∂log θ."""
    inputs = [values[path] for path in step.inputs]
    for key, leaf in leaves(step.params, step.prefix):
        ends = []
        for factor in (1 + STEP, 1 - STEP):
            if isinstance(step.params, (Linear, Conv2d)):  # no need to multiply once more
                bias, y = step.params.bias, values[step.path]
                moved = y + (factor - 1) * (bias if leaf is bias else y - bias)
            else:
                params = build(partial(_scaled, key, factor), step.params, step.prefix)
                moved = step._replace(params=params)(*inputs)
            ends.append(_from(chain, i, moved, values))
        yield key, (ends[0] - ends[1]) / (2 * STEP)


def _scaled(key: str, factor: float, path: str, leaf: Array) -> Array:
    return leaf * factor if path == key else leaf


def _from(chain: Sequence[Step], i: int, y: Array, values: Mapping[str, Array]) -> Array:
    """The last result if that of step i is `y`."""
    later = {step.path for step in chain[i:]}
    known = {path: array for path, array in values.items() if path not in later}
    return run_steps(chain[i + 1 :], known | {chain[i].path: y})[chain[-1].path]


def _whole(key: str, d: Array, shared: list[Array], of: _Differences) -> Iterator[_Candidate]:
    """A parameter all of whose numbers have the same factor."""
    a, whole, fourth = _fit(of, d, None)
    if whole > 0:
        parts = sum(np.abs((of.w * other * d).sum(0)) for other in shared)
        # Scales of channels are off independently of each other, functions all in the same way.
        allowed = SHARED * of.u * (np.sqrt(np.square(parts).sum()) + parts.sum() / 4) / whole
        beyond = _deviations(abs(a) - allowed, _squares(of, d, a, None), whole, fourth)
        if beyond > DEVIATIONS:
            finding = Finding(key, None, 1 + float(a), float(beyond))
            yield _Candidate(float(a * a * whole), finding, None, a * d)


def _each(key: str, d: Array, shared: list[Array], of: _Differences) -> Iterator[_Candidate]:
    """A number of a parameter that has one for each channel."""
    a, whole, fourth = _fit(of, d, 0)
    allowed = SHARED * of.u * sum(np.abs((of.w * other * d).sum(0)) for other in shared) / whole
    beyond = _deviations(np.abs(a) - allowed, _squares(of, d, a, 0), whole, fourth)
    j = int(np.nanargmax(np.where(beyond > DEVIATIONS, a * a * whole, -1)))
    if beyond[j] > DEVIATIONS:
        finding = Finding(key, (j,), 1 + float(a[j]), float(beyond[j]))
        yield _Candidate(float(a[j] ** 2 * whole[j]), finding, j, a[j] * d[:, j])


def _fit(of: _Differences, d: Array, axis: int | None) -> tuple[Array, Array, Array]:
    """a, Σ w d² and Σ (w d²)²."""
    weight = of.w * d * d
    whole = weight.sum(axis)
    return (of.w * of.r * d).sum(axis) / whole, whole, np.square(weight).sum(axis)


def _squares(of: _Differences, d: Array, a: Array, axis: int | None) -> Array:
    """The sum in White's standard error."""
    found: Array = (np.square(of.w * d) * np.square(of.r - a * d)).sum(axis)
    return found


def _deviations(excess: Array, squares: Array, whole: Array, fourth: Array) -> Array:
    """How many standard errors something is above zero.

    With few numbers the standard error is not well known itself: t follows Student's distribution,
    and is turned into the z that is as unlikely (Wallace 1959, "Bounds on normal approximations to
    Student's and the chi-square distributions").
    """
    t = excess * whole / np.sqrt(squares)
    freedom = np.square(whole) / fourth - 1
    z = np.sqrt(freedom * np.log1p(np.square(t) / freedom))
    return np.where((excess > 0) & (freedom >= FREEDOM), z, 0)


def _weights(
    key: str,
    chain: Sequence[Step],
    i: int,
    values: Mapping[str, Array],
    of: _Differences,
    chosen: Array,
) -> Iterator[_Candidate]:
    """A number of a matrix W: weight (k, j) moves channel j by its input k.

    Which of all weights explain most is found with two matrix products; these few are then judged
    as other parameters are.
    """
    step = chain[i]
    x, w = _seen(step, values[step.inputs[0]])
    x = x.reshape(-1, x.shape[-1])[chosen]  # (positions, C_in)
    pre = values[step.path]
    h = 1e-4 * (1 + np.abs(pre))
    slope = (_from(chain, i, pre + h, values) - _from(chain, i, pre - h, values)) / 2
    g = _rows(slope, chosen) / _rows(h, chosen)  # how y moves with the result of the step
    products = _rows(pre, chosen) - step.parameters()[f"{step.prefix}.bias"]

    weight = of.w / of.w.mean(0)
    narrow = _narrow(x)
    d_r = narrow.T @ _narrow(weight * g * of.r)  # (C_in, C_out)
    d_d = np.square(narrow).T @ _narrow(weight * g * g)
    noise = (weight * np.square(of.r)).sum(0)
    likely = np.where((w != 0) & (d_d > 0) & (noise > 0), np.square(d_r) / (d_d * noise), 0)
    for k, j in zip(*_largest(likely, LIKELY), strict=True):
        d = w[k, j] * x[:, k] * g[:, j]
        channel = _Differences(of.r[:, j], of.y[:, j], of.w[:, j], of.u)
        a, whole, fourth = _fit(channel, d, 0)
        along = x.T @ x[:, k]
        alone = along[k] * abs(w[k, j])
        rounding = of.u * np.sqrt(np.square(along) @ np.square(w[:, j]) / 3) / alone
        scale = SHARED * of.u * abs(x[:, k] @ products[:, j]) / alone
        excess = abs(a) - DEVIATIONS * rounding - scale
        beyond = _deviations(excess, _squares(channel, d, a, 0), whole, fourth)
        if beyond > DEVIATIONS:
            shape = step.parameters()[key].shape
            place = (*(int(n) for n in np.unravel_index(k, shape[:-1])), int(j))
            finding = Finding(key, place, 1 + float(a), float(beyond))
            yield _Candidate(float(a * a * whole), finding, int(j), a * d)


def _narrow(x: Array) -> Array:
    """As float32, relative to the largest; very small numbers, which are slow, become 0."""
    relative = (x / (np.abs(x).max(initial=0) or 1)).astype("float32")
    return np.where(np.abs(relative) < 1e-9, np.float32(0), relative)


def _largest(x: Array, count: int) -> tuple[Array, Array]:
    """Rows and columns of the largest numbers of a matrix."""
    flat = x.ravel()
    first = np.argpartition(flat, -count)[-count:] if count < flat.size else np.arange(flat.size)
    rows, columns = np.unravel_index(first, x.shape)
    return rows, columns


def _seen(step: Step, x: Array) -> tuple[Array, Array]:
    """What meets the matrix of a linear layer or a convolution, and the matrix."""
    p = step.params
    if isinstance(p, Linear):
        return x, p.weight
    assert isinstance(p, Conv2d)
    return windows(step, x), as_linear(p).weight


def _channels(channel: int | None) -> int | slice:
    return slice(None) if channel is None else channel


def _rows(x: Array, chosen: Array) -> Array:
    return x.reshape(-1, x.shape[-1])[chosen]


def _distinct(y: Array) -> Array:
    """Positions no two of which have the same results: equal inputs are rounded equally."""
    mark = np.cos(np.arange(1, y.shape[-1] + 1))
    return np.unique(y.reshape(-1, y.shape[-1]) @ mark, return_index=True)[1]
