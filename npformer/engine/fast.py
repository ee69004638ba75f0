"""A network folded, packed and planned, which runs batches of images with several threads."""

from __future__ import annotations

from collections import OrderedDict, deque
from time import perf_counter
from typing import Any

import numpy as np

from ..layers import EVALUATION, Array, Run
from ..network import EfficientFormer, Logits, average_heads, check_input
from ..network.configuration import EfficientFormerConfig
from ..network.tree import transform
from .arena import flatten_images
from .fold import FoldedNetwork
from .pack import PackedNetwork
from .plan import Plan
from .quantized_plan import QuantizedPlan
from .steps import Kind
from .threads import get_num_threads
from .threads import run as on_threads

GROUP_SIZE = 4
"""Images that pass through the network together, at most. Each large matrix is then fetched once
for all of them, and memory does not grow with the batch. Where there are enough images for all
threads, each thread takes such groups for itself: then no thread waits for another."""
MAX_PLANS = 8
"""Plans that a network keeps: one for each size of image and set of wanted results."""


class Fast:
    """A network that runs on the compiled kernels.

    Parameters
    ----------
    params : EfficientFormer or FoldedNetwork
        Of float32, or in eight bits. Not kept.
    config : EfficientFormerConfig
    """

    def __init__(
        self, params: EfficientFormer | FoldedNetwork, config: EfficientFormerConfig
    ) -> None:
        self._packed = PackedNetwork(params, config)
        self._shapes = transform(
            lambda leaf: np.broadcast_to(leaf.dtype.type(0), leaf.shape), params
        )
        self._plans: OrderedDict[Any, Plan] = OrderedDict()
        height, width = config.image_shape
        self._plan_class = QuantizedPlan if self._packed.quantized else Plan
        self._names = tuple(self._plan_class(self._packed, height, width).results)

    def __call__(self, x: Array, run: Run = EVALUATION) -> Logits:
        """Run the network on preprocessed images.

        Parameters
        ----------
        x : ndarray, shape (B, H, W, C₀)
        run : Run
            Sees the arrays that `npformer.engine.make_forward` names.

        Returns
        -------
        Logits

        Raises
        ------
        ConfigError
            If the network cannot take such images.
        TypeError
            If they are not floating point numbers.
        """
        check_input(x, self._shapes, self._packed.config)
        B, height, width, _ = x.shape
        plan = self._plan(height, width, min(max(B, 1), GROUP_SIZE), run)
        outputs = {name: np.empty((B, *plan.results[name][0]), np.float32) for name in plan.outputs}
        threads = get_num_threads()
        groups = [slice(i, i + GROUP_SIZE) for i in range(0, B, GROUP_SIZE)]
        apart = B // (threads * GROUP_SIZE) * threads
        left = deque(groups[:apart])

        def take(_: int) -> None:
            """Send groups through on this thread alone, as long as there are some."""
            while group := _next(left):
                self._send(plan, x, outputs, group, threads, alone=True)

        if apart:
            on_threads(take, threads, release=left.clear)
        for group in groups[apart:]:
            self._send(plan, x, outputs, group, threads, alone=False)
        for name in plan.wanted:
            run(name, outputs[name])
        return _logits(outputs)

    def _send(
        self,
        plan: Plan,
        x: Array,
        outputs: dict[str, Array],
        group: slice,
        threads: int,
        alone: bool,
    ) -> None:
        """Send some images through the network.

        Parameters
        ----------
        plan : Plan
        x : ndarray, shape (B, H, W, C₀)
        outputs : dict
            An array (B, …) for each of `plan.outputs`; filled in part.
        group : slice
            Which images.
        threads : int
            Number of threads that the memory has room for.
        alone : bool
            Whether to use this thread only.
        """
        arena, images = plan.borrow(threads), x[group]
        pixels = flatten_images(images)
        arena.execute(plan.table, self._packed.weights, len(images), pixels, alone=alone)
        for name, output in outputs.items():
            plan.read(name, arena, output[group])
        plan.give_back(arena)

    def _plan(self, height: int, width: int, capacity: int, run: Run) -> Plan:
        """Return the plan for such images, made when it is first needed.

        Parameters
        ----------
        height, width : int
            Of the images.
        capacity : int
            How many pass at once.
        run : Run
            Whose wanted results the plan keeps to the end.
        """
        wanted = tuple(name for name in self._names if run.wants(name))
        key = height, width, capacity, wanted
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plan_class(self._packed, height, width, capacity, wanted)
            self._plans[key] = plan
            while len(self._plans) > MAX_PLANS:
                self._plans.popitem(last=False)
        return plan

    def times(self, x: Array, threads: int) -> list[tuple[str, str, float]]:
        """Measure each step.

        Each is repeated in one call, since once alone it would be over before the other threads
        are awake. So it finds more in its caches than between other steps.

        Parameters
        ----------
        x : ndarray, shape (B, H, W, C₀)
        threads : int

        Returns
        -------
        list of (str, str, float)
            Module, kernel, and seconds of each step.
        """
        plan = self._plan(x.shape[1], x.shape[2], len(x), EVALUATION)
        arena, pixels = plan.borrow(threads), flatten_images(x)
        repeats = 16
        rows = []
        for i, name in enumerate(plan.names):
            table = np.repeat(plan.table[i : i + 1], repeats)
            start = perf_counter()
            arena.execute(table, self._packed.weights, len(x), pixels)
            seconds = (perf_counter() - start) / repeats
            rows.append((name, Kind(plan.table["kind"][i]).kernel, seconds))
        plan.give_back(arena)
        return rows


def _next(left: deque[slice]) -> slice | None:
    try:
        return left.popleft()
    except IndexError:
        return None


def _logits(outputs: dict[str, Array]) -> Logits:
    """Average both heads, as the plain network; without any, the pooled features are returned."""
    if "head" not in outputs:
        return Logits(outputs["pooled"], None, None)
    return average_heads(outputs["head"], outputs.get("head_dist"))
