"""Write what transformers 4.40.2 answers for the free photographs with the default weights.

``python tests/golden/make_predictions.py``, with the extra ``reference``; makes
``predictions.json`` anew, which is needed whenever the default weights change.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GOLDEN = HERE / "predictions.json"


def photographs() -> list[Path]:
    """Return the free photographs."""
    return sorted(p for p in (ROOT / "notebooks" / "images").iterdir() if p.suffix != ".md")


def reference_logits(folder: Path) -> dict[str, Any]:
    """Return the logits of each photograph by transformers, its own image processor included."""
    import torch
    from PIL import Image
    from transformers import (
        EfficientFormerForImageClassificationWithTeacher,
        EfficientFormerImageProcessor,
    )

    model = EfficientFormerForImageClassificationWithTeacher.from_pretrained(folder).eval()
    processor = EfficientFormerImageProcessor.from_pretrained(folder)
    logits = {}
    for path in photographs():
        with Image.open(path) as image, torch.no_grad():
            inputs = processor(image.convert("RGB"), return_tensors="pt")
            logits[path.name] = model(**inputs).logits[0].numpy()
    return logits


if __name__ == "__main__":
    rows = {
        name: {
            "top5": [int(i) for i in (-row).argsort()[:5]],
            "logits": [round(float(v), 6) for v in row],
        }
        for name, row in reference_logits(ROOT / "weights" / "tiny").items()
    }
    GOLDEN.write_text(json.dumps(rows) + "\n")
    print(f"{GOLDEN}: {len(rows)} photographs")
