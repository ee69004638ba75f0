"""Which engine runs a network: compiled kernels where they work, else the plain NumPy layers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Protocol, cast

from ..errors import ConfigError
from ..layers import EVALUATION, Array, Mode, Rng, Run
from ..network import EfficientFormer, Gradients, Logits, Loss, model
from ..network.configuration import EfficientFormerConfig
from ..network.tree import leaves
from . import machine_code
from .fast import Fast
from .fold import FoldedNetwork
from .pack import ACTIVATION_CODES, is_quantized
from .quantize import NO_TRAINING, float_layers, quantized_forward

ENGINES = ("auto", "numba", "numpy")


class Forward:
    """A network that is ready to run; `make_forward` makes it.

    It never changes. Pickled and deeply copied, it is its parameters, its configuration and the
    choice of an engine, without machine code, packed weights, plans or memory: `make_forward`
    makes it again where it arrives.

    Parameters
    ----------
    params : EfficientFormer or FoldedNetwork
        The latter in eight bits, as `npformer.engine.quantize` makes it.
    config : EfficientFormerConfig
    engine : {"auto", "numba", "numpy"}
        Which engine was asked for.
    fast : Fast or None
        The network on the compiled kernels; None if the plain layers run it.
    """

    def __init__(
        self,
        params: EfficientFormer | FoldedNetwork,
        config: EfficientFormerConfig,
        engine: str,
        fast: Fast | None,
    ) -> None:
        self.params, self.config, self.engine, self.fast = params, config, engine, fast

    def __call__(self, x: Array, run: Run = EVALUATION) -> Logits:
        """Run the network on preprocessed images, (B, H, W, C₀).

        Raises
        ------
        ConfigError
            If the network cannot take such images, or the run is in training mode and the engine
            is ``"numba"``, whose forward only evaluates, or the network is in eight bits.
        TypeError
            If the images are not floating point numbers.
        """
        evaluates = run.mode == EVALUATION.mode
        if isinstance(self.params, FoldedNetwork) and (self.fast is None or not evaluates):
            return quantized_forward(x, self.params, self.config, run)
        if self.fast is None or (
            self.engine == "auto" and (not evaluates or self._wants_more(run))
        ):
            params = cast(EfficientFormer, self.params)
            return model.forward(x, params, self.config, run)
        if not evaluates:
            raise ConfigError(
                "the run is in training mode and engine='numba' only evaluates; use "
                "engine='numpy', or npformer.engine.make_gradients"
            )
        return self.fast(x, run)

    def _wants_more(self, run: Run) -> bool:
        """Whether a run wants arrays that the plain layers show and the kernels do not."""
        if isinstance(self.params, FoldedNetwork):
            return False
        return any(run.wants(name) for name in _inner_names(self.config))

    def __copy__(self) -> Forward:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _make_again, (self.params, self.config, self.engine)


def _make_again(
    params: EfficientFormer | FoldedNetwork, config: EfficientFormerConfig, engine: str
) -> Forward:
    """Make a network of its own copy of the parameters; arrays forget that they are read-only."""
    for _, leaf in leaves(params):
        leaf.flags.writeable = False
    return make_forward(params, config, engine)


class TrainingStep(Protocol):
    """Forward, loss and backward of a network, ready to run."""

    def __call__(self, x: Array, p: EfficientFormer, loss: Loss, rng: Rng) -> Gradients:
        """Run forward, loss and backward on preprocessed images, (B, H, W, C₀).

        Raises `ConfigError` if the network cannot take such images, `TypeError` if they are not
        floating point numbers.
        """
        ...


class PlainGradients:
    """Forward and backward in training by the plain layers.

    Parameters
    ----------
    config : EfficientFormerConfig
    dropout, drop_path : float
        Rates, see `npformer.layers.training`.
    """

    def __init__(self, config: EfficientFormerConfig, dropout: float, drop_path: float) -> None:
        self.config, self.dropout, self.drop_path = config, dropout, drop_path

    def __call__(self, x: Array, p: EfficientFormer, loss: Loss, rng: Rng) -> Gradients:
        """Return loss, tape and gradients of a batch, as `npformer.network.gradients`.

        Raises
        ------
        ConfigError
            If the network cannot take such images.
        """
        mode = Mode(True, self.dropout, self.drop_path, rng)
        return model.gradients(x, p, self.config, loss, mode)


def make_forward(
    params: EfficientFormer | FoldedNetwork, config: EfficientFormerConfig, engine: str = "auto"
) -> Forward:
    """Make a network ready to run.

    Parameters
    ----------
    params : EfficientFormer or FoldedNetwork
        The latter in eight bits, as `npformer.engine.quantize` makes it.
    config : EfficientFormerConfig
    engine : {"auto", "numba", "numpy"}
        ``"numba"`` runs the compiled kernels, ``"numpy"`` the plain layers. ``"auto"`` takes the
        kernels where they work, and warns once with the reason where they do not. The kernels work
        in float32; parameters of another dtype, which are for proofs, run on the plain layers.

    Returns
    -------
    Forward
        ``forward(x, run=EVALUATION) -> Logits``, as `npformer.network.forward`. May be called by
        several threads at once, pickled and copied. The kernels show fewer arrays to a recorder:
        ``stem``, ``stages.i.downsample``, ``stages.i.blocks.j`` and its ``token_mixer.attn``,
        ``stages.i``, ``norm``, ``pooled``, ``head`` and ``head_dist``. With ``"auto"``, a call
        whose recorder wants more runs the plain layers. A network in eight bits has no more.

    Raises
    ------
    ConfigError
        If `engine` is none of these, or ``"numba"`` cannot run this network here.
    """
    fast = Fast(params, config) if _use_kernels(params, config, engine) else None
    return Forward(params, config, engine, fast)


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
        With the shapes and dtype that the parameters will have.
    config : EfficientFormerConfig
    engine : {"auto", "numba", "numpy"}
        See `make_forward`. The kernels have drop path but no dropout: with dropout, ``"auto"``
        takes the plain layers.
    dropout, drop_path : float
        Rates, see `npformer.layers.training`.

    Returns
    -------
    callable
        ``gradients(x, p, loss, rng) -> Gradients``, as `npformer.network.gradients`; noise is
        drawn from `rng`. The kernels' tape holds the batch statistics only, and their
        gradient of a convolution's bias before a batch norm, which subtracts it again, is
        exactly zero. For one thread at a time. May be pickled and copied: what arrives is the
        settings, without plans and memory.

    Raises
    ------
    ConfigError
        If `engine` is none of these, or ``"numba"`` cannot run this network here, as with dropout,
        or the network is in eight bits.
    """
    if isinstance(params, FoldedNetwork):
        raise ConfigError(NO_TRAINING)
    if dropout > 0 and engine == "numba":
        raise ConfigError(f"dropout is {dropout} and engine='numba' has none; use engine='numpy'")
    engine = "numpy" if dropout > 0 and engine == "auto" else engine
    if not _use_kernels(params, config, engine, _training_unavailable_reason):
        return PlainGradients(config, dropout, drop_path)
    from .training import FastGradients

    return FastGradients(config, drop_path)


@cache
def _unavailable_reason() -> str | None:
    return machine_code.unavailable_reason()


@cache
def _training_unavailable_reason() -> str | None:
    """Training needs Numba even where compiled code is there: its plan asks for sizes of tiles."""
    try:
        from . import training  # noqa: F401
    except Exception as error:
        return machine_code.describe(error)
    return _unavailable_reason()


def _use_kernels(
    params: EfficientFormer | FoldedNetwork,
    config: EfficientFormerConfig,
    engine: str,
    unavailable_reason: Callable[[], str | None] = _unavailable_reason,
) -> bool:
    """Decide whether the kernels run a network; with ``"auto"``, warn once if they cannot.

    Parameters
    ----------
    params : EfficientFormer or FoldedNetwork
    config : EfficientFormerConfig
    engine : {"auto", "numba", "numpy"}
    unavailable_reason : callable
        Returns why the kernels cannot run here; None if they can.

    Raises
    ------
    ConfigError
        If there is no such engine, or ``"numba"`` cannot run the network here.
    """
    if engine not in ENGINES:
        raise ConfigError(f"engine is {engine!r}; expected one of {', '.join(ENGINES)}")
    if engine == "numpy" or (engine == "auto" and _dtypes(params) != {"float32"}):
        return False
    reason = _unsupported_reason(params, config) or unavailable_reason()
    if reason is None:
        return True
    if engine == "numba":
        raise ConfigError(f"engine='numba' cannot run: {reason}; use engine='numpy'")
    _warn_once(reason)
    return False


def _unsupported_reason(
    params: EfficientFormer | FoldedNetwork, config: EfficientFormerConfig
) -> str | None:
    """Say why the kernels cannot run this network; None if they can."""
    if config.hidden_act not in ACTIVATION_CODES:
        return f"there is no kernel for hidden_act={config.hidden_act!r}"
    if (dtypes := _dtypes(params)) != {"float32"}:
        return f"the parameters are {', '.join(sorted(dtypes))} and the kernels float32"
    if is_quantized(params) and float_layers(params) != ["stem.0", "stem.1"]:
        return "of a network in eight bits, the kernels take the stem in float32 and nothing else"
    return None


def _dtypes(params: EfficientFormer | FoldedNetwork) -> set[str]:
    """Types of the parameters; whole numbers do not count in a folded network."""
    whole = {"int8"} if isinstance(params, FoldedNetwork) else set()
    return {str(leaf.dtype) for _, leaf in leaves(params)} - whole


@cache
def _warn_once(reason: str) -> None:
    warnings.warn(
        f"npformer runs on NumPy alone, several times slower: {reason}",
        RuntimeWarning,
        stacklevel=4,
    )


def _inner_names(config: EfficientFormerConfig) -> Iterator[str]:
    """Names of arrays that the plain layers show to a recorder, and the kernels do not."""
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
