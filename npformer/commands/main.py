"""The command line: ``npformer COMMAND …``.

Exit codes: 0 success; 1 something failed and was reported on standard error; 2 wrong usage;
130 interrupted; 141 the output is no longer read.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import importlib
import os
import sys
import warnings
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import NoReturn

from ..errors import NpformerError
from ..files.paths import is_address
from ..version import __version__
from .output import complain, settle_streams, warning_lines

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of the signal, as shells have it."""

COMMANDS = {
    "classify": "name what is in photographs",
    "embed": "write one vector for each of many photographs, to search and compare them",
    "explain": "make a page on what the network sees in a photograph, and why it answers so",
    "explore": "make a page on which the network runs, to look at every number and change it",
    "train": "teach a network the classes of a folder of photographs",
    "evaluate": "count how often a network is right about a folder of photographs",
    "compare": "find the first layer in which another implementation goes wrong, and why",
    "info": "show a model's layers, shapes, parameters and multiply-adds",
    "convert": "rename the tensors of a checkpoint as Hugging Face, timm or the original do",
    "quantize": "put the weights of a network into eight bits",
    "vectors": "write test vectors for an implementation in any language",
    "bench": "measure the network's speed beside every other runtime that is installed",
    "profile": "show where the time of a forward pass goes, layer by layer",
    "download": "fetch published models for use without a connection",
}
"""Name -> one line of help. The code is in ``npformer/commands/NAME.py``, imported when needed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after ``npformer``; by default those of the process.

    Returns
    -------
    int
        See above. Errors of npformer and of the operating system are reported, not raised.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    settle_streams()
    # At exit Python would collect garbage, which takes longer than classifying a photograph.
    atexit.register(gc.freeze)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = warning_lines()
            args = make_parser(words).parse_args(words)
            check_words(args.parser, words, addresses_of(args))
            code = int(args.run(args))
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # argparse: --help or wrong usage
        return int(stop.code or 0)
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Otherwise the rest of the buffer would raise again when Python flushes it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (NpformerError, OSError) as error:
        complain(error)
        return 1


def addresses_of(args: argparse.Namespace) -> set[str]:
    """Return the values of those arguments of a command that may be addresses."""
    found: set[str] = set()
    for name in getattr(args, "takes_addresses", ()):
        value = getattr(args, name)
        found.update([value] if isinstance(value, str) else value or [])
    return found


def check_words(
    parser: argparse.ArgumentParser, words: Sequence[str], addresses: Collection[str] = ()
) -> None:
    """Exit with 2 if a word is empty, which Python takes for the current folder, or an address.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    words : sequence of str
    addresses : collection of str
        Values that may be addresses.
    """
    for word in words:
        value = word.partition("=")[2] if word.startswith("--") and "=" in word else word
        if not value:
            parser.error("an argument is empty; expected the name of a file or folder, or a value")
        if is_address(value) and value not in addresses:
            parser.error(
                f"{value} is an address; expected a file or folder: download it first, and give "
                "its path, or the owner/name of a model on the Hugging Face Hub"
            )


def run_process() -> NoReturn:
    """Run the command of this process, and end it.

    After Ctrl-C it ends at once: helpers of the engine may still run machine code, which must not
    be cleared away below them.
    """
    code = main()
    if code == INTERRUPTED:
        with suppress(OSError, ValueError):  # closed already
            sys.stdout.flush()
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def make_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser; of the commands, only the one named in `words` is imported."""
    parser = argparse.ArgumentParser(
        prog="npformer", description="EfficientFormer in plain NumPy: run it, look inside."
    )
    parser.add_argument("--version", action="version", version=f"npformer {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    called = next((word for word in words if not word.startswith("-")), None)
    for name, help_text in COMMANDS.items():
        command = commands.add_parser(name, help=help_text, description=help_text)
        if name == called:
            module = importlib.import_module(f".{name}", __package__)
            module.configure(command)
            command.set_defaults(run=module.run, parser=command)
    return parser
