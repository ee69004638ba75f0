"""What is asked first: mistakes that leave marks which no other one has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..steps import INPUT, Step
from .arrangement import arrangements
from .bridge import Bridge
from .case import Case, Finding
from .causes import CAUSES
from .halves import UNITS, is_half, of_rounded_inputs
from .walk import measured

ROUNDINGS = 8.0
"""A few steps in half precision change an array by no more than so many of its roundings."""
STEM = 40
"""How many steps are looked at for what a wrong picture gives."""


def by_entrance(case: Case) -> Finding | None:
    """Find a mistake in the preparation of the picture, or in how the first layer reads it."""
    first = case.walk.chain[0]
    if case.suspects[0] is not first:
        return None
    for word, pixels in case.entrance.mistakes():
        if pixels.shape[1:3] == case.entrance.pixels.shape[1:3]:
            start = {INPUT: Bridge(pixels, np.zeros(()))}
            met = next(case.trail.met(start, case.trail.limit, end=STEM, quick=True), None)
            if met is not None:
                step = first if case.entrance.is_recorded else Step(INPUT, "identity", ())
                if word in CAUSES:
                    return Finding(step, word, case.beside(*met))
                return Finding(step, None, case.beside(*met), word)
    return None


def by_half(case: Case, near: Sequence[Step]) -> Finding | None:
    """Find a step that was computed, or stored, in half precision."""
    for i, step in enumerate(near):
        inputs = case.inputs(step)
        if inputs is None:
            continue
        right = case.walk.bridged[step.path]
        for candidate in case.pool.by_size.get(right.value.size, ()):
            for way in arrangements(candidate.array.shape, right.value.shape)[:6]:
                kind = is_half(step, inputs, way, candidate.array)
                if kind is not None:
                    match = measured(candidate, way, right.value, right.bound)
                    found = Finding(step, "half_precision", match, kind)
                    return _half_before(case, near[:i], found) or found
        for kind, result in of_rounded_inputs(step, inputs, case.free):
            met = case.trail.meets(step, result)
            if met is not None:
                return Finding(step, "half_precision", case.beside(*met), kind)
    return None


def _half_before(case: Case, before: Sequence[Step], found: Finding) -> Finding | None:
    """Find an array before one in half precision that is off by as much as this makes."""
    used = {found.match.candidate.name} if found.match is not None else set()
    for step in before:
        if step.layer == "identity":
            continue
        right = case.walk.bridged[step.path]
        slack = ROUNDINGS * UNITS[found.more] * np.sqrt(np.mean(np.square(right.value)))
        for candidate in case.pool.by_size.get(right.value.size, ()):
            for way in case.ways(candidate, right.value)[:2]:
                off = np.sqrt(np.mean(np.square(way(candidate.array) - right.value)))
                if candidate.name not in used and off < slack:
                    match = measured(candidate, way, right.value, right.bound)
                    return found._replace(step=step, match=match)
    return None
