"""Bring the manifest and its page up to date: ``python weights/update.py``.

Run it after changing ``weights/tiny`` or a fact in ``manifest.json``. It computes what can be
computed (parameters, multiply-adds; size, hash and accuracy of the default weights, the last from
their card) and writes the tables of ``docs/weights.md``. A test fails if that has been forgotten.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from npformer.network.configuration import EfficientFormerConfig
from npformer.network.summary import summarize

ROOT = Path(__file__).parents[1]
MANIFEST = ROOT / "weights" / "manifest.json"
PAGE = ROOT / "docs" / "weights.md"
MARKS = "<!-- tables: made by weights/update.py -->\n", "<!-- end of tables -->\n"


def computed(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest with all figures that can be computed, up to date."""
    tiny = ROOT / "weights" / "tiny"
    config = EfficientFormerConfig.from_json_file(tiny / "config.json")
    configs = {"tiny": config} | {
        name: EfficientFormerConfig.variant(name) for name in manifest if name != "tiny"
    }
    result = {}
    for name, facts in manifest.items():
        summary = summarize(configs[name], image_size=facts["image_size"])
        result[name] = facts | {
            "parameters": summary.parameters,
            "gmacs": round(summary.macs / 1e9, 4),
        }
    weights = (tiny / "model.safetensors").read_bytes()
    card = (tiny / "README.md").read_text(encoding="utf-8")
    result["tiny"] |= {
        "size_mb": round(len(weights) / 1e6, 1),
        "sha256": {hashlib.sha256(weights).hexdigest(): "this package"},
        "classes": config.num_labels,
        "accuracy": [
            {"top1": float(top1), "top5": float(top5), "by": f"this project, on {data}"}
            for data, top1, top5 in re.findall(r"\| (.*) \| ([\d.]+) % \| ([\d.]+) % \|", card)
        ],
    }
    return result


def tables(manifest: dict[str, Any]) -> str:
    """Return the manifest as Markdown."""
    lines = [
        "| name | parameters | multiply-adds | input | classes | weights | license |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, m in manifest.items():
        source = "comes with npformer"
        if m["repository"]:
            source = f"[{m['repository']}](https://huggingface.co/{m['repository']})"
        lines.append(
            f"| `{name}` | {m['parameters']:,} | {m['gmacs']:.2f} G | {m['image_size']} px "
            f"| {m['classes']} | {source}, {m['size_mb']} MB | {m['license']} |"
        )
    lines += ["", "| name | top-1 | top-5 | according to |", "|---|---|---|---|"]
    for name, m in manifest.items():
        for a in m["accuracy"]:
            top5 = f"{a['top5']} %" if a["top5"] else "not given"
            lines.append(f"| `{name}` | {a['top1']} % | {top5} | {a['by']} |")
    lines += ["", "| name | file | SHA-256 | seen at |", "|---|---|---|---|"]
    for name, m in manifest.items():
        for sha256, where in m["sha256"].items():
            lines.append(f"| `{name}` | `{m['file']}` | `{sha256}` | {where} |")
    lines += ["", "| name | revision that is downloaded |", "|---|---|"]
    lines += [f"| `{name}` | `{m['revision']}` |" for name, m in manifest.items() if m["revision"]]
    return "\n".join(lines) + "\n"


def page(text: str, manifest: dict[str, Any]) -> str:
    """Return the page with new tables."""
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    return before + MARKS[0] + "\n" + tables(manifest) + "\n" + MARKS[1] + after


def main() -> None:
    """Rewrite both files."""
    manifest = computed(json.loads(MANIFEST.read_text(encoding="utf-8")))
    MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), manifest), encoding="utf-8")


if __name__ == "__main__":
    main()
