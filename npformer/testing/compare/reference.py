"""The reference of a comparison, and other checkpoints beside it."""

from __future__ import annotations

from copy import copy
from itertools import permutations
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from ...checkpoints import assemble, detect, read
from ...checkpoints.dtypes import Tensors
from ...checkpoints.processor import default_processor
from ...errors import ConfigError, NpformerError, RecordingError, WeightsError
from ...images.processor import EfficientFormerImageProcessor
from ...layers import Array, BatchNorm, Trace
from ...network import EfficientFormer, forward
from ...network.configuration import EfficientFormerConfig
from ...network.tree import leaves, transform
from ..sixteen_bits import rounded
from ..steps import INPUT, Step, steps
from .arrangement import likeness
from .explain import UNLIKE
from .initial import is_drawn
from .recorded import Recorded

SHAPES = (
    "depths", "hidden_sizes", "num_meta3d_blocks", "num_channels", "num_attention_heads", "key_dim",
    "num_labels",
)  # fmt: skip
"""Settings in which two checkpoints must agree for their layers to be the same ones."""

ROUNDING = 2.0**-21
"""Two numbers are the same parameter if they differ by no more than this share of it."""


class Reference(NamedTuple):
    """A network that is right by definition."""

    source: str
    config: EfficientFormerConfig
    params: EfficientFormer
    """in float64"""
    processor: EfficientFormerImageProcessor


def as_reference(place: Any, entry: str | None = None) -> Reference:
    """Read a network.

    Parameters
    ----------
    place : str, path, or an object with `params` and `config`
        As in `npformer.checkpoints.read`; or what `npformer.load` or `from_pretrained` returned.
    entry : str, optional
        As in `npformer.checkpoints.read`.

    Returns
    -------
    Reference

    Raises
    ------
    MissingWeights, WeightsError, UnsafeCheckpointError, ConfigError, OfflineError, OSError
        As in `npformer.checkpoints.read`.
    TypeError
        If it is none of these.
    """
    if isinstance(place, (str, PathLike)):
        found = read(place, dtype="float64", entry=entry)
        return Reference(found.source, found.config, found.params, found.image_processor())
    params, config = getattr(place, "params", None), getattr(place, "config", None)
    if not isinstance(config, EfficientFormerConfig) or params is None:
        raise TypeError(
            f"the reference is a {type(place).__name__}; expected a folder, a file or a name, or "
            "what npformer.load returns"
        )
    if not isinstance(params, EfficientFormer):
        raise ConfigError(
            f"the reference is a {type(params).__name__}; expected real weights: load the network "
            "that it was quantized from"
        )
    processor = getattr(place, "processor", None)
    if not isinstance(processor, EfficientFormerImageProcessor):
        keys = processor if isinstance(processor, dict) else default_processor(config, "hf")
        processor = EfficientFormerImageProcessor.from_dict(keys)
    params = transform(lambda a: a.astype(np.float64, copy=False), params)
    return Reference(type(place).__name__, config, params, processor)


def as_other(place: str | PathLike[str], reference: Reference, entry: str | None) -> Reference:
    """Read another checkpoint; what weights alone do not say is taken from the reference.

    Parameters
    ----------
    place : str or path
    reference : Reference
    entry : str, optional
        As in `npformer.checkpoints.read`.

    Returns
    -------
    Reference

    Raises
    ------
    MissingWeights, WeightsError, UnsafeCheckpointError, ConfigError, OfflineError, OSError
        As in `npformer.checkpoints.read`.
    """
    config = copy(reference.config)
    try:
        found = read(place, dtype="float64", entry=entry, config=config)
    except WeightsError:  # of another network: say so
        return as_reference(place, entry)
    processor = reference.processor if found.config is config else found.image_processor()
    return Reference(found.source, found.config, found.params, processor)


def record_checkpoint(other: Reference, reference: Reference, pixels: Array) -> Recorded:
    """Run another checkpoint by the plain layers in float32, and record every array.

    Parameters
    ----------
    other, reference : Reference
    pixels : ndarray, shape (B, H, W, C)

    Returns
    -------
    Recorded

    Raises
    ------
    RecordingError
        If it is another network than the reference.
    """
    for key in SHAPES:
        ours, theirs = getattr(reference.config, key), getattr(other.config, key)
        if ours != theirs:
            raise RecordingError(
                f"{other.source}: its {key} is {theirs}, and {ours} in {reference.source}; "
                "expected a checkpoint of the same network"
            )
    tape = Trace()
    params = transform(lambda a: a.astype(np.float32), other.params)
    answer = forward(pixels.astype(np.float32), params, other.config, tape)
    arrays = {INPUT: pixels, **dict(tape.items()), "logits": answer.logits}
    return Recorded(
        other.source, arrays, ("logits",), pixels, parameters=dict(leaves(other.params))
    )


def held_by(module: Any, reference: Reference) -> dict[str, Array]:
    """Return the parameters that a PyTorch module holds, by timm's keys; none if it has others.

    Parameters
    ----------
    module : torch.nn.Module
    reference : Reference

    Returns
    -------
    dict of str to ndarray of float64
    """
    tensors = {
        name: tensor.detach().cpu().double().numpy()
        for name, tensor in module.state_dict().items()
        if tensor.is_floating_point()
    }
    source = type(module).__name__
    try:
        naming = detect(tensors, source)
        made = assemble(tensors, reference.config, naming, dtype="float64", source=source)
    except NpformerError:
        return {}
    return dict(leaves(made))


def changed_in(
    step: Step, theirs: Tensors, config: EfficientFormerConfig, norm: Step | None = None
) -> tuple[str, str] | None:
    """Find the first parameter of a step that another network does not share.

    Parameters
    ----------
    step : Step
    theirs : dict of str to ndarray
        Parameters of the other, by path.
    config : EfficientFormerConfig
    norm : Step, optional
        The batch norm behind the step.

    Returns
    -------
    tuple or None
        The word for how it differs, and the path.
    """
    for path, right in step.parameters().items():
        found = theirs.get(path)
        if found is None or found.shape != right.shape:
            continue
        if np.any(abs(found - right) > ROUNDING * abs(right) + 1e-30):
            if norm is not None and path.endswith(".weight") and _is_folded(right, found, norm):
                return "norm_twice", path
            return how(path, right, found, config), path
    return None


def _is_folded(right: Array, found: Array, norm: Step) -> bool:
    """Whether a kernel holds the factors of the batch norm behind it."""
    p = norm.params
    if not isinstance(p, BatchNorm):
        return False
    factor = p.weight / np.sqrt(p.running_var + norm.options["eps"])
    return bool(np.allclose(found, right * factor, rtol=1e-4, atol=1e-6 * abs(found).max()))


def other_parameter(
    chain: tuple[Step, ...], theirs: Tensors, config: EfficientFormerConfig
) -> tuple[Step, str, str] | None:
    """Find the first parameter that two checkpoints do not share.

    Parameters
    ----------
    chain : tuple of Step
        Those of the reference.
    theirs : dict of str to ndarray
        Parameters of the other, by path.
    config : EfficientFormerConfig

    Returns
    -------
    tuple or None
        The step that holds it, the word for how it differs, and the path.
    """
    norms = {step.inputs[0]: step for step in chain if step.layer == "batch_norm"}
    for step in chain:
        changed = changed_in(step, theirs, config, norms.get(step.path))
        if changed is None:
            continue
        word, path = changed
        if word == "random_start" and _is_of_another(theirs[path], path, chain):
            word = "parameter"
        return step, word, path
    return None


def _is_of_another(found: Array, path: str, chain: tuple[Step, ...]) -> bool:
    """Whether numbers are those of another parameter of the reference."""
    ours = (pair for step in chain for pair in step.parameters().items())
    return any(
        other != path and right.shape == found.shape and np.allclose(right, found)
        for other, right in ours
    )


def _within_heads(right: Array, found: Array, config: EfficientFormerConfig) -> bool:
    """Whether q, k and v stand in another order within each head."""
    heads, K = config.num_attention_heads, config.key_dim
    by_head = right.reshape(*right.shape[:-1], heads, -1)
    parts = np.split(by_head, [K, 2 * K], axis=-1)
    orders = (np.concatenate(order, -1).reshape(right.shape) for order in permutations(parts))
    return any(np.allclose(order, found) for order in orders)


def how(path: str, right: Array, found: Array, config: EfficientFormerConfig) -> str:
    """Name the way in which a parameter differs."""
    for kind in ("float16", "bfloat16"):
        near = abs(found - rounded(right, kind)) <= ROUNDING * abs(right) + 1e-30
        if np.array_equal(rounded(found, kind), found) and near.all():
            return "half_precision"
    last = path.rpartition(".")[2]
    if not found.any() and right.any():
        return {"bias": "bias_zero", "attention_biases": "bias_missing"}.get(last, "random_start")
    square = right.ndim == 3 and right.shape[1] == right.shape[2]
    if last == "attention_biases" and square and np.allclose(found, right.swapaxes(1, 2)):
        return "bias_transposed"
    if path == "stem.conv1.weight" and np.allclose(found, right[:, :, ::-1]):
        return "bgr"
    if path.endswith(("token_mixer.qkv.weight", "token_mixer.qkv.bias")):
        ours, theirs = np.sort(right, axis=-1), np.sort(found, axis=-1)
        if np.allclose(ours, theirs):
            return "qkv_order" if _within_heads(right, found, config) else "qkv_blocks"
    if last == "weight" and right.ndim == 4:
        turned = right.shape[0] == right.shape[1] and np.allclose(found, right.swapaxes(0, 1))
        if right.size > right[0, 0].size and (turned or np.allclose(found, right[::-1, ::-1])):
            return "weight_transposed"
    if last == "weight" and right.ndim >= 2:
        square = right.shape[-1] == right.shape[-2]
        if square and np.allclose(found, right.swapaxes(-1, -2)):
            return "weight_transposed"
    in_another_order = np.array_equal(np.sort(right, axis=None), np.sort(found, axis=None))
    if last == "weight" and right.ndim >= 2 and in_another_order:
        return "weight_transposed"
    if right.ndim >= 2 and is_drawn(found) and abs(likeness(right, found)) < UNLIKE:
        return "random_start"
    if right.size > 8 and np.ptp(found) == 0 < np.ptp(right):
        return "random_start"
    return "parameter"


def chain_of(reference: Reference) -> tuple[Step, ...]:
    """List the steps of a reference; ConfigError if it has others."""
    return steps(reference.params, reference.config)
