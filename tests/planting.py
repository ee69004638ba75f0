"""A fault planted in a function of the package, to see whether a test finds it."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def planted(function: Callable[..., Any], text: str, becomes: str) -> Iterator[None]:
    """Run with a piece of a function's text replaced.

    The piece must be there exactly once, so that no rewording disarms a fault in silence. The
    function gets the code of the changed text, in place: whoever has imported it runs the fault.
    """
    function = inspect.unwrap(function)  # it may have a decorator
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(text) == 1, f"{text!r} is {source.count(text)} times in {function}"
    names = dict(function.__globals__)
    exec("from __future__ import annotations\n" + source.replace(text, becomes), names)
    own = function.__code__
    function.__code__ = inspect.unwrap(names[function.__name__]).__code__
    try:
        yield
    finally:
        function.__code__ = own
