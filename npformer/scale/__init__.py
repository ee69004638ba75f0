"""Photographs by the million: on all cores of a machine, or on the machines of a Dask cluster.

>>> from npformer import scale
>>> scale.classify("photographs", output="answers.parquet")  # doctest: +SKIP
Written(output='answers.parquet', photographs=1000000, unreadable=3, before=0)
"""

from .calls import classify, embed
from .pipeline import Row
from .run import Written

__all__ = ["Row", "Written", "classify", "embed"]
