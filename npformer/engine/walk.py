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
from ..kernels.layout import (
    LANES,
    NO_ROWS,
    NONE,
    ONE_RUN,
    Heads,
    Image,
    Rows,
    Span,
    Window,
    columns_from,
    rows_from,
    whole_layer,
)
from ..kernels.linear import dense, linear, linear_backward
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
    units = Span(first, last)
    start = s.x + image * s.height * s.width * s.x_step
    x, pixel_map = Rows(start, s.x_step), Image(start, s.x_step, s.height, s.width, s.channels)
    y = Rows(s.y + image * s.rows * s.y_step, s.y_step)
    panels = s.y_step // LANES
    layer = whole_layer(s.w, s.k, panels)
    if s.kind == STEM:
        conv1 = whole_layer(s.w, 9 * s.channels, (s.hidden + LANES - 1) // LANES)
        conv2 = whole_layer(s.w2, 9 * s.hidden, panels)
        stem(m, y, pixels, pixel_map, w, conv1, s.hidden, conv2, units, scratch)
    elif s.kind == POOLING_BLOCK:
        wide = (s.hidden + LANES - 1) // LANES
        fc1, fc2 = whole_layer(s.w, s.channels, wide), whole_layer(s.w2, s.hidden, panels)
        pooling_block(
            m, y.at, pixel_map, s.window, w, s.gamma, fc1, fc2, s.activation, s.pairs, units,
            scratch,
        )  # fmt: skip
    elif s.kind == LINEAR:
        residual = Rows(s.residual, s.y_step)
        linear(
            m, Rows(s.y, s.y_step), Rows(s.x, s.x_step), w, layer, images * s.rows,
            s.activation, residual, units, ONE_RUN, NO_ROWS,
        )  # fmt: skip
    elif s.kind == CONV2D:
        windows = Rows(scratch, (s.k + LANES - 1) // LANES * LANES)
        patches(m, windows, pixel_map, Window(s.window, s.stride, s.padding), units)
        dense(m, rows_from(y, first), windows, w, layer, last - first, s.activation, NO_ROWS)
    elif s.kind == PATCHES:
        window = Window(s.window, s.stride, s.padding)
        patches(m, rows_from(y, first), pixel_map, window, units)
    elif s.kind == POOLING:
        gamma = s.gamma + image * s.gamma_step
        pooling(m, rows_from(y, first), pixel_map, s.window, w, gamma, units)
    elif s.kind == LAYER_NORM:
        to, at, affine = rows_from(y, first), rows_from(x, first), Rows(s.w, s.y_step)
        layer_norm(m, to, at, last - first, s.channels, w[s.eps], w, affine)
    elif s.kind == ATTENTION:
        sizes = Heads(s.rows, s.k, s.channels)
        step = (s.rows + LANES - 1) // LANES * LANES
        for head in range(first, last):
            to = columns_from(y, head * s.hidden)
            qkv = columns_from(x, head * (2 * s.k + s.channels))
            attn = Rows(s.attn + (image * s.units + head) * s.rows * step, step)
            attention(m, to, qkv, attn, sizes, w, s.w + head * s.rows * step, scratch)
    elif s.kind == MEAN:
        mean(m, y.at, x, s.height, s.channels)
    else:
        run_training_step(s, m, w, image, units, scratch)


@kernel
def run_training_step(s: Step, m: Array, w: Array, image: int, units: Span, scratch: int) -> None:
    """Do as `run_step`, for those steps that only training has.

    Parameters
    ----------
    s : Step
        What to do.
    m, w : ndarray of float32, flat
        The arena and the weights.
    image : int
        Which image, unless the step takes all images at once.
    units : Span
        Which units.
    scratch : int
        Where in the arena this thread may scribble.
    """
    first, rows = units.first, units.last - units.first
    x, y = rows_from(Rows(s.x, s.x_step), first), rows_from(Rows(s.y, s.y_step), first)
    residual = rows_from(Rows(s.residual, s.y_step), first)
    z, dz = s.z + first * s.x_step, rows_from(Rows(s.dz, s.x_step), first)
    sums = rows_from(Rows(s.sums, s.y_step), first // s.grain * 2)
    panels = s.y_step // LANES
    layer = whole_layer(s.w, s.k, panels)
    if s.kind == LINEAR_FOR_NORM:
        if s.before >= 0:
            batch_norm(m, scratch, x.at, x.step, rows, w, s.before, s.activation, -1)
            x = Rows(scratch, x.step)
        dense(m, y, x, w, layer, rows, NONE, NO_ROWS)
        if s.sums >= 0:
            moments(m, sums, y, rows)
    elif s.kind == BATCH_NORM:
        batch_norm(m, y.at, x.at, y.step, rows, w, s.norm, s.activation, residual.at)
    elif s.kind == BATCH_NORM_SUMS:
        to = rows_from(Rows(s.y, s.x_step), first // s.grain * 2)
        batch_norm_sums(
            m, to.at, dz.at, -1, x.at, z, x.step, rows, w, s.norm, s.activation
        )  # fmt: skip
    elif s.kind == BATCH_NORM_BACKWARD:
        batch_norm_backward(m, dz.at, x.at, z, x.step, rows, w, s.norm)
        if s.w >= 0:
            dense(m, y, dz, w, layer, rows, NONE, residual)
        if s.before >= 0:
            act, before = s.act + first * y.step, s.before_z + first * y.step
            batch_norm_sums(
                m, sums.at, y.at, act, y.at, before, y.step, rows, w, s.before, s.activation
            )  # fmt: skip
    elif s.kind == LINEAR_BACKWARD:
        chunk = max(CHUNK // (s.x_step + s.y_step), 1)
        linear_backward(
            m, Rows(s.y, s.y_step), Rows(s.x, s.x_step), s.k, Rows(s.dz, s.y_step), panels,
            s.height, chunk, units,
        )  # fmt: skip
    elif s.kind == PATCHES_BACKWARD:
        window = Window(s.window, s.stride, s.padding)
        down = (s.height + 2 * s.padding - s.window) // s.stride + 1
        across = (s.width + 2 * s.padding - s.window) // s.stride + 1
        dx = s.y + image * s.rows * s.y_step
        dy = rows_from(Rows(s.x, s.x_step), image * down * across)
        patches_backward(
            m, Image(dx, s.y_step, s.height, s.width, s.channels), dy, window
        )  # fmt: skip
    elif s.kind == POOLING_BACKWARD:
        here = image * s.rows * s.y_step
        seen = Image(s.x + here, s.y_step, s.height, s.width, s.channels)
        pooling_backward(
            m, s.y + here, s.residual + here, seen, s.window, w,
            s.gamma + image * s.gamma_step, s.sums + image * s.y_step, scratch,
        )  # fmt: skip
    elif s.kind == DROP_PATH:
        here = image * s.rows
        to, branch, past = rows_from(y, here), rows_from(x, here), rows_from(residual, here)
        drop_path(m, to.at, branch.at, y.step, rows, w[s.w + image], past.at)


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
