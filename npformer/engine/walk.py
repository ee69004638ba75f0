"""Execution of a plan: every thread walks through its steps and takes the work that is left.

A step is a row of a table: which kernel, where its numbers lie, and into how many parts it may be
cut. The parts of a step do not depend on each other. Each thread has a share of them, always the
same one, so that it reads mostly what it wrote in the step before, which is still in its cache. At
each step a thread takes the parts of its share one by one, by a counter, then helps with the shares
of others, then waits until all parts are finished. So a thread that comes late or is slow only does
less, and a single thread can do everything.

Beside a busy program two threads have one core and a half. They make use of it because a thread
offers its core to other programs between two parts, when the others do not need it; how, and when a
thread that waits keeps its core, is said in `npformer.engine.turns`.

Before some steps the first thread has something to do in Python, such as the loss in training. The
others wait at a gate, which is much faster than returning and being called again.

How a step is cut does not change its numbers: each is computed by one thread, in a fixed order.
"""

from __future__ import annotations

from ..kernels.atomics import fetch_add
from ..kernels.attention import attention
from ..kernels.batch_norm import batch_norm, batch_norm_backward, batch_norm_sums, moments
from ..kernels.drop_path import drop_path
from ..kernels.im2col import col2im, im2col
from ..kernels.layer_norm import layer_norm
from ..kernels.layout import (
    LANES,
    NO_ROWS,
    NONE,
    ONE_RUN,
    PLACE,
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
from ..kernels.scheduling import clock, current_core
from ..kernels.stem import stem
from ..kernels.vector import kernel
from ..layers import Array
from .quantized_walk import QUANTIZED, run_quantized_step
from .steps import Kind, Step
from .turns import PATIENCE, TURN, leave_core, new_turn, offer, shares_core, wait

CHUNK = 131072
"""How many numbers of both matrices `linear_backward` goes through at a time: 512 kB."""


@kernel
def run_step(
    s: Step, m: Array, w: Array, pixels: Array, images: int, job: int, parts: int, scratch: int
) -> None:
    """One part of a step.

    Parameters
    ----------
    s : Step
        What to do.
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
    start = s.x + image * s.x_rows * s.x_step
    x, pixel_map = Rows(start, s.x_step), Image(start, s.x_step, s.height, s.width, s.channels)
    y = Rows(s.y + image * s.rows * s.y_step, s.y_step)
    panels = s.y_step // LANES
    layer = whole_layer(s.layer, s.inputs, panels)
    if s.kind == Kind.STEM:
        conv1 = whole_layer(s.layer, 9 * s.channels, (s.hidden + LANES - 1) // LANES)
        conv2 = whole_layer(s.layer2, 9 * s.hidden, panels)
        stem(m, y, pixels, pixel_map, w, conv1, s.hidden, conv2, units, scratch)
    elif s.kind == Kind.POOLING_BLOCK:
        wide = (s.hidden + LANES - 1) // LANES
        fc1, fc2 = whole_layer(s.layer, s.channels, wide), whole_layer(s.layer2, s.hidden, panels)
        pooling_block(
            m, y.at, pixel_map, s.window, w, s.gamma, fc1, fc2, s.activation, s.pairs, units,
            scratch,
        )  # fmt: skip
    elif s.kind == Kind.LINEAR:
        residual = Rows(s.residual, s.y_step)
        linear(
            m, Rows(s.y, s.y_step), Rows(s.x, s.x_step), w, layer, images * s.rows,
            s.activation, residual, units, ONE_RUN, NO_ROWS,
        )  # fmt: skip
    elif s.kind == Kind.CONV2D:
        windows = Rows(scratch, (s.inputs + LANES - 1) // LANES * LANES)
        im2col(m, windows, pixel_map, Window(s.window, s.stride, s.padding), units)
        dense(m, rows_from(y, first), windows, w, layer, last - first, s.activation, NO_ROWS)
    elif s.kind == Kind.IM2COL:
        window = Window(s.window, s.stride, s.padding)
        im2col(m, rows_from(y, first), pixel_map, window, units)
    elif s.kind == Kind.POOLING:
        gamma = s.gamma + image * s.gamma_step
        pooling(m, rows_from(y, first), pixel_map, s.window, w, gamma, units)
    elif s.kind == Kind.LAYER_NORM:
        to, at, affine = rows_from(y, first), rows_from(x, first), Rows(s.affine, s.y_step)
        layer_norm(m, to, at, last - first, s.channels, w[s.eps], w, affine)
    elif s.kind == Kind.ATTENTION:
        sizes = Heads(s.rows, s.key_width, s.value_width)
        step = (s.rows + LANES - 1) // LANES * LANES
        room = (s.value_width + LANES - 1) // LANES * LANES
        for head in range(first, last):
            to = columns_from(y, head * room)
            qkv = columns_from(x, head * (2 * s.key_width + s.value_width))
            attn = Rows(s.attn + (image * s.units + head) * s.rows * step, step)
            attention(m, to, qkv, attn, sizes, w, s.biases + head * s.rows * step, scratch)
    elif s.kind == Kind.MEAN:
        mean(m, y.at, x, s.x_rows, s.channels)
    elif s.kind in QUANTIZED:
        run_quantized_step(s, m, w, images, image, units, scratch)
    else:
        run_training_step(s, m, w, images, image, units, scratch)


@kernel
def run_training_step(
    s: Step, m: Array, w: Array, images: int, image: int, units: Span, scratch: int
) -> None:
    """One part of a step that only training has; see `run_step`.

    Parameters
    ----------
    s : Step
        What to do.
    m, w : ndarray of float32, flat
        The arena and the weights.
    images : int
        How many there are.
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
    layer = whole_layer(s.layer, s.inputs, panels)
    if s.kind == Kind.LINEAR_FOR_NORM:
        if s.before >= 0:
            batch_norm(m, scratch, x.at, x.step, rows, w, s.before, s.activation, -1)
            x = Rows(scratch, x.step)
        dense(m, y, x, w, layer, rows, NONE, NO_ROWS)
        if s.sums >= 0:
            moments(m, sums, y, rows)
    elif s.kind == Kind.BATCH_NORM:
        batch_norm(m, y.at, x.at, y.step, rows, w, s.norm, s.activation, residual.at)
    elif s.kind == Kind.BATCH_NORM_SUMS:
        to = rows_from(Rows(s.y, s.x_step), first // s.grain * 2)
        batch_norm_sums(
            m, to.at, dz.at, -1, x.at, z, x.step, rows, w, s.norm, s.activation
        )  # fmt: skip
    elif s.kind == Kind.BATCH_NORM_BACKWARD:
        batch_norm_backward(m, dz.at, x.at, z, x.step, rows, w, s.norm)
        if s.layer >= 0:
            dense(m, y, dz, w, layer, rows, NONE, residual)
        if s.before >= 0:
            act, before = s.act + first * y.step, s.before_z + first * y.step
            batch_norm_sums(
                m, sums.at, y.at, act, y.at, before, y.step, rows, w, s.before, s.activation
            )  # fmt: skip
    elif s.kind == Kind.LINEAR_BACKWARD:
        chunk = max(CHUNK // (s.x_step + s.y_step), 1)
        linear_backward(
            m, Rows(s.y, s.y_step), Rows(s.x, s.x_step), s.inputs, Rows(s.dz, s.y_step), panels,
            images * s.x_rows, chunk, units,
        )  # fmt: skip
    elif s.kind == Kind.COL2IM:
        window = Window(s.window, s.stride, s.padding)
        dx = s.y + image * s.rows * s.y_step
        dy = rows_from(Rows(s.x, s.x_step), image * s.x_rows)
        col2im(
            m, Image(dx, s.y_step, s.height, s.width, s.channels), dy, window
        )  # fmt: skip
    elif s.kind == Kind.POOLING_BACKWARD:
        here = image * s.rows * s.y_step
        seen = Image(s.x + here, s.y_step, s.height, s.width, s.channels)
        pooling_backward(
            m, s.y + here, s.dy + here, seen, s.window, w,
            s.gamma + image * s.gamma_step, s.dgamma + image * s.y_step, scratch,
        )  # fmt: skip
    elif s.kind == Kind.DROP_PATH:
        here = image * s.rows
        to, branch, past = rows_from(y, here), rows_from(x, here), rows_from(residual, here)
        drop_path(m, to.at, branch.at, y.step, rows, w[s.mask + image], past.at)


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
    """Go through some steps of a plan.

    Parameters
    ----------
    steps : ndarray of Step
        The table of the plan.
    counters : ndarray of int64, shape (threads · PLACE + len(steps) · (threads + 2),)
        For each thread what `PLACE` says; then for each step how many parts of each share were
        taken, how many are finished in all, and whether its gate is open. Zeros at the start.
    m, w : ndarray of float32, flat
        The arena and the weights.
    pixels : ndarray of float32, flat
        The images, if they are not in the arena.
    images : int
        How many there are.
    first, last : int
        From step number `first` up to, not including, `last`.
    threads : int
        How many threads are expected, to cut steps into as many equal shares.
    thread : int
        Which of them this is; number 0 opens the gates, and the others are helpers.
    scratch : int
        Where in the arena this thread may scribble.
    """
    begun, part, patience = new_turn(), 0, PATIENCE
    if thread > 0 and shares_core(counters, threads, thread):
        leave_core(counters, threads, thread)
    for i in range(first, last):
        s = steps[i]
        counters[thread * PLACE] = current_core() + 1
        taken = threads * PLACE + i * (threads + 2)
        finished, gate = taken + threads, taken + threads + 1
        if s.gate and thread == 0:
            fetch_add(counters, gate, 1)
        elif s.gate:
            begun = wait(counters, gate, 1, threads, thread, begun, patience)
        parts = (s.units + s.chunk - 1) // s.chunk
        parts = min((parts + threads - 1) // threads * threads, (s.units + s.grain - 1) // s.grain)
        jobs = parts if s.kind >= Kind.LINEAR else parts * images
        now = clock()
        for k in range(threads):
            share = (thread + k) % threads
            begin, end = share * jobs // threads, (share + 1) * jobs // threads
            while True:
                if threads > 1 and now + part > begun + TURN:
                    begun, now = offer(counters, threads, thread), clock()
                job = begin + fetch_add(counters, taken + share, 1)
                if job >= end:
                    break
                run_step(s, m, w, pixels, images, job, parts, scratch)
                fetch_add(counters, finished, 1)
                before, now = now, clock()
                if now - before > TURN:  # it was stopped in the middle
                    begun, part = new_turn(), 0
                else:
                    part = now - before
                    patience = max(patience, part)
        begun = wait(counters, finished, jobs, threads, thread, begun, patience)
    counters[thread * PLACE] = 0
