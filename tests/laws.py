"""The law of each kernel: the plain expression that it must equal, over drawn shapes.

A law draws its arrays into a memory full of NaN. A kernel that reads where it should not spreads
NaN, one that writes where it should not leaves a number there: both are seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from npformer.kernels.batch_norm import COEFFICIENTS, INVERSE, MEAN, SCALE, SHIFT, A, B
from npformer.kernels.batch_norm import C as OFFSET
from npformer.kernels.layout import (
    GELU,
    LANES,
    NO_PAIRS,
    NO_ROWS,
    NONE,
    ONE_RUN,
    RELU,
    Heads,
    Image,
    Pairs,
    Panels,
    Rows,
    Runs,
    Span,
    Window,
    pack,
    pack_sums,
    packed_size,
    padded,
    stem_scratch,
    strassen_scratch,
    sums_size,
    whole_layer,
)
from npformer.kernels.linear import tile_columns, tile_rows
from npformer.kernels.vector import TALL
from npformer.layers import (
    ACTIVATIONS,
    BatchNorm,
    Conv2d,
    LayerNorm,
    LayerScale,
    Linear,
    Mlp,
    activation_backward,
    apply_mask,
    batch_norm,
    batch_norm_backward,
    col2im,
    conv2d,
    gelu,
    im2col,
    layer_norm,
    layer_scale,
    layer_scale_backward,
    linear,
    linear_backward,
    mlp,
    pooling,
    pooling_backward,
    relative_position_bias,
    relu,
    softmax,
)

Array = np.ndarray
Run = Callable[..., Any]
LAWS: dict[str, Callable[[Any, Run], None]] = {}
PLAIN = {NONE: ACTIVATIONS["linear"], RELU: relu, GELU: gelu}
AFTER = PLAIN | {GELU: lambda x: gelu(2 * x)}
"""What follows the product of a layer: the weights before a GELU are halved."""
ACTIVATION = st.sampled_from(list(PLAIN))


def law(function: Callable[[Any, Run], None]) -> Callable[[Any, Run], None]:
    """Register the law of the kernel of that name, ``law(draw, run)``.

    Whatever it is, the kernel has to leave all arrays but its first as they are.
    """

    def watched(draw: Any, run: Run) -> None:
        def run_and_compare(m: Array, *rest: Any) -> None:
            read = [array for array in rest if isinstance(array, np.ndarray)]
            before = [array.copy() for array in read]
            run(m, *rest)
            for array, was in zip(read, before, strict=True):
                np.testing.assert_array_equal(array, was)

        function(draw, run_and_compare)

    LAWS[function.__name__] = watched
    return function


class Memory:
    """A flat array of NaN with matrices in it, at odd places."""

    def __init__(self, draw: Any, room: int = 20000) -> None:
        self.data = np.full(room, np.nan, np.float32)
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.used = draw(st.integers(1, 20))
        self.may_change = np.zeros(room, bool)

    def place(self, rows: int, columns: int, gap: int = 0, margin: int = 0) -> tuple[int, int]:
        """Room for a matrix whose rows hold whole vectors: its beginning and its step."""
        step = padded(columns) + gap
        at = self.used
        self.used += rows * step + margin + 17
        assert self.used <= len(self.data)
        return at, step

    def fill(self, rows: int, columns: int, gap: int = 0, scale: float = 1) -> tuple[int, int]:
        """Room for a matrix of random numbers; what is no part of it stays NaN."""
        at, step = self.place(rows, columns, gap)
        values = self.rng.standard_normal((rows, columns)) * scale
        self.rows(at, step, rows, columns)[:] = values
        return at, step

    def rows(self, at: int, step: int, rows: int, columns: int) -> Array:
        """The matrix, as a view."""
        whole = self.data[at : at + rows * step].reshape(rows, step)
        return whole[:, :columns]

    def writes(self, at: int, step: int, rows: int, columns: int) -> None:
        """Allow a kernel to write to a matrix, up to whole vectors."""
        self.may_change[at : at + rows * step].reshape(rows, step)[:, : padded(columns)] = True

    def scribbles(self, at: int, count: int) -> None:
        """Allow a kernel to write anything there."""
        self.may_change[at : at + count] = True

    def check(self, before: Array) -> None:
        """Nothing has changed but what was allowed to."""
        changed = self.data.view(np.int32) != before.view(np.int32)
        assert not (changed & ~self.may_change).any(), np.flatnonzero(changed & ~self.may_change)


def packed(memory: Memory, p: Linear, strassen: bool = False) -> int:
    """Put a packed layer into memory, and behind it what `strassen` needs."""
    size, more = packed_size(*p.weight.shape), sums_size(*p.weight.shape) if strassen else 0
    at, _ = memory.place(1, size + more)
    pack(p, memory.data[at : at + size])
    if strassen:
        pack_sums(p, memory.data[at + size : at + size + more])
    return at


def layer(memory: Memory, K: int, N: int) -> Linear:
    rng = memory.rng
    weight = rng.standard_normal((K, N)) / np.sqrt(K)
    return Linear(weight.astype(np.float32), rng.standard_normal(N).astype(np.float32))


def close(found: Array, expected: Array) -> None:
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max(initial=0) <= 3e-6 * scale


@law
def linear_law(draw: Any, run: Run) -> None:
    rows, k, N = draw(st.integers(1, 20)), draw(st.integers(1, 40)), draw(st.integers(1, 40))
    runs = draw(st.integers(1, 3))
    K = runs * k
    activation, adds = draw(ACTIVATION), draw(st.booleans())
    adds = adds and activation != GELU
    m, w = Memory(draw), Memory(draw)
    x, run_step = m.fill(rows * runs, k, draw(st.integers(0, 3)))
    rows_of_x = m.rows(x, run_step, rows * runs, k).reshape(rows, K)
    y, y_step = m.place(rows, N, draw(st.integers(0, 3)))
    residual, residual_step = m.fill(rows, padded(N)) if adds else (-1, 0)
    # A part of a larger layer: some of its rows, and a bias that lies elsewhere.
    above, below = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    whole = layer(w, above + K + below, N)
    p = Linear(whole.weight[above : above + K], whole.bias)
    at = packed(w, whole)
    size, count = (above + K + below) * LANES, padded(N) // LANES
    start = NO_ROWS
    if draw(st.booleans()):
        start = Rows(*m.fill(rows, padded(N), draw(st.integers(0, 3))))
        p = Linear(p.weight, m.rows(*start, rows, N)[:, None])
    first = draw(st.integers(0, count))
    last = draw(st.integers(first, count))
    before = m.data.copy()
    part = Panels(at + above * LANES, K, count, size, at + count * size)
    run(m.data, Rows(y, y_step), Rows(x, runs * run_step), w.data, part, rows, activation,
        Rows(residual, residual_step), Span(first, last), Runs(runs, run_step), start)  # fmt: skip
    low, high = first * LANES, min(last * LANES, N)
    if last > first:
        m.writes(y + low, y_step, rows, last * LANES - low)
    m.check(before)
    want = AFTER[activation](linear(rows_of_x[:, None], p))[:, 0]
    if adds:
        want = want + m.rows(residual, residual_step, rows, N)
    close(m.rows(y, y_step, rows, N)[:, low:high], want[:, low:high])


@law
def dense_law(draw: Any, run: Run) -> None:
    rows, K, N = (draw(st.integers(1, 40)) for _ in range(3))
    activation, adds = draw(ACTIVATION), draw(st.booleans())
    adds = adds and activation != GELU
    m, w = Memory(draw), Memory(draw)
    x, y = Rows(*m.fill(rows, K, draw(st.integers(0, 3)))), Rows(*m.place(rows, N))
    residual = Rows(*m.fill(rows, padded(N))) if adds else NO_ROWS
    p = layer(w, K, N)
    before = m.data.copy()
    run(m.data, y, x, w.data, whole_layer(packed(w, p), K, padded(N) // LANES), rows, activation,
        residual)  # fmt: skip
    m.writes(*y, rows, N)
    m.check(before)
    want = AFTER[activation](linear(m.rows(*x, rows, K)[:, None], p))[:, 0]
    if adds:
        want = want + m.rows(*residual, rows, N)
    close(m.rows(*y, rows, N), want)


@law
def strassen_law(draw: Any, run: Run) -> None:
    """Also with rows in which something is no number, or too large to be added to another."""
    pairs, apart = draw(st.integers(1, 17)), draw(st.integers(0, 3))
    K, N = (draw(st.sampled_from([32, 64, 96, 160])) for _ in range(2))
    activation, adds = draw(ACTIVATION), draw(st.booleans())
    adds = adds and activation != GELU
    m, w = Memory(draw, 60000), Memory(draw, 80000)
    rows = 2 * pairs + apart
    used = np.r_[:pairs, pairs + apart : rows]
    x, x_step = m.fill(rows, K, draw(st.integers(0, 3)))
    m.rows(x, x_step, rows, K)[pairs : pairs + apart] = np.nan
    for bad in draw(st.lists(st.sampled_from([np.nan, np.inf, -np.inf, 1e36, 1e20]), max_size=2)):
        m.rows(x, x_step, rows, K)[
            draw(st.sampled_from(list(used))), draw(st.integers(0, K - 1))
        ] = bad
    y, y_step = m.place(rows, N, draw(st.integers(0, 3)))
    residual, residual_step = m.fill(rows, N) if adds else (-1, 0)
    p = layer(w, K, N)
    at = packed(w, p, strassen=True)
    room = strassen_scratch(pairs, K, N)
    scratch, _ = m.place(1, room)
    before = m.data.copy()
    below = pairs + apart
    past = Pairs(residual, residual_step, below * residual_step) if adds else NO_PAIRS
    with np.errstate(all="ignore"):
        run(m.data, Pairs(y, y_step, below * y_step), Pairs(x, x_step, below * x_step), w.data,
            whole_layer(at, K, N // LANES), pairs, activation, past, scratch)  # fmt: skip
    m.scribbles(scratch, room)
    m.may_change[y : y + rows * y_step].reshape(rows, y_step)[used, :N] = True
    m.check(before)
    with np.errstate(all="ignore"):
        want = AFTER[activation](linear(m.rows(x, x_step, rows, K)[used, None], p))[:, 0]
    if adds:
        want = want + m.rows(residual, residual_step, rows, N)[used]
    found = m.rows(y, y_step, rows, N)[used]
    for one, other in zip(found, want, strict=True):
        odd = ~np.isfinite(other)
        np.testing.assert_array_equal(one[odd], other[odd])
        close(one[~odd], other[~odd])


def window_of(draw: Any) -> tuple[int, int, int, int, int]:
    """Side, stride and padding of a window, and height and width of an image that it fits into."""
    size, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    padding = draw(st.integers(0, 2))
    low = max(1, size - 2 * padding)
    H, W = draw(st.integers(low, low + 5)), draw(st.integers(low, low + 5))
    return size, stride, padding, H, W


@law
def im2col_law(draw: Any, run: Run) -> None:
    size, stride, padding, H, W = window_of(draw)
    C = draw(st.sampled_from([1, 3, 5, 16, 20, 32]))
    m = Memory(draw, 60000)
    image = m.rng.standard_normal((1, H, W, C)).astype(np.float32)
    x_step = draw(st.sampled_from([C, padded(C)]))
    x, _ = m.place(H * W, x_step, margin=16)
    m.data[x : x + H * W * x_step].reshape(-1, x_step)[:, :C] = image.reshape(-1, C)
    want = im2col(image, size, size, stride, padding)
    K = size * size * C
    want = want.reshape(-1, K)
    first = draw(st.integers(0, len(want)))
    last = draw(st.integers(first, len(want)))
    y, y_step = m.place(last - first, K, margin=16)
    before = m.data.copy()
    run(m.data, Rows(y, y_step), Image(x, x_step, H, W, C), Window(size, stride, padding),
        Span(first, last))  # fmt: skip
    m.scribbles(y, (last - first) * y_step + 15)
    m.check(before)
    np.testing.assert_array_equal(m.rows(y, y_step, last - first, K), want[first:last])


def image_of(memory: Memory, draw: Any, C: int) -> tuple[int, int, int, int, Array]:
    """A small image in memory; its rows are filled up with zeros, as every kernel leaves them."""
    H, W = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    image = memory.rng.standard_normal((1, H, W, C)).astype(np.float32)
    x, step = memory.place(H * W, C)
    memory.data[x : x + H * W * step] = 0
    memory.rows(x, step, H * W, C)[:] = image.reshape(-1, C)
    return x, step, H, W, image


@law
def pooling_law(draw: Any, run: Run) -> None:
    C, size = draw(st.integers(1, 40)), draw(st.sampled_from([1, 3, 5]))
    m, w = Memory(draw), Memory(draw)
    x, step, H, W, image = image_of(m, draw, C)
    gamma, _ = w.fill(1, padded(C))
    first = draw(st.integers(0, H * W - 1))
    last = draw(st.integers(first + 1, H * W))
    y, y_step = m.place(last - first, C)
    before = m.data.copy()
    run(m.data, Rows(y, y_step), Image(x, step, H, W, C), size, w.data, gamma, Span(first, last))
    m.writes(y, y_step, last - first, C)
    m.check(before)
    p = LayerScale(w.data[gamma : gamma + C])
    want = (image + layer_scale(pooling(image, size), p)).reshape(-1, C)
    close(m.rows(y, y_step, last - first, C), want[first:last])


@law
def pooling_block_law(draw: Any, run: Run) -> None:
    strassen = draw(st.booleans())
    size = st.sampled_from([32, 64]) if strassen else st.integers(1, 40)
    C, wide = draw(size), draw(size)
    activation = draw(ACTIVATION)
    m, w = Memory(draw, 80000), Memory(draw, 60000)
    x, step, H, W, image = image_of(m, draw, C)
    gamma, _ = w.fill(1, padded(C))
    fc1, fc2 = layer(w, C, wide), layer(w, wide, C)
    at1, at2 = packed(w, fc1, strassen), packed(w, fc2, strassen)
    y, _ = m.place(H * W, C)
    pairs = draw(st.integers(0, H * W // 2)) if strassen else 0
    first = draw(st.integers(0, H * W - pairs - 1))
    last = draw(st.integers(first + 1, H * W - pairs))
    here = np.arange(first, last)
    mine = np.r_[here[here < pairs], here + pairs]
    room = (last - first) * 2 * (step + padded(wide))
    room += max(strassen_scratch(last - first, *shape) for shape in ((C, wide), (wide, C)))
    scratch, _ = m.place(1, room)
    before = m.data.copy()
    layers = whole_layer(at1, C, padded(wide) // LANES), whole_layer(at2, wide, padded(C) // LANES)
    run(m.data, y, Image(x, step, H, W, C), 3, w.data, gamma, *layers, activation, pairs,
        Span(first, last), scratch)  # fmt: skip
    m.may_change[y : y + H * W * step].reshape(-1, step)[mine] = True
    m.scribbles(scratch, room)
    m.check(before)
    mixed = image + layer_scale(pooling(image, 3), LayerScale(w.data[gamma : gamma + C]))
    want = mixed + mlp(mixed, Mlp(fc1, fc2), AFTER[activation])
    close(m.rows(y, step, H * W, C)[mine], want.reshape(-1, C)[mine])


@law
def stem_law(draw: Any, run: Run) -> None:
    H, W = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    C, between, N = draw(st.integers(1, 5)), draw(st.integers(1, 40)), draw(st.integers(1, 40))
    m, w = Memory(draw, 60000), Memory(draw, 60000)
    image = m.rng.standard_normal((1, H, W, C)).astype(np.float32)
    x = draw(st.integers(0, 20))
    images = np.r_[np.full(x, np.nan), image.ravel()].astype(np.float32)  # and there it ends
    conv1, conv2 = layer(w, 9 * C, between), layer(w, 9 * between, N)
    at1, at2 = packed(w, conv1), packed(w, conv2)
    down, across = (H + 3) // 4, (W + 3) // 4
    y, y_step = m.place(down * across, N)
    first = draw(st.integers(0, down - 1))
    last = draw(st.integers(first + 1, down))
    room = stem_scratch(last - first, W, C, between)
    scratch, _ = m.place(1, room)
    before = m.data.copy()
    packed1 = whole_layer(at1, 9 * C, padded(between) // LANES)
    packed2 = whole_layer(at2, 9 * between, y_step // LANES)
    run(m.data, Rows(y, y_step), images, Image(x, C, H, W, C), w.data, packed1, between, packed2,
        Span(first, last), scratch)  # fmt: skip
    low, high = first * across, last * across
    m.writes(y + low * y_step, y_step, high - low, N)
    m.scribbles(scratch, room)
    m.check(before)
    want = relu(conv2d(image, Conv2d(conv1.weight.reshape(3, 3, C, between), conv1.bias), 2, 1))
    want = relu(conv2d(want, Conv2d(conv2.weight.reshape(3, 3, between, N), conv2.bias), 2, 1))
    close(m.rows(y, y_step, down * across, N)[low:high], want.reshape(-1, N)[low:high])


@law
def layer_norm_law(draw: Any, run: Run) -> None:
    rows, C = draw(st.integers(1, 5)), draw(st.integers(2, 40))
    eps, affine = draw(st.sampled_from([1e-12, 1e-5, 1.0])), draw(st.booleans())
    m, w = Memory(draw), Memory(draw)
    x, x_step = m.fill(rows, C, draw(st.integers(0, 3)), scale=3)
    y, y_step = (x, x_step) if draw(st.booleans()) else m.place(rows, C)
    at, step = w.fill(2, padded(C), 1)
    before = m.data.copy()
    tokens = m.rows(x, x_step, rows, C).copy()
    run(m.data, Rows(y, y_step), Rows(x, x_step), rows, C, eps, w.data,
        Rows(at, step) if affine else NO_ROWS)  # fmt: skip
    m.writes(y, y_step, rows, C)
    m.check(before)
    ones = np.ones(C, np.float32)
    p = LayerNorm(*w.rows(at, step, 2, C)) if affine else LayerNorm(ones, 0 * ones)
    close(m.rows(y, y_step, rows, C), layer_norm(tokens, p, eps))


@law
def softmax_law(draw: Any, run: Run) -> None:
    rows, N, scale = draw(st.integers(1, 5)), draw(st.integers(1, 40)), draw(st.floats(0, 60))
    m = Memory(draw)
    x, step = m.fill(rows, N, draw(st.integers(0, 3)), scale)
    scores = m.rows(x, step, rows, N).copy()
    m.rows(x, step, rows, padded(N))[:, N:] = -np.inf
    before = m.data.copy()
    run(m.data, Rows(x, step), rows, padded(N))
    m.writes(x, step, rows, N)
    m.check(before)
    found = m.rows(x, step, rows, padded(N))
    want = softmax(scores)
    np.testing.assert_allclose(found[:, :N], want, rtol=2e-6, atol=1e-30)
    assert not found[:, N:].any()


@law
def pack_panels_law(draw: Any, run: Run) -> None:
    K, N, transposed = draw(st.integers(1, 20)), draw(st.integers(1, 40)), draw(st.booleans())
    m = Memory(draw)
    x, step = m.fill(*(N, K) if transposed else (K, N))
    matrix = m.rows(x, step, N, K).T if transposed else m.rows(x, step, K, N)
    size = packed_size(K, N)
    at, _ = m.place(1, size)
    before = m.data.copy()
    run(m.data, at, x, 1 if transposed else step, step if transposed else 1, K, N)
    m.scribbles(at, size)
    m.check(before)
    want = np.empty(size, np.float32)
    pack(Linear(matrix, np.zeros(N)), want)
    np.testing.assert_array_equal(m.data[at : at + size], want)


@law
def attention_law(draw: Any, run: Run) -> None:
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    K, V = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    N = rows * columns
    m, w = Memory(draw), Memory(draw)
    qkv, qkv_step = m.fill(N, 2 * K + V, draw(st.integers(0, 40)))
    y, y_step = m.place(N, V, draw(st.integers(0, 3)))
    attn, attn_step = m.place(N, N)
    room = max(packed_size(K, N), packed_size(N, V))
    scratch, _ = m.place(1, room)
    table = relative_position_bias(w.rng.standard_normal((1, rows, columns)).astype(np.float32))[0]
    bias, _ = w.place(N, N)
    padded_table = w.data[bias : bias + N * padded(N)].reshape(N, -1)
    padded_table[:] = -np.inf
    padded_table[:, :N] = table
    before = m.data.copy()
    run(m.data, Rows(y, y_step), Rows(qkv, qkv_step), Rows(attn, attn_step), Heads(N, K, V),
        w.data, bias, scratch)  # fmt: skip
    m.writes(y, y_step, N, V)
    m.writes(attn, attn_step, N, N)
    m.scribbles(scratch, room)
    m.check(before)
    q, k, v = np.split(m.rows(qkv, qkv_step, N, 2 * K + V), [K, 2 * K], axis=1)
    want = softmax(q @ k.T + table)
    close(m.rows(attn, attn_step, N, N), want)
    close(m.rows(y, y_step, N, V), want @ v)


@law
def mean_law(draw: Any, run: Run) -> None:
    N, C = draw(st.integers(1, 9)), draw(st.integers(1, 40))
    m = Memory(draw)
    x, step = m.fill(N, C)
    y, y_step = m.place(1, C)
    before = m.data.copy()
    run(m.data, y, Rows(x, step), N, C)
    m.writes(y, y_step, 1, C)
    m.check(before)
    close(m.rows(y, y_step, 1, C)[0], m.rows(x, step, N, C).mean(0))


# Training -----------------------------------------------------------------------------------------


@law
def linear_backward_law(draw: Any, run: Run) -> None:
    rows, K, N = draw(st.integers(1, 20)), draw(st.integers(1, 40)), draw(st.integers(1, 40))
    m = Memory(draw)
    x, x_step = m.fill(rows, K, draw(st.integers(0, 3)))
    m.used += TALL  # where a tile may read
    dy, dy_step = m.fill(rows, N, draw(st.integers(0, 3)))
    m.rows(dy, dy_step, rows, padded(N))[:, N:] = 0
    panels, down = padded(N) // LANES, tile_rows(K)
    y, y_step = m.place(down * TALL, N, draw(st.integers(0, 3)))
    tiles = down * tile_columns(panels)
    first = draw(st.integers(0, tiles))
    last = draw(st.integers(first, tiles))
    before = m.data.copy()
    chunk = draw(st.integers(1, 20))
    run(m.data, Rows(y, y_step), Rows(x, x_step), K, Rows(dy, dy_step), panels, rows, chunk,
        Span(first, last))  # fmt: skip
    m.writes(y, y_step, down * TALL, N)
    m.check(before)
    found = m.rows(y, y_step, K, N)
    some = ~np.isnan(found)
    p = Linear(np.zeros((K, N), np.float32), np.zeros(N, np.float32))
    _, dp = linear_backward(m.rows(dy, dy_step, rows, N), m.rows(x, x_step, rows, K), p)
    close(found[some], dp.weight[some])
    assert some.all() or last - first < tiles


@law
def col2im_law(draw: Any, run: Run) -> None:
    size, stride, padding, H, W = window_of(draw)
    channels = draw(st.sampled_from([1, 3, 5, 16, 20]))
    down, across = ((n + 2 * padding - size) // stride + 1 for n in (H, W))
    m = Memory(draw, 60000)
    K = size * size * channels
    dy, dy_step = m.fill(down * across, K)
    dx, dx_step = m.place(H * W, channels)
    before = m.data.copy()
    run(m.data, Image(dx, dx_step, H, W, channels), Rows(dy, dy_step),
        Window(size, stride, padding))  # fmt: skip
    m.writes(dx, dx_step, H * W, channels)
    m.check(before)
    windows = m.rows(dy, dy_step, down * across, K).reshape(1, down, across, K)
    want = col2im(windows, (1, H, W, channels), size, size, stride, padding)
    close(m.rows(dx, dx_step, H * W, channels), want.reshape(-1, channels))
    assert not m.rows(dx, dx_step, H * W, padded(channels))[:, channels:].any()


@law
def pooling_backward_law(draw: Any, run: Run) -> None:
    channels, size = draw(st.integers(1, 40)), draw(st.sampled_from([1, 3, 5]))
    m, w = Memory(draw), Memory(draw)
    x, step, H, W, image = image_of(m, draw, channels)
    gamma, _ = w.fill(1, padded(channels))
    dy, _ = m.fill(H * W, padded(channels))
    dx, _ = m.place(H * W, channels)
    sums, _ = m.place(1, channels)
    scratch, _ = m.place(1, W * step)
    before = m.data.copy()
    seen = Image(x, step, H, W, channels)
    run(m.data, dx, dy, seen, size, w.data, gamma, sums, scratch)
    m.writes(dx, step, H * W, channels)
    m.writes(sums, step, 1, channels)
    m.scribbles(scratch, W * step)
    m.check(before)
    grad = m.rows(dy, step, H * W, channels).reshape(image.shape)
    p = LayerScale(w.data[gamma : gamma + channels])
    branch, dp = layer_scale_backward(grad, pooling(image, size), p)
    want = grad + pooling_backward(branch, size)
    close(m.rows(dx, step, H * W, channels), want.reshape(-1, channels))
    close(m.data[sums : sums + channels], dp.gamma)


@law
def moments_law(draw: Any, run: Run) -> None:
    rows, columns = draw(st.integers(1, 20)), draw(st.integers(1, 40))
    m = Memory(draw)
    x, step = m.fill(rows, padded(columns), draw(st.integers(0, 3)))
    m.rows(x, step, rows, columns)[:] += draw(st.integers(-9, 9))
    sums, width = m.place(2, columns)
    before = m.data.copy()
    run(m.data, Rows(sums, width), Rows(x, step), rows)
    m.writes(sums, width, 2, columns)
    m.check(before)
    values = m.rows(x, step, rows, columns)
    found = m.rows(sums, width, 2, columns)
    close(found[0], values.mean(0))
    close(found[1], ((values - values.mean(0)) ** 2).sum(0))


class Norm:
    """A batch norm over a few rows in `m`, with its coefficients in `w`."""

    def __init__(self, draw: Any) -> None:
        m, w = self.m, self.w = Memory(draw), Memory(draw)
        self.rows, self.columns = draw(st.integers(1, 20)), draw(st.integers(1, 40))
        self.z, self.step = m.fill(self.rows, padded(self.columns))
        columns = padded(self.columns)
        self.values = m.rows(self.z, self.step, self.rows, columns)
        self.values += m.rng.standard_normal(columns).astype(np.float32)
        weight, bias = w.rng.standard_normal((2, columns)).astype(np.float32)
        self.p = BatchNorm(weight, bias, self.values.mean(0), self.values.var(0))
        self.eps = 0.1
        sigma = np.sqrt(self.p.running_var + self.eps)
        self.at, _ = w.fill(len(COEFFICIENTS), columns)
        self.coefficients = w.rows(self.at, self.step, len(COEFFICIENTS), columns)
        self.coefficients[MEAN] = self.p.running_mean
        self.coefficients[SCALE] = weight / sigma
        self.coefficients[SHIFT] = bias
        self.coefficients[INVERSE] = 1 / sigma

    def forward(self) -> Array:
        return batch_norm(self.values, self.p, self.eps)


@law
def batch_norm_law(draw: Any, run: Run) -> None:
    activation, adds = draw(ACTIVATION), draw(st.booleans())
    norm = Norm(draw)
    m, w, rows, step = norm.m, norm.w, norm.rows, norm.step
    y, _ = m.place(rows, step)
    residual, _ = m.fill(rows, step) if adds else (-1, 0)
    before = m.data.copy()
    run(m.data, y, norm.z, step, rows, w.data, norm.at, activation, residual)
    m.writes(y, step, rows, step)
    m.check(before)
    want = PLAIN[activation](norm.forward())
    if adds:
        want = want + m.rows(residual, step, rows, step)
    close(m.rows(y, step, rows, step), want)


@law
def batch_norm_sums_law(draw: Any, run: Run) -> None:
    activation, keeps = draw(ACTIVATION), draw(st.booleans())
    norm = Norm(draw)
    m, w, rows, step = norm.m, norm.w, norm.rows, norm.step
    dy, _ = m.fill(rows, step)
    grad = m.rows(dy, step, rows, step).copy()
    du, _ = (dy, step) if draw(st.booleans()) else m.place(rows, step)
    y, _ = m.place(rows, step)
    sums, _ = m.place(2, step)
    before = m.data.copy()
    run(m.data, sums, du, y if keeps else -1, dy, norm.z, step, rows, w.data, norm.at, activation)
    m.writes(sums, step, 2, step)
    if keeps or activation != NONE:
        m.writes(du, step, rows, step)
    if keeps:
        m.writes(y, step, rows, step)
    m.check(before)
    u = norm.forward()
    want = activation_backward(grad, u, PLAIN[activation])
    if keeps or activation != NONE:
        close(m.rows(du, step, rows, step), want)
    if keeps:
        close(m.rows(y, step, rows, step), PLAIN[activation](u))
    _, dp = batch_norm_backward(want, norm.values, norm.p, norm.eps)
    close(m.rows(sums, step, 2, step), np.stack([dp.bias, dp.weight]))


@law
def batch_norm_backward_law(draw: Any, run: Run) -> None:
    norm = Norm(draw)
    m, w, rows, step = norm.m, norm.w, norm.rows, norm.step
    du, _ = m.fill(rows, step)
    grad = m.rows(du, step, rows, step).copy()
    tape = {"mean": norm.p.running_mean, "var": norm.p.running_var}
    want, dp = batch_norm_backward(grad, norm.values, norm.p, norm.eps, tape)
    _, scale, _, inverse = norm.coefficients[[MEAN, SCALE, SHIFT, INVERSE]]
    norm.coefficients[A] = scale
    norm.coefficients[B] = -scale * dp.weight / rows * inverse
    norm.coefficients[OFFSET] = -scale * dp.bias / rows
    dz, _ = (du, step) if draw(st.booleans()) else m.place(rows, step)
    before = m.data.copy()
    run(m.data, dz, du, norm.z, step, rows, w.data, norm.at)
    m.writes(dz, step, rows, step)
    m.check(before)
    close(m.rows(dz, step, rows, step), want)


@law
def drop_path_law(draw: Any, run: Run) -> None:
    rows, columns, adds = draw(st.integers(1, 9)), draw(st.integers(1, 40)), draw(st.booleans())
    mask = draw(st.sampled_from([0.0, 1.0, 1.25, 10.0]))
    m = Memory(draw)
    branch, step = m.fill(rows, padded(columns))
    values = m.rows(branch, step, rows, step).copy()
    y, _ = (branch, step) if draw(st.booleans()) else m.place(rows, columns)
    residual, _ = m.fill(rows, step) if adds else (-1, 0)
    before = m.data.copy()
    run(m.data, y, branch, step, rows, mask, residual)
    m.writes(y, step, rows, step)
    m.check(before)
    want = apply_mask(values, {"mask": np.float32(mask)})
    if adds:
        want = want + m.rows(residual, step, rows, step)
    close(m.rows(y, step, rows, step), want)


def conv2d_is_im2col_times_weights(draw: Any, run_im2col: Run, run_linear: Run) -> None:
    """How the plan makes a convolution of two kernels."""
    C, N = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    m, w = Memory(draw, 60000), Memory(draw)
    H, W = draw(st.integers(3, 7)), draw(st.integers(3, 7))
    image = m.rng.standard_normal((1, H, W, C)).astype(np.float32)
    x, x_step = m.place(H * W, C, margin=16)
    m.data[x : x + H * W * x_step].reshape(-1, x_step)[:, :C] = image.reshape(-1, C)
    p = layer(w, 9 * C, N)
    at = packed(w, p)
    want = conv2d(image, Conv2d(p.weight.reshape(3, 3, C, N), p.bias), 2, 1).reshape(-1, N)
    rows = len(want)
    windows, step = m.place(rows, 9 * C, margin=16)
    y, y_step = m.place(rows, N)
    panels = padded(N) // LANES
    x_image, inputs = Image(x, x_step, H, W, C), Rows(windows, step)
    run_im2col(m.data, inputs, x_image, Window(3, 2, 1), Span(0, rows))
    run_linear(m.data, Rows(y, y_step), inputs, w.data, whole_layer(at, 9 * C, panels), rows,
               NONE, NO_ROWS, Span(0, panels), ONE_RUN, NO_ROWS)  # fmt: skip
    close(m.rows(y, y_step, rows, N), want)


LAWS = {name.removesuffix("_law"): law for name, law in LAWS.items()}
