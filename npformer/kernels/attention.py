"""One head of attention: two matrix products with a softmax between.

    attn = softmax(q kᵀ + bias)          y = attn v

The scale 1/√K has been folded into q. The micro-kernel of `linear` does both products: the keys,
transposed, and the values are its "weights", packed on the spot, and the bias of each pair of
tokens lies in the map already and is the residual of the first product. A map is filled up to whole
panels with columns without a token; their bias is −∞, so that they get no attention.
"""

from __future__ import annotations

from ..layers import Array
from .layout import LANES, NONE
from .linear import FROM_BIAS, ONE_RUN, PACKED, linear
from .softmax import softmax
from .vector import kernel, load, mask, splat, store


@kernel
def pack_panels(
    m: Array, panels: int, x: int, k_step: int, j_step: int, K: int, columns: int
) -> None:
    """Pack the K × columns matrix whose entry (k, j) is ``m[x + k k_step + j j_step]``.

    The result lies at `panels` and is that of `npformer.kernels.layout.pack`, with the bias 0. With
    a `j_step` of 1, up to 15 numbers behind a row are read.
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
    m: Array,
    y: int,
    y_step: int,
    qkv: int,
    qkv_step: int,
    attn: int,
    attn_step: int,
    tokens: int,
    K: int,
    V: int,
    w: Array,
    bias: int,
    scratch: int,
) -> None:
    """One head of attention, for all tokens of an image.

    Parameters
    ----------
    m : ndarray of float32, flat
    y, y_step : int
        Result, a token in each row, with room for V numbers in whole vectors.
    qkv, qkv_step : int
        q, k and v of this head side by side, a token in each row.
    attn, attn_step : int
        Result: the attention map, a query in each row.
    tokens, K, V : int
        Tokens, and widths of a key and of a value.
    bias : int
        Added to the scores; rows as those of attn; −∞ in columns without a token.
    scratch : int
        Room for the packed keys and, later, values.
    """
    across, deep = (tokens + LANES - 1) // LANES, (V + LANES - 1) // LANES
    for i in range(tokens):
        for c in range(0, across * LANES, LANES):
            store(m, attn + i * attn_step + c, load(w, bias + i * across * LANES + c))
    pack_panels(m, scratch, qkv + K, 1, qkv_step, K, tokens)  # kᵀ: (K, tokens)
    linear(
        m, attn, attn_step, qkv, qkv_step, m, scratch, K, across,
        tokens, 0, across, NONE, attn, attn_step, *ONE_RUN, *FROM_BIAS, *PACKED,
    )  # fmt: skip
    softmax(m, attn, attn_step, tokens, across * LANES)
    pack_panels(m, scratch, qkv + 2 * K, qkv_step, 1, tokens, V)  # v: (tokens, V)
    linear(
        m, y, y_step, attn, attn_step, m, scratch, tokens, deep,
        tokens, 0, deep, NONE, -1, 0, *ONE_RUN, *FROM_BIAS, *PACKED,
    )  # fmt: skip
