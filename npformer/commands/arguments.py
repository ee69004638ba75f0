"""Arguments that several commands share: their types, and their options."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError


def positive_integer(text: str) -> int:
    """Read a whole number, 1 or more.

    Raises
    ------
    argparse.ArgumentTypeError
        If the text is anything else.
    """
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number, 1 or more")
    return int(text)


def positive_integers(text: str) -> list[int]:
    """Read whole numbers, 1 or more, separated by commas.

    Raises
    ------
    argparse.ArgumentTypeError
        If the text is anything else.
    """
    return [positive_integer(word) for word in text.split(",")]


def add_weights(parser: ArgumentParser) -> None:
    """Add ``--model`` of commands that need trained weights, and ``--entry``."""
    parser.add_argument("--model", default="tiny", help="name or folder of the weights (tiny)")
    add_entry(parser)


def add_entry(parser: ArgumentParser, model: str = "MODEL") -> None:
    """Add ``--entry`` of commands that read the weights of a model."""
    parser.add_argument(
        "--entry",
        metavar="KEY",
        help=f"which weights to take if {model} is a PyTorch file with several, such as model_ema",
    )


def add_timed_network(parser: ArgumentParser) -> None:
    """Add ``--model`` of commands that measure time, for which random weights do; ``--entry``."""
    parser.add_argument(
        "--model", default="l1", help="tiny, l1, l3, l7, or the folder of a model (l1)"
    )
    add_entry(parser)


def add_engine(parser: ArgumentParser) -> None:
    """Add ``--engine``."""
    parser.add_argument(
        "--engine",
        choices=("auto", "numba", "numpy"),
        default="auto",
        help="compiled kernels, plain NumPy layers, or kernels where they work (auto)",
    )


def add_batch_size(parser: ArgumentParser, default: int) -> None:
    """Add ``--batch-size`` of commands that only run the network."""
    parser.add_argument(
        "--batch-size",
        type=positive_integer,
        default=default,
        help=f"number of images computed together ({default})",
    )


def add_unreadable(parser: ArgumentParser) -> None:
    """Add ``--skip-unreadable``, which becomes ``unreadable``: ``"refuse"`` or ``"skip"``."""
    parser.add_argument(
        "--skip-unreadable",
        dest="unreadable",
        action="store_const",
        const="skip",
        default="refuse",
        help="leave out files that cannot be read",
    )


def add_json(parser: ArgumentParser, what: str = "one JSON object") -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help=f"print {what}")
