"""Write ``names.tsv.gz``: each tensor of L1, L3 and L7 under its three names, with shape and dtype.

``python tests/golden/names.py FOLDER``, where the folder holds ``names_l1.tsv``, … with the columns
original, hf, timm, shape, dtype. They were made from the original's own ``state_dict``, by the
script of transformers 4.40.2 that renames it and by timm's ``checkpoint_filter_fn``;
``test_live_checkpoints.py`` does that again.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
from pathlib import Path

GOLDEN = Path(__file__).parent / "names.tsv.gz"


def rows(variant: str) -> list[dict[str, str]]:
    """Return the tensors of a variant: ``original``, ``hf``, ``timm``, ``shape``, ``dtype``."""
    table = csv.DictReader(
        io.StringIO(gzip.decompress(GOLDEN.read_bytes()).decode()), delimiter="\t"
    )
    return [row for row in table if row["variant"] == variant]


if __name__ == "__main__":
    lines = ["variant\toriginal\thf\ttimm\tshape\tdtype"]
    for variant in ("l1", "l3", "l7"):
        table = (Path(sys.argv[1]) / f"names_{variant}.tsv").read_text(encoding="utf-8")
        lines += [f"{variant}\t{line}" for line in table.splitlines()[1:]]
    GOLDEN.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
