"""Options of pytest, and of Hypothesis: how long a busy machine takes is no fault of the code."""

import signal

import pytest
from hypothesis import HealthCheck, settings

# Everybody's run draws the same examples: what passes here passes there.
# ``pytest --hypothesis-profile=search`` draws new ones, in every run others.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("npformer", patient, derandomize=True)
settings.register_profile("search", patient)
settings.load_profile("npformer")

# A shell starts what it runs in the background with Ctrl-C ignored, and so would every process
# that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With ``-n``: the tests of a file share what they make, and long files do not come last."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--case", type=int, help="run only the tests of this row of docs/cases.md", metavar="NUMBER"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    number = config.getoption("--case")
    if number is not None:
        held = [i for i in items if any(number in m.args for m in i.iter_markers("case"))]
        config.hook.pytest_deselected(items=[item for item in items if item not in held])
        items[:] = held
