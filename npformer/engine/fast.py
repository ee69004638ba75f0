"""A network made ready to run: by the plain layers, or folded, packed and planned."""

from __future__ import annotations

import warnings
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from functools import cache
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from ..errors import ConfigError
from ..layers import EVALUATION, Array, Mode, Rng, Run
from ..network import EfficientFormer, Gradients, Logits, Loss, average_heads, check_input, model
from ..network.configuration import EfficientFormerConfig
from ..network.tree import leaves, transform
from . import machine_code
from .plan import ACTIVATIONS, Packed, Plan, flat
from .steps import KERNELS
from .threads import get_num_threads
from .threads import run as on_threads

ENGINES = ("auto", "numba", "numpy")
TOGETHER = 4
"""At most so many images go through the network at once. Each large matrix is then fetched once for
all of them, and memory does not grow with the batch. Where there are enough images for all threads,
each thread takes so many for itself: then nobody waits for anybody."""
PLANS = 8
"""How many plans a network remembers: one for each size of image and set of wanted results."""


class Forward(Protocol):
    """A network that is ready to run."""

    def __call__(self, x: Array, run: Run = EVALUATION) -> Logits:
        """Run it on preprocessed images, (B, H, W, C₀)."""
        ...


def make_forward(
    params: EfficientFormer, config: EfficientFormerConfig, engine: str = "auto"
) -> Forward:
    """Make a network ready to run.

    Parameters
    ----------
    params : EfficientFormer
    config : EfficientFormerConfig
    engine : {"auto", "numba", "numpy"}
        ``"numba"`` runs the compiled kernels, ``"numpy"`` the plain layers. ``"auto"`` takes the
        kernels where they work, and says once why if they do not. They work in float32; other
        parameters are for proofs, and run on the plain layers.

    Returns
    -------
    callable
        ``forward(x, run=EVALUATION) -> Logits``, as `npformer.network.forward`. May be called by
        several threads at once. The kernels leave less to record: ``stem``,
        ``stages.i.downsample``, ``stages.i.blocks.j`` and its ``token_mixer.attn``, ``stages.i``,
        ``norm``, ``pooled``, ``head`` and ``head_dist``. With ``"auto"``, a call whose
        recorder wants more runs the plain layers.

    Raises
    ------
    ConfigError
        If there is no such engine, or ``"numba"`` cannot run this network here.
    """

    def plain(x: Array, run: Run = EVALUATION) -> Logits:
        return model.forward(x, params, config, run)

    if not _compiled(params, config, engine):
        return plain
    fast = Fast(params, config)
    if engine == "numba":
        return fast

    def automatic(x: Array, run: Run = EVALUATION) -> Logits:
        inside = any(run.wants(name) for name in _inner_names(config))
        return plain(x, run) if inside else fast(x, run)

    return automatic


class TrainingStep(Protocol):
    """What a step of training learns from a batch, ready to run."""

    def __call__(self, x: Array, p: EfficientFormer, loss: Loss, rng: Rng) -> Gradients:
        """Run forward, loss and backward on preprocessed images, (B, H, W, C₀)."""
        ...


def make_gradients(
    params: EfficientFormer,
    config: EfficientFormerConfig,
    engine: str = "auto",
    dropout: float = 0.0,
    drop_path: float = 0.0,
) -> TrainingStep:
    """Make forward and backward in training ready to run.

    Parameters
    ----------
    params : EfficientFormer
        Of the shapes and dtype that the parameters will have.
    config : EfficientFormerConfig
    engine : {"auto", "numba", "numpy"}
        As of `make_forward`. The kernels have drop path, but no dropout: with that, ``"auto"``
        takes the plain layers.
    dropout, drop_path : float
        Rates of noise, as of `npformer.layers.training`.

    Returns
    -------
    callable
        ``gradients(x, p, loss, rng) -> Gradients``, as `npformer.network.gradients`; `rng` is
        where noise is drawn from. The kernels' tape holds the batch statistics alone, and their
        gradient of a convolution's bias before a batch norm, which subtracts it again, is
        exactly zero. To be called by one thread at a time.

    Raises
    ------
    ConfigError
        If there is no such engine, or ``"numba"`` cannot run this network here.
    """
    if dropout > 0 and engine == "numba":
        raise ConfigError(f"dropout is {dropout} and engine='numba' has none; use engine='numpy'")
    engine = "numpy" if dropout > 0 and engine == "auto" else engine
    if not _compiled(params, config, engine, _training_obstacle):

        def plain(x: Array, p: EfficientFormer, loss: Loss, rng: Rng) -> Gradients:
            return model.gradients(x, p, config, loss, Mode(True, dropout, drop_path, rng))

        return plain
    from .training import FastGradients

    return FastGradients(config, drop_path)


@cache
def _obstacle() -> str | None:
    return machine_code.obstacle()


@cache
def _training_obstacle() -> str | None:
    """Training needs Numba where the code is there, too: its plan asks for the sizes of tiles."""
    try:
        from . import training  # noqa: F401
    except ImportError as error:
        return f"Numba is missing ({error})"
    return _obstacle()


def _compiled(
    params: EfficientFormer,
    config: EfficientFormerConfig,
    engine: str,
    obstacle: Callable[[], str | None] = _obstacle,
) -> bool:
    """Whether the kernels are to run a network; with ``"auto"``, say once why they cannot."""
    if engine not in ENGINES:
        raise ConfigError(f"engine is {engine!r}; expected one of {', '.join(ENGINES)}")
    if engine == "numpy" or (engine == "auto" and _dtypes(params) != {"float32"}):
        return False
    reason = _unsupported(params, config) or obstacle()
    if reason is None:
        return True
    if engine == "numba":
        raise ConfigError(f"engine='numba' cannot run: {reason}; use engine='numpy'")
    _say_once(reason)
    return False


def _inner_names(config: EfficientFormerConfig) -> Iterator[str]:
    """What the plain layers show to a recorder, and the kernels do not."""
    for name in ("conv1", "norm1", "act1", "conv2", "norm2", "act2"):
        yield f"stem.{name}"
    for i, depth in enumerate(config.depths):
        yield f"stages.{i}.downsample.conv"
        yield f"stages.{i}.downsample.norm"
        for j in range(depth + 1):  # the step from images to tokens counts as a block
            for name in (
                *("norm1", "token_mixer", "token_mixer.qkv", "token_mixer.proj", "ls1", "norm2"),
                *("mlp", "mlp.fc1", "mlp.norm1", "mlp.act", "mlp.fc2", "mlp.norm2", "ls2"),
            ):
                yield f"stages.{i}.blocks.{j}.{name}"


def _dtypes(params: EfficientFormer) -> set[str]:
    return {str(leaf.dtype) for _, leaf in leaves(params)}


def _unsupported(params: EfficientFormer, config: EfficientFormerConfig) -> str | None:
    """Say why the kernels cannot run this network; None if they can."""
    if config.hidden_act not in ACTIVATIONS:
        return f"there is no kernel for hidden_act={config.hidden_act!r}"
    if (dtypes := _dtypes(params)) != {"float32"}:
        return f"the parameters are {', '.join(sorted(dtypes))} and the kernels float32"
    return None


@cache
def _say_once(reason: str) -> None:
    warnings.warn(
        f"npformer runs on NumPy alone, several times slower: {reason}",
        RuntimeWarning,
        stacklevel=4,
    )


def _next(left: deque[slice]) -> slice | None:
    try:
        return left.popleft()
    except IndexError:
        return None


class Fast:
    """A network folded, packed and planned.

    Parameters
    ----------
    params : EfficientFormer
        Of float32. Not kept.
    config : EfficientFormerConfig
    """

    def __init__(self, params: EfficientFormer, config: EfficientFormerConfig) -> None:
        self._packed = Packed(params, config)
        self._shapes = transform(
            lambda leaf: np.broadcast_to(leaf.dtype.type(0), leaf.shape), params
        )
        self._plans: OrderedDict[Any, Plan] = OrderedDict()
        height, width = config.image_shape
        self._names = tuple(Plan(self._packed, height, width).results)

    def __call__(self, x: Array, run: Run = EVALUATION) -> Logits:
        """Run it on preprocessed images, (B, H, W, C₀)."""
        config = self._packed.config
        check_input(x.shape, self._shapes, config)
        B, height, width, _ = x.shape
        plan = self._plan(height, width, min(max(B, 1), TOGETHER), run)
        outputs = {name: np.empty((B, *plan.results[name][0]), np.float32) for name in plan.outputs}
        threads = get_num_threads()
        rounds = [slice(i, i + TOGETHER) for i in range(0, B, TOGETHER)]
        apart = B // (threads * TOGETHER) * threads
        left = deque(rounds[:apart])

        def take(_: int) -> None:
            """Send rounds through on this thread alone, as long as there are some."""
            try:
                while part := _next(left):
                    self._send(plan, x, outputs, part, threads, alone=True)
            except BaseException:
                left.clear()  # so that nobody is waited for longer than for one round
                raise

        if apart:
            on_threads(take, threads)
        for part in rounds[apart:]:
            self._send(plan, x, outputs, part, threads, alone=False)
        for name in plan.wanted:
            run(name, outputs[name])
        return self._logits(outputs)

    def _send(
        self,
        plan: Plan,
        x: Array,
        outputs: dict[str, Array],
        part: slice,
        threads: int,
        alone: bool,
    ) -> None:
        """Send some images through, with all threads or on this one alone."""
        arena, images = plan.borrow(threads), x[part]
        arena.walk(plan.table, self._packed.weights, len(images), flat(images), alone=alone)
        for name, output in outputs.items():
            plan.read(name, arena, output[part])
        plan.give_back(arena)

    def _plan(self, height: int, width: int, capacity: int, run: Run) -> Plan:
        """The plan for such images; made when it is first needed."""
        wanted = tuple(name for name in self._names if run.wants(name))
        key = height, width, capacity, wanted
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = Plan(self._packed, height, width, capacity, wanted)
            while len(self._plans) > PLANS:
                self._plans.popitem(last=False)
        return plan

    def times(self, x: Array, threads: int) -> list[tuple[str, str, float]]:
        """Measure each step: module, kernel and seconds.

        Each is taken several times at once, since alone it would be over before the other threads
        are awake. So it finds more in its caches than it would between the others.
        """
        plan = self._plan(x.shape[1], x.shape[2], len(x), EVALUATION)
        arena, pixels = plan.borrow(threads), flat(x)
        again = 16
        rows = []
        for i, name in enumerate(plan.names):
            table = np.repeat(plan.table[i : i + 1], again)
            start = perf_counter()
            arena.walk(table, self._packed.weights, len(x), pixels)
            seconds = (perf_counter() - start) / again
            rows.append((name, KERNELS[plan.table["kind"][i]], seconds))
        plan.give_back(arena)
        return rows

    def _logits(self, outputs: dict[str, Array]) -> Logits:
        """As `npformer.network.model.heads`."""
        if "head" not in outputs:
            return Logits(outputs["pooled"], None, None)
        return average_heads(outputs["head"], outputs.get("head_dist"))
