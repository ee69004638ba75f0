"""Layers stay short enough to be read in one sitting, by the model of `reading_time`."""

from __future__ import annotations

import pytest
from reading_time import LAYERS, reading_time, table

MINUTES = {"pooling": 3.0, "conv2d": 4.0, "batch_norm": 4.0, "attention": 5.0}

SAMPLE = '''"""A module of seven words, no less."""

from __future__ import annotations

from math import (
    pi,
    tau,
)


class A:
    """Two words."""

    x: int
    """a field"""


def f(x):  # this comment is part of a line
    """One

    two three.
    """
    # this one is a line of its own
    y = "not a docstring"

    return (
        x
    )
'''


def test_words_of_docstrings_and_lines_of_code_are_counted():
    time = reading_time(SAMPLE)
    assert time == (7 + 2 + 2 + 3, 2 + 2 + 3)
    assert time.minutes == pytest.approx(14 / 220 + 7 * 5 / 60)


@pytest.mark.parametrize("name", MINUTES)
def test_a_layer_reads_within_its_minutes(name):
    assert table()[name].minutes <= MINUTES[name]


@pytest.mark.parametrize("more", ["\n" + "word " * 400, "\nx = 1" * 25])
def test_a_longer_file_takes_longer(more):
    source = (LAYERS / "pooling.py").read_text("utf-8")
    longer = source + (f'"""{more}"""' if "word" in more else more)
    assert reading_time(longer).minutes > reading_time(source).minutes + 1.8
