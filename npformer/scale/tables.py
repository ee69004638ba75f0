"""What a row of an output holds: the columns, their types, and their values, for each format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, cast

import numpy as np

from .pipeline import Row


class Table(Protocol):
    """The columns of a kind of output."""

    @property
    def columns(self) -> list[str]:
        """Names for CSV, with one number or text in each column."""

    def cells(self, row: Row) -> list[Any]:
        """Return the values of `columns`; None where there is none."""

    def record(self, row: Row) -> dict[str, Any]:
        """Return a row as an object for JSON."""

    def arrow(self, rows: Sequence[Row]) -> Any:
        """Return rows as a ``pyarrow.Table``, of `schema` whatever they hold."""

    def schema(self) -> Any:
        """Return the ``pyarrow.Schema``."""


class AnswerTable(NamedTuple):
    """Answers: ``image``; ``label``, ``score`` and ``index`` of the likeliest class; ``label_2`` …;
    ``error``, which is empty if there are answers.
    """

    top: int
    """number of answers"""

    @property
    def columns(self) -> list[str]:
        """Names for CSV and Parquet."""
        ends = ["", *(f"_{i}" for i in range(2, self.top + 1))]
        return ["image", *(n + end for end in ends for n in ("label", "score", "index")), "error"]

    def cells(self, row: Row) -> list[Any]:
        """Return the values of `columns`; None where there is none."""
        if row.answer is None:
            return [row.image, *3 * self.top * [None], row.error]
        found = [value for p in row.answer for value in (p.label, p.score, p.index)]
        return [row.image, *found, None]

    def record(self, row: Row) -> dict[str, Any]:
        """Return a row as an object for JSON, as ``npformer classify --json`` prints it."""
        if row.answer is None:
            return {"image": row.image, "error": row.error}
        return {"image": row.image, "predictions": row.answer.to_dicts()}

    def schema(self) -> Any:
        """Return the ``pyarrow.Schema``."""
        import pyarrow as pa

        kinds = {"label": pa.string(), "score": pa.float32(), "index": pa.int32()}
        return pa.schema([(n, kinds.get(n.split("_")[0], pa.string())) for n in self.columns])

    def arrow(self, rows: Sequence[Row]) -> Any:
        """Return rows as a ``pyarrow.Table``."""
        import pyarrow as pa

        cells = [[plain(value) for value in self.cells(row)] for row in rows]
        columns = list(zip(*cells, strict=True)) if cells else [() for _ in self.columns]
        schema = self.schema()
        return pa.table(
            [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)],
            schema=schema,
        )


class FeatureTable(NamedTuple):
    """Features: ``image``; ``features``, a list (CSV: ``feature_0`` …); ``error``."""

    channels: int
    dtype: str
    """``"float32"`` or ``"float16"``"""

    @property
    def columns(self) -> list[str]:
        """Names for CSV."""
        return ["image", *(f"feature_{i}" for i in range(self.channels)), "error"]

    def cells(self, row: Row) -> list[Any]:
        """Return the values of `columns`; None where there is none."""
        return [row.image, *(self._numbers(row) or self.channels * [None]), row.error]

    def record(self, row: Row) -> dict[str, Any]:
        """Return a row as an object for JSON."""
        numbers = self._numbers(row)
        if numbers is None:
            return {"image": row.image, "error": row.error}
        return {"image": row.image, "features": numbers}

    def schema(self) -> Any:
        """Return the ``pyarrow.Schema``."""
        import pyarrow as pa

        number = pa.float16() if self.dtype == "float16" else pa.float32()
        vector = pa.list_(number, self.channels)
        return pa.schema([("image", pa.string()), ("features", vector), ("error", pa.string())])

    def arrow(self, rows: Sequence[Row]) -> Any:
        """Return rows as a ``pyarrow.Table``."""
        import pyarrow as pa

        schema, nothing = self.schema(), np.zeros(self.channels)
        vectors = [nothing if row.answer is None else row.answer for row in rows]
        numbers = np.array(vectors, self.dtype).reshape(-1)
        missing = pa.array([row.answer is None for row in rows], pa.bool_())
        features = pa.FixedSizeListArray.from_arrays(
            pa.array(numbers), type=schema.field("features").type, mask=missing
        )
        names = pa.array([plain(row.image) for row in rows], pa.string())
        errors = pa.array([plain(row.error) for row in rows], pa.string())
        return pa.table([names, features, errors], schema=schema)

    def _numbers(self, row: Row) -> list[float] | None:
        """The numbers of a row, written with as few digits as their type needs."""
        if row.answer is None:
            return None
        values = np.asarray(row.answer, self.dtype)
        return [float(str(value)) for value in cast("Sequence[Any]", values)]


def plain(value: Any) -> Any:
    """Return a text that UTF-8 can hold: of a name that is not UTF-8, odd bytes become escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value
