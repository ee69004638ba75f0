"""What went into the other network, and whether it was prepared as the reference prepares it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ...errors import RecordingError
from ...layers import Array
from ..steps import INPUT, Step
from .arrangement import Expected, likeness, sums_of
from .bridge import ahead
from .bridge import recorded as taken
from .causes import CAUSES
from .halves import storage
from .pictures import NAMES, Picture, Pictures, choose, mean_and_std, no_picture, pictures_in
from .preprocessing import (
    NEAR,
    affine_cause,
    crop_of,
    levels_cause,
    misread,
    prepared_otherwise,
)
from .recorded import Recorded, words_of

SAME = 0.95
"""Two preparations of one picture have a correlation above this."""
ONE = 1.01
"""Levels by which libraries differ that resize in whole numbers, by the same filter."""
CLEAR = 4.0
"""Levels by which another filter differs at least somewhere."""
LIKE = 0.5
"""Pictures with a correlation below this are of different things."""


NEARLY = "nearly the same picture, but no preparation of the photograph gives these numbers"


class Entrance(NamedTuple):
    """What is known of the picture."""

    pixels: Array
    """(B, H, W, C), what the reference is given"""
    is_right: bool = True
    cause: str | None = None
    name: str = INPUT
    """under which it was recorded"""
    is_recorded: bool = True
    """whether the other network was certainly given these numbers"""
    error: float = 0.0
    bound: float = NEAR
    note: str = ""
    pictures: Pictures | None = None

    def turned(self) -> Entrance:
        """Return the same with the rows of the picture read as its columns."""
        return self._replace(pixels=np.ascontiguousarray(self.pixels.swapaxes(1, 2)))

    def mistakes(self) -> Iterator[tuple[str, Array]]:
        """Yield what the first layer may have been given instead, with the word for why."""
        if self.pictures is None:
            return
        yield from misread(self.pixels, self.pictures.processor)
        if not self.is_recorded:
            yield from prepared_otherwise(self.pictures)


def enter(source: Recorded, pictures: Pictures, chain: tuple[Step, ...]) -> Entrance:
    """Find what went in.

    Parameters
    ----------
    source : Recorded
    pictures : Pictures
    chain : tuple of Step

    Returns
    -------
    Entrance

    Raises
    ------
    RecordingError
        If there is no picture, or another one than the one that was given.
    """
    given = pictures.given()
    if source.fed is not None:
        if given is not None and given.shape == source.fed.shape:
            wrong = _compared([Picture(INPUT, source.fed)], given, pictures)
            if wrong is not None:
                return wrong
        return Entrance(source.fed, pictures=pictures)
    found = pictures_in(source, pictures)
    for picture in found:
        _check_finite(picture, source)
    if given is not None:
        same = [picture for picture in found if picture.pixels.shape[1:] == given.shape[1:]]
        same = [_without_repetition(picture, given) for picture in same]
        answer = _compared(same, given, pictures)
        if answer is not None:
            if not answer.is_right and answer.cause is None and not answer.note:
                raise RecordingError(
                    f"{source.source}: {answer.name!r} is another picture than the one that was "
                    "given: no preparation of it gives these numbers. Name the photograph that the "
                    "arrays were recorded with"
                )
            return answer
        return Entrance(given, is_recorded=False, pictures=pictures)
    if not found:
        raise no_picture(source, pictures)
    picture = choose(found, lambda pixels: _follows(pixels, source, chain))
    cause = levels_cause(picture.pixels.astype(np.float64), pictures.processor)
    if cause is not None and words_of(picture.name) in NAMES:
        error = _largest_error(picture.pixels, pictures)
        return Entrance(
            picture.pixels, False, cause, picture.name, error=error, pictures=pictures,
            note="seen from its values, which are whole numbers only with another preparation",
        )  # fmt: skip
    return Entrance(picture.pixels, name=picture.name, pictures=pictures)


def _largest_error(pixels: Array, pictures: Pictures) -> float:
    """How far pixels are from the nearest ones that the reference's preparation can give."""
    mean, std = mean_and_std(pictures.processor)
    levels = 255 * (pixels * std + mean)
    return float(
        max(abs((levels - np.clip(np.round(levels), 0, 255)) / 255 / std).max(), NEAR * 1.01)
    )


def _check_finite(picture: Picture, source: Recorded) -> None:
    wrong = int(np.count_nonzero(~np.isfinite(picture.pixels)))
    if wrong and words_of(picture.name) in NAMES:
        raise RecordingError(
            f"{source.source}: {wrong} of the {picture.pixels.size} numbers of the picture "
            f"{picture.name!r} are NaN or infinite; expected finite ones"
        )


def _without_repetition(picture: Picture, given: Array) -> Picture:
    """Compare one image with each of a batch."""
    if len(picture.pixels) != len(given):
        return picture._replace(pixels=picture.pixels[:1])
    return picture


def _compared(found: list[Picture], given: Array, pictures: Pictures) -> Entrance | None:
    """Compare recorded pictures with the one that was given; None if there are none to compare."""
    best: Entrance | None = None
    for name, pixels in found:
        if pixels.shape != given.shape:
            continue
        if np.all(abs(pixels - given) <= NEAR + storage([pixels]) * abs(given)):
            return Entrance(pixels, name=name, pictures=pictures)
    for name, pixels in found:
        if pixels.shape != given.shape:
            continue
        error = float(abs(pixels - given).max())
        said = _cause(pixels, given, pictures)
        note = NEARLY if said is None and _is_nearly(pixels, given) else ""
        cause = said if said in CAUSES else None
        if said is not None and cause is None:
            note = said
        wrong = Entrance(pixels, False, cause, name, error=error, note=note, pictures=pictures)
        if cause is not None or note not in ("", NEARLY):
            return wrong
        if words_of(name) in NAMES or name == INPUT or likeness(pixels, given) > LIKE:
            best = best or wrong
    return best


def _is_nearly(pixels: Array, given: Array) -> bool:
    """Whether two pictures are nearly the same, or would be but for a curve of their levels."""
    if likeness(pixels, given) > SAME:
        return True
    ranks = (x.reshape(-1, x.shape[-1]).argsort(0).argsort(0) for x in (pixels, given))
    return all(likeness(a, b) > SAME for a, b in zip(*(r.T for r in ranks), strict=True))


def _cause(pixels: Array, given: Array, pictures: Pictures) -> str | None:
    """Name the way in which a picture was prepared otherwise."""
    if pixels.shape[-1] == 3:
        cause = affine_cause(given, pixels, pictures.processor)
        if cause is not None:
            return cause
    for word, other in misread(given, pictures.processor):
        if _is_same(other, pixels, NEAR):
            return word
    level = ONE / (255 * mean_and_std(pictures.processor)[1])  # of each color
    for word, other in prepared_otherwise(pictures):
        slack = level if word == "resize" and not _is_same(other, given, CLEAR * level) else NEAR
        if _is_same(other, pixels, slack):
            return word
    return "crop" if crop_of(pixels, pictures) else None


def _is_same(other: Array, pixels: Array, slack: Array | float) -> bool:
    """Whether two pictures agree, in units of pixel values."""
    if other.shape != pixels.shape:
        return False
    larger = max(1.0, float(abs(other).max()) / 4)
    return bool(np.all(abs(other - pixels) <= slack * larger))


def _follows(pixels: Array, source: Recorded, chain: tuple[Step, ...]) -> int:
    """Count how many of the first steps' results were recorded, if these pixels went in."""
    value, count = taken(pixels), 0
    for step in chain[:3]:
        value = ahead(step, [value])
        wanted = Expected(value.value, value.bound)
        same = (array for array in source.arrays.values() if array.size == value.value.size)
        count += any(wanted.match(array, sums_of(array)) is not None for array in same)
    return count
