"""The ways in which a port is handed in: modules, recordings, ONNX files, checkpoints."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from case import Made
from nets import (
    NETS,
    Fault,
    Spec,
    apply,
    blank,
    build,
    config,
    listen,
    load,
    open_attention,
    paths,
    picture,
    spelled,  # fmt: skip
    tensors,
    write,
)
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from torch import Tensor, nn
from transformers import EfficientFormerConfig
from transformers import EfficientFormerForImageClassification as One
from transformers import EfficientFormerForImageClassificationWithTeacher as Two

Arrays = dict[str, np.ndarray]


def proof(
    net: str, fault: Fault, x: Tensor | None = None, right: Tensor | None = None
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Run a right network and the port on the picture, every array side by side."""
    s = NETS[net]
    x = picture(s) if x is None else x
    a = listen(open_attention(build(net), s), x if right is None else right, s)
    b = listen(open_attention(apply(build(net), s, fault), s), x, s)
    return [
        ("pixel_values", (x if right is None else right).numpy(), x.numpy()),
        *((p, a[p], b[p]) for p in a),
    ]


# --- modules


def hf_paths(s: Spec) -> dict[str, str]:
    """Return timm's module path -> transformers', from the names of their parameters."""
    out = {"stem": "efficientformer.patch_embed"}
    for t, h in spelled(s, "hf").items():
        t, h = t.rpartition(".")[0], h.rpartition(".")[0]
        if ".ls" in t:
            continue
        out[t] = h
        if t.endswith("mlp.fc1"):
            out[t.replace("fc1", "act")] = h.rpartition(".")[0] + ".activation"
        while ".downsample." in t or (".blocks." in t and t.count(".") > 3):
            t, h = t.rpartition(".")[0], h.rpartition(".")[0]
            out.setdefault(t, h)
    for t, h in list(out.items()):
        if ".blocks." in t and t.count(".") == 3:
            out[t + ".token_mixer"] = h + ".token_mixer"
    return out


def hf_model(net: str, fault: Fault) -> nn.Module:
    """Return transformers' network with the faults in it."""
    s = NETS[net]
    m = (Two if s.two else One)(EfficientFormerConfig(**config(s)))
    m.load_state_dict(tensors(build(net), s), strict=False)
    m.train(False)
    return apply(m, s, fault, hf_paths(s))


def timm_model(net: str, fault: Fault) -> nn.Module:
    return apply(build(net), NETS[net], fault)


class PoolCell(nn.Module):
    """A pooling block under names of its own."""

    def __init__(self, b: nn.Module) -> None:
        super().__init__()
        self.mix, self.gain_a, self.gain_b = b.token_mixer, b.ls1, b.ls2
        m = b.mlp
        self.feed = nn.ModuleList([m.fc1, m.norm1, m.act, m.fc2, m.norm2])

    def forward(self, x: Tensor) -> Tensor:
        y = x = x + self.gain_a(self.mix(x))
        for f in self.feed:
            y = f(y)
        return x + self.gain_b(y)


class TokenCell(nn.Module):
    """An attention block under names of its own."""

    def __init__(self, b: nn.Module) -> None:
        super().__init__()
        self.pre, self.look, self.gain_a = b.norm1, b.token_mixer, b.ls1
        self.mid, self.up, self.bend, self.down, self.gain_b = (
            b.norm2,
            b.mlp.fc1,
            b.mlp.act,
            b.mlp.fc2,
            b.ls2,
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.gain_a(self.look(self.pre(x)))
        return x + self.gain_b(self.down(self.bend(self.up(self.mid(x)))))


class Turn(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).transpose(1, 2)


class Mine(nn.Module):
    """A network written anew: one list of cells, none of timm's or transformers' names."""

    def __init__(self, m: nn.Module, s: Spec) -> None:
        super().__init__()
        self.entry = nn.Sequential(*m.stem.children())
        cells: list[nn.Module] = []
        for stage in m.stages:
            if not isinstance(stage.downsample, nn.Identity):
                cells.append(nn.Sequential(stage.downsample.conv, stage.downsample.norm))
            for b in stage.blocks:
                cells.append(
                    Turn()
                    if not hasattr(b, "mlp")
                    else TokenCell(b)
                    if hasattr(b, "norm1")
                    else PoolCell(b)
                )
        self.cells = nn.ModuleList(cells)
        self.close, self.first_exit, self.second_exit = m.norm, m.head, m.head_dist
        self.mix = getattr(m, "average", None)

    def forward(self, image: Tensor) -> Tensor:
        x = self.entry(image)
        for cell in self.cells:
            x = cell(x)
        x = self.close(x).mean(1)
        a, b = self.first_exit(x), self.second_exit(x)
        if isinstance(self.second_exit, nn.Identity):
            return a
        return self.mix(a, b) if self.mix else 0.5 * a + 0.5 * b


def mine(net: str, fault: Fault) -> nn.Module:
    return Mine(timm_model(net, fault), NETS[net])


def module(
    kind: Callable[[str, Fault], nn.Module], net: str, fault: Fault, naming: str = "hf"
) -> Callable[[Path], Made]:
    """Hand in a module."""

    def make(folder: Path) -> Made:
        return Made(
            write(folder / "reference", net, naming=naming),
            kind(net, fault),
            None,
            proof(net, fault),
        )

    return make


# --- recordings


def keras(path: str) -> str:
    return (
        path.replace("stages.", "stage_").replace(".blocks.", "/block_").replace(".", "/")
        + "/out:0"
    )


def rust(path: str) -> str:
    return (
        path.replace("stages", "s")
        .replace(".blocks.", "b")
        .replace("token_mixer", "mixer")
        .replace(".", "::")
    )


def jax(path: str) -> str:
    return (
        "intermediates/"
        + path.replace("stages.", "Stage_").replace("blocks.", "Block_").replace(".", "/")
        + "/__call__/0"
    )


def record(net: str, fault: Fault, rename: Callable[[str], str] | None = None, only: Iterable[str] | None = None,
           hidden: Iterable[str] = (), last: bool = False, batch: bool = True, maps: bool = False, numbers: bool = False,
           order: str = "forward", suffix: str = "npz", pixels: str | None = "pixel_values", dtype: str = "f4",
           extra: bool = False, change: Callable[[str, np.ndarray], np.ndarray] | None = None, B: int | None = None,
           naming: str = "hf", image: Path | None = None, x: Callable[[], tuple[Tensor, Tensor]] | None = None,
           ) -> Callable[[Path], Made]:  # fmt: skip
    """Hand in a recording: the port's arrays, as somebody would have saved them."""
    s = NETS[net]

    def out(path: str, a: np.ndarray) -> np.ndarray:
        if change:
            a = change(path, a)
        if maps and a.ndim == 3 and a.shape[1] == s.grid[0] * s.grid[1]:
            a = a.reshape(len(a), *s.grid, -1).transpose(0, 3, 1, 2)
        if last and a.ndim == 4 and not path.endswith("attn"):
            a = a.transpose(0, 2, 3, 1)
        return np.ascontiguousarray(a[0] if not batch else a, dtype)

    def make(folder: Path) -> Made:
        right, given = x() if x else (None, picture(s, batch=B or (None if batch else 1)))
        seen = proof(net, fault, given, right)
        held = [
            (p, w) for p, _, w in seen[1:] if (only is None or any(fnmatchcase(p, g) for g in only))
        ]
        held = [(p, w) for p, w in held if not any(fnmatchcase(p, g) for g in hidden)]
        arrays = [((rename or str)(p), out(p, w)) for p, w in held]
        if pixels:
            arrays.insert(0, (pixels, out("pixel_values", given.numpy())))
        if extra:
            r = np.random.default_rng(5)
            arrays += [("timestamps", np.arange(17.0)), ("grad_norm", r.random((4, 33), np.float32)),
                       ("again", arrays[len(arrays) // 2][1]), ("labels", np.array([1, 0]))]  # fmt: skip
        if order == "shuffle":
            random.Random(3).shuffle(arrays)
        elif order == "reverse":
            arrays.reverse()
        if numbers:
            arrays = [(f"arr_{i}", a) for i, (_, a) in enumerate(arrays)]
        path = folder / f"activations.{suffix}"
        if suffix == "npz":
            np.savez(path, **dict(arrays))
        else:
            save_file(dict(arrays), path)
        return Made(write(folder / "reference", net, naming=naming), path, image, seen)

    return make


# --- ONNX


def export(net: str, fault: Fault, opset: int = 17, kind: Callable[[str, Fault], nn.Module] = timm_model, level: str = "",
           strip: bool = False, dynamic: bool = False, fold: bool = True, train: bool = False) -> Callable[[Path], Made]:  # fmt: skip
    """Hand in a file that PyTorch exported."""

    def make(folder: Path) -> Made:
        path = folder / "port.onnx"
        s = NETS[net]
        mode = torch.onnx.TrainingMode.PRESERVE if train else torch.onnx.TrainingMode.EVAL
        axes = {"image": {0: "batch"}, "logits": {0: "batch"}} if dynamic else None
        torch.onnx.export(kind(net, fault), (picture(s),), str(path), opset_version=opset, dynamo=False, input_names=["image"],
                          output_names=["logits"], dynamic_axes=axes, do_constant_folding=fold, training=mode)  # fmt: skip
        if strip:
            graph = onnx.load(path)
            new: dict[str, str] = {"": ""}
            for node in graph.graph.node:
                node.name = ""
                for field in (node.input, node.output):
                    for i, v in enumerate(field):
                        field[i] = new.setdefault(
                            v, v if v in ("image", "logits") else f"t{len(new)}"
                        )
            for held in graph.graph.initializer:
                held.name = new.get(held.name, held.name)
            del graph.graph.value_info[:]
            onnx.save(graph, path)
        if level:
            path = optimized(path, level)
        return Made(write(folder / "reference", net), path, None, proof(net, fault))

    return make


def optimized(path: Path, level: str) -> Path:
    """Let ONNX Runtime rewrite a graph."""
    o = ort.SessionOptions()
    o.graph_optimization_level = getattr(ort.GraphOptimizationLevel, f"ORT_ENABLE_{level}")
    o.optimized_model_filepath = str(path.with_name("optimized.onnx"))
    o.log_severity_level = 3
    ort.InferenceSession(str(path), o, ["CPUExecutionProvider"])
    return path.with_name("optimized.onnx")


class Hand:
    """A graph written node by node, as a compiler's author would: folded norms, transposed products."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.held: list[Any] = []

    def const(self, a: Any, dtype: Any = np.float32) -> str:
        self.held.append(
            numpy_helper.from_array(np.ascontiguousarray(a, dtype), f"c{len(self.held)}")
        )
        return self.held[-1].name

    def __call__(self, op: str, *x: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, list(x), [f"v{len(self.nodes)}"], **attributes))
        return f"v{len(self.nodes) - 1}"

    def conv(self, x: str, conv: nn.Conv2d, norm: nn.BatchNorm2d, twice: bool = False) -> str:
        w, b = conv.weight.double(), conv.bias.double()
        for _ in range(1 + twice):
            g = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
            w, b = w * g[:, None, None, None], (b - norm.running_mean) * g + norm.bias
        return self(
            "Conv",
            x,
            self.const(w),
            self.const(b),
            strides=list(conv.stride),
            pads=[conv.padding[0]] * 4,
        )

    def gelu(self, x: str, tanh: bool = False) -> str:
        if tanh:
            cube = self("Mul", x, self("Mul", x, x))
            u = self("Add", x, self("Mul", cube, self.const(0.044715)))
            e = self("Tanh", self("Mul", u, self.const((2 / np.pi) ** 0.5)))
        else:
            e = self("Erf", self("Div", x, self.const(2**0.5)))
        return self("Mul", self("Mul", x, self("Add", e, self.const(1))), self.const(0.5))

    def linear(self, x: str, old: nn.Linear) -> str:
        return self("Add", self("MatMul", x, self.const(old.weight.T)), self.const(old.bias))

    def norm(self, x: str, old: nn.LayerNorm, axis: int = -1) -> str:
        d = self("Sub", x, self("ReduceMean", x, axes=[axis]))
        v = self("ReduceMean", self("Mul", d, d), axes=[axis])
        y = self("Div", d, self("Sqrt", self("Add", v, self.const(old.eps))))
        return self("Add", self("Mul", y, self.const(old.weight)), self.const(old.bias))


def by_hand(net: str, fault: Fault, wrong: str = "", place: str = "") -> Callable[[Path], Made]:
    """Hand in a graph made with onnx.helper; `wrong` at `place` does what `fault` does in PyTorch."""

    def make(folder: Path) -> Made:
        s, m, g = NETS[net], build(net), Hand()

        def at(word: str, path: str) -> bool:
            return (wrong, place) == (word, path)

        B, N, H, V = s.batch, s.grid[0] * s.grid[1], s.heads, int(s.ratio * s.key)
        x = g("Relu", g.conv("image", m.stem.conv1, m.stem.norm1, at("twice", "stem.norm1")))
        x = g("Relu", g.conv(x, m.stem.conv2, m.stem.norm2, at("twice", "stem.norm2")))
        for i, stage in enumerate(m.stages):
            if i:
                down = f"stages.{i}.downsample.norm"
                x = g.conv(x, stage.downsample.conv, stage.downsample.norm, at("twice", down))
            for j, b in enumerate(stage.blocks):
                p = f"stages.{i}.blocks.{j}"
                if not hasattr(b, "mlp"):
                    x = g(
                        "Transpose",
                        g("Reshape", x, g.const([B, s.dims[-1], N], np.int64)),
                        perm=[0, 2, 1],
                    )
                elif not hasattr(b, "norm1"):
                    pad = s.pool // 2
                    y = g("AveragePool", x, kernel_shape=[s.pool] * 2, pads=[pad] * 4, strides=[1, 1],
                          count_include_pad=int(at("pad", p + ".token_mixer")))  # fmt: skip
                    x = g("Add", x, g("Mul", g("Sub", y, x), g.const(b.ls1.gamma[:, None, None])))
                    y = g.gelu(
                        g.conv(x, b.mlp.fc1, b.mlp.norm1, at("twice", p + ".mlp.norm1")),
                        at("tanh", p + ".mlp.act"),
                    )
                    y = g.conv(y, b.mlp.fc2, b.mlp.norm2, at("twice", p + ".mlp.norm2"))
                    x = g("Add", x, g("Mul", y, g.const(b.ls2.gamma[:, None, None])))
                else:
                    t = b.token_mixer
                    y = g.linear(g.norm(x, b.norm1), t.qkv)
                    y = g(
                        "Transpose",
                        g("Reshape", y, g.const([B, N, H, 2 * s.key + V], np.int64)),
                        perm=[0, 2, 1, 3],
                    )
                    cut = [0, s.key, 2 * s.key, 2 * s.key + V]
                    q, k, v = (
                        g("Slice", y, *(g.const([c], np.int64) for c in (cut[n], cut[n + 1], 3)))
                        for n in range(3)
                    )
                    a = g(
                        "Mul",
                        g("MatMul", q, g("Transpose", k, perm=[0, 1, 3, 2])),
                        g.const(s.key**-0.5),
                    )
                    a = g("Add", a, g.const(t.attention_biases[:, t.attention_bias_idxs]))
                    a = g("Softmax", a, axis=2 if at("axis", p + ".token_mixer.attn") else 3)
                    y = g(
                        "Reshape",
                        g("Transpose", g("MatMul", a, v), perm=[0, 2, 1, 3]),
                        g.const([B, N, H * V], np.int64),
                    )
                    x = g("Add", x, g("Mul", g.linear(y, t.proj), g.const(b.ls1.gamma)))
                    y = g.gelu(g.linear(g.norm(x, b.norm2), b.mlp.fc1), at("tanh", p + ".mlp.act"))
                    x = g("Add", x, g("Mul", g.linear(y, b.mlp.fc2), g.const(b.ls2.gamma)))
        x = g("ReduceMean", g.norm(x, m.norm), axes=[1], keepdims=0)
        y = g("Gemm", x, g.const(m.head.weight), g.const(m.head.bias), transB=1)
        if s.two:
            other = g("Gemm", x, g.const(m.head_dist.weight), g.const(m.head_dist.bias), transB=1)
            y = g("Mul", g("Add", y, other), g.const(0.5))
        g.nodes.append(helper.make_node("Identity", [y], ["scores"]))
        graph = helper.make_graph(g.nodes, "network", [helper.make_tensor_value_info("image", TensorProto.FLOAT, [B, 3, *s.size])],
                                  [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [B, s.labels])], g.held)  # fmt: skip
        onnx.save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
            folder / "hand.onnx",
        )
        return Made(write(folder / "reference", net), folder / "hand.onnx", None, proof(net, fault))

    return make


# --- checkpoints


def checkpoint(net: str, change: Callable[[dict[str, Tensor]], Any], naming: str = "timm", lone: bool = False,
               seed: int = 0) -> Callable[[Path], Made]:  # fmt: skip
    """Hand in tensors; `change` edits them under timm's names."""

    def make(folder: Path) -> Made:
        s = NETS[net]
        m = build(net)
        state = dict(m.state_dict())
        change(state)
        reference = write(folder / "reference", net)
        other = write(folder / "other", net, m, naming)
        x = picture(s)
        again = blank(s)
        from safetensors.torch import load_file

        load(again, s, load_file(other / "model.safetensors"), naming)
        a = listen(open_attention(build(net), s), x, s)
        b = listen(open_attention(again, s), x, s)
        seen = [("pixel_values", x.numpy(), x.numpy()), *((p, a[p], b[p]) for p in paths(s))]
        return Made(reference, other / "model.safetensors" if lone else other, None, seen)

    return make
