"""Checkpoints and PyTorch: its files are read, and it loads strictly what is written here."""

from __future__ import annotations

import argparse
import json
import pickle
from ast import literal_eval
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
timm = pytest.importorskip("timm")

from checkpoint_cases import config, folder, parameters, same, tensors
from golden import names as golden_names
from golden import torch_file as golden
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from timm.models._hub import save_for_hf
from timm.models.efficientformer import checkpoint_filter_fn
from transformers.models.efficientformer import (
    convert_efficientformer_original_pytorch_checkpoint_to_pytorch as convert_script,
)

from npformer.checkpoints import (
    convert,
    detect,
    read,
    safetensors_file,
    state_dict,
    torch_file,
    torch_writer,
    write,
)
from npformer.checkpoints.dtypes import Tensors, widen
from npformer.errors import UnsafeCheckpointError, WeightsError
from npformer.layers import Array
from npformer.network import forward
from npformer.network.configuration import EfficientFormerConfig

FOR_TIMM = config(
    depths=[1, 1, 2, 3], hidden_sizes=[6, 8, 10, 12], dim=12, num_meta3d_blocks=2, resolution=7,
    image_size=224, num_attention_heads=8, key_dim=32, attention_ratio=4, downsamples=[True] * 4,
    mlp_expansion_ratio=3, pool_size=5, layer_norm_eps=1e-5,
)  # fmt: skip

WITH_TEACHER = transformers.EfficientFormerForImageClassificationWithTeacher


def hf_config(c: EfficientFormerConfig) -> Any:
    # The class with two heads reads a key that its own configuration lacks.
    return transformers.EfficientFormerConfig(**{**c.to_dict(), "hidden_size": c.hidden_size})


def our_logits(place: Path, pixels: Array) -> Array:
    found = read(place, dtype="float64")
    return forward(pixels.transpose(0, 2, 3, 1), found.params, found.config).logits


def pixels_for(c: EfficientFormerConfig) -> Array:
    side = c.image_size
    return np.random.default_rng(0).standard_normal((2, 3, side, side))


def compare(place: Path, model: Any, c: EfficientFormerConfig) -> None:
    """The network at a path gives the same answers as PyTorch's."""
    pixels = pixels_for(c)
    model = model.double().eval()
    with torch.no_grad():
        out = model(torch.from_numpy(pixels))
    expected = out if isinstance(out, torch.Tensor) else out.logits
    np.testing.assert_allclose(our_logits(place, pixels), expected.numpy(), rtol=0, atol=1e-12)


def randomized(model: Any) -> Any:
    """The network with random parameters and statistics."""
    rng = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            low = 0.5 if "var" in name else -0.5
            tensor.copy_(torch.rand(tensor.shape, generator=rng) + low)
    return model


# Names


@pytest.mark.parametrize("variant", ["l1", "l3", "l7"])
def test_the_golden_names_are_the_references_own(variant: str) -> None:
    rows = golden_names.rows(variant)
    c = EfficientFormerConfig.variant(variant)
    first = c.depths[-1] - c.num_meta3d_blocks + 1
    for row in rows:
        assert convert_script.rename_key(row["original"], first) == row["hf"]
    originals = {row["original"]: row["original"] for row in rows}
    assert checkpoint_filter_fn(originals, None) == {row["timm"]: row["original"] for row in rows}
    with torch.device("meta"):
        hf = WITH_TEACHER(hf_config(c))
        networks = {"hf": hf, "timm": timm.create_model(f"efficientformer_{variant}")}
    for naming, network in networks.items():
        assert {k: (tuple(t.shape), str(t.dtype)) for k, t in network.state_dict().items()} == {
            row[naming]: (literal_eval(row["shape"]), row["dtype"]) for row in rows
        }


OTHERS = {
    "efficientformerv2_s0": "EfficientFormerV2", "efficientformerv2_l": "EfficientFormerV2",
    "poolformer_s12": "MetaFormer", "poolformerv2_s12": "MetaFormer", "caformer_s18": "MetaFormer",
    "convformer_s18": "MetaFormer", "levit_128s": "LeViT", "levit_conv_128s": "LeViT",
    "mobilenetv2_100": "MobileNet", "mobilenetv3_small_100": "MobileNet",
    "convnext_atto": "ConvNeXt",
    "fastvit_t8": "FastViT", "swiftformer_xs": "SwiftFormer", "mobilevit_xxs": "MobileViT",
    "repvit_m0_9": "RepViT", "efficientvit_b0": "EfficientViT", "resnet18": "ResNet",
    "vit_tiny_patch16_224": "vision transformer", "swin_tiny_patch4_window7_224": "Swin",
    "tiny_vit_5m_224": "not those of an EfficientFormer",
    "cspresnet50": "not those of an EfficientFormer",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # of timm, about its own code
@pytest.mark.parametrize("name", OTHERS)
def test_other_networks_are_named(name: str) -> None:
    with torch.device("meta"):
        keys = list(timm.create_model(name).state_dict())
    with pytest.raises(WeightsError, match=OTHERS[name]):
        detect(keys, "x")


# What PyTorch writes is read


def test_the_golden_file_is_what_pytorch_writes(tmp_path: Path) -> None:
    torch.save(golden.checkpoint(), tmp_path / "a.pth")
    for entry in ("model", "model_ema"):
        assert same(
            torch_file.read(tmp_path / "a.pth", entry).tensors,
            torch_file.read(golden.GOLDEN, entry).tensors,
        )


DTYPES = [
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
]


@st.composite
def views(draw: st.DrawFn) -> Any:
    """A tensor of any dtype: sliced, with steps, transposed."""
    shape = draw(st.lists(st.integers(1, 5), max_size=4))
    x = torch.arange(int(np.prod(shape)), dtype=torch.float32).reshape(shape) * 1.1
    x = x.to(draw(st.sampled_from(DTYPES)))
    for axis, size in enumerate(shape):
        start = draw(st.integers(0, size - 1))
        x = x.narrow(axis, start, size - start)
        x = x[(slice(None),) * axis + (slice(None, None, draw(st.integers(1, 3))),)]
    return x.permute(draw(st.permutations(range(x.ndim))))


def as_array(x: Any) -> Array:
    return (x.float() if x.dtype == torch.bfloat16 else x).detach().numpy()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tensors=st.lists(views(), min_size=1, max_size=4),
    protocol=st.integers(2, 5),
    parameter=st.booleans(),
    archive=st.booleans(),
)
def test_any_view_is_read(
    tensors: list[Any], protocol: int, parameter: bool, archive: bool, tmp_path: Path
) -> None:
    saved = {str(i): x for i, x in enumerate(tensors)} | {"again": tensors[0]}
    if parameter:
        saved["parameter"] = torch.nn.Parameter(tensors[0].float())
    path = tmp_path / "a.pth"
    torch.save(saved, path, pickle_protocol=protocol, _use_new_zipfile_serialization=archive)
    found = torch_file.read(path).tensors
    assert found.keys() == saved.keys()
    for name, x in saved.items():
        assert widen(found[name]).dtype == as_array(x).dtype
        np.testing.assert_array_equal(widen(found[name]), as_array(x))


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(torch.nn.Linear(1, 1), path)
    with pytest.raises(UnsafeCheckpointError, match=r"torch\.nn\.modules\.linear\.Linear"):
        read(path)
    path.write_bytes(pickle.dumps({"a": torch.ones(1)}))
    with pytest.raises(UnsafeCheckpointError, match="bare pickle"):
        read(path)


def training_states(model: Any) -> dict[str, Any]:
    """What training programs save beside the weights; all of it ``torch.load`` reads."""
    optimizer = torch.optim.AdamW(model.parameters(), 0.1)
    sum(p.sum() for p in model.parameters()).backward()
    optimizer.step()
    schedulers = torch.optim.lr_scheduler
    attributed = torch.ones(3)
    attributed.tag = "a"
    with_attribute = torch.nn.Parameter(torch.ones(3))
    with_attribute.tag = "b"
    return {
        "optimizer": optimizer.state_dict(),
        "MultiStepLR": schedulers.MultiStepLR(optimizer, [3, 5]).state_dict(),
        "cosine": schedulers.CosineAnnealingLR(optimizer, 10).state_dict(),
        "scaler": torch.amp.GradScaler("cpu").state_dict(),
        "generator": torch.get_rng_state(),
        "a generator": torch.Generator().get_state(),
        "best": torch.tensor(71.2),
        "device": torch.device("cpu"),
        "dtypes": DTYPES,
        "size": torch.Size([1, 3]),
        "layout": torch.strided,
        "set, bytes": [{1, 2}, b"abc", 1 + 2j, bytearray(b"a")],
        "Counter": Counter("ab"),
        "OrderedDict": OrderedDict(a=1),
        "keys": {(1, 2): 0.5, 3.5: 1, None: 2, True: 3},
        "small types": [torch.zeros(2, dtype=t) for t in (torch.uint16, torch.float8_e4m3fn)],
        "complex": [torch.tensor([1j]), torch.tensor([1j]).conj()],
        "quantized": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        "sparse": torch.eye(3).to_sparse(),
        "compressed": torch.eye(3).to_sparse_csr(),
        "meta": torch.empty(3, device="meta"),
        "attribute": [attributed, with_attribute],
        "nested": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        "empty": torch.empty(0, 3),
        "shared": [torch.zeros(1).expand(7), torch.arange(5.0).unfold(0, 3, 1)],
    }  # fmt: skip


SMALL = {"depths": [1, 1, 1, 2], "hidden_sizes": [4, 6, 6, 10], "dim": 10, "num_meta3d_blocks": 1,
         "num_labels": 5}  # fmt: skip


@pytest.fixture(scope="module")
def small() -> Any:
    """A small network of transformers."""
    config = transformers.EfficientFormerConfig(**SMALL)
    return randomized(transformers.EfficientFormerForImageClassification(config))


@pytest.fixture(scope="module")
def beside(small: Any) -> dict[str, Any]:
    return training_states(small)


BESIDE = [
    "optimizer", "MultiStepLR", "cosine", "scaler", "generator", "a generator", "best", "device",
    "dtypes", "size", "layout", "set, bytes", "Counter", "OrderedDict", "keys", "small types",
    "complex", "quantized", "sparse", "compressed", "meta", "attribute", "nested", "empty",
    "shared",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # of PyTorch, about its own prototypes
@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize("kind", BESIDE)
def test_what_torch_reads_beside_the_weights_is_in_nobody_s_way(
    kind: str, archive: bool, small: Any, beside: dict[str, Any], tmp_path: Path
) -> None:
    assert beside.keys() == set(BESIDE)
    path = tmp_path / "a.pth"
    saved = {"beside": beside[kind], "state_dict": small.state_dict(), "epoch": 3}
    torch.save(saved, path, _use_new_zipfile_serialization=archive)
    if archive or kind not in ("small types", "nested"):  # PyTorch itself fails at its old files
        torch.load(path, weights_only=True)
    found = torch_file.read(path)
    assert (found.entry, found.others) == ("state_dict", ())
    assert same(found.tensors, numpy_state(small))


@pytest.mark.parametrize("kind", ["NumPy", "namespace", "defaultdict", "path", "module"])
def test_what_torch_would_have_to_trust_is_in_nobody_s_way(
    kind: str, small: Any, tmp_path: Path
) -> None:
    value = {
        "NumPy": [np.float64(3.2), np.arange(3), np.dtype("f4"), np.random.default_rng(0)],
        "namespace": argparse.Namespace(a=1, path=Path("a")),
        "defaultdict": defaultdict(int, a=1),
        "path": Path("a"),
        "module": torch.nn.Linear(1, 1),
    }[kind]
    torch.save({"beside": value, "model": small.state_dict()}, tmp_path / "a.pth")
    assert same(torch_file.read(tmp_path / "a.pth").tensors, numpy_state(small))


def test_weights_as_torch_saves_them(small: Any, tmp_path: Path) -> None:
    state, path = small.state_dict(), tmp_path / "a.pth"
    attributed = torch.nn.Parameter(state["classifier.bias"].clone())
    attributed.tag = "head"
    for changed in (attributed, state["classifier.bias"].as_subclass(torch.nn.Parameter),
                    torch.full((1,), 0.5).expand(5)):  # fmt: skip
        torch.save(state | {"classifier.bias": changed}, path)
        assert read(path).params.head.bias[1] == changed[1]
    torch.serialization.set_crc32_options(False)
    torch.save(state, path)
    torch.serialization.set_crc32_options(True)
    assert same(torch_file.read(path).tensors, numpy_state(small))


def compiled(model: Any) -> Any:
    return torch.compile(model, backend="eager")


@pytest.mark.parametrize(
    ("wrap", "prefix"),
    [
        (torch.nn.DataParallel, "module."),
        (compiled, "_orig_mod."),
        (lambda model: torch.nn.DataParallel(compiled(model)), "module._orig_mod."),
        (torch.optim.swa_utils.AveragedModel, "module."),
        (lambda model: torch.nn.ModuleDict({"model": model}), "model."),
        (lambda model: torch.nn.ModuleDict({"backbone": compiled(model)}),
         "backbone._orig_mod."),
    ],
)  # fmt: skip
def test_wrapped_models(wrap: Any, prefix: str, small: Any, tmp_path: Path) -> None:
    state = wrap(small).state_dict()
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    save_file({n: t.clone() for n, t in state.items()}, tmp_path / "a.safetensors")
    for name in ("a.pth", "a.safetensors"):
        found = read(tmp_path / name)
        assert found.prefix == prefix
        assert same(state_dict(found.params._replace(head_dist=None), found.config, "hf"),
                    numpy_state(small))  # fmt: skip


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_weights_that_transformers_distributes(suffix: str, small: Any, tmp_path: Path) -> None:
    small.save_pretrained(tmp_path, max_shard_size="20KB")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 1
    if suffix == ".bin":  # which newer versions of transformers no longer write
        index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
        for shard in shards:
            torch.save(load_file(shard), tmp_path / f"pytorch_{shard.stem}.bin")
            shard.unlink()
        (tmp_path / "model.safetensors.index.json").unlink()
        index["weight_map"] = {
            name: f"pytorch_{Path(shard).stem}.bin" for name, shard in index["weight_map"].items()
        }
        (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    found = read(tmp_path)
    assert same(state_dict(found.params, found.config, "hf"), numpy_state(small))
    transformers.EfficientFormerForImageClassification.from_pretrained(tmp_path)


@pytest.mark.parametrize("dtype", DTYPES[:4])
def test_safetensors_of_every_dtype(dtype: Any, tmp_path: Path) -> None:
    x = (torch.arange(-60, 60).reshape(10, 12) * 1.1).to(dtype)
    save_file({"x": x}, tmp_path / "a.safetensors")
    found, _ = safetensors_file.read(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(widen(found["x"]), as_array(x))
    safetensors_file.write(tmp_path / "b.safetensors", found)
    again = load_file(tmp_path / "b.safetensors")["x"]
    assert again.dtype == dtype
    assert torch.equal(again, x)
    torch_writer.write(tmp_path / "b.pth", found)
    again = torch.load(tmp_path / "b.pth", weights_only=True)["x"]
    assert again.dtype == dtype
    assert torch.equal(again, x)


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("heads", [0, 1, 2])
def test_folders_of_transformers(heads: int, safe: bool, tmp_path: Path) -> None:
    c = config()
    kind = [
        transformers.EfficientFormerModel,
        transformers.EfficientFormerForImageClassification,
        WITH_TEACHER,
    ][heads]
    model = randomized(kind(hf_config(c)))
    model.save_pretrained(tmp_path, safe_serialization=safe)
    assert {path.name for path in tmp_path.iterdir()} >= {
        "model.safetensors" if safe else "pytorch_model.bin"
    }
    found = read(tmp_path, dtype="float64")
    assert (found.params.head is None, found.params.head_dist is None) == (heads < 1, heads < 2)
    if heads:
        compare(tmp_path, model, c)
    else:
        pixels = pixels_for(c)
        with torch.no_grad():
            out = model.double().eval()(torch.from_numpy(pixels)).last_hidden_state.mean(1).numpy()
        np.testing.assert_allclose(our_logits(tmp_path, pixels), out, rtol=0, atol=1e-12)


def make_timm(c: EfficientFormerConfig) -> Any:
    return timm.create_model(
        "efficientformer_l1", depths=c.depths, embed_dims=c.hidden_sizes, num_classes=c.num_labels,
        num_vit=c.num_meta3d_blocks, mlp_ratios=c.mlp_expansion_ratio, pool_size=c.pool_size,
    )  # fmt: skip


def test_a_folder_of_timm(tmp_path: Path) -> None:
    model = randomized(make_timm(FOR_TIMM))
    save_for_hf(model, tmp_path, model_args={"pool_size": 5}, safe_serialization="both")
    for name in ("model.safetensors", "pytorch_model.bin"):
        assert read(tmp_path).source == str(tmp_path / name)
        assert read(tmp_path).processor["size"] == {"shortest_edge": 235}
        compare(tmp_path, model, FOR_TIMM)
        (tmp_path / name).unlink()


# What is written PyTorch loads


def test_a_folder_for_transformers(tmp_path: Path) -> None:
    c = config()
    for heads in ({}, {"head_dist": None}, {"head_dist": None, "head": None}):
        write(tmp_path, c, parameters(c)._replace(**heads))
        (kind,) = json.loads((tmp_path / "config.json").read_text())["architectures"]
        model, report = getattr(transformers, kind).from_pretrained(
            tmp_path, output_loading_info=True
        )
        assert not any(report.values()), report
        if "head" not in heads:
            compare(tmp_path, model, c)
    processor = transformers.EfficientFormerImageProcessor.from_pretrained(tmp_path)
    assert processor.size == {"shortest_edge": 36}


def test_a_folder_for_timm(tmp_path: Path) -> None:
    write(tmp_path, FOR_TIMM, parameters(FOR_TIMM), naming="timm")
    model = timm.create_model(f"local-dir:{tmp_path}", pretrained=True)
    compare(tmp_path, model, FOR_TIMM)
    how = timm.data.resolve_model_data_config(model)
    assert how["input_size"] == (3, 224, 224)
    assert int(224 / how["crop_pct"]) == 235


def test_published_networks_for_timm(tmp_path: Path) -> None:
    c = EfficientFormerConfig.variant("l1")
    write(tmp_path, c, parameters(c), naming="timm")
    model = timm.create_model(f"local-dir:{tmp_path}", pretrained=True)
    assert same(numpy_state(model), tensors_of(tmp_path / "model.safetensors"))


def tensors_of(path: Path) -> Tensors:
    return safetensors_file.read(path)[0]


def numpy_state(model: Any) -> Tensors:
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_files_are_loaded_strictly(ending: str, tmp_path: Path) -> None:
    place = folder(tmp_path / "first", FOR_TIMM, tensors(FOR_TIMM))

    def state(to: Any) -> Any:
        path = tmp_path / f"{to}{ending}"
        convert(place, path, to=to)
        if ending == ".safetensors":
            return load_file(path)
        return torch.load(path, weights_only=True)

    hf = WITH_TEACHER(hf_config(FOR_TIMM))
    hf.load_state_dict(state("hf"), strict=True)
    compare(place, hf, FOR_TIMM)
    for_timm = make_timm(FOR_TIMM)
    for_timm.load_state_dict(state("timm"), strict=True)
    compare(place, for_timm, FOR_TIMM)
    original = state("original")
    if ending == ".safetensors":  # which has no order, and timm relies on the order
        assert original.keys() == state_dict(parameters(FOR_TIMM), FOR_TIMM, "original").keys()
        return
    # The references' own converters take the original's names.
    for_timm.load_state_dict(checkpoint_filter_fn(original["model"], for_timm), strict=True)
    compare(place, for_timm, FOR_TIMM)
    renamed = convert_script.convert_torch_checkpoint(original["model"], 2)
    hf.float().load_state_dict(renamed, strict=True)
    assert same(numpy_state(hf), tensors(FOR_TIMM))
