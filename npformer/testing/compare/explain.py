"""What the numbers of a wrong array tell about the parameters of its step.

A parameter with other values explains an array if some values do: of a linear layer those that
least squares find, of a norm a factor and a number for each channel. That is a proof as soon as
there are more numbers than unknowns.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from ...layers import (
    Array,
    BatchNorm,
    Conv2d,
    LayerNorm,
    LayerScale,
    Linear,
    as_linear,
    im2col,
    layer_norm,
    relative_position_bias,
)
from ...network.configuration import EfficientFormerConfig
from ..sixteen_bits import rounded
from ..steps import Step
from .arrangement import likeness
from .bridge import Bridge
from .initial import Seen, is_shaped_as_drawn
from .variants.norms import other_epsilons

Told: TypeAlias = "tuple[str | None, str] | None"
"""A word of `CAUSES`, and more in words; no word if two causes give the same."""

FEW = 0.2
"""Up to this share of channels is wrong if one number of a weight is."""
FITS = 0.1
"""An ε fits if the mean square of what it leaves is below this, in bounds."""
BETTER = 0.8
"""A change explains differences better if what it leaves is less than this share of another's."""
UNLIKE = 0.3
"""Weights whose correlation is below this have nothing to do with each other."""


def explain(
    step: Step, inputs: list[Array], found: Array, right: Bridge, config: EfficientFormerConfig
) -> Told:
    """Name the parameter, or the form of the mistake, that makes a wrong array of a step.

    Parameters
    ----------
    step : Step
    inputs : list of ndarray
        Of float64.
    found : ndarray
        The wrong array, laid out as npformer does.
    right : Bridge
        What it should be, with its bound.
    config : EfficientFormerConfig

    Returns
    -------
    tuple of str, or None
    """
    if found.shape != right.value.shape or not np.all(np.isfinite(found)):
        return None
    step = step.astype(np.float64)
    p, x = step.params, inputs[0]
    slack = 4 * right.bound
    with np.errstate(all="ignore"):
        if isinstance(p, Conv2d):
            kh, kw, _, _ = p.weight.shape
            stride, padding = step.options.get("stride", 1), step.options.get("padding", 0)
            return _linear(
                step, im2col(x, kh, kw, stride, padding), as_linear(p), found, right, slack
            )
        if isinstance(p, Linear):
            return _linear(step, x, p, found, right, slack)
        if isinstance(p, BatchNorm):
            return _batch_norm(step, x, p, found, right, slack)
        if isinstance(p, LayerNorm):
            ones = LayerNorm(np.ones_like(p.weight), 0 * p.bias)
            normal = layer_norm(x, ones, step.options["eps"])
            told = _per_channel(step, normal, found, slack)
            return (told and _or_epsilon(step, x, p, found, right, told)) or _epsilon(
                step, x, p, found, slack
            )
        if isinstance(p, LayerScale):
            return _per_channel(step, x, found, slack)
        if step.layer == "position_bias" and isinstance(p, np.ndarray):
            return _position_bias(step, x, p, found, right, slack)
        if step.layer == "scores":
            return _scores(found, right, step.options["scale"], slack)
        if step.layer == "activation":
            return _function_of(x, found)
        if step.layer == "softmax":
            return _softmax(found)
        if step.layer == "flat":
            return _other_order(found, right)
        if step.layer == "average":
            return _average(found, right, slack)
    return None


def _rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


def _linear(step: Step, x: Array, p: Linear, found: Array, right: Bridge, slack: Array) -> Told:
    """Another bias, one number of the weight, or a weight that least squares find."""
    X, D, S = _rows(x), _rows(found - right.value), _rows(slack)
    wrong = np.asarray((abs(D) > S / 4).any(axis=0))
    if not wrong.any():
        return None
    steady = np.ptp(D[:, wrong], axis=0) <= 2 * S[:, wrong].max(0)
    if len(D) > 1 and steady.all():
        gone = abs(D.mean(0) + p.bias) <= S.max(0)
        if gone.all() and wrong.mean() > FEW:
            return "bias_zero", f"{step.prefix}.bias"
        return "parameter", f"{step.prefix}.bias"
    few, usual = wrong.mean() <= FEW, p.weight[:, wrong]
    other = None if few else Seen.of(X, _rows(found)[:, wrong], usual)
    if other is not None and abs(likeness(other.theirs, other.ours)) >= UNLIKE:
        other = None
    if is_overdetermined(p, found):
        design = np.concatenate([X, np.ones((len(X), 1))], axis=1)
        change = np.linalg.lstsq(design, D[:, wrong], rcond=None)[0]
        rest = abs(D[:, wrong] - design @ change)
        if np.mean(rest <= 3 * S[:, wrong]) < 0.999:
            return None
        weight = usual + change[:-1]
        if other is not None:
            near = abs(np.sort(weight, axis=None) - np.sort(usual, axis=None))
            if near.max() < 1e-3 * abs(usual).max():
                return "weight_transposed", f"{step.prefix}.weight, its numbers in another order"
            more = f"{step.prefix}.weight has nothing to do with ours"
            if other.is_drawn(len(usual)):
                return "random_start", more
            return None if is_shaped_as_drawn(weight) else "parameter", more
        share = change[:-1] / usual
        if np.all(abs(share) <= 1.1 * 2.0**-9) and np.ptp(share) > abs(share).max():
            # As rounding does: up and down.
            near = abs(change[:-1]).max() / 16
            for kind in ("float16", "bfloat16"):
                if np.all(abs(weight - rounded(usual, kind)) <= near):
                    return "half_precision", f"{step.prefix}.weight"
            return None, f"{step.prefix}.weight differs by less than half precision resolves"
        return "parameter", f"{step.prefix}.weight"
    if other is not None and other.is_drawn(len(usual)) and other.is_certain():
        return "random_start", f"{step.prefix}.weight"
    if few and _one_number(X, D[:, wrong], S[:, wrong]):
        return "parameter", f"{step.prefix}.weight"
    return None


def is_overdetermined(p: Conv2d | Linear, y: Array) -> bool:
    """Whether a result has clearly more numbers than the weight and the bias that gave it."""
    return y.size > p.weight.size + 9 * p.bias.size


def _one_number(X: Array, D: Array, S: Array) -> bool:
    """Whether, in each wrong channel, one other number of the weight explains all differences."""
    if len(X) < 3:
        return False
    for d, s in zip(D.T, S.T, strict=True):
        square = np.square(X).sum(0)
        factor = np.where(square > 0, X.T @ d / np.where(square > 0, square, 1), 0.0)
        if not np.any(np.all(abs(d[:, None] - X * factor) <= 3 * s[:, None], axis=0)):
            return False
    return True


def _batch_norm(
    step: Step, x: Array, p: BatchNorm, found: Array, right: Bridge, slack: Array
) -> Told:
    """Another ε, or other numbers of some channels."""
    fitted = _fit(x, found, slack)
    if fitted is None:
        return None
    factor, _ = fitted
    usual = p.weight / np.sqrt(p.running_var + step.options["eps"])
    eps = (p.weight / factor) ** 2 - p.running_var
    # Nearer than 1e-4, a factor for all channels looks like another ε.
    clear = (abs(factor / usual - 1) > 1e-4) & (_rows(x).std(0) > 0)
    if clear.sum() > 2 and clear.mean() > FEW:
        middle = np.median(eps[clear])
        agree = np.mean(
            abs(eps[clear] - middle) <= 0.02 * abs(middle) + 1e-5 * p.running_var[clear]
        )
        if middle > 0 and agree > 0.9:
            return "eps", f"{middle:.3g} instead of {step.options['eps']:g}"
    wrong = (abs(_rows(found - right.value)) > _rows(slack) / 4).any(0)
    if not (abs(factor / usual - 1) > 1e-5)[wrong].any():
        return "parameter", f"{step.prefix}.bias or running_mean"
    return "parameter", f"{step.prefix}.weight or running_var"


def _per_channel(step: Step, x: Array, found: Array, slack: Array) -> Told:
    """Whether a factor and a number for each channel explain an array."""
    fitted = _fit(x, found, slack)
    if fitted is None:
        return None
    factor, _ = fitted
    if (
        step.layer == "layer_scale"
        and factor.size > 2
        and np.ptp(factor) < 1e-4 * abs(factor).max()
    ):
        return "random_start", f"{step.prefix}.gamma, {factor.mean():.3g} everywhere"
    names = "gamma" if step.layer == "layer_scale" else "weight or bias"
    return "parameter", f"{step.prefix}.{names}"


def _epsilon(step: Step, x: Array, p: LayerNorm, found: Array, slack: Array) -> Told:
    """Whether one other ε gives all tokens."""
    usual = step.options["eps"]
    Y, X = _rows(found - p.bias), _rows(x - x.mean(-1, keepdims=True)) * p.weight
    deviation = (X * X).sum(1) / (X * Y).sum(1)  # √(variance + ε)
    eps = float(np.median(np.square(deviation) - _rows(x).var(1)))
    if not eps > 0:
        return None
    near = abs(layer_norm(x, p, eps) - found) <= slack + 1e-5 * abs(found)
    return ("eps", f"{eps:.3g} instead of {usual:g}") if near.mean() > 0.999 else None


def _or_epsilon(
    step: Step, x: Array, p: LayerNorm, found: Array, right: Bridge, told: tuple[str | None, str]
) -> Told:
    """Decide between a parameter of a layer norm and another ε: one number, that fits as well."""

    def left(y: Array) -> float:
        return float(np.mean(np.square((found - y) / right.bound)))

    usual = step.options["eps"]
    others = [(left(layer_norm(x, p, eps)), eps) for eps in other_epsilons(usual)]
    of_eps, eps = min(others)
    centered = right.value - p.bias
    factor = np.vdot(centered, found - p.bias) / np.vdot(centered, centered)
    of_factor = left(p.bias + factor * centered)
    if of_eps > FITS:
        return told
    more = f"{eps:g} instead of {usual:g}"
    if of_eps < BETTER * of_factor:
        return "eps", more
    if of_factor < BETTER * of_eps:
        return told
    return None, f"another ε, {more}, or {told[1]}: both give these numbers"


def _fit(x: Array, found: Array, slack: Array) -> tuple[Array, Array] | None:
    """Fit ``found = factor · x + offset`` for each channel; None if that does not hold."""
    X, Y, S = _rows(x), _rows(found), _rows(slack)
    if len(X) < 4:
        return None
    centered = X - X.mean(0)
    spread = np.square(centered).sum(0)
    factor = np.where(spread > 0, (centered * Y).sum(0) / np.where(spread > 0, spread, 1), 0.0)
    offset = Y.mean(0) - factor * X.mean(0)
    near = abs(factor * X + offset - Y) <= 3 * S
    return (factor, offset) if near.mean() > 0.999 else None


def _position_bias(
    step: Step, x: Array, p: Array, found: Array, right: Bridge, slack: Array
) -> Told:
    """A factor, other numbers for each distance, or numbers of the table at other places."""
    added, bound = (found - x)[0], slack[0]
    table = relative_position_bias(p)
    factor = float(np.vdot(added, table) / np.vdot(table, table))
    if np.all(abs(added - factor * table) <= bound):
        if abs(factor + 1) < 1e-4:
            return None, "the attention bias is subtracted, not added"
        return ("bias_missing", "") if abs(factor) < 1e-6 else ("bias_scaled", f"by {factor:.4g}")
    if p.ndim != 3:
        return None
    heads = len(p)
    chosen = np.sort(p.reshape(heads, -1), axis=1)
    for h in range(heads):
        place = np.clip(np.searchsorted(chosen[h], added[h]), 1, chosen.shape[1] - 1)
        below, above = abs(chosen[h][place - 1] - added[h]), abs(chosen[h][place] - added[h])
        if np.mean(np.minimum(below, above) <= bound[h]) < 0.999:
            return _by_distance(step, added, p, bound)
    return "bias_other_grid", "numbers of the table, at other places"


def _by_distance(step: Step, added: Array, p: Array, bound: Array) -> Told:
    """Whether one number for each distance explains what was added."""
    from ...layers.position_bias import distances

    _, rows, columns = p.shape
    down, across = distances(rows, columns)
    index = down * columns + across
    for h in range(len(p)):
        count = np.bincount(index.ravel())
        mean = np.bincount(index.ravel(), added[h].ravel()) / count
        if np.mean(abs(mean[index] - added[h]) <= 2 * bound[h]) < 0.999:
            return None
    return "parameter", step.prefix


def _scores(found: Array, right: Bridge, scale: float, slack: Array) -> Told:
    """Whether scores are the right ones times a factor."""
    factor = float(np.vdot(found, right.value) / np.vdot(right.value, right.value))
    if np.any(abs(found - factor * right.value) > abs(factor) * slack):
        return None
    if abs(factor * scale - 1) < 1e-5:
        return "scores_not_scaled", ""
    return "scores_scaled_by_dim", f"{factor * scale:.4g} instead of {scale:.4g}"


def _function_of(x: Array, found: Array) -> Told:
    """Whether each number is a smooth function of the one that went in."""
    order = np.argsort(x, axis=None)[:: max(1, x.size // 20000)]
    steps, rises = np.diff(x.reshape(-1)[order]), np.diff(found.reshape(-1)[order])
    span = np.ptp(found)
    smooth = abs(rises) <= 3 * abs(steps) + 1e-5 * span
    return ("activation", "") if span > 0 and smooth.mean() > 0.999 and x.size > 100 else None


def _average(found: Array, right: Bridge, slack: Array) -> Told:
    """Whether only a few classes are wrong: their columns or biases are, in one of the heads."""
    wrong = np.flatnonzero((_rows(abs(found - right.value)) > _rows(slack) / 4).any(0))
    if not 0 < len(wrong) <= FEW * found.shape[-1]:
        return None
    which = ", ".join(str(j) for j in wrong[:4]) + (", …" if len(wrong) > 4 else "")
    return "parameter", f"of class {which}, in head or head_dist"


def _other_order(found: Array, right: Bridge) -> Told:
    """Whether tokens are the right ones, in another order."""
    pairs = zip(found, right.value, strict=True)
    same = all(np.array_equal(*(x[np.lexsort(x.T)] for x in pair)) for pair in pairs)
    return ("token_order", "") if same else None


def _softmax(found: Array) -> Told:
    """Whether weights sum to one over another axis."""
    if abs(found.sum(-1) - 1).max() < 1e-3:
        return None
    for axis in (2, 1):
        if abs(found.sum(axis) - 1).max() < 1e-3:
            return "softmax_axis", ""
    return None
