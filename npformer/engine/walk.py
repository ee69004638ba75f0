"""The walk: every thread goes through the steps of a plan, and takes what work is left.

A step is a row of a table: which kernel, where its numbers lie, and into how many parts it may be
cut. The parts of a step do not depend on each other, and each thread has a share of them, always
the same: what it reads is mostly what it wrote in the step before, and still in its own cache. A
thread that comes to a step takes the next part of its share, by a counter, until there is none,
then helps with the shares of others, then waits until all parts are finished, and goes on. So a
thread that comes late or is slow only does less, and if no other thread comes, one does everything.

Before some steps the first thread has something to do in Python, as training has with its losses.
The others wait at a gate, which is much faster than to be sent away and called again.

How a step is cut changes nothing in its numbers: each of them is computed by one thread, in an
order of its own.
"""

from __future__ import annotations

from ..kernels.atomics import atomic_load, fetch_add, yield_thread
from ..kernels.attention import attention
from ..kernels.batch_norm import batch_norm, batch_norm_backward, batch_norm_sums, moments
from ..kernels.conv2d import patches, patches_backward
from ..kernels.drop_path import drop_path
from ..kernels.layer_norm import layer_norm
from ..kernels.layout import LANES, NONE
from ..kernels.linear import FROM_BIAS, ONE_RUN, PACKED, linear, linear_backward
from ..kernels.mean import mean
from ..kernels.pooling import pooling, pooling_backward
from ..kernels.pooling_block import pooling_block
from ..kernels.stem import stem
from ..kernels.vector import kernel
from ..layers import Array
from .steps import (
    ATTENTION,
    BATCH_NORM,
    BATCH_NORM_BACKWARD,
    BATCH_NORM_SUMS,
    CONV2D,
    DROP_PATH,
    LAYER_NORM,
    LINEAR,
    LINEAR_BACKWARD,
    LINEAR_FOR_NORM,
    MEAN,
    PATCHES,
    PATCHES_BACKWARD,
    POOLING,
    POOLING_BACKWARD,
    POOLING_BLOCK,
    STEM,
    Step,
)

CHUNK = 131072
"""Numbers of both matrices that `linear_backward` goes through at a time: 512 kB."""
PATIENCE = 1000
"""how often to look before giving way: a few microseconds"""


@kernel
def run_step(
    s: Step, m: Array, w: Array, pixels: Array, images: int, job: int, parts: int, scratch: int
) -> None:
    """One part of a step.

    Parameters
    ----------
    s : Step
    m, w : ndarray of float32, flat
        The arena and the weights.
    pixels : ndarray of float32, flat
        The images.
    images : int
        How many there are.
    job : int
        Which part, and of which image, unless the step takes all images at once.
    parts : int
        Into how many parts an image is cut.
    scratch : int
        Where in the arena this thread may scribble.
    """
    image, part = job // parts, job % parts
    grains = (s.units + s.grain - 1) // s.grain
    first = part * grains // parts * s.grain
    last = min((part + 1) * grains // parts * s.grain, s.units)
    x = s.x + image * s.height * s.width * s.x_step
    y = s.y + image * s.rows * s.y_step
    if s.kind == STEM:
        stem(
            m, y, s.y_step, pixels, x, s.height, s.width, s.channels,
            w, s.w, s.hidden, s.w2, first, last, scratch,
        )  # fmt: skip
    elif s.kind == POOLING_BLOCK:
        pooling_block(
            m, y, x, s.y_step, s.height, s.width, s.channels, s.window,
            w, s.gamma, s.w, s.hidden, s.w2, s.activation, s.pairs, first, last, scratch,
        )  # fmt: skip
    elif s.kind == LINEAR:
        linear(
            m, s.y, s.y_step, s.x, s.x_step, w, s.w, s.k, s.units,
            images * s.rows, first, last, s.activation, s.residual, s.y_step,
            *ONE_RUN, *FROM_BIAS, *PACKED,
        )  # fmt: skip
    elif s.kind == CONV2D:
        step = (s.k + LANES - 1) // LANES * LANES
        patches(
            m, scratch, step, x, s.x_step, s.height, s.width, s.channels,
            s.window, s.stride, s.padding, first, last,
        )  # fmt: skip
        panels = s.y_step // LANES
        linear(
            m, y + first * s.y_step, s.y_step, scratch, step, w, s.w, s.k, panels,
            last - first, 0, panels, s.activation, -1, 0, *ONE_RUN, *FROM_BIAS, *PACKED,
        )  # fmt: skip
    elif s.kind == PATCHES:
        patches(
            m, y + first * s.y_step, s.y_step, x, s.x_step, s.height, s.width, s.channels,
            s.window, s.stride, s.padding, first, last,
        )  # fmt: skip
    elif s.kind == POOLING:
        pooling(
            m, y + first * s.y_step, s.y_step, x, s.x_step, s.height, s.width, s.channels,
            s.window, w, s.gamma + image * s.gamma_step, first, last,
        )  # fmt: skip
    elif s.kind == LAYER_NORM:
        layer_norm(
            m, y + first * s.y_step, s.y_step, x + first * s.x_step, s.x_step,
            last - first, s.channels, w[s.eps], w, s.w, s.y_step,
        )  # fmt: skip
    elif s.kind == ATTENTION:
        attn_step = (s.rows + LANES - 1) // LANES * LANES
        for head in range(first, last):
            attention(
                m, y + head * s.hidden, s.y_step, x + head * (2 * s.k + s.channels), s.x_step,
                s.attn + (image * s.units + head) * s.rows * attn_step, attn_step,
                s.rows, s.k, s.channels, w, s.w + head * s.rows * attn_step, scratch,
            )  # fmt: skip
    elif s.kind == MEAN:
        mean(m, y, x, s.x_step, s.height, s.channels)
    else:
        run_training_step(s, m, w, image, first, last, scratch)


@kernel
def run_training_step(
    s: Step, m: Array, w: Array, image: int, first: int, last: int, scratch: int
) -> None:
    """Do as `run_step`, for those steps that only training has.

    Parameters
    ----------
    s : Step
    m, w : ndarray of float32, flat
    image : int
    first, last : int
        Which units.
    scratch : int
    """
    x, y, rows = s.x + first * s.x_step, s.y + first * s.y_step, last - first
    z, dz = s.z + first * s.x_step, s.dz + first * s.x_step
    sums = s.sums + first // s.grain * 2 * s.y_step
    panels = s.y_step // LANES
    if s.kind == LINEAR_FOR_NORM:
        if s.before >= 0:
            batch_norm(m, scratch, x, s.x_step, rows, w, s.before, s.activation, -1)
            x = scratch
        linear(
            m, y, s.y_step, x, s.x_step, w, s.w, s.k, panels,
            rows, 0, panels, NONE, -1, 0, *ONE_RUN, *FROM_BIAS, *PACKED,
        )  # fmt: skip
        if s.sums >= 0:
            moments(m, sums, s.y_step, y, s.y_step, rows)
    elif s.kind == BATCH_NORM:
        residual = s.residual + first * s.y_step if s.residual >= 0 else -1
        batch_norm(m, y, x, s.y_step, rows, w, s.norm, s.activation, residual)
    elif s.kind == BATCH_NORM_SUMS:
        sums = s.y + first // s.grain * 2 * s.x_step
        batch_norm_sums(m, sums, dz, -1, x, z, s.x_step, rows, w, s.norm, s.activation)
    elif s.kind == BATCH_NORM_BACKWARD:
        batch_norm_backward(m, dz, x, z, s.x_step, rows, w, s.norm)
        if s.w >= 0:
            residual = s.residual + first * s.y_step if s.residual >= 0 else -1
            linear(
                m, y, s.y_step, dz, s.x_step, w, s.w, s.k, panels,
                rows, 0, panels, NONE, residual, s.y_step, *ONE_RUN, *FROM_BIAS, *PACKED,
            )  # fmt: skip
        if s.before >= 0:
            act, before = s.act + first * s.y_step, s.before_z + first * s.y_step
            batch_norm_sums(
                m, sums, y, act, y, before, s.y_step, rows, w, s.before, s.activation
            )  # fmt: skip
    elif s.kind == LINEAR_BACKWARD:
        chunk = max(CHUNK // (s.x_step + s.y_step), 1)
        linear_backward(
            m, s.y, s.y_step, s.x, s.x_step, s.k, s.dz, s.y_step, panels,
            s.height, chunk, first, last,
        )  # fmt: skip
    elif s.kind == PATCHES_BACKWARD:
        down = (s.height + 2 * s.padding - s.window) // s.stride + 1
        across = (s.width + 2 * s.padding - s.window) // s.stride + 1
        patches_backward(
            m, s.y + image * s.rows * s.y_step, s.y_step,
            s.x + image * down * across * s.x_step, s.x_step, s.height, s.width, s.channels,
            s.window, s.stride, s.padding,
        )  # fmt: skip
    elif s.kind == POOLING_BACKWARD:
        here = image * s.rows * s.y_step
        pooling_backward(
            m, s.y + here, s.residual + here, s.x + here, s.y_step, s.height, s.width,
            s.channels, s.window, w, s.gamma + image * s.gamma_step,
            s.sums + image * s.y_step, scratch,
        )  # fmt: skip
    elif s.kind == DROP_PATH:
        here = (image * s.rows + first) * s.y_step
        residual = s.residual + here if s.residual >= 0 else -1
        drop_path(m, s.y + here, s.x + here, s.y_step, rows, w[s.w + image], residual)


@kernel
def wait(counters: Array, i: int, count: int) -> None:
    """Wait until a counter has come to `count`."""
    looks = 0
    while atomic_load(counters, i) < count:
        looks += 1
        if looks > PATIENCE:
            yield_thread()


@kernel
def execute(
    steps: Array,
    counters: Array,
    m: Array,
    w: Array,
    pixels: Array,
    images: int,
    first: int,
    last: int,
    threads: int,
    thread: int,
    scratch: int,
) -> None:
    """Go through steps number `first` up to `last`.

    Parameters
    ----------
    steps : ndarray of Step
    counters : ndarray of int64, shape (1 + len(steps) · (threads + 2),)
        How many helpers have gone; then for each step how many parts of each share were taken, how
        many are finished in all, and whether its gate is open. Zeros at the start.
    m, w : ndarray of float32, flat
        The arena and the weights.
    pixels : ndarray of float32, flat
        The images, if they are not in the arena.
    images : int
        How many there are.
    first, last : int
    threads : int
        How many threads are expected, to cut steps into as many equal shares.
    thread : int
        Which of them this is; number 0 opens the gates, and the others are helpers.
    scratch : int
        Where in the arena this thread may scribble.
    """
    for i in range(first, last):
        s = steps[i]
        taken = 1 + i * (threads + 2)
        finished, gate = taken + threads, taken + threads + 1
        if s.gate and thread == 0:
            fetch_add(counters, gate, 1)
        elif s.gate:
            wait(counters, gate, 1)
        parts = (s.units + s.chunk - 1) // s.chunk
        parts = min((parts + threads - 1) // threads * threads, (s.units + s.grain - 1) // s.grain)
        jobs = parts if s.kind >= LINEAR else parts * images
        for k in range(threads):
            share = (thread + k) % threads
            begin, end = share * jobs // threads, (share + 1) * jobs // threads
            while True:
                job = begin + fetch_add(counters, taken + share, 1)
                if job >= end:
                    break
                run_step(s, m, w, pixels, images, job, parts, scratch)
                fetch_add(counters, finished, 1)
        wait(counters, finished, jobs)
    if thread > 0:
        fetch_add(counters, 0, 1)
