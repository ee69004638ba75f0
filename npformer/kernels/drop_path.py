"""Drop path: the branch of each image times a random number.

    forward     y = x + mask · branch        backward    dbranch = mask · dy

The mask of an image is 0 or 1 / (1 − rate), as in `npformer.layers.dropout`.
"""

from __future__ import annotations

from ..layers import Array
from .layout import LANES
from .vector import fma, kernel, load, splat, store


@kernel
def drop_path(
    m: Array, y: int, branch: int, step: int, rows: int, mask: float, residual: int
) -> None:
    """Some rows of one image times its mask.

    Parameters
    ----------
    m : ndarray of float32, flat
        Holds y, branch and residual.
    y : int
        Where the result begins; may be the branch.
    branch : int
        Where the branch begins.
    step : int
        Numbers in the rows of both, whole vectors.
    rows : int
        How many rows.
    mask : float
        What the branch is multiplied by.
    residual : int
        Where what is added to the result begins; negative for nothing.
    """
    for i in range(0, rows * step, LANES):
        past = splat(0.0)
        if residual >= 0:
            past = load(m, residual + i)
        store(m, y + i, fma(load(m, branch + i), splat(mask), past))
