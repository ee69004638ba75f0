"""A trace that shows itself in a notebook, with ranges and small pictures."""

from __future__ import annotations

import numpy as np

from .. import layers
from ..display import picture, table


class Trace(layers.Trace):
    """`npformer.layers.Trace`, which in a notebook shows itself as a table.

    Parameters
    ----------
    *only : str, default "*"
        Shell-style patterns; paths that match none of them are not kept.
    """

    def _repr_html_(self) -> str:
        rows = []
        for path, array in self.items():
            low, mean, high = (f"{f(array):.3g}" for f in (np.min, np.mean, np.max))
            shape = "×".join(map(str, array.shape))
            rows.append((path, shape, low, mean, high, picture(path, array)))
        return table(("array", "shape", "min", "mean", "max", ""), rows, numbers=range(2, 5))
