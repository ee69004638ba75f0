"""Steps of training for a layer, forward and backward: linear, batch norm, activation, drop path.

A linear layer without a batch norm is treated as one whose batch norm is the identity: μ = 0, a = 1
or the layer scale that follows, and A = a. So attention blocks take the same steps.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from ..kernels.batch_norm import COEFFICIENTS
from ..kernels.layout import LANES, NONE, packed_size, padded
from ..kernels.linear import tile_columns, tile_rows
from ..kernels.vector import TALL
from .arena import Buffer
from .builder import TILE_ROWS, PlanBuilder
from .steps import Kind
from .training_call import Function, TrainingCall, TrainingLayer
from .walk import CHUNK

PARTS = 16
"""A step has at least so many parts, if there are enough rows."""


class TrainingBuilder(PlanBuilder):
    """A plan whose steps stop for NumPy, and whose layers have a way back.

    Parameters
    ----------
    batch : int
        Number of images.
    activation : int
        Code of the activation inside the MLPs.
    shapes : dict
        Shape of each parameter, by path.

    Attributes
    ----------
    weights_size : int
        Numbers in the weights.
    """

    def __init__(self, batch: int, activation: int, shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__(batch)
        self._activation, self._shapes = activation, shapes
        self.weights_size = 0
        self._layers: list[TrainingLayer] = []
        self._masks: list[tuple[int, float]] = []
        self._stops: list[tuple[int, Callable[[TrainingCall], None]]] = []

    def _reserve(self, count: int) -> int:
        """Reserve numbers among the weights, and return where they begin."""
        at = self.weights_size
        self.weights_size += padded(count)
        return at

    def _reserve_mask(self, rate: float) -> int:
        """Reserve a mask of drop path; masks are drawn in this order. −1 if the rate is 0."""
        if rate == 0:
            return -1
        at = self._reserve(self.capacity)
        self._masks.append((at, rate))
        return at

    def _stop(self, function: Callable[[TrainingCall], None]) -> None:
        """Call a function when all steps so far are done."""
        self._stops.append((len(self._pending), function))
        self._gates.add(len(self._pending))

    def _compute(self, function: Function, y: Buffer, *x: Buffer) -> None:
        """Let NumPy compute `y` from `x` when all steps so far are done."""
        y.first_use = y.last_use = len(self._pending)
        for buffer in x:
            buffer.last_use = max(buffer.last_use, len(self._pending))
        self._stop(lambda call: call.compute(function, y, x))

    def _linear(
        self,
        x: Buffer,
        layer: str,
        norm: str,
        scale: str = "",
        before: TrainingLayer | None = None,
    ) -> TrainingLayer:
        """Add a linear layer, and compute the batch statistics of its result.

        Parameters
        ----------
        x : Buffer
            Its input; with `before`, what the batch norm of that layer sees.
        layer : str
            Its path.
        norm, scale : str
            Paths of the batch norm and of the layer scale that follow, or empty.
        before : TrainingLayer, optional
            The layer whose batch norm and activation come between `x` and this one.

        Returns
        -------
        TrainingLayer
        """
        *window, N = self._shapes[f"{layer}.weight"]
        K = prod(window)
        z = Buffer(x.rows, N, padded(N))
        grain = self._grain(x.rows, x.step + z.step)
        at = self._reserve(packed_size(K, N) + packed_size(N, K))
        coefficients = self._reserve(len(COEFFICIENTS) * z.step)
        n = TrainingLayer(layer, norm, scale, K, N, z, grain, at, coefficients)
        self._layers.append(n)
        fields: dict[str, int | Buffer] = {"inputs": K, "layer": at, "grain": grain}
        if before is not None:
            fields |= {"before": before.coefficients, "activation": self._activation}
            self.scratch = max(self.scratch, grain * x.step)
        total = x.rows * self.capacity
        if not norm:
            self._step(Kind.LINEAR_FOR_NORM, z, x, total, grain, **fields)
            return n
        sums = self._sums_buffer(z, grain)
        self._step(Kind.LINEAR_FOR_NORM, z, x, total, grain, sums=sums, **fields)
        self._stop(lambda call: call.batch_statistics(n, sums))
        return n

    def _batch_norm(
        self, n: TrainingLayer, activation: int, residual: Buffer | None = None
    ) -> Buffer:
        """Add the batch norm and the layer scale that follow a layer.

        Parameters
        ----------
        n : TrainingLayer
        activation : int
            Code of the activation that follows them.
        residual : Buffer, optional
            What is added to the result.

        Returns
        -------
        Buffer
        """
        more = {} if residual is None else {"residual": residual}
        fields = {"grain": TILE_ROWS, "norm": n.coefficients, "activation": activation}
        total = n.z.rows * self.capacity
        return self._step(Kind.BATCH_NORM, n.z.like(), n.z, total, n.grain, **fields, **more)

    def _residual(self, x: Buffer, n: TrainingLayer, mask: int) -> Buffer:
        """Add a branch, which ends with `n`, to `x`, for those images that drop path keeps."""
        if mask < 0:
            return self._batch_norm(n, NONE, x)
        y = self._batch_norm(n, NONE)
        return self._step(Kind.DROP_PATH, y, y, y.rows, y.rows, mask=mask, residual=x)

    def _residual_backward(self, dy: Buffer, mask: int) -> Buffer:
        """Backward of `_residual`: the gradient of the branch."""
        if mask < 0:
            return dy
        return self._step(Kind.DROP_PATH, dy.like(), dy, dy.rows, dy.rows, mask=mask)

    def _sums(self, n: TrainingLayer, dy: Buffer, activation: int) -> None:
        """Add what the backward of a batch norm needs to know about the whole batch.

        Parameters
        ----------
        n : TrainingLayer
        dy : Buffer
            Gradient of the activation's result; that of its input takes its place.
        activation : int
            Code of the activation, which follows the batch norm.
        """
        sums = self._sums_buffer(n.z, n.grain)
        fields = {"norm": n.coefficients, "activation": activation, "grain": n.grain}
        total = n.z.rows * self.capacity
        buffers = {"z": n.z, "dz": dy}
        self._step(Kind.BATCH_NORM_SUMS, sums, dy, total, n.grain, **fields, **buffers)
        self._stop(lambda call: call.batch_norm_gradients(n, sums))

    def _backward(
        self,
        n: TrainingLayer,
        du: Buffer,
        dz: Buffer,
        inner: bool,
        residual: Buffer | None = None,
        before: TrainingLayer | None = None,
        act: Buffer | None = None,
    ) -> Buffer:
        """Add the gradients of a batch norm, and of the input of its linear layer.

        Parameters
        ----------
        n : TrainingLayer
        du : Buffer
            Gradient of what the batch norm returns, after `_sums`.
        dz : Buffer
            For the gradient of what the batch norm sees; may be `du`.
        inner : bool
            Whether the gradient of the input is needed.
        residual : Buffer, optional
            What is added to the gradient of the input.
        before : TrainingLayer, optional
            The layer whose batch norm and activation come before this one: the gradient goes back
            through the activation too, and what `_sums` does for that batch norm is done as well.
        act : Buffer, optional
            With `before`, for the result of the activation, which is computed again.

        Returns
        -------
        Buffer
            Gradient of the input; without `inner`, `dz`.
        """
        total, grain = n.z.rows * self.capacity, n.grain
        fields: dict[str, int | Buffer] = {"norm": n.coefficients, "z": n.z, "dz": dz}
        dx = dz
        if inner:
            dx = Buffer(n.z.rows, n.K, padded(n.K))
            fields |= {"layer": n.transposed, "inputs": n.N}
        if residual is not None:
            fields["residual"] = residual
        if before is not None and act is not None:
            grain = before.grain
            sums = self._sums_buffer(before.z, grain)
            fields |= {"before": before.coefficients, "before_z": before.z}
            fields |= {"act": act, "sums": sums, "activation": self._activation}
        self._step(Kind.BATCH_NORM_BACKWARD, dx, du, total, grain, grain=grain, **fields)
        if before is not None:
            self._stop(lambda call: call.batch_norm_gradients(before, sums))
        return dx

    def _linear_backward(self, n: TrainingLayer, x: Buffer, dz: Buffer) -> None:
        """Add the gradient of the weights of a layer, from its input and its result's gradient."""
        panels, down = dz.step // LANES, tile_rows(n.K)
        dW = Buffer(down * TALL, n.N, dz.step, shared=True)
        tiles = down * tile_columns(panels)
        self._step(Kind.LINEAR_BACKWARD, dW, x, tiles, tiles, dz=dz, inputs=n.K)
        self._stop(lambda call: call.keep_weight_gradient(n, dW))

    def _mlp_backward(
        self,
        dy: Buffer,
        x: Buffer,
        fc1: TrainingLayer,
        fc2: TrainingLayer,
        residual: Buffer | None = None,
    ) -> Buffer:
        """Add the gradients of two linear layers with an activation between.

        Parameters
        ----------
        dy : Buffer
            Gradient of the result, after the last batch norm and layer scale.
        x : Buffer
            The input.
        fc1, fc2 : TrainingLayer
        residual : Buffer, optional
            What is added to the gradient of the input.

        Returns
        -------
        Buffer
            Gradient of the input.
        """
        self._sums(fc2, dy, NONE)
        dz, hidden = fc2.z.like(), fc1.z.like()
        dhidden = self._backward(fc2, dy, dz, True, before=fc1, act=hidden)
        self._linear_backward(fc2, hidden, dz)
        dx = self._backward(fc1, dhidden, dhidden, True, residual=residual)
        self._linear_backward(fc1, x, dhidden)
        return dx

    def _grain(self, rows: int, width: int) -> int:
        """Rows of a part: whole tiles that fit into the cache.

        Parameters
        ----------
        rows : int
            Rows of an image.
        width : int
            Numbers that a row takes.
        """
        tile = 2 * TILE_ROWS
        most = min(CHUNK // width, -(-rows * self.capacity // PARTS))
        return max(-(-most // tile), 1) * tile

    def _sums_buffer(self, z: Buffer, grain: int) -> Buffer:
        """A buffer for two rows of sums over each part, of `grain` rows of `z`."""
        parts = -(-z.rows * self.capacity // grain)
        return Buffer(2 * parts, z.channels, z.step, shared=True)
