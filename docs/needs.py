"""What a run over many photographs needs, computed from figures that were measured.

    python docs/needs.py            write the table into docs/howto/cluster.md
    python docs/needs.py --check    exit with 1 if it is another

``docs/measured/scale.json`` holds what ``tests/compare_folders.py`` printed: milliseconds of one
core for each photograph, and its bytes. The bytes of rows are measured here, on random scores and
features.
"""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import numpy as np

from npformer.classification import Prediction, Predictions
from npformer.scale.pipeline import Row
from npformer.scale.tables import AnswerTable, FeatureTable, Table

HERE = Path(__file__).parent
PAGE = HERE / "howto" / "cluster.md"
MEASURED = HERE / "measured" / "scale.json"
BLOCK = re.compile(r"(?<=<!-- computed: begin -->\n).*?(?=<!-- computed: end -->)", re.S)

PHOTOGRAPHS = 100_000_000
CORES = 64
ROWS = 4096
"""how many rows are written to measure their size"""
CHANNELS = 448
"""of L1's features"""


def bytes_of_row(table: Table, rows: list[Row]) -> float:
    """Write rows as Parquet, and return the bytes that each takes."""
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(table.arrow(rows), file, compression="zstd")
    return len(file.getvalue()) / len(rows)


def sizes() -> dict[str, float]:
    """Return the bytes of a row, by what is in it."""
    rng = np.random.default_rng(0)
    names = [f"s3://photographs/2026/{i // 1000:04}/{i:012}.jpg" for i in range(ROWS)]

    def answers() -> Predictions:
        scores, order = np.sort(rng.dirichlet(np.ones(5)))[::-1], rng.choice(1000, 5)
        found = zip(scores.astype(np.float32), order, strict=True)
        return Predictions(Prediction(f"label {i}", float(score), int(i)) for score, i in found)

    vectors = rng.normal(size=(ROWS, CHANNELS)).astype(np.float32)
    features = [Row(name, vector) for name, vector in zip(names, vectors, strict=True)]
    return {
        "five answers": bytes_of_row(AnswerTable(5), [Row(name, answers()) for name in names]),
        "features, float16": bytes_of_row(FeatureTable(CHANNELS, "float16"), features),
        "features, float32": bytes_of_row(FeatureTable(CHANNELS, "float32"), features),
    }


def tables() -> str:
    """Return the tables in Markdown."""
    lines = [
        f"| photographs, network, decoding | ms of one core | core hours for {PHOTOGRAPHS:,} "
        f"| hours on {CORES} cores | terabytes to read | gigabits a second |",
        "|---|---|---|---|---|---|",
    ]
    for found in json.loads(MEASURED.read_text("utf-8")):
        core_hours = PHOTOGRAPHS * found["core_ms"] / 1e3 / 3600
        terabytes = PHOTOGRAPHS * found["bytes"] / 1e12
        rate = terabytes * 8e3 / (core_hours / CORES * 3600)
        lines.append(
            f"| {found['what']} | {found['core_ms']:.1f} | {core_hours:,.0f} "
            f"| {core_hours / CORES:,.1f} | {terabytes:,.1f} | {rate:.1f} |"
        )
    lines += ["", "| written for each photograph | bytes | gigabytes in all |", "|---|---|---|"]
    for what, size in sizes().items():
        lines.append(f"| {what} | {size:.0f} | {PHOTOGRAPHS * size / 1e9:,.0f} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write or compare."""
    text = PAGE.read_text("utf-8")
    found = BLOCK.sub(lambda _: tables(), text)
    if "--check" in sys.argv:
        return int(found != text)
    PAGE.write_text(found, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
