"""The plan of a network in eight bits: other steps wherever there is a matrix."""

from __future__ import annotations

from ..kernels.layout import NONE, padded, rounded_size
from ..kernels.processor import group_size
from .arena import Buffer
from .builder import TILE_ROWS, image_fields
from .pack import ACTIVATION_CODES, FEW_ROWS, PackedLinear, PackedPoolingBlock
from .plan import Plan
from .steps import Kind


class QuantizedPlan(Plan):
    """Steps and memory for images of one size, of a network in eight bits; see `Plan`."""

    def _window_step(self, layer: PackedLinear) -> tuple[Kind, int]:
        """Return the kind of a convolution's step, and the scratch that each of its rows needs."""
        return Kind.QUANTIZED_CONV2D, padded(layer.K) + rounded_size(layer.K, group_size())

    def _rounded(self, x: Buffer, activation: int = NONE) -> Buffer:
        """Add the rounding of rows, after an activation, which is written back to `x`."""
        step = rounded_size(x.runs * padded(x.channels), group_size())
        fields = {"channels": x.channels, "runs": x.runs, "activation": activation}
        y = Buffer(x.rows, step, step)
        return self._step(Kind.QUANTIZE_ROWS, y, x, x.rows, 6, **fields)

    def _linear(
        self,
        x: Buffer,
        layer: PackedLinear,
        activation: int = NONE,
        residual: Buffer | None = None,
    ) -> Buffer:
        """Add the rounding of `x` and a linear layer, cut along its outputs.

        Parameters
        ----------
        x : Buffer
        layer : PackedLinear
        activation : int
            Code of the activation that *precedes*, on the way to rounding.
        residual : Buffer, optional
            What is added to the result.

        Returns
        -------
        Buffer
        """
        rounded = self._rounded(x, activation)
        return self._product(Kind.QUANTIZED_LINEAR, rounded, layer, NONE, residual)

    def _mlp(self, x: Buffer, residual: Buffer, fc1: PackedLinear, fc2: PackedLinear) -> Buffer:
        """Add two linear layers with an activation between, and the residual connection."""
        activation = ACTIVATION_CODES[self._packed.config.hidden_act]
        return self._linear(self._linear(x, fc1), fc2, activation, residual)

    def _pooling_block(self, x: Buffer, grid: tuple[int, int], block: PackedPoolingBlock) -> Buffer:
        """Add a pooling block: as one step, or with few rows as several."""
        if x.rows < FEW_ROWS:
            return super()._pooling_block(x, grid, block)
        config, wide = self._packed.config, padded(block.fc1.N)
        fields = image_fields(grid, x.channels)
        fields |= {"window": config.pool_size, "gamma": block.gamma, "hidden": block.fc1.N}
        fields |= {"layer": block.fc1.at, "layer2": block.fc2.at, "grain": TILE_ROWS}
        fields["activation"] = ACTIVATION_CODES[config.hidden_act]
        scratch = (
            x.step + wide + rounded_size(x.step, group_size()) + rounded_size(wide, group_size())
        )
        chunk = self._chunk(scratch)
        return self._step(Kind.QUANTIZED_POOLING_BLOCK, x.like(), x, x.rows, chunk, **fields)
