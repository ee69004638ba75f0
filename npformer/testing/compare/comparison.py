"""What a comparison has found."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from ...files.atomic import replacing
from ...files.finite import finite
from ...files.paths import as_html_path
from .causes import CAUSES
from .report import Contents, body, page
from .rows import Layer, Wrong


@dataclass(frozen=True, repr=False)
class Comparison:
    """The result of `npformer.compare`. True if the other network is right as far as is known."""

    reference: str
    other: str
    first_wrong: str | None
    """timm's path of the first wrong layer, or None"""
    cause: str | None
    """a key of `npformer.testing.CAUSES`, or None"""
    layers: tuple[Layer, ...]
    """those that were compared, in the order of computation, up to the first wrong one"""
    step: str | None = None
    """path of the elementary step in which the first wrong layer goes wrong"""
    more: str = ""
    """what else is known of the cause, such as the name of a parameter"""
    notes: tuple[str, ...] = ()
    wrong: Wrong | None = None

    def __bool__(self) -> bool:
        return self.first_wrong is None

    @property
    def verdict(self) -> str:
        """The result in a sentence."""
        if self.first_wrong is None:
            n = len(self.layers)
            return f"right: {n} {'array is' if n == 1 else 'arrays are'} within the bounds"
        where = self.first_wrong
        if self.step not in (None, where):
            where += f" ({self.step})"
        text = f"first wrong: {where}"
        if self.cause is None:  # what has no word is told by a sentence
            return f"{text}\ncause: {self.more or 'unknown'}"
        more = f" ({self.more})" if self.more else ""
        return f"{text}\ncause: {self.cause}: {CAUSES[self.cause]}{more}"

    def __repr__(self) -> str:
        width = max((len(layer.path) for layer in self.layers), default=5)
        head = f"{'layer':<{width}}  {'error':>9}  {'bound':>9}  error/bound"
        rows = [
            f"{layer.path:<{width}}  {layer.error:9.2e}  {layer.bound:9.2e}  {layer.ratio:11.3g}"
            for layer in self.layers
        ]
        return "\n".join([head, *rows, *self.notes, self.verdict])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        values = {
            "right": bool(self),
            "first_wrong": self.first_wrong,
            "cause": self.cause,
            "step": self.step,
            "more": self.more,
            "reference": self.reference,
            "other": self.other,
            "notes": list(self.notes),
            "layers": [layer._asdict() for layer in self.layers],
        }
        plain: dict[str, Any] = finite(values)
        return plain

    def _repr_html_(self) -> str:
        return body(self._contents())

    def _contents(self) -> Contents:
        return Contents(
            self.reference,
            self.other,
            bool(self),
            self.verdict,
            self.notes,
            self.layers,
            self.wrong,
        )

    def save(self, path: str | PathLike[str]) -> Path:
        """Write a page that shows where in space and channels the first wrong layer differs.

        Parameters
        ----------
        path : str or path
            A file that ends in .html; it needs no other file.

        Returns
        -------
        Path

        Raises
        ------
        ConfigError
            If it ends in something else.
        OSError
            If it cannot be written.
        """
        place = as_html_path(path)
        with replacing(place) as temporary:
            temporary.write_text(page(self._contents()), encoding="utf-8")
        return place
