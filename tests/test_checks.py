"""Checks of values that users set."""

from __future__ import annotations

import numpy as np
import pytest

from npformer.checks import is_real, is_whole, require, require_whole
from npformer.errors import ConfigError


def test_a_message_names_the_value_and_what_would_be_usable():
    require(True, "pool_size", 3, "an odd number")
    with pytest.raises(ConfigError, match=r"^pool_size is 4; expected an odd number$"):
        require(False, "pool_size", 4, "an odd number")
    with pytest.raises(ConfigError, match=r"^x is '9{199}…; expected less$"):
        require(False, "x", "9" * 300, "less")


@pytest.mark.parametrize("value", [1, 5])
def test_whole_numbers_in_range(value: int):
    require_whole("dim", value, 1, 5)


@pytest.mark.parametrize("value", [0, 6, 2.0, True, "2", None, np.int64(2)])
def test_other_values_are_refused(value: object):
    with pytest.raises(ConfigError, match=r"^dim is .*; expected a whole number from 1 to 5$"):
        require_whole("dim", value, 1, 5)


@pytest.mark.parametrize(
    ("value", "whole", "real"),
    [
        (7, True, True),
        (10**400, True, True),
        (7.0, False, True),
        (float("nan"), False, False),
        (float("inf"), False, False),
        (True, False, False),
        ("7", False, False),
        (None, False, False),
        (np.float64(7), False, True),  # is a float
        (np.bool_(True), False, False),
    ],
)
@pytest.mark.parametrize("numpy", [False, True])
def test_kinds_of_numbers(value: object, whole: bool, real: bool, numpy: bool):
    assert is_whole(value, numpy=numpy) is whole
    assert is_real(value, numpy=numpy) is real


@pytest.mark.parametrize("value", [np.int64(7), np.uint8(7), np.float32(7)])
def test_numbers_of_numpy_only_where_they_are_wanted(value: object):
    assert is_real(value, numpy=True)
    assert not is_real(value)
    assert is_whole(value, numpy=True) is isinstance(value, np.integer)
    assert not is_whole(value)
