"""``npformer download NAME…``: fetch published models for use without a connection."""

from __future__ import annotations

import argparse

from .output import complain


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to the parser."""
    parser.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help="l1, l3, l7, or owner/name of another EfficientFormer on the Hugging Face Hub",
    )
    parser.add_argument(
        "--revision",
        help="branch, tag or commit, instead of the one recorded in npformer",
    )


def run(args: argparse.Namespace) -> int:
    """Fetch each model, print where it is and whether it is the published one."""
    from ..checkpoints import hub
    from ..errors import NpformerError
    from ..files.repository import Download

    models = hub.manifest()
    for name in args.names:
        if name not in models and not hub.is_hub_name(name):
            args.parser.error(
                f"{name!r} is not a model; expected {', '.join(models)} or owner/name"
            )

    failures = 0
    for name in args.names:
        if not hub.is_hub_name(name):
            print(f"{name} comes with npformer: nothing to download")
            continue
        try:
            found = hub.fetch(name, Download(args.revision), refresh=True)
        except (NpformerError, OSError) as error:
            complain(error)
            failures += 1
            continue
        pinned = found.published_as or "no: nobody has recorded what this file should be"
        print(
            f"{name}: {found.repository}, commit {found.commit}\n"
            f"  file    {found.weights}\n"
            f"  size    {found.size / 1e6:.1f} MB\n"
            f"  sha256  {found.sha256}\n"
            f"  pinned  {pinned}"
        )
    return 1 if failures else 0
