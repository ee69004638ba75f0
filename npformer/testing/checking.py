"""Compare anyone's implementation of a layer with npformer's, and say what is wrong with it.

    wrong(f) = there is an input x with |f(x) − layer(x)| > bound(x) for some number

Hypothesis draws the inputs: sizes from 1 up, arrangements in memory, numbers that careless code
gets wrong. The right result is computed in float64, and the bound is derived from the input at hand
(`npformer.testing.bounds`), so that nobody has to guess a tolerance. What fails is shrunk to the
smallest input that fails, and the search of `npformer.check` says what kind of mistake it is.

>>> import numpy as np
>>> from npformer.testing import check_layer
>>> def softmax(x):
...     e = np.exp(x)
...     return e / e.sum(-1, keepdims=True)
>>> print(check_layer("softmax", softmax).mistake)
overflow
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..files.optional import optional
from .adapters import Adapter, adapter_for
from .adapters.port import Port
from .explaining import explain
from .layer_table import reference
from .report import LayerReport
from .trial import Trial, attempt

with optional("hypothesis", "drawing test data", "npformer[testing]"):
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis.errors import Flaky

MORE = 23
"""How many inputs are drawn besides the one that failed, to find out what is wrong."""


class _WrongResult(Exception):  # noqa: N818 - tells Hypothesis to shrink
    pass


def check_layer(
    layer: str,
    theirs: Any,
    *,
    adapter: Adapter | None = None,
    options: Mapping[str, Any] | None = None,
    examples: int = 100,
    seconds: float = 5.0,
    new_examples: bool = False,
    seed: int | None = None,
    raises: bool = False,
) -> LayerReport:
    """Check an implementation of a layer.

    Parameters
    ----------
    layer : str
        Name of a function in `npformer.layers`, such as ``"attention"``, a key of
        `npformer.testing.layer_table.LAYERS`; or of a gradient, such as
        ``"attention_backward"``.
    theirs : object
        A function on arrays, a PyTorch module, an ONNX file, model or node, or a C function.
    adapter : Adapter, optional
        How to call it: see `npformer.testing.adapters`. By default as its type suggests.
    options : mapping, optional
        Options of the layer that the implementation was made with, such as ``{"eps": 1e-5}``.
        What a function takes as an argument is drawn, if it is not given; all else has npformer's
        default.
    examples : int
        How many inputs to draw.
    seconds : float
        How long to search for the kind of mistake, at most; 0 for no search.
    new_examples : bool
        Whether to draw other inputs in each run.
    seed : int, optional
        Draws other inputs for each number, the same ones in each run.
    raises : bool
        Whether to raise an error if the implementation does not pass.

    Returns
    -------
    LayerReport
        True if the implementation passed; otherwise it says what is wrong.

    Raises
    ------
    ConfigError
        If there is no such layer or option, or the implementation is of no kind that is known.
    WeightsError
        If the tensors of a module or file are not those of the layer.
    MissingPackage
        If Hypothesis, PyTorch or onnx is needed and not installed.
    OSError
        If a file cannot be read.
    AssertionError
        If the implementation does not pass and `raises` is true.
    """
    __tracebackhide__ = True  # pytest then shows the caller's lines alone
    reference(layer)
    port = (adapter or adapter_for(theirs)).port(layer, theirs, options or {})
    report = _checked(layer, port, examples, seconds, new_examples, seed)
    if raises:
        report.require()
    return report


def _checked(
    layer: str, port: Port, examples: int, seconds: float, new_examples: bool, seed: int | None
) -> LayerReport:
    hunts = []
    for dtype in port.dtypes:
        hunt = Hunt(layer, port, dtype)
        hunt.run(max(1, examples // len(port.dtypes)), new_examples, seed)
        if hunt.is_flaky:
            return LayerReport(
                layer, False, hunt.count, 1, "another result each time",
                "The same input gave different results: does the function draw random numbers, "
                "keep something from call to call, or read memory that nobody has written?",
            )  # fmt: skip
        if hunt.wrong is not None:
            return explain(layer, port, [hunt.wrong, *hunt.more()], seconds)
        hunts.append(hunt)
    worst = max(hunts, key=lambda hunt: hunt.largest)
    count = sum(hunt.count for hunt in hunts)
    return LayerReport(layer, True, count, ratio=worst.largest, dtype=worst.dtype)


class Hunt:
    """Looks for an input on which an implementation is wrong, in one type."""

    def __init__(self, layer: str, port: Port, dtype: str) -> None:
        self.layer, self.port, self.dtype = layer, port, dtype
        self.count = 0
        """inputs that were tried until the first that failed"""
        self.largest = 0.0
        """error ÷ bound, where nothing failed"""
        self.wrong: Trial | None = None
        """the smallest input that fails"""
        self.is_flaky = False

    def run(self, examples: int, new_examples: bool, seed: int | None) -> None:
        """Draw inputs until one fails, and shrink that."""

        def trial(args: tuple[Any, ...]) -> None:
            self.count += self.wrong is None
            found = attempt(self.layer, self.port.function, args, self.dtype)
            if found.is_wrong:
                self.wrong = found
                raise _WrongResult
            self.largest = max(self.largest, found.ratio)

        hypothesis = settings(
            max_examples=examples, derandomize=not new_examples, deadline=None, database=None,
            phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False, print_blob=False,
        )  # fmt: skip
        test = given(self.port.draw(self.dtype))(trial)
        try:
            hypothesis(test if seed is None else seeded(seed)(test))()
        except _WrongResult:
            pass
        except Flaky:
            self.is_flaky = True

    def more(self) -> list[Trial]:
        """Try further inputs, on which the implementation may be right or wrong."""
        found: list[Trial] = []

        def trial(args: tuple[Any, ...]) -> None:
            found.append(attempt(self.layer, self.port.function, args, self.dtype))

        settings(
            max_examples=MORE, derandomize=True, deadline=None, database=None,
            phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        )(given(self.port.draw(self.dtype))(trial))()  # fmt: skip
        return found
