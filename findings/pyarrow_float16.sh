#!/usr/bin/env bash
# pyarrow writes and reads float16, and can do next to nothing else with it.
#
# Versions: pyarrow 26.0.1, NumPy 2.4.6.
# Behavior: a column of float16 goes into Parquet and comes back exactly, with the type Float16
#   and statistics. But sum, mean, minimum, addition and comparison end in
#   ArrowNotImplementedError, also in filters of `read_table`. Casting to float32 works, and so
#   does everything after it.
# Why it matters: features are stored in float16 to halve a table of millions of rows; whoever
#   filters or averages them in Arrow meets the error long after the table was written.
# npformer: `npformer embed --dtype float16` writes such columns; docs/howto/many_photographs.md
#   shows the cast.
# Source: issues 45083 and 51311 of apache/arrow, open in November 2026.
# Output seen (November 2026):
#   read: halffloat with Float16
#   sum: ArrowNotImplementedError
#   mean: ArrowNotImplementedError
#   minimum: ArrowNotImplementedError
#   addition: ArrowNotImplementedError
#   comparison: ArrowNotImplementedError
#   filter: ArrowNotImplementedError
#   mean after a cast: 0.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

path = Path(tempfile.mkdtemp(dir=Path(sys.prefix).parent), "features.parquet")
numbers = np.linspace(-2, 2, 9).astype(np.float16)
pq.write_table(pa.table({"feature": numbers}), path)
column = pq.read_table(path)["feature"]
assert np.array_equal(column.to_numpy(), numbers)
print("read:", column.type, "with", pq.ParquetFile(path).schema.column(0).logical_type)
refused = []
for name, call in {
    "sum": lambda: pc.sum(column),
    "mean": lambda: pc.mean(column),
    "minimum": lambda: pc.min_max(column),
    "addition": lambda: pc.add(column, column),
    "comparison": lambda: pc.greater(column, pa.scalar(np.float16(0))),
    "filter": lambda: pq.read_table(path, filters=pc.field("feature") > 0),
}.items():
    try:
        call()
        print(f"{name}: works")
    except pa.ArrowNotImplementedError as error:
        refused.append(name)
        print(f"{name}: {type(error).__name__}")
print("mean after a cast:", pc.mean(column.cast(pa.float32())))
assert {"sum", "mean", "minimum", "addition"} <= set(refused), "float16 is computed with now"
END
