"""One head of attention: two matrix products with a softmax between.

    attn = softmax(q kᵀ + bias)          y = attn v

The scale 1/√K has been folded into q. The micro-kernel of `linear` does both products: the keys,
transposed, and the values are its "weights", packed on the spot. The biases are copied into the map
first and are the residual of the first product. A map is filled up to whole panels with columns
without a token; their bias is −∞, so that they get no attention.
"""

from __future__ import annotations

from ..layers import Array
from .layout import LANES, NO_ROWS, NONE, Heads, Rows, whole_layer
from .linear import dense
from .softmax import softmax
from .vector import kernel, load, mask, splat, store


@kernel
def pack_panels(
    m: Array, panels: int, x: int, k_step: int, j_step: int, K: int, columns: int
) -> None:
    """Pack the K × columns matrix whose entry (k, j) is ``m[x + k k_step + j j_step]``.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds the matrix and its packed form.
    panels : int
        Where the result begins. It is that of `npformer.kernels.layout.pack`, with the bias 0.
    x : int
        Where the matrix begins.
    k_step, j_step : int
        Numbers from one row to the next, and from one column to the next. With a `j_step` of 1, up
        to 15 numbers behind a row are read.
    K, columns : int
        Size of the matrix.
    """
    count = (columns + LANES - 1) // LANES
    for j in range(0, count * LANES, LANES):
        to, wide = panels + j * K, columns - j
        store(m, panels + count * K * LANES + j, splat(0.0))
        for k in range(K):
            row, at = to + k * LANES, x + k * k_step + j * j_step
            if j_step == 1:
                store(m, row, mask(load(m, at), wide))
            else:
                for c in range(LANES):
                    m[row + c] = m[at + c * j_step] if c < wide else 0.0


@kernel
def attention(
    m: Array, y: Rows, qkv: Rows, attn: Rows, sizes: Heads, w: Array, bias: int, scratch: int
) -> None:
    """One head of attention, for all tokens of an image.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds everything but the bias.
    y : Rows
        Result, a token in each row, with room for V numbers in whole vectors.
    qkv : Rows
        q, k and v of this head side by side, a token in each row.
    attn : Rows
        Result: the attention map, a query in each row.
    sizes : Heads
        Number of tokens, and widths K of a key and V of a value.
    w : ndarray of float32, flat
        The weights, which hold the bias.
    bias : int
        Where the bias of the scores begins: for each query a row of whole vectors, −∞ in columns
        without a token.
    scratch : int
        Space in m for the packed keys and, later, values.
    """
    tokens, K, V = sizes
    across, deep = (tokens + LANES - 1) // LANES, (V + LANES - 1) // LANES
    for i in range(tokens):
        for c in range(0, across * LANES, LANES):
            store(m, attn.at + i * attn.step + c, load(w, bias + i * across * LANES + c))
    pack_panels(m, scratch, qkv.at + K, 1, qkv.step, K, tokens)  # kᵀ: (K, tokens)
    dense(m, attn, qkv, m, whole_layer(scratch, K, across), tokens, NONE, attn)
    softmax(m, attn, tokens, across * LANES)
    pack_panels(m, scratch, qkv.at + 2 * K, qkv.step, 1, tokens, V)  # v: (tokens, V)
    dense(m, y, attn, m, whole_layer(scratch, tokens, deep), tokens, NONE, NO_ROWS)
