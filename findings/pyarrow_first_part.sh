#!/usr/bin/env bash
# One column without a value in the first part makes a folder of Parquet unreadable.
#
# Versions: pyarrow 26.0.1.
# Behavior: a table without a schema gets its types from its values, and a column of None only
#   gets the type null. `read_table` of a folder takes the types of the first file for all. If the
#   first part is the one without values, the others cannot be read, though each of them can be
#   read alone and the folder can be with the parts the other way around.
# Why it matters: a column of errors, one row a photograph, is empty until the first damaged
#   photograph. The run that writes it is long over when the folder is opened.
# npformer: gives every part the same explicit schema (npformer/scale/tables.py).
# Source: issue 40107 of apache/arrow describes the same of JSON.
# Output seen (November 2026):
#   with a value first: ['truncated', None, None, None]
#   without a value first: ArrowNotImplementedError: Unsupported cast from string to null using
#     function cast_null
#   with a schema: [None, None, 'truncated', None]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1
"$folder/venv/bin/python" - <<'END'
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

folder = Path(sys.prefix).parent


def read(*parts):
    """Write parts to a new folder, and read the folder."""
    where = Path(tempfile.mkdtemp(dir=folder))
    for number, part in enumerate(parts):
        pq.write_table(part, where / f"{number}.parquet")
    try:
        return str(pq.read_table(where)["error"].to_pylist())
    except pa.ArrowNotImplementedError as error:
        return f"{type(error).__name__}: {error}"


empty, filled = pa.table({"error": [None, None]}), pa.table({"error": ["truncated", None]})
text = pa.schema({"error": pa.string()})
found = {
    "with a value first": read(filled, empty),
    "without a value first": read(empty, filled),
    "with a schema": read(empty.cast(text), filled.cast(text)),
}
for name, result in found.items():
    print(f"{name}: {result}")
assert "truncated" in found["with a value first"]
assert "cast from string to null" in found["without a value first"], "it can be read now"
assert "truncated" in found["with a schema"]
END
