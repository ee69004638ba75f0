"""Layers in eight bits: whole numbers, which are right or wrong, and what is made of them.

The layers are those of `npformer.layers.quantized_linear` and `npformer.layers.quantized_conv2d`.
No number of a case lies so near to the middle between two steps that the order of operations could
decide to which of them it is rounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ...layers import Array, Conv2d, Linear, as_linear, im2col
from ...layers.quantized_linear import LARGEST_WEIGHT, STEPS, quantize_linear, quantize_rows
from ...network.tree import leaves
from ..bounds.carried import carried
from ..bounds.gradients import ALTERNATIVES, SMALLEST
from ..layer_shapes import conv_of, linear_of
from .answers import Answer, Arrays
from .cases import Case, p, shifted, x


class EightBits(NamedTuple):
    """A layer in eight bits and its cases."""

    name: str
    cases: tuple[Case, ...]
    images: bool = False
    """whether inputs with four axes are images, with channels"""


def table() -> Iterator[EightBits]:
    """Yield every layer with its cases."""
    dense = p("int8/linear/2", linear_of(6, 4))
    dead = dense._replace(weight=dense.weight * [1, 0, 1, 1])
    equal = np.broadcast_to(x("int8/linear/2", 2, 3, 1), (2, 3, 6)).copy()
    yield EightBits("linear", (
        Case("tokens, each with a least number and a step of its own", x("int8/linear/0", 2, 3, 5), p("int8/linear/0", linear_of(5, 4))),
        Case("rows of 300 numbers above zero: sums need more than 16 bits", shifted(x("int8/long/9", 2, 300), 3), p("int8/long/9", linear_of(300, 3))),
        Case("rows of equal numbers, and a column of zeros", equal, dead),
    ))  # fmt: skip
    yield EightBits("conv2d", (
        Case("3×3: a window is one row, zeros of the border included", x("int8/conv2d/0", 2, 5, 4, 3), p("int8/conv2d/0", conv_of(3, 4, 3, 3)), {"stride": 2, "padding": 1}),
        Case("1×1", x("int8/conv2d/1", 1, 3, 4, 6), p("int8/conv2d/1", conv_of(6, 5)), {"stride": 1, "padding": 0}),
    ), images=True)  # fmt: skip


def answer_eight_bits(case: Case) -> Answer:
    """Compute what a layer answers: whole numbers have no bounds.

    Parameters
    ----------
    case : Case

    Returns
    -------
    Answer
    """
    rows, dense, shape = as_rows(case)
    q, _, least = quantize_rows(rows.astype(np.float32))
    weight, _, _ = quantize_linear(Linear(*(a.astype(np.float32) for a in dense)))
    products = q.astype(np.int32) @ weight.astype(np.int32)
    numbers: dict[str, Any] = {
        "quantized.scale": carried(np.where(weight.any(0), np.abs(dense.weight).max(0), 1))
        / LARGEST_WEIGHT,
        "rows.step": (carried(rows.max(-1, keepdims=True)) - carried(least)) / STEPS,
    }
    scale, step = numbers.values()
    sums = weight.sum(0, dtype=np.int32)
    y = (carried(products) * step + carried(sums) * carried(least)) * scale + carried(dense.bias)
    whole: Arrays = {"quantized.weight": weight.reshape(shape), "products": products}
    if rows is case.x:  # of a convolution, nobody keeps the windows
        whole |= {"rows.q": q}
    else:
        del numbers["rows.step"]
    numbers |= {"y": y}
    outputs = whole | {name: number.value for name, number in numbers.items()}
    bounds = {name: ALTERNATIVES * a.error + SMALLEST for name, a in numbers.items()}
    inputs = {"x": case.x, **{f"p.{path}": leaf for path, leaf in leaves(case.p)}}
    return Answer(inputs, outputs, bounds, {})


def as_rows(case: Case) -> tuple[Array, Linear, tuple[int, ...]]:
    """Return the rows that meet a matrix, the matrix, and the shape in which its weight is kept."""
    if not isinstance(case.p, Conv2d):
        return case.x, case.p, case.p.weight.shape
    kh, kw, _, _ = case.p.weight.shape
    windows = im2col(case.x, kh, kw, case.options["stride"], case.options["padding"])
    return windows, as_linear(case.p), case.p.weight.shape
