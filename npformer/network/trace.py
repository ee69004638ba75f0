"""A trace that a notebook displays as a table, with ranges and small pictures."""

from __future__ import annotations

import numpy as np

from .. import layers
from ..display import picture, table


class Trace(layers.Trace):
    """`npformer.layers.Trace`, displayed as a table in a notebook.

    Parameters
    ----------
    *only : str, default "*"
        Shell-style patterns. Only arrays whose path matches one of them are kept.
    """

    def _repr_html_(self) -> str:
        rows = []
        for path, array in self.items():
            low, mean, high = (f"{f(array):.3g}" for f in (np.min, np.mean, np.max))
            shape = "×".join(map(str, array.shape))
            rows.append((path, shape, low, mean, high, picture(path, array)))
        return table(("array", "shape", "min", "mean", "max", ""), rows, numbers=range(2, 5))
