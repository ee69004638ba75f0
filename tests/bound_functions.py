"""Functions of one number, over all of float32, in every library.

    python tests/bound_functions.py [NAME …] [--stride N]

For each activation and the exponential of softmax, the largest error ÷ bound over the numbers of
float32 between two limits, every `--stride`-th of them (1: all, which takes hours), in arrays that
lie in memory in one piece, with channels last, and with gaps: libraries have code of their own for
each. Needs PyTorch, transformers, timm, ONNX Runtime and OpenVINO; what is missing is left out.
"""

from __future__ import annotations

import argparse
import ctypes
import ctypes.util
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import step_graph

from npformer.layers import ACTIVATIONS, Array, softmax
from npformer.testing import error_bound

NAMES = tuple(ACTIVATIONS)
Function = Callable[[Array], Array]


class Worst(NamedTuple):
    """Where a function comes nearest to its bound."""

    ratio: float
    at: float


def numbers(stride: int, low: float = 2.0**-40, high: float = 128.0) -> Array:
    """Every stride-th float32 from `low` to `high`, and from −`high` to −`low`."""
    ends = np.array([low, high], np.float32).view(np.uint32)
    positive = np.arange(ends[0], ends[1], stride, np.uint32).view(np.float32)
    x = np.concatenate([-positive[::-1], [np.float32(0)], positive])
    return x[: len(x) // 64 * 64]  # a whole number of images of 4 channels with 4 × 4 pixels


def of_torch(name: str) -> Iterator[tuple[str, Function]]:
    """PyTorch's function in arrays that lie in memory in several ways."""
    import torch
    from torch.nn import functional as F  # noqa: N812

    known: dict[str, Any] = {
        "gelu": F.gelu, "gelu_new": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu,
        "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x), "mish": F.mish, "relu": F.relu,
        "sigmoid": torch.sigmoid, "tanh": torch.tanh, "selu": F.selu, "relu6": F.relu6,
        "leaky_relu": F.leaky_relu,
    }  # fmt: skip
    if name not in known:
        return
    run = known[name]

    def in_one_piece(x: Array) -> Array:
        return run(torch.from_numpy(x)).numpy()

    def with_channels_last(x: Array) -> Array:
        images = torch.from_numpy(x).reshape(-1, 4, 4, 4).permute(0, 3, 1, 2)
        assert images.is_contiguous(memory_format=torch.channels_last)
        return run(images).permute(0, 2, 3, 1).reshape(-1).numpy()

    def with_gaps(x: Array) -> Array:
        return run(torch.from_numpy(np.repeat(x, 2))[::2]).numpy()

    yield "PyTorch", in_one_piece
    yield "PyTorch, channels last", with_channels_last
    yield "PyTorch, gaps", with_gaps


def of_transformers(name: str) -> Iterator[tuple[str, Function]]:
    import torch
    from transformers.activations import ACT2FN

    if name in ACT2FN:
        yield "transformers", lambda x: ACT2FN[name](torch.from_numpy(x)).numpy()


def of_timm(name: str) -> Iterator[tuple[str, Function]]:
    import torch
    from timm.layers import create_act_layer

    known = {"gelu": "gelu", "gelu_new": "gelu_tanh", "silu": "silu", "quick_gelu": "quick_gelu",
             "mish": "mish", "relu": "relu"}  # fmt: skip
    if name in known:
        layer = create_act_layer(known[name], inplace=False)
        yield "timm", lambda x: layer(torch.from_numpy(x)).numpy()


def of_runtimes(name: str) -> Iterator[tuple[str, Function]]:
    """ONNX Runtime and OpenVINO: the operator where there is one, else what it is made of."""
    graphs: dict[str, list[tuple[str, tuple[Any, ...], dict[str, Any]]]] = {
        "gelu": [("Gelu", ("x",), {})],
        "gelu_new": [("Gelu", ("x",), {"approximate": "tanh"})],
        "sigmoid": [("Sigmoid", ("x",), {})],
        "tanh": [("Tanh", ("x",), {})],
        "silu": [("Sigmoid", ("x",), {}), ("Mul", ("x", 0), {})],
        "quick_gelu": [("Mul", ("x", 1.702), {}), ("Sigmoid", (0,), {}), ("Mul", ("x", 1), {})],
        "mish": [("Mish", ("x",), {})],
        "selu": [("Selu", ("x",), {})],
    }
    chains = {"": graphs.get(name)}
    if name == "gelu":
        parts = [("Mul", ("x", 0.5**0.5), {}), ("Erf", (0,), {}), ("Add", (1, 1.0), {}),
                 ("Mul", ("x", 2), {}), ("Mul", (3, 0.5), {})]  # fmt: skip
        chains[", erf"] = parts
    for suffix, chain in chains.items():
        if chain is not None:
            for label, run in (("ONNX Runtime", step_graph.onnxruntime),
                               ("OpenVINO", step_graph.openvino)):  # fmt: skip
                if find_spec(run.__name__):
                    yield label + suffix, in_graph(chain, run)


def in_graph(chain: list[tuple[str, tuple[Any, ...], dict[str, Any]]], run: Any) -> Function:
    """A function made of operators; an input is x, the number of a result, or a constant."""
    from onnx import TensorProto, helper

    made, results = step_graph.Graph(), []
    for operator, inputs, attributes in chain:
        names = [
            "pixel_values" if i == "x"
            else results[i] if isinstance(i, int)
            else made.weight(np.float32(i).reshape(()))
            for i in inputs
        ]  # fmt: skip
        results.append(made.add(operator, *names, **attributes))
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        made.nodes, "function", [info("pixel_values", TensorProto.FLOAT, ["n"])],
        [info(results[-1], TensorProto.FLOAT, None)], made.weights,
    )  # fmt: skip
    opset = helper.make_opsetid("", step_graph.OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()
    session = run(model)
    return lambda x: np.array(session(x)[0])


def libm(name: str) -> Callable[[Array], Array]:
    """A function of the C library, number by number."""
    function = getattr(ctypes.CDLL(ctypes.util.find_library("m")), name)
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
    return np.vectorize(function, otypes=[np.float32])


def of_libm(name: str) -> Iterator[tuple[str, Function]]:
    one, half = np.float32(1), np.float32(0.5)
    if name == "gelu":
        erf, erfc, root = libm("erff"), libm("erfcf"), np.float32(0.5**0.5)
        yield "C, erff", lambda x: half * x * (one + erf(x * root))
        yield "C, erff expanded", lambda x: half * x + half * x * erf(x * root)
        yield "C, erfcf", lambda x: half * x * erfc(-x * root)
    if name == "gelu_new":
        tanh, c = libm("tanhf"), np.float32((2 / np.pi) ** 0.5)
        cube = np.float32(0.044715)
        yield "C, tanhf", lambda x: half * x * (one + tanh(c * (x + cube * x * x * x)))
    if name in ("silu", "sigmoid"):
        exp = libm("expf")
        factor: Function = (lambda x: x) if name == "silu" else np.ones_like
        yield "C, expf", lambda x: factor(x) / (one + exp(-x))


def of_kernels(name: str) -> Iterator[tuple[str, Function]]:
    """npformer's kernels, compiled."""
    if find_spec("numba") and name == "gelu":
        from bound_kernels import gelu

        yield "Numba", gelu


def peers(name: str) -> Iterator[tuple[str, Function]]:
    """Every implementation that is installed."""
    yield "NumPy", ACTIVATIONS[name]
    yield from of_libm(name)
    yield from of_kernels(name)
    for package, found in (
        ("torch", of_torch), ("transformers", of_transformers), ("timm", of_timm),
        ("onnx", of_runtimes),
    ):  # fmt: skip
        if find_spec(package) and (package == "onnx" or find_spec("torch")):
            yield from found(name)


def worst_of(name: str, function: Function, x: Array, exact: Array, bound: Array) -> Worst:
    """The largest error ÷ bound of an activation."""
    with np.errstate(all="ignore"):
        found = np.asarray(function(x))
        assert found.dtype == np.float32, (name, found.dtype)
        ratio = np.abs(found.astype(np.float64) - exact) / bound
    i = int(np.argmax(np.where(ratio >= 0, ratio, np.inf)))  # NaN is no answer
    return Worst(float(ratio[i]), float(x[i]))


def activation(name: str, x: Array) -> Iterator[tuple[str, Worst]]:
    """Yield every implementation, and where it comes nearest to its bound."""
    with np.errstate(all="ignore"):
        exact = ACTIVATIONS[name](x.astype(np.float64))
        bound = error_bound("activation", [x], name=name)
    for label, function in peers(name):
        few = (
            slice(None, None, max(1, len(x) // 100_000)) if label.startswith("C,") else slice(None)
        )
        yield label, worst_of(name, function, x[few], exact[few], bound[few])


def rows(stride: int, columns: int = 16) -> Array:
    """Rows of scores: one is the largest, the others lie up to 110 below it, at various heights."""
    below = numbers(stride, 2.0**-20, 110.0)
    below = below[below < 0]
    rest = below[: len(below) // (columns - 1) * (columns - 1)].reshape(-1, columns - 1)
    x = np.concatenate([np.zeros((len(rest), 1), np.float32), rest], 1)
    return x + (np.arange(len(x)) % 7 * 16 - 48).astype(np.float32)[:, None]


def softmaxes() -> Iterator[tuple[str, Function]]:
    """Every implementation of softmax that is installed."""
    yield "NumPy", softmax
    if find_spec("numba"):
        from bound_kernels import softmax as compiled

        yield "Numba", compiled
    if find_spec("torch"):
        import torch

        yield "PyTorch", lambda x: torch.from_numpy(x).softmax(-1).numpy()
        yield (
            "PyTorch, other axis",
            lambda x: torch.from_numpy(np.ascontiguousarray(x.T)).softmax(0).numpy().T,
        )
        yield "PyTorch, attention", by_attention
    if find_spec("onnx"):
        for label, run in (("ONNX Runtime", step_graph.onnxruntime),
                           ("OpenVINO", step_graph.openvino)):  # fmt: skip
            if find_spec(run.__name__):
                yield label, in_rows(run)


def by_attention(x: Array) -> Array:
    """PyTorch's fused attention: scores are a bias, and values the identity."""
    import torch
    from torch.nn import functional as F  # noqa: N812

    n = x.shape[1]
    scores = torch.from_numpy(x[: len(x) // n * n]).reshape(-1, 1, n, n)
    zero = torch.zeros(len(scores), 1, n, 8)
    values = torch.eye(n).expand(len(scores), 1, n, n)
    y = F.scaled_dot_product_attention(zero, zero, values, scores).reshape(-1, n).numpy()
    return np.concatenate([y, softmax(x[len(y) :])])


def in_rows(run: Any) -> Function:
    """Softmax in a runtime."""
    from onnx import TensorProto, helper

    node = helper.make_node("Softmax", ["pixel_values"], ["y"], axis=-1)
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "softmax", [info("pixel_values", TensorProto.FLOAT, ["n", "m"])],
        [info("y", TensorProto.FLOAT, None)],
    )  # fmt: skip
    opset = helper.make_opsetid("", step_graph.OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()
    session = run(model)
    return lambda x: np.array(session(x)[0])


def of_softmax(x: Array) -> Iterator[tuple[str, Worst]]:
    """Yield every softmax, and its largest error ÷ bound."""
    exact, bound = softmax(x.astype(np.float64)), error_bound("softmax", [x])
    for label, function in softmaxes():
        ratio = np.abs(function(x).astype(np.float64) - exact) / bound
        at = np.unravel_index(int(np.argmax(np.where(ratio >= 0, ratio, np.inf))), ratio.shape)
        yield label, Worst(float(ratio[at]), float(x[at] - x[at[0]].max()))


def main() -> None:
    """Print a line for each implementation."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=[*NAMES, "softmax"])
    parser.add_argument("--stride", type=int, default=61)
    args = parser.parse_args()
    for name in args.names:
        x = rows(args.stride) if name == "softmax" else numbers(args.stride)
        print(f"{name}: {x.size} numbers")
        for label, worst in of_softmax(x) if name == "softmax" else activation(name, x):
            mark = "" if worst.ratio <= 1 else "  ABOVE THE BOUND"
            print(f"    {label:24} {worst.ratio:7.3f} at {worst.at:.9g}{mark}", flush=True)


if __name__ == "__main__":
    main()
