"""Training: forward and backward of a whole batch, by compiled steps.

    convolutions, linear layers, pooling       compiled steps, forward and then backward
    attention maps, layer norms, loss          NumPy, between the steps
    batch statistics, coefficients             NumPy, on a few numbers for each channel

A plan is made once for a size of batch (`training_plan`, `training_builder`). Where numbers of the
whole batch must be known before the next step can begin, such as the mean of a channel, the steps
stop and NumPy computes (`training_call`).

The masks of drop path are drawn before the first step, in the order of the blocks. On the branch of
a pooling, the mask is multiplied into a layer scale for each image; other branches have a step for
it.

Of a pooling block only its input, the mixed image, and what both batch norms see are kept; the
activation of the hidden map, the widest of all, is computed again in the backward pass.

Gradients are the same bits for any number of threads: sums over a batch are sums of parts that the
plan fixes, added up in order. The bias of a convolution before a batch norm moves the mean, which
the norm subtracts again: its gradient is exactly zero.
"""

from __future__ import annotations

from typing import Any

from ..layers import Array, Rng
from ..network import EfficientFormer, Gradients, Loss, check_input
from ..network.configuration import EfficientFormerConfig
from .arena import Arena, Workspace
from .threads import get_num_threads
from .training_plan import TrainingPlan


class FastGradients:
    """Gradients by the compiled kernels.

    The plan for the last size of batch is kept; making another one takes milliseconds. Memory takes
    longer to get: that of the largest batch serves all. Pickled and copied, it is its settings.

    Parameters
    ----------
    config : EfficientFormerConfig
    drop_path : float
        Its rate in the last block.
    """

    def __init__(self, config: EfficientFormerConfig, drop_path: float = 0.0) -> None:
        self._config, self._drop_path = config, drop_path
        self._plans: dict[tuple[int, ...], TrainingPlan] = {}
        self._arena, self._weights = Workspace(), Workspace()

    def __reduce__(self) -> tuple[Any, ...]:
        return FastGradients, (self._config, self._drop_path)

    def __call__(self, x: Array, p: EfficientFormer, loss: Loss, rng: Rng) -> Gradients:
        """Return loss, statistics and gradients of a batch.

        Parameters
        ----------
        x : ndarray, shape (B, H, W, C₀)
            Preprocessed images.
        p : EfficientFormer
            Of float32.
        loss : callable
            ``loss(logits)`` returns the loss and its gradient with respect to the logits.
        rng : Generator
            Where the masks of drop path are drawn from.

        Returns
        -------
        Gradients

        Raises
        ------
        ConfigError
            If the network cannot take such images.
        TypeError
            If they are not floating point numbers.
        """
        check_input(x, p, self._config)
        batch, height, width, _ = x.shape
        size = batch, height, width
        if size not in self._plans:
            self._plans = {size: TrainingPlan(p, self._config, *size, self._drop_path)}
        plan = self._plans[size]
        arena = Arena(plan.size, plan.scratch, get_num_threads(), self._arena)
        return plan(x, p, loss, rng, arena, self._weights(plan.weights_size))
