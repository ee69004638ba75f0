"""What npformer adds to pytest: the fixture `check_layer`.

pytest finds it where npformer is installed (an entry point, ``pytest11``). Nothing of npformer is
imported until a test asks for the fixture.

    def test_my_attention(check_layer):
        check_layer("attention", my_attention)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .testing import LayerReport


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the fixture."""
    group = parser.getgroup("npformer")
    group.addoption(
        "--npformer-examples", type=int, default=100, metavar="NUMBER",
        help="on how many inputs the fixture check_layer tries an implementation (100)",
    )  # fmt: skip
    group.addoption(
        "--npformer-new-examples", action="store_true",
        help="let the fixture check_layer draw other inputs in each run",
    )  # fmt: skip


class CheckLayer:
    """`npformer.testing.check_layer`, which fails the test if the implementation is wrong."""

    def __init__(self, examples: int, new_examples: bool) -> None:
        self.defaults = {"examples": examples, "new_examples": new_examples}

    def __call__(self, layer: str, theirs: Any, **arguments: Any) -> LayerReport:
        """Check an implementation.

        Parameters
        ----------
        layer : str
        theirs : object
        **arguments
            As in `npformer.testing.check_layer`.

        Returns
        -------
        LayerReport
            Of an implementation that passed.
        """
        __tracebackhide__ = True
        from .testing import check_layer

        return check_layer(layer, theirs, **{**self.defaults, "raises": True, **arguments})


@pytest.fixture(scope="session")
def check_layer(pytestconfig: pytest.Config) -> CheckLayer:
    """Return a function that fails the test if an implementation of a layer is wrong."""
    return CheckLayer(
        pytestconfig.getoption("npformer_examples"),
        pytestconfig.getoption("npformer_new_examples"),
    )
