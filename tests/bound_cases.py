"""Right implementations of the network, and what each of them computes on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import step_graph
from golden import cases

import npformer
from npformer import engine
from npformer.layers import Array, Conv2d, Trace, as_linear, im2col
from npformer.network import EfficientFormer, EfficientFormerConfig
from npformer.testing import Step, run_steps, steps, walk

PHOTOGRAPHS = Path(__file__).parents[1] / "notebooks" / "images"
BLOCKS = "stem", "stages.*.downsample", "stages.*.blocks.?", "stages.*.blocks.??", "norm", "pooled"
"""What is recorded where the rest is folded away; besides the logits."""


class Network(NamedTuple):
    """A network in float32, with images."""

    params: EfficientFormer
    config: EfficientFormerConfig
    x: Array
    case: dict[str, Any] | None = None
    """how PyTorch's is made, if `golden` can make it"""

    @property
    def steps(self) -> tuple[Step, ...]:
        return steps(self.params, self.config)


def of_golden(name: str, seed: int = 0) -> Network:
    case = (cases.SMALL | cases.FULL)[name]
    params = cases.parameters(case, seed, "float32")
    x = cases.pixels(case, seed).astype("float32")
    return Network(params, cases.configuration(case), x, case)


def tiny(count: int = 2) -> Network:
    """The default weights and photographs."""
    model = npformer.load("tiny", engine="numpy")
    files = sorted(PHOTOGRAPHS.glob("*.*g"))[:count]
    return Network(model.params, model.config, np.stack([model.processor.pixels(f) for f in files]))


Recorded = dict[str, Array]


def by_numpy(network: Network) -> Recorded:
    return run_steps(network.steps, {"pixel_values": network.x})


def by_numpy_blocks(network: Network) -> Recorded:
    return by_engine(network, "numpy")


def by_numba_blocks(network: Network) -> Recorded:
    return by_engine(network, "numba")


def by_engine(network: Network, kind: str) -> Recorded:
    trace = Trace(*BLOCKS)
    logits = engine.make_forward(network.params, network.config, kind)(network.x, trace).logits
    return dict(trace) | {"pixel_values": network.x, "logits": logits}


def by_torch(network: Network) -> Recorded:
    """timm's or transformers' modules, whichever the case is for."""
    from golden import reference

    assert network.case is not None
    model = reference.network(network.case, dtype="float32")
    heard = reference.overhear(model, network.case, network.x).outputs
    known = {step.path for step in network.steps}
    return {k: a for k, a in heard.items() if k in known} | {"pixel_values": network.x}


def by_runtime(runtime: Callable[..., Any], everything: bool) -> Callable[[Network], Recorded]:
    def run(network: Network) -> Recorded:
        chain = network.steps
        paths = [step.path for step in chain]
        if not everything:
            wanted = Trace(*BLOCKS, "logits")
            paths = [path for path in paths if wanted.wants(path)]
        return step_graph.recorded(chain, network.x, paths, runtime)

    return run


def in_lanes(terms: Array) -> Array:
    """Add up the last axis in 16 lanes, one after the other, in float32."""
    n = terms.shape[-1]
    full = np.concatenate([terms, np.zeros((*terms.shape[:-1], -n % 16), "float32")], -1)
    return np.add.accumulate(full.reshape(*terms.shape[:-1], -1, 16), -2)[..., -1, :].sum(-1)


def one_by_one(terms: Array) -> Array:
    """Add up the last axis one after the other, in float32."""
    return np.add.accumulate(terms, -1)[..., -1]


def shuffled(terms: Array) -> Array:
    """The same in another order."""
    order = np.random.default_rng(terms.shape[-1]).permutation(terms.shape[-1])
    return one_by_one(terms[..., order])


def backwards(terms: Array) -> Array:
    """The same from the end."""
    return one_by_one(terms[..., ::-1])


ORDERS = (in_lanes, one_by_one, shuffled, backwards)


def with_order(step: Step, x: Array, add: Callable[[Array], Array]) -> Array:
    """A convolution or linear layer in float32 that adds up in some order, bias first or last."""
    p, bias_first = step.params, add is one_by_one
    if isinstance(p, Conv2d):
        kh, kw, _, _ = p.weight.shape
        x = im2col(x, kh, kw, step.options.get("stride", 1), step.options.get("padding", 0))
        p = as_linear(p)
    rows = x.reshape(-1, x.shape[-1])
    y = np.empty((len(rows), len(p.bias)), "float32")
    for i in range(0, len(rows), 64):
        terms = rows[i : i + 64, None] * p.weight.T  # (64, C_out, C_in)
        if bias_first:
            first = np.broadcast_to(p.bias[:, None], (*terms.shape[:-1], 1))
            y[i : i + 64] = add(np.concatenate([first, terms], -1))
        else:
            y[i : i + 64] = add(terms) + p.bias
    return y.reshape(*x.shape[:-1], -1)


def in_some_order(network: Network, add: Callable[[Array], Array]) -> Recorded:
    """All steps in float32, matrix products in some order of summation."""
    found = {"pixel_values": network.x}
    for step in network.steps:
        inputs = [found[path] for path in step.inputs]
        if step.layer in ("conv2d", "linear"):
            found[step.path] = with_order(step, inputs[0], add)
        else:
            found[step.path] = step(*inputs)
    return found


IMPLEMENTATIONS: dict[str, Callable[[Network], Recorded]] = {
    "NumPy": by_numpy,
    **{add.__name__.replace("_", " "): lambda n, add=add: in_some_order(n, add) for add in ORDERS},
    "PyTorch": by_torch,
    "ONNX Runtime": by_runtime(step_graph.onnxruntime, True),
    "OpenVINO": by_runtime(step_graph.openvino, True),
    "NumPy, blocks": by_numpy_blocks,
    "Numba, blocks": by_numba_blocks,
    "ONNX Runtime, blocks": by_runtime(step_graph.onnxruntime, False),
    "OpenVINO, blocks": by_runtime(step_graph.openvino, False),
}
"""All in float32. "blocks": only what comes out of blocks is recorded, the rest may be folded."""


DTYPES = {"Numba, blocks": "float32 strassen"}
"""What an implementation computes in, if it is not float32 alone."""


class Ratio(NamedTuple):
    """Error ÷ bound of an array."""

    step: Step
    ratio: float
    count: int


def ratios(network: Network, recorded: Recorded, dtype: str = "float32") -> Iterator[Ratio]:
    """Compare every recorded array with what its step gives of what was recorded before it."""
    for step, estimate in walk(network.steps, recorded, dtype):
        if step.path in recorded:
            found = recorded[step.path]
            assert found.shape == estimate.value.shape, (step.path, found.shape)
            error = np.abs(found.astype("float64") - estimate.value)
            yield Ratio(step, float((error / estimate.bound()).max(initial=0)), found.size)
