"""``npformer info [MODEL]``: a model's layers, shapes, parameters, multiply-adds; its classes."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence

from .arguments import add_entry
from .output import print_json


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to the parser."""
    parser.add_argument(
        "model", nargs="?", default="tiny", help="tiny, l1, l3, l7, or the folder of a model (tiny)"
    )
    add_entry(parser)
    parser.add_argument(
        "--classes", action="store_true", help="print what the model knows, by kind"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object with both")


def run(args: argparse.Namespace) -> int:
    """Print the table or the classes; for a named variant, weights are not needed."""
    from ..files.names import CONFIG_NAME
    from ..files.shipped import shipped
    from ..network.configuration import EfficientFormerConfig
    from ..network.summary import summarize
    from ..network.variants import VARIANTS

    if args.model == "tiny" and args.entry is None:
        config = EfficientFormerConfig.from_json_file(shipped("tiny") / CONFIG_NAME)
        table = summarize(config)
    elif args.model in VARIANTS and args.entry is None:
        config = EfficientFormerConfig.variant(args.model)
        table = summarize(config)
    else:
        from ..classification import load

        model = load(args.model, engine="numpy", entry=args.entry)
        config, table = model.config, model.summary()
    labels = [config.id2label[i] for i in range(config.num_labels)]
    if args.json:
        print_json(table.to_dict() | {"classes": rows(labels)})
    else:
        print(list_by_kind(labels) if args.classes else table)
    return 0


def rows(labels: Sequence[str]) -> list[dict[str, object]]:
    """Return the classes by index, for JSON; those of ImageNet-1k have a WordNet id and a kind."""
    from ..network.labels import imagenet1k_by_name

    known = imagenet1k_by_name()
    return [
        {
            "index": index,
            "label": label,
            "wordnet_id": known[label].wordnet_id if label in known else None,
            "kind": known[label].kind if label in known else "other",
        }
        for index, label in enumerate(labels)
    ]


def list_by_kind(labels: Sequence[str]) -> str:
    """Return the classes as paragraphs, one for each kind."""
    from ..network.labels import by_kind

    parts = [
        f"{kind} ({len(names)})\n"
        + textwrap.fill(", ".join(names), 78, initial_indent="  ", subsequent_indent="  ",
                        break_on_hyphens=False)
        for kind, names in by_kind(labels).items()
    ]  # fmt: skip
    return "\n\n".join([f"{len(labels)} classes", *parts])
