"""Bring the manifest, the card and their tables up to date: ``python weights/update.py``.

Run it after changing a fact in ``manifest.json``; after changing ``weights/tiny``, run
``weights/adopt.py``, which also runs this. It computes what can be computed (parameters,
multiply-adds; size, hash and accuracy of the default weights, the last from their card) and writes
it into the places of `PLACES`. A test fails if that has been forgotten.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from npformer.network.configuration import EfficientFormerConfig
from npformer.network.summary import summarize

ROOT = Path(__file__).parents[1]
MANIFEST = ROOT / "weights" / "manifest.json"
CARD = ROOT / "weights" / "tiny" / "README.md"


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
    card = CARD.read_text(encoding="utf-8")
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


def accuracy(manifest: dict[str, Any]) -> str:
    """Return how accurate the default weights are, as Markdown."""
    lines = ["| photographs | first answer right | one of five right |", "|---|---|---|"]
    for a in manifest["tiny"]["accuracy"]:
        photographs = a["by"].removeprefix("this project, on ")
        lines.append(f"| {photographs} | {a['top1']} % | {a['top5']} % |")
    return "\n".join(lines) + "\n"


PLACES = {
    ROOT / "README.md": {"accuracy": accuracy},
    ROOT / "docs" / "classes.md": {"accuracy": accuracy},
    ROOT / "docs" / "weights.md": {"tables": tables},
}
"""Pages, and what is written between the marks with a name."""


def page(text: str, makers: dict[str, Callable[[dict[str, Any]], str]], manifest: Any) -> str:
    """Return a page with what stands between its marks made anew.

    Raises
    ------
    ValueError
        If a page has no such marks.
    """
    for name, make in makers.items():
        first, last = f"<!-- {name}: made by weights/update.py -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = text.partition(first)
        _, found, after = rest.partition(last)
        if not found:
            raise ValueError(f"the page has no lines {first!r} and {last!r}")
        text = before + first + "\n" + make(manifest) + "\n" + last + after
    return text


SPELLINGS = {
    "licence": "license", "colour": "color", "grey": "gray", "centre": "center",
    "labelled": "labeled", "labelling": "labeling", "neighbour": "neighbor", "artefact": "artifact",
}  # fmt: skip


def card(text: str, facts: dict[str, Any]) -> str:
    """Return the card of the default weights with what is counted, in American English."""
    side = facts["image_size"]
    counted = (
        f"| parameters | {facts['parameters'] / 1e6:.1f} million, "
        f"{facts['gmacs']:.2f} billion multiply-adds at {side}×{side} |"
    )
    text = re.sub(r"^\| parameters \|.*$", counted, text, flags=re.M)
    for british, american in SPELLINGS.items():
        text = text.replace(british, american)
        text = text.replace(british.capitalize(), american.capitalize())
    return text


def main() -> None:
    """Rewrite the manifest, the card and the pages."""
    manifest = computed(json.loads(MANIFEST.read_text(encoding="utf-8")))
    MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    CARD.write_text(card(CARD.read_text(encoding="utf-8"), manifest["tiny"]), encoding="utf-8")
    for path, makers in PLACES.items():
        text = path.read_text(encoding="utf-8")
        path.write_text(page(text, makers, manifest), encoding="utf-8")


if __name__ == "__main__":
    main()
