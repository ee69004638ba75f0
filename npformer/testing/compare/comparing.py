"""Compare another implementation with the reference, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...checkpoints import safetensors_file
from ...errors import MissingWeights, RecordingError
from ...layers import Array
from ...network.configuration import EfficientFormerConfig
from ..steps import INPUT, Step
from .arrangement import likeness
from .case import LIKE, Case, Finding
from .comparison import Comparison
from .diagnose import diagnose
from .entrance import Entrance, enter
from .halves import computed_in_half, storage
from .names import claims, layer_of
from .pictures import Pictures, shapes_of
from .recorded import Candidate, Recorded, file_of, from_mapping, from_npz, is_checkpoint
from .reference import (
    Reference,
    as_other,
    as_reference,
    chain_of,
    changed_in,
    held_by,
    other_parameter,
    record_checkpoint,
)
from .rows import Layer, Wrong
from .small import small_fault
from .torch_module import is_module, record_module
from .walk import Pool, Walk

Progress = Callable[[str, int, int], None]

OF_FLOAT32 = 2.0**-24
"""The largest relative error of rounding to float32."""

SLIGHT = 3.0
"""An array that is off by fewer bounds may have been rounded when it was recorded."""


def compare(
    reference: Any,
    other: Any,
    image: Any = None,
    *,
    entry: str | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Find the first layer in which another implementation goes wrong, and why.

    Each layer is judged by itself, on what the other network gave to it, with a bound on rounding
    that is derived, not guessed (`npformer.testing.error_bound`). A cause is named only if the
    mistake reproduces the other's numbers.

    Parameters
    ----------
    reference : str, path, or what `npformer.load` returns
        A folder, a file or a name, as in `npformer.load`. It is right by definition.
    other : str, path, mapping of arrays, torch.nn.Module, or what `npformer.load` returns
        An ONNX file, which is run with every intermediate value exposed; activations that were
        recorded anywhere, in a mapping, an ``.npz`` or a ``.safetensors`` file, under any names and
        with axes in any order; a PyTorch module, which is run as it is; or another checkpoint.
    image : path, bytes, file, PIL.Image or ndarray, optional
        The photograph that went in; an array of four dimensions is taken for ``pixel_values``,
        (B, C, H, W). Needed for recorded arrays that do not contain the picture. If it is given,
        how it was prepared is compared as well.
    entry : str, optional
        Which weights to read from a PyTorch file that has several.
    progress : callable, optional
        Called as ``progress(path, done, total)`` before each step.

    Returns
    -------
    Comparison
        True if no layer is wrong; prints as a table; ``save("page.html")`` writes a page.

    Raises
    ------
    RecordingError
        If `other` is nothing that can be compared with this reference, such as a file that is no
        network, arrays of other pictures, or too few of them.
    MissingWeights, WeightsError, UnsafeCheckpointError, ConfigError, OfflineError, OSError
        If the reference, or another checkpoint, cannot be read.
    ImageError
        If the photograph cannot be read.
    MissingPackage
        If a package is missing that an ONNX file or a module needs.
    TypeError
        If `reference` or `other` is of another kind.

    Examples
    --------
    >>> npformer.compare("tiny", "port.onnx")  # doctest: +SKIP
    """
    known = as_reference(reference, entry)
    chain = chain_of(known)
    pictures = Pictures(known.config, known.params, known.processor, image)
    source = _record(other, known, pictures, entry)
    claimed = claims(source.arrays, chain, known.config)
    entrance = enter(source, pictures, chain)
    if entrance.cause is not None or not entrance.is_right:
        return _wrong_picture(known, source, entrance)
    numbers = {step.path: i for i, step in enumerate(chain)}

    def tell(path: str) -> None:
        if progress is not None:
            progress(path, numbers[path], len(chain))

    judged = _judge(known, chain, source, claimed, entrance, tell)
    if _may_lie_on_its_side(judged, source, pictures):
        turned = _judge(known, chain, source, claimed, entrance.turned(), tell)
        judged = turned if _lies_on_its_side(turned, judged) else judged
    may_be_rounded = source.fed is None or source.has_two_precisions()
    if judged.finding is not None and may_be_rounded and not source.parameters:
        unit = storage(source.arrays.values()) or OF_FLOAT32
        match = judged.finding.match
        is_slight = match is not None and 1 < match.ratio < SLIGHT
        if unit > OF_FLOAT32 or judged.finding.cause is None or is_slight:
            rounded = _judge(known, chain, source, claimed, judged.entrance, tell, unit)
            judged = rounded if _was_rounded(judged, rounded, unit) else judged
    walk, finding, entrance = judged
    told = finding is not None and (
        finding.cause or finding.more or source.fed is not None or _is_like(finding, walk)
    )
    if not told and not walk.matches:
        raise _nothing_fits(source, walk, entrance)
    return _comparison(known, source, walk, finding, entrance)


def _is_like(finding: Finding, walk: Walk) -> bool:
    """Whether a wrong array is like the right one in space: the same picture went in."""
    match, right = finding.match, walk.bridged.get(finding.step.path)
    if match is None or right is None or match.way.shape != right.value.shape:
        return False
    axes = tuple(range(right.value.ndim - 1))
    one, other = (x - x.mean(axes) for x in (match.array().astype(np.float64), right.value))
    return likeness(one, other) > LIKE


class _Judged(NamedTuple):
    """What became of a recording."""

    walk: Walk
    finding: Finding | None
    entrance: Entrance


def _judge(
    known: Reference,
    chain: tuple[Step, ...],
    source: Recorded,
    claimed: Mapping[str, str],
    entrance: Entrance,
    tell: Callable[[str], None],
    unit: float = 0.0,
) -> _Judged:
    """Go through all steps, and find the first wrong one."""
    found = [
        Candidate(name, array)
        for name, array in source.arrays.items()
        if array.size > 1 and name != entrance.name
    ]
    walk = Walk(chain, Pool(found), claimed, unit)
    walk.start(INPUT, walk.taken(entrance.pixels, INPUT))
    walk.run(tell)
    finding = diagnose(Case(walk, found, source, known.config, entrance))
    finding = _by_parameters(finding, chain, source, walk, known.config)
    if finding is None and not unit and (small := small_fault(walk, tell)) is not None:
        changed, match = small
        finding = Finding(changed.step, changed.word, match, changed.more)
    return _Judged(walk, finding, entrance)


def _was_rounded(judged: _Judged, rounded: _Judged, unit: float) -> bool:
    """Whether arrays were rounded only when they were recorded: then more of them are right."""
    if unit > OF_FLOAT32 and computed_in_half(rounded.walk):
        return False
    if rounded.finding is None:
        return True
    first, later = (
        judged.walk.place[found.step.path] for found in (judged.finding, rounded.finding) if found
    )
    return later > first


def _may_lie_on_its_side(judged: _Judged, source: Recorded, pictures: Pictures) -> bool:
    """Whether a square picture may have been recorded with its columns for rows.

    Read upright, the kernels of the stem look transposed then.
    """
    finding, pixels = judged.finding, judged.entrance.pixels
    if finding is None or not finding.step.path.startswith("stem."):
        return False
    is_open = source.fed is None and pictures.image is None and judged.entrance.is_recorded
    return is_open and pixels.shape[1] == pixels.shape[2]


def _lies_on_its_side(turned: _Judged, upright: _Judged) -> bool:
    """Whether everything agrees with a picture on its side, the order of tokens too.

    Or more of it than with an upright one.
    """
    walk, finding, _ = turned
    order = next((step.path for step in walk.chain if step.layer == "flat"), None)
    is_shown = order is not None and (order in walk.matches or order in walk.cleared)
    if finding is None:
        return is_shown
    first = upright.finding
    if first is None or walk.place[finding.step.path] < walk.place[first.step.path]:
        return False
    if is_shown:
        return True
    if finding.step.path.startswith("stem."):
        return first.cause in (None, "parameter") and finding.cause not in (None, "parameter")
    return finding.cause is not None and finding.cause not in ("weight_transposed", "token_order")


def _record(other: Any, known: Reference, pictures: Pictures, entry: str | None) -> Recorded:
    """Get the arrays of the other network, whatever it is."""
    if is_module(other):
        found = record_module(other, pictures.make(*pictures.size))
        return replace(found, held=held_by(other, known))
    if isinstance(other, Mapping):
        return from_mapping(other, "the recorded arrays")
    if isinstance(other, (str, PathLike)):
        file = file_of(fspath(other))
        if file is not None and file.suffix.lower() == ".onnx":
            from .onnx_file import record_onnx  # onnx is optional

            return record_onnx(file, pictures.size, known.config.num_channels, pictures.make)
        if file is not None and file.suffix.lower() == ".npz":
            return from_npz(file)
        if file is not None and file.suffix.lower() == ".safetensors":
            arrays = _safetensors(file)
            if arrays is not None:
                return from_mapping(arrays, str(file))
        theirs = as_other(other, known, entry)
    else:
        try:
            theirs = as_reference(other)
        except TypeError:
            raise TypeError(
                f"the other network is a {type(other).__name__}; expected an ONNX file, recorded "
                "arrays (a mapping, .npz or .safetensors), a PyTorch module, or a checkpoint"
            ) from None
    pixels = pictures.make(*pictures.size)
    if pictures.image is not None:
        own = Pictures(theirs.config, theirs.params, theirs.processor, pictures.image).given()
        pixels = pixels if own is None or own.shape != pixels.shape else own
    return record_checkpoint(theirs, known, pixels)


def _safetensors(file: Path) -> dict[str, Array] | None:
    """Read recorded arrays; None if the file is a checkpoint."""
    if not file.is_file():
        raise MissingWeights(f"{file}: no such file; expected recorded arrays or a checkpoint")
    arrays = safetensors_file.read(file)[0]
    return None if is_checkpoint(list(arrays)) else arrays


def _by_parameters(
    finding: Finding | None,
    chain: tuple[Step, ...],
    source: Recorded,
    walk: Walk,
    config: EfficientFormerConfig,
) -> Finding | None:
    """Take the parameters themselves into account, where they are known."""
    if finding is not None and finding.cause is None and source.held:
        changed = changed_in(finding.step, source.held, config)
        return finding if changed is None else finding._replace(cause=changed[0], more=changed[1])
    if not source.parameters:
        return finding
    differs = other_parameter(chain, source.parameters, config)
    if differs is None:
        return finding
    step, word, path = differs
    if finding is None or walk.place[step.path] <= walk.place[finding.step.path]:
        match = finding.match if finding is not None and finding.step is step else None
        return Finding(step, word, match or walk.matches.get(step.path), path)
    return finding


def _comparison(
    known: Reference, source: Recorded, walk: Walk, finding: Finding | None, entrance: Entrance
) -> Comparison:
    """Put together what was found."""
    layers = []
    for step in walk.chain:
        if finding is not None and step.path == finding.step.path:
            break
        match = walk.matches.get(step.path)
        if match is not None and step.layer != "identity":
            layers.append(
                Layer(step.path, match.candidate.name, match.error, match.bound, match.ratio)
            )
    if finding is None:
        return Comparison(
            known.source,
            source.source,
            None,
            None,
            tuple(layers),
            notes=_notes(walk, source, entrance),
        )
    wrong = None
    path = finding.step.path
    if (match := finding.match) is not None:
        layers.append(Layer(path, match.candidate.name, match.error, match.bound, match.ratio))
        right = walk.bridged.get(path)
        if right is not None and right.value.shape == match.way.shape:
            wrong = Wrong(path, match.array().astype(np.float64), right.value, right.bound)
    first = layer_of(path, f"{path.rpartition('.')[0]}.norm2" in walk.by_path)
    more = finding.more
    if match is not None and match.candidate.not_finite:
        count = f"{match.candidate.not_finite} of {match.candidate.array.size} numbers"
        more = f"{more}; {count} are not finite" if more else f"{count} are not finite"
    return Comparison(
        known.source, source.source, first, finding.cause, tuple(layers), path, more,
        _notes(walk, source, entrance, is_right=False), wrong,
    )  # fmt: skip


def _notes(
    walk: Walk, source: Recorded, entrance: Entrance, is_right: bool = True
) -> tuple[str, ...]:
    """Say what was not compared."""
    notes = []
    if entrance.note:
        notes.append(entrance.note)
    final = walk.chain[-1].path
    if is_right and walk.matches and final not in walk.matches:
        last = [step.path for step in walk.chain if step.path in walk.matches][-1]
        notes.append(f"the last layer that was recorded is {last}")
    if not source.outputs and len(walk.matches) < 3:
        notes.append("few arrays were recorded: record more layers for a sharper answer")
    return tuple(notes)


def _wrong_picture(known: Reference, source: Recorded, entrance: Entrance) -> Comparison:
    """Say that the picture itself is wrong."""
    error = float(entrance.error)
    layer = Layer(INPUT, entrance.name, error, entrance.bound, error / entrance.bound)
    return Comparison(
        known.source, source.source, INPUT, entrance.cause, (layer,), INPUT, entrance.note
    )


def _nothing_fits(source: Recorded, walk: Walk, entrance: Entrance) -> RecordingError:
    """Say that the arrays have nothing to do with the reference."""
    sizes = {bridge.value.size for bridge in walk.bridged.values()}
    alike = [
        name
        for name, array in source.arrays.items()
        if array.size in sizes and name != entrance.name
    ]
    shapes = [
        f"{step.path} {'×'.join(map(str, walk.bridged[step.path].value.shape))}"
        for step in walk.chain
        if step.path in walk.bridged and step.path in ("stem", "norm", "logits")
    ]
    expected = f"the reference has {', '.join(shapes)} (channels last; any order of axes will do)"
    if not alike:
        return RecordingError(
            f"{source.source}: none of its {len(source.arrays)} arrays ({shapes_of(source)}) has "
            f"as many numbers as the result of a layer; {expected}. Expected arrays of this "
            "network, or the reference that they belong to"
        )
    return RecordingError(
        f"{source.source}: {len(alike)} of its {len(source.arrays)} arrays have the size of a "
        f"layer's result, but nothing in them follows from this picture by the reference; "
        f"{expected}. They may be of another picture or another network: record the picture that "
        "went in, too, or name it with --image"
    )
