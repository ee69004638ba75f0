"""Write the test vectors: a folder of safetensors files and a list of what is in them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from shutil import copyfile
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...checkpoints import safetensors_file
from ...checks import require
from ...errors import ConfigError
from ...files.atomic import replacing, write_json
from ...files.paths import as_path
from ...files.shipped import shipped
from ...files.strict_json import read_object
from ...layers import Array
from ...version import __version__
from ..sixteen_bits import ENCODERS
from . import eight_bits
from .answers import ONLY_MOVES, Answer, answer_layer, answer_network, mistakes
from .cases import Case, Layer, table
from .halves import answer_layer_in, answer_network_in
from .layout import LAYOUTS, Layout, arrange_images, arrange_parameter
from .networks import Network, networks

FORMAT = "npformer-vectors"
VERSION = 1
"""Of the format. A later version may add keys and tensors; it changes what these mean only under
another number."""
MANIFEST = "manifest.json"
SPECIFICATION = "vectors.md"
CONFIG = (
    "depths", "hidden_sizes", "downsamples", "num_meta3d_blocks", "resolution", "key_dim",
    "num_attention_heads", "attention_ratio", "mlp_expansion_ratio", "num_channels", "num_labels",
    "pool_size", "downsample_patch_size", "downsample_stride", "downsample_pad",
    "use_layer_scale", "hidden_act", "layer_norm_eps", "batch_norm_eps",
)  # fmt: skip
"""What defines a network, of the keys of its configuration."""
FOLDERS = ("layers", "networks", "readers", *ENCODERS, "int8")
READERS = Path(__file__).parent / "readers"


Progress: TypeAlias = Callable[[str, int, int], None]


class _File(NamedTuple):
    """A file of tensors, and where the manifest tells of it."""

    keys: tuple[str, ...]
    name: str
    make: Callable[[], tuple[dict[str, Array], dict[str, Any]]]
    """its tensors, and its entry in the manifest"""

    @property
    def path(self) -> str:
        """Below the folder."""
        folders = self.keys[1:] if self.keys[0] == "types" else self.keys
        return "/".join((*folders, f"{self.name}.safetensors"))


def _contents(layers: Sequence[Layer], nets: Sequence[Network], layout: Layout) -> Iterator[_File]:
    """Yield what is written, in order."""
    for layer in layers:
        yield _File(("layers",), layer.name, partial(layer_tensors, layer, layout))
    for net in nets:
        yield _File(("networks",), net.name, partial(network_tensors, net, layout))
    for dtype in ENCODERS:
        for layer in layers:
            if layer.name not in ONLY_MOVES:
                make = partial(layer_tensors, layer, layout, dtype)
                yield _File(("types", dtype, "layers"), layer.name, make)
        for net in nets:
            if not net.training:
                make = partial(network_tensors, net, layout, dtype)
                yield _File(("types", dtype, "networks"), net.name, make)
    for whole in eight_bits.table():
        make = partial(eight_bit_tensors, whole, layout)
        yield _File(("types", "int8", "layers"), whole.name, make)


class Vectors(NamedTuple):
    """What `write_vectors` has written."""

    place: Path
    layers: int
    cases: int
    """of layers, in float32"""
    networks: int
    tensors: int
    bytes: int
    """of all files"""


def write_vectors(
    target: str | PathLike[str],
    layout: Layout = "channels_first",
    *,
    progress: Progress | None = None,
) -> Vectors:
    """Write test vectors for an implementation in any language.

    Parameters
    ----------
    target : str or path
        A folder: a new one, an empty one, or one with older test vectors, which are replaced.
    layout : {"channels_first", "channels_last"}
        Axes of images and parameters: as PyTorch and checkpoints have them, or as npformer.
    progress : callable, optional
        Called as ``progress(name, done, total)`` before each layer and network.

    Returns
    -------
    Vectors

    Raises
    ------
    ConfigError
        If there is no such layout, or the folder holds anything else.
    OSError
        If a file cannot be written.

    Notes
    -----
    The manifest is written last: a folder without one is not complete.
    """
    require(layout in LAYOUTS, "layout", layout, f"one of {', '.join(LAYOUTS)}")
    place = as_path(target, "the target", ConfigError)
    _prepare(place)
    known: dict[str, Any] = {}
    files, tensor_count = {}, 0
    all_layers, all_networks = list(table()), networks()
    contents = list(_contents(all_layers, all_networks, layout))
    for done, file in enumerate(contents):
        if progress is not None:
            progress(file.path.removesuffix(".safetensors"), done, len(contents))
        tensors, entry = file.make()
        group = known
        for key in file.keys:
            group = group.setdefault(key, {})
        group[file.name] = {"file": file.path, **entry}
        files[file.path] = _write(place / file.path, tensors)
        tensor_count += len(tensors)
    for source in (shipped(SPECIFICATION, "docs"), *sorted(READERS.glob("*.*"))):
        name = source.name if source.suffix == ".md" else f"readers/{source.name}"
        with replacing(place / name) as temporary:
            copyfile(source, temporary)
        files[name] = _described(place / name)
    manifest = {
        "format": FORMAT, "version": VERSION, "npformer": __version__, "layout": layout,
        "files": files, **known,
    }  # fmt: skip
    write_json(place / MANIFEST, manifest)
    size = sum(file["bytes"] for file in files.values()) + (place / MANIFEST).stat().st_size
    cases = sum(len(layer.cases) for layer in all_layers)
    return Vectors(place, len(all_layers), cases, len(all_networks), tensor_count, size)


def _prepare(place: Path) -> None:
    """Make the folders, and take away the manifest of older vectors."""
    if place.exists() and not place.is_dir():
        raise ConfigError(f"{place}: is a file; expected a folder to write to: name another")
    if place.is_dir():
        manifest = place / MANIFEST
        found = read_object(manifest).get("format") if manifest.is_file() else None
        others = {path.name for path in place.iterdir()} - {*FOLDERS, SPECIFICATION}
        if others and found != FORMAT:
            raise ConfigError(
                f"{place}: holds other files, such as {min(others)}, and no {MANIFEST} of test "
                "vectors; expected a new folder, an empty one, or one with older test vectors: "
                "name another"
            )
        manifest.unlink(missing_ok=True)
    for name in FOLDERS:
        (place / name).mkdir(parents=True, exist_ok=True)


def _write(path: Path, tensors: dict[str, Array]) -> dict[str, Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors_file.write(path, tensors, {"format": FORMAT, "version": str(VERSION)})
    return _described(path)


def _described(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def layer_tensors(
    layer: Layer, layout: Layout, dtype: str = "float32"
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the tensors of a layer's file, and what the manifest says about it."""
    tensors: dict[str, Array] = {}
    cases = []
    for i, case in enumerate(layer.cases):
        if dtype == "float32":
            answer = answer_layer(layer, case, f"{layer.name}/{i}")
        else:
            found = None if case.training else answer_layer_in(dtype, layer, case)
            if found is None:
                continue
            answer = found
        tensors |= _tensors(f"{i}/", answer, layout, layer.images, dtype)
        cases.append(_case(i, case, answer))
    known = [
        {"kind": mistake.kind, "hint": mistake.hint, "exercise": mistake.exercise}
        for mistake in mistakes(layer)
        if dtype == "float32"
    ]
    return tensors, {"cases": cases, "mistakes": known}


def eight_bit_tensors(
    layer: eight_bits.EightBits, layout: Layout
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the same of a layer in eight bits."""
    tensors: dict[str, Array] = {}
    cases = []
    for i, case in enumerate(layer.cases):
        answer = eight_bits.answer_eight_bits(case)
        tensors |= _tensors(f"{i}/", answer, layout, layer.images)
        cases.append(_case(i, case, answer))
    return tensors, {"cases": cases, "mistakes": []}


def network_tensors(
    network: Network, layout: Layout, dtype: str = "float32"
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the tensors of a network's file, and what the manifest says about it."""
    answer = answer_network(network) if dtype == "float32" else answer_network_in(dtype, network)
    return _tensors("", answer, layout, True, dtype), {
        "comment": network.comment,
        "config": {key: getattr(network.config, key) for key in CONFIG},
        "training": network.training,
        **_names(answer),
    }


def _case(number: int, case: Case, answer: Answer) -> dict[str, Any]:
    return {
        "case": str(number), "comment": case.comment, "options": case.options,
        "training": case.training, **_names(answer),
        "wrong": {mistake: list(found) for mistake, found in answer.wrong.items()},
    }  # fmt: skip


def _names(answer: Answer) -> dict[str, list[str]]:
    return {"inputs": list(answer.inputs), "outputs": list(answer.outputs)}


def _tensors(
    prefix: str, answer: Answer, layout: Layout, are_images: bool, dtype: str = "float32"
) -> dict[str, Array]:
    """Return the arrays of a case as they are stored."""
    stored: dict[str, Array] = {}
    encode = ENCODERS.get(dtype, _single)
    images = arrange_images(layout) if are_images else np.asarray
    wide = np.float32 if dtype in ENCODERS else np.float64  # of 16 bits all digits that matter

    def put(name: str, array: Array, role: str) -> None:
        is_parameter = role.startswith(("p.", "dp.", "quantized."))
        arrange = arrange_parameter(role, layout) if is_parameter else images
        if role.endswith(".attn"):  # (B, heads, N, N) is no image
            arrange = np.asarray
        stored[prefix + name] = np.ascontiguousarray(arrange(array))

    for name, array in answer.inputs.items():
        put(name, encode(array), name)
    for name, array in answer.outputs.items():
        if name not in answer.bounds:  # whole numbers
            put(name, array, name)
            continue
        put(name, np.asarray(array, wide), name)
        put(f"bound/{name}", rounded_up(answer.bounds[name]), name)
    for number, found in answer.wrong.items():
        for name, array in found.items():
            put(f"wrong/{number}/{name}", np.asarray(array, np.float64), name)
    return stored


def _single(array: Array) -> Array:
    return array.astype(np.float32)


def rounded_up(bound: Array) -> Array:
    """Return numbers in float32, none of them smaller than it was."""
    with np.errstate(over="ignore"):
        single = bound.astype(np.float32)
    return np.where(single < bound, np.nextafter(single, np.float32(np.inf)), single)
