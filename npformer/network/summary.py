"""A network as a table: layers, shapes, parameters, multiply-adds.

    multiply-adds = Σ over convolutions and linear layers of output positions · weights
                  + Σ over attention layers of heads · N² · (K + V)            (q kᵀ and attn v)

Norms, activations, pooling and biases are not counted, as is customary in published figures.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from ..display import table
from ..layers import Attention, AttentionBlock, Conv2d, Flat, Linear, head_sizes
from .configuration import EfficientFormerConfig
from .params import param_specs
from .stage import stage_sizes
from .tree import leaves


class Row(NamedTuple):
    """One line of the table."""

    name: str
    kind: str
    shape: tuple[int, ...]
    """output shape for one image, channels last"""
    parameters: int
    """number of learned values; running statistics are not counted"""
    macs: int
    """multiply-adds for one image"""


class Summary(NamedTuple):
    """The table and its sums."""

    rows: tuple[Row, ...]
    parameters: int
    macs: int

    def __str__(self) -> str:
        lines = self._lines()
        widths = [max(len(line[i]) for line in lines) for i in range(5)]
        text = [
            "  ".join(
                cell.rjust(w) if i > 2 else cell.ljust(w)
                for i, (cell, w) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        rule = "─" * (sum(widths) + 8)
        text[1:1] = text[-1:-1] = [rule]
        return "\n".join(text)

    def _repr_html_(self) -> str:
        head, *rows = self._lines()
        return table(head, rows, numbers=(3, 4))

    def _lines(self) -> list[tuple[str, ...]]:
        """Return the table as text: the head, the rows, and their sums."""
        lines: list[tuple[str, ...]] = [("layer", "kind", "output", "parameters", "multiply-adds")]
        lines += [
            (r.name, r.kind, "×".join(map(str, r.shape)), f"{r.parameters:,}", f"{r.macs:,}")
            for r in self.rows
        ]
        return [*lines, ("total", "", "", f"{self.parameters:,}", f"{self.macs:,}")]

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain dictionaries, for JSON."""
        return {
            "layers": [row._asdict() for row in self.rows],
            "parameters": self.parameters,
            "macs": self.macs,
        }


def summarize(
    config: EfficientFormerConfig, distilled: bool = True, image_size: int | None = None
) -> Summary:
    """Describe a network without building it.

    Parameters
    ----------
    config : EfficientFormerConfig
    distilled : bool
        Whether there is a second, distillation head.
    image_size : int, optional
        Side of the square input, in pixels; ``config.image_size`` by default.

    Returns
    -------
    Summary

    Raises
    ------
    ConfigError
        If no network can have this configuration.
    """
    p = param_specs(config, distilled)
    height, width = (image_size, image_size) if image_size else config.image_shape
    sizes = stage_sizes(height, width, config)
    (H, W), half = sizes[0], ((height - 1) // 2 + 1) * ((width - 1) // 2 + 1)
    macs = multiply_adds(p.stem.conv1, half) + multiply_adds(p.stem.conv2, H * W)
    rows = [_row("stem", p.stem, (H, W, config.hidden_sizes[0]), macs)]
    for i, (stage, (H, W), C) in enumerate(zip(p.stages, sizes, config.hidden_sizes, strict=True)):
        shape: tuple[int, ...] = (H, W, C)
        if stage.downsample is not None:
            macs = multiply_adds(stage.downsample, H * W)
            rows.append(_row(f"stages.{i}.downsample", stage.downsample, shape, macs))
        for j, block in enumerate(stage.blocks):
            if isinstance(block, (Flat, AttentionBlock)):
                shape = (H * W, C)
            rows.append(_row(f"stages.{i}.blocks.{j}", block, shape, multiply_adds(block, H * W)))
    rows.append(_row("norm", p.norm, shape, 0))
    for name in ("head", "head_dist"):
        head = getattr(p, name)
        if head is not None:
            rows.append(_row(name, head, (config.num_labels,), multiply_adds(head, 1)))
    return Summary(tuple(rows), sum(r.parameters for r in rows), sum(r.macs for r in rows))


def multiply_adds(p: Any, positions: int) -> int:
    """Count the multiply-adds of a layer, or of a tree of layers.

    Parameters
    ----------
    p : NamedTuple or tuple
        Parameters, or their `ParamSpec`: only shapes are read.
    positions : int
        Number of output positions: pixels or tokens.
    """
    if isinstance(p, (Conv2d, Linear)):
        return positions * prod(p.weight.shape)
    if not isinstance(p, tuple):
        return 0
    macs = sum(multiply_adds(child, positions) for child in p)
    if isinstance(p, Attention):
        macs += p.attention_biases.shape[0] * positions**2 * sum(head_sizes(p))
    return macs


def _row(name: str, p: Any, shape: tuple[int, ...], macs: int) -> Row:
    learned = sum(prod(leaf.shape) for path, leaf in leaves(p) if "running_" not in path)
    return Row(name, _KINDS.get(type(p).__name__, type(p).__name__), shape, learned, macs)


_KINDS = {
    "Stem": "convolutions",
    "Downsample": "convolution",
    "PoolingBlock": "pooling block",
    "AttentionBlock": "attention block",
    "Flat": "images to tokens",
    "LayerNorm": "layer norm",
    "Linear": "linear",
}
