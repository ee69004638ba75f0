# %% [markdown]
# # 09 · From loops to the roofline: how the kernels work
#
# **Aim.** Make one matrix product faster step by step, by a factor of several thousand, and know at each step why; then see how far the
# whole network is from what this machine can do at all.
#
# Nearly all the time of the network goes into one thing: $Y = X W + b$, a linear layer, which is also what a convolution becomes. We take one
# of EfficientFormer-L1: the first layer of the MLPs of stage 3, for one photograph. 14×14 pixels with 224 channels become 896.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
from numba import njit

import npformer
from npformer import engine, plots
from npformer.bench.peak import fma_peak
from npformer.kernels.layout import GELU, LANES, NO_ROWS, NONE, Rows, pack, packed_size, whole_layer
from npformer.kernels.linear import dense
from npformer.kernels.vector import compiled
from npformer.layers import LayerNorm, Linear, gelu, layer_norm, linear, pooling

rng = np.random.default_rng(0)
M, K, N = 196, 224, 896
x = rng.standard_normal((M, K)).astype(np.float32)
p = Linear(
    (rng.standard_normal((K, N)) / 15).astype(np.float32), rng.standard_normal(N).astype(np.float32)
)
right = linear(x, p)
work = 2 * M * K * N  # multiplications and additions
print(
    f"{work / 1e6:.0f} million operations; {(x.nbytes + p.weight.nbytes + right.nbytes) / 1e6:.1f} MB of numbers"
)


def seconds(f, budget=0.4):
    """Shortest time of as many runs as fit into a budget."""
    best, end = np.inf, time.perf_counter() + budget
    while best == np.inf or time.perf_counter() < end:
        start = time.perf_counter()
        f()
        best = min(best, time.perf_counter() - start)
    return best


speed = {}


def measure(name, f, share=1.0, check=None):
    """Note how many billion operations a second a way of computing does."""
    if check is not None:
        assert np.allclose(check, right[: len(check)], atol=1e-3)
    speed[name] = share * work / seconds(f) / 1e9
    print(f"{name:32} {speed[name]:10.4f} GFLOP/s")


# %% [markdown]
# ## 1. Python loops
#
# The definition, word for word. Each of the operations goes through the interpreter: look up the names, check the types, make a new number.
# (Only the first row, else we would wait.)


# %%
def python_loops(x, w, b):
    """y[i][j] = b[j] + Σ x[i][k] w[k][j]."""
    y = [[0.0] * len(b) for _ in x]
    for i in range(len(x)):
        for j in range(len(b)):
            total = b[j]
            for k in range(len(w)):
                total += x[i][k] * w[k][j]
            y[i][j] = total
    return y


first_row, weight, bias = x[:1].tolist(), p.weight.tolist(), p.bias.tolist()
measure(
    "Python loops",
    lambda: python_loops(first_row, weight, bias),
    1 / M,
    np.array(python_loops(first_row, weight, bias)),
)

# %% [markdown]
# ## 2. NumPy, a column of X at a time
#
# $Y = \sum_k x_k w_k^\top$: 224 times, a column of $X$ times a row of $W$, all of $Y$ at once. No interpreter in the inner loop any more. But $Y$, 700 kB, is read
# and written 224 times, and that takes longer than the arithmetic.


# %%
def outer_products(x, w, b):
    """Add up one outer product for each k."""
    y = np.tile(b, (len(x), 1))
    for k in range(len(w)):
        y += x[:, k, None] * w[k]
    return y


measure(
    "NumPy, outer products",
    lambda: outer_products(x, p.weight, p.bias),
    1,
    outer_products(x, p.weight, p.bias),
)

# %% [markdown]
# ## 3. The same loops, compiled
#
# Numba turns the loops into machine code. With the loops in the order i, j, k the inner loop adds up *one* number: each addition must wait for the one
# before, and it is even slower than step 2. In the order i, k, j the inner loop adds to a whole row of $Y$, numbers that do not wait for each other: the compiler uses vector instructions, 8 or 16
# numbers at a time.


# %%
@njit
def loops_ijk(x, w, b):
    """Innermost a sum."""
    y = np.empty((len(x), len(b)), np.float32)
    for i in range(len(x)):
        for j in range(len(b)):
            total = b[j]
            for k in range(len(w)):
                total += x[i, k] * w[k, j]
            y[i, j] = total
    return y


@njit
def loops_ikj(x, w, b):
    """Innermost a row of y."""
    y = np.empty((len(x), len(b)), np.float32)
    for i in range(len(x)):
        y[i] = b
        for k in range(len(w)):
            for j in range(len(b)):
                y[i, j] += x[i, k] * w[k, j]
    return y


measure(
    "compiled, i j k", lambda: loops_ijk(x, p.weight, p.bias), 1, loops_ijk(x, p.weight, p.bias)
)
measure(
    "compiled, i k j", lambda: loops_ikj(x, p.weight, p.bias), 1, loops_ikj(x, p.weight, p.bias)
)

# %% [markdown]
# ## 4. Tiles in registers
#
# What is left to wait for? In the last version each vector of $Y$ is loaded, gets one multiplication and addition, and is stored again: three trips to memory
# for one operation. A core can do two such operations in a cycle, but only about two loads.
#
# The cure: let a small tile of $Y$ *stay in registers* while $k$ runs from beginning to end. How large it can be depends on the processor. AVX2 has 16 registers of 8
# numbers, room for 6 rows × 16 columns: for each $k$ one loads 16 weights and 6 numbers of $X$, and gets 96 multiply-adds for it. AVX-512 has 32 registers of 16
# numbers, room for 14 rows × 32 columns: 32 weights and 14 numbers of $X$ give 448.
#
# For this the weights are *packed* once: cut into panels of 16 columns, so that what is needed next lies next in memory. A tile of 16 columns takes one panel, one of 32
# takes two. This is the micro-kernel of npformer for more than one panel, from `npformer/kernels/linear.py`:
#
# <!-- source: npformer/kernels/linear.py multiply_wide -->
# ```python
# @inlined
# def multiply_wide(
#     tile: Tile, m: Array, x: Rows, w: Array, panel: Rows, K: int, ahead: bool
# ) -> Tile:
#     for k in range(K):
#         row = panel.at + LANES * k
#         prefetch(w, row + len(tile) * panel.step)
#         prefetch(w, row + (len(tile) + 1) * panel.step)
#         if len(tile) == 3:
#             prefetch(w, row + (len(tile) + 2) * panel.step)
#         tile = rank_one(tile, m, x.at + k, x.step, w, row, panel.step)
#     return tile
# ```
#
# `rank_one` is step 2 again, for one tile: a column of $X$ times a row of $W$, added to the numbers of $Y$ in the registers. `prefetch` asks the memory for a row of the
# panels that come next, so that they are in the cache when their turn comes.


# %%
@compiled
def run_kernel(m, w, y_at, M, K, N, activation):
    """Call npformer's kernel for all rows and panels; x lies at 0 in m, y at y_at."""
    dense(m, Rows(y_at, N), Rows(0, K), w, whole_layer(0, K, N // LANES), M, activation, NO_ROWS)


w = np.zeros(packed_size(K, N), np.float32)
pack(p, w)
m = np.zeros(M * K + M * N + 64, np.float32)
m[: M * K] = x.ravel()
run_kernel(m, w, M * K, M, K, N, NONE)
result = m[M * K : M * (K + N)].reshape(M, N)
measure("npformer's kernel, 1 thread", lambda: run_kernel(m, w, M * K, M, K, N, NONE), 1, result)

# %% [markdown]
# ## 5. The library
#
# `np.matmul` calls a BLAS, decades of work, which also uses all threads that it is given.

# %%
measure("np.matmul, as it comes", lambda: x @ p.weight, 1)

ax = plots.bars(speed, "billion operations a second (logarithmic)")
ax.set_xscale("log")
ax.set_xlim(min(speed.values()) / 2, max(speed.values()) * 6)

# %% [markdown]
# ## The roofline
#
# How fast could it be at all? Two things limit every program: how many operations a core can do in a second, and how many bytes the memory can deliver. Which of the two
# matters depends on how many operations the program does *for each byte*, its arithmetic intensity:
#
# $$\text{speed} \le \min(\text{peak},\; \text{intensity} \times \text{bandwidth})$$
#
# We measure both for one core: the peak by multiply-adds of numbers that never leave the registers, the bandwidth by copying arrays that fit into no cache.


# %%
@njit
def copy(a, b):
    """Read a, write b."""
    for i in range(len(a)):
        b[i] = a[i]


peak = fma_peak(1)
a, b = np.zeros(2**24, np.float32), np.ones(2**24, np.float32)
copy(a, b)
bandwidth = 2 * a.nbytes / seconds(lambda: copy(a, b)) / 1e9
print(
    f"peak {peak:.0f} GFLOP/s, bandwidth {bandwidth:.1f} GB/s; they meet at {peak / bandwidth:.0f} operations a byte"
)

# %% [markdown]
# Now some operators of L1, each with the bytes that it must at least read and write: linear layers with our kernel, and the small ones in plain NumPy.

# %%
points = {}


def point(name, f, flops, floats):
    """Note intensity and speed of an operator."""
    t = seconds(f, 0.25)
    points[name] = (flops / (4 * floats), flops / t / 1e9)


for name, (rows, k, n) in {
    "stage 1, 48→192": (3136, 48, 192),
    "stage 2, 96→384": (784, 96, 384),
    "stage 3, 224→896": (196, 224, 896),
    "stage 4, 448→1792": (49, 448, 1792),
}.items():
    q = Linear(rng.standard_normal((k, n)).astype(np.float32), np.zeros(n, np.float32))
    wq = np.zeros(packed_size(k, n), np.float32)
    pack(q, wq)
    mq = np.zeros(rows * (k + n) + 64, np.float32)
    point(
        name, lambda mq=mq, wq=wq, rows=rows, k=k, n=n: run_kernel(mq, wq, rows * k, rows, k, n, NONE),
        2 * rows * k * n, rows * (k + n) + k * n,
    )  # fmt: skip

maps = rng.standard_normal((1, 56, 56, 192)).astype(np.float32)
half = maps[..., :48].copy()
norm = LayerNorm(np.ones(48, np.float32), np.zeros(48, np.float32))
point("GELU, NumPy", lambda: gelu(maps), 30 * maps.size, 2 * maps.size)
point("pooling, NumPy", lambda: pooling(half), 10 * half.size, 2 * half.size)
point("layer norm, NumPy", lambda: layer_norm(half, norm), 8 * half.size, 2 * half.size)
point("residual, NumPy", lambda: half + half, half.size, 3 * half.size)

figure, ax = plt.subplots(figsize=(8, 4.4), layout="constrained")
intensity = np.array([0.05, peak / bandwidth, 300])
ax.loglog(intensity, np.minimum(peak, intensity * bandwidth), color="black", linewidth=1.5)
for (name, (at, gflops)), marker in zip(points.items(), "os^DvP*X", strict=True):
    color = plots.COLORS["vermilion" if "NumPy" in name else "blue"]
    ax.scatter(at, gflops, marker=marker, s=60, color=color, label=name, zorder=3)
ax.text(0.06, 0.06 * bandwidth * 1.6, "memory", rotation=38, fontsize=9)
ax.text(300, peak * 1.12, "arithmetic", ha="right", fontsize=9)
ax.set_xlabel("operations for each byte")
ax.set_ylabel("GFLOP/s, 1 core")
ax.set_ylim(0.2, peak * 2.5)
ax.legend(fontsize=8, frameon=False, loc="lower right")
ax.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# The linear layers lie under the flat part of the roof and nearly touch it: for them nothing is left to gain but more cores, or fewer operations (further down). The small operators lie far to the left: even a perfect
# program for them would run at a small part of the peak, because it mostly waits for memory. (A point above the sloping line is no miracle: its arrays fit into a cache, which is faster than
# memory.)
#
# ## Fusion: do not go to memory at all
#
# So the best thing to do with a small operator is to do it *while the number is still there*. Our kernel applies GELU to a panel of 16 columns as soon as it is complete. (To twice each number, because
# $\mathrm{GELU}(2h)$ takes one multiplication less; so the weights are halved, which changes no bit of them but the exponent.) Compare with a product followed by GELU in NumPy:

# %%
pack(Linear(p.weight / 2, p.bias / 2), w)
run_kernel(m, w, M * K, M, K, N, GELU)
assert np.allclose(m[M * K : M * (K + N)].reshape(M, N), gelu(right), atol=1e-3)
y = right.copy()
plots.bars(
    {
        "product alone, kernel": 1e3 * seconds(lambda: run_kernel(m, w, M * K, M, K, N, NONE)),
        "product and GELU, fused": 1e3 * seconds(lambda: run_kernel(m, w, M * K, M, K, N, GELU)),
        "GELU alone, NumPy": 1e3 * seconds(lambda: gelu(y)),
    },
    "milliseconds",
    "green",
)

# %% [markdown]
# ## Fewer operations
#
# The roof is made of multiply-adds. Do we need all of them? Cut rows, inputs and outputs of a product in two, and it becomes eight products of an eighth of the work each:
#
# $$\begin{pmatrix} A_{11} & A_{12} \\ A_{21} & A_{22} \end{pmatrix} \begin{pmatrix} B_{11} & B_{12} \\ B_{21} & B_{22} \end{pmatrix} =
# \begin{pmatrix} A_{11}B_{11} + A_{12}B_{21} & A_{11}B_{12} + A_{12}B_{22} \\ A_{21}B_{11} + A_{22}B_{21} & A_{21}B_{12} + A_{22}B_{22} \end{pmatrix}$$
#
# Volker Strassen found in 1969 that **seven** are enough, if one adds before one multiplies. In the form of Shmuel Winograd:


# %%
def quarters(matrix):
    """Upper left, upper right, lower left, lower right."""
    return [part for rows in np.split(matrix, 2) for part in np.split(rows, 2, axis=1)]


def seven_products(A, B):
    """A @ B; each @ below multiplies quarters."""
    (a11, a12, a21, a22), (b11, b12, b21, b22) = quarters(A), quarters(B)
    s1, s3 = a21 + a22, a11 - a21
    s2 = s1 - a11
    s4 = a12 - s2
    t1, t3 = b12 - b11, b22 - b12  # the network's weights are known: its t are made only once
    t2 = b22 - t1
    t4 = b21 - t2
    p, v = a11 @ b11, s1 @ t1  # 1, 2
    q = p + s2 @ t2  # 3
    r = q + s3 @ t3  # 4
    return np.block([[p + a12 @ b21, q + v + s4 @ b22], [r + a22 @ t4, r + v]])  # 5, 6, 7


exact = x.astype(np.float64) @ p.weight
for name, product in (
    ("eight products", x @ p.weight),
    ("seven products", seven_products(x, p.weight)),
):
    print(f"{name}: largest rounding error {abs(product - exact).max():.1e}")

# %% [markdown]
# An eighth of the multiplications is gone; what it costs are additions, and rounding errors that are somewhat larger, because the sums mix numbers that the direct product keeps apart. The kernel
# `npformer/kernels/strassen.py` does this in the blocks of 96 channels and more, where a sum of numbers costs less than it saves. It also says what the formula forgets: a row with a NaN must not spoil
# the row that it is added to.
#
# ## The whole network
#
# Folding (notebook 02) takes the norms away, fused kernels the small operators, and threads walk together through a plan in which every step knows where it reads
# and writes. The result, for L1 with 224×224 pixels:

# %%
config = npformer.EfficientFormerConfig(num_labels=1000)
params = npformer.network.params.initialize(config)
image = rng.standard_normal((1, 224, 224, 3)).astype(np.float32)
plain = engine.make_forward(params, config, "numpy")
fast = engine.make_forward(params, config, "numba")
print(
    f"largest difference of the logits: {abs(plain(image).logits - fast(image).logits).max():.1e}"
)

times = {"plain NumPy, all threads": 1e3 * seconds(lambda: plain(image), 2)}
threads = engine.get_num_threads()
for n in sorted({1, threads}):
    engine.set_num_threads(n)
    times[f"kernels, {n} thread{'s' if n > 1 else ''}"] = 1e3 * seconds(lambda: fast(image), 1.5)
engine.set_num_threads(None)
plots.bars(times, "milliseconds for one photograph, EfficientFormer-L1")

# %%
from npformer.network.summary import summarize

macs = summarize(config).macs
one = times["kernels, 1 thread"]
print(
    f"L1 on one core: {2 * macs / one / 1e6:.0f} GFLOP/s, {2 * macs / one / 1e6 / peak:.0%} of this core's peak"
)

# %% [markdown]
# ## Questions
#
# 1. Why is a tile 6×16 on AVX2 and not 2×48? Why 14×32 on AVX-512 and not 30×16? (Count loads for each multiply-add, and registers.)
# 2. Which of the operators would gain from half as many bytes, that is from float16? Which would not?
# 3. The kernel adds up each number in the order $k = 0, 1, 2, \dots$, whatever the number of threads. What is that good for?
#
# **In the paper:** nothing; its networks were compiled by CoreML and TensorRT, which do just this. Read on in `npformer/kernels/` and
# `npformer/engine/`: each kernel file has the name of the layer that it speeds up.
