"""Every error that a public function raises stands in its docstring."""

from __future__ import annotations

import pytest
from raising import PACKAGE, listed, undocumented

PARTS = sorted(
    path.name
    for path in PACKAGE.iterdir()
    if path.suffix == ".py" or (path / "__init__.py").exists()
)


@pytest.mark.parametrize("part", PARTS)
def test_docstrings_name_every_error(part):
    assert listed(PACKAGE / part) == []


SAMPLE = '''
def f(x):
    """Do it.

    Raises
    ------
    ValueError
        If it is small.
    """
    if x < 0:
        raise ValueError(f"{x}")
    try:
        raise KeyError(x)
    except KeyError as error:
        raise errors.ConfigError("bad") from error

def short(x):
    """Do it; raise IndexError if there is none."""
    raise IndexError

def calls(x):
    """Do it."""
    return [_helper(y) for y in x]

def _helper(x):
    _helper(x)
    raise TypeError(x)

class A:
    """A thing.

    Raises
    ------
    ImageError
        If there is none.
    """

    def __init__(self):
        raise ImageError("none")

    def method(self):
        """Do it.

        Returns
        -------
        ImageError
            As a value.
        """
        raise ImageError("none")

class _Hidden:
    def method(self):
        raise ImageError("none")
'''


def test_what_is_not_named_is_found():
    assert undocumented(SAMPLE) == [
        "2: f raises ConfigError",
        "21: calls raises TypeError",
        "41: A.method raises ImageError",
    ]
    named = SAMPLE.replace("If it is small.", "If it is small.\n    ConfigError\n        If bad.")
    assert len(undocumented(named)) == 2
