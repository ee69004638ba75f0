"""Running statistics: what training leaves behind for batch norm to use in evaluation.

    mean ← (1 − m) mean + m · mean of the batch
    var  ← (1 − m) var  + m · variance of the batch · n / (n − 1)

m is the momentum. The batch is normalized by its biased variance, yet the *unbiased* one enters the
running average. Reference: torch.nn.BatchNorm2d, whose momentum is 0.1.
"""

from __future__ import annotations

from .arrays import Array
from .batch_norm import BatchNorm
from .precision import half_in_float32


@half_in_float32
def update_running_stats(
    p: BatchNorm, mean: Array, variance: Array, n: int, momentum: float = 0.1
) -> BatchNorm:
    """Move the running statistics toward those of a batch.

    Parameters
    ----------
    p : BatchNorm
    mean, variance : ndarray, shape (C,)
        Those of the batch, as `batch_norm` records them; the variance is the biased one.
    n : int
        Number of values per channel, at least 2.
    momentum : float
        Weight of the new batch, in [0, 1].

    Returns
    -------
    BatchNorm

    Raises
    ------
    ValueError
        If there are fewer than 2 values per channel, which have no unbiased variance.
    """
    if n < 2:
        raise ValueError(f"batch statistics need at least 2 values a channel, got {n}")
    return p._replace(
        running_mean=(1 - momentum) * p.running_mean + momentum * mean,
        running_var=(1 - momentum) * p.running_var + momentum * variance * n / (n - 1),
    )
