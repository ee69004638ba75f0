"""``npformer info [MODEL]``: a model's layers, shapes, parameters and multiply-adds."""

from __future__ import annotations

import argparse
import json


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to the parser."""
    parser.add_argument(
        "model", nargs="?", default="tiny", help="tiny, l1, l3, l7, or the folder of a model (tiny)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the table; for a named variant, weights are not needed."""
    from ..network.configuration import EfficientFormerConfig
    from ..network.summary import summarize
    from ..network.variants import VARIANTS

    if args.model in VARIANTS:
        table = summarize(EfficientFormerConfig.variant(args.model))
    else:
        from ..classification import load

        table = load(args.model, engine="numpy").summary()
    print(json.dumps(table.to_dict()) if args.json else table)
    return 0
