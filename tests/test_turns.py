"""Threads that take turns with others on the cores: the same bits, nobody waits for ever."""

from __future__ import annotations

import os
import sys
import threading
from time import monotonic_ns

import numpy as np
import pytest
from engine_cases import CASES, config, images, in_a_process, network

from npformer import engine
from npformer.bench.beside import Neighbor
from npformer.engine import threads, turns
from npformer.kernels import scheduling
from npformer.kernels.layout import PLACE, WORDS
from npformer.kernels.vector import compiled, kernel
from npformer.learn.objectives import classification_loss

linux = pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen on Linux only")


@pytest.fixture(autouse=True)
def _default_threads():
    yield
    engine.set_num_threads(None)


@pytest.mark.parametrize("n", [2, 3])
def test_the_same_bits_beside_a_busy_neighbor(n):
    c = config(**CASES["seven products"])
    p, x = network(c), images(3)
    run, learn = engine.make_forward(p, c, "numba"), engine.make_gradients(p, c, "numba")

    def loss(logits):
        return classification_loss(logits, np.arange(3), 0.1)

    def step():
        return learn(x, p, loss, np.random.default_rng(0))

    engine.set_num_threads(1)
    logits, first = run(x).logits, step()
    engine.set_num_threads(n)
    neighbor = Neighbor()
    with neighbor.working():
        for _ in range(20):
            np.testing.assert_array_equal(run(x).logits, logits)
        for _ in range(3):
            assert step().loss == first.loss
    neighbor.stop()


CROWD = """
import time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
run = engine.make_forward(p, c, "numba")
engine.set_num_threads(1)
bits = run(x).logits
check(bits)
engine.set_num_threads(8)
def call():
    for _ in range(10):
        np.testing.assert_array_equal(run(x).logits, bits)
callers = [threading.Thread(target=call, daemon=True) for _ in range(3)]
threading.excepthook = lambda error: os._exit(3)
for t in callers: t.start()
for t in callers: t.join(60)
assert not any(t.is_alive() for t in callers)
"""


@linux
def test_a_crowd_of_threads_on_one_core():
    in_a_process(CROWD)


@linux
def test_helpers_that_hardly_ever_run():
    """The idlest priority, beside other threads of this process that always run."""
    in_a_process(
        """
run = engine.make_forward(p, c, "numba")
engine.set_num_threads(3)
bits = run(x).logits
check(bits)
cores = sorted(os.sched_getaffinity(0))[:1]
from npformer.engine import threads
meeting = threading.Barrier(3)  # helpers that were left behind have come back
threads.run(lambda i: meeting.wait(20), 3)
for t in threading.enumerate():
    os.sched_setaffinity(t.native_id, cores)
    if t.name.startswith("npformer"):
        os.sched_setscheduler(t.native_id, os.SCHED_IDLE, os.sched_param(0))
for _ in range(30):
    np.testing.assert_array_equal(run(x).logits, bits)
"""
    )


@linux
def test_calls_leave_the_set_of_cores_as_it_is():
    in_a_process(
        """
from npformer.engine import threads
def settle(n):
    meeting = threading.Barrier(n)  # helpers that were left behind have come back
    threads.run(lambda i: meeting.wait(20), n)
run = engine.make_forward(p, c, "numba")
for cores in (os.sched_getaffinity(0), {max(os.sched_getaffinity(0))}):
    for t in threading.enumerate():
        os.sched_setaffinity(t.native_id, cores)
    for n in (2, 5):
        engine.set_num_threads(n)
        for _ in range(20):
            run(x)
        settle(n)
    assert all(os.sched_getaffinity(t.native_id) == cores for t in threading.enumerate())
"""
    )


@kernel
def core_now() -> int:
    """Return the core that this is run on."""
    return scheduling.current_core()


@kernel
def time_now() -> int:
    """Return the time."""
    return scheduling.clock()


def test_the_clock_is_pythons():
    now = compiled(time_now)
    times = [monotonic_ns(), now(), now(), monotonic_ns()]
    assert times[1] <= times[2] <= times[1] + 10**9
    if sys.platform == "linux":
        assert times == sorted(times)
    assert monotonic_ns() <= time_now() <= monotonic_ns()


@pytest.mark.parametrize(
    ("after_tick", "turn"), [(0, 0), (1, 0), (3_599_999, 0), (3_600_000, 1), (3_999_999, 1)]
)
def test_a_turn_begins_at_a_tick(after_tick, turn, monkeypatch):
    monkeypatch.setattr(turns, "clock", lambda: 7 * turns.TICK + after_tick)
    assert turns.new_turn() == (7 + turn) * turns.TICK


def test_in_plain_python_cores_are_not_known():
    counters = np.zeros(2 * PLACE, np.int64)
    assert core_now() == -1
    assert not turns.shares_core(counters, 2, 1)
    assert not turns.leave_core(counters, 2, 1)
    assert turns.offer(counters, 2, 1) < monotonic_ns() + turns.TICK
    assert not counters.any()


@pytest.fixture
def own_cores():
    """The cores of this thread, which it has again afterwards."""
    cores = os.sched_getaffinity(0)
    yield cores
    os.sched_setaffinity(0, cores)


@linux
def test_a_thread_leaves_the_core_of_another(own_cores):
    """It is told that the others are on every core but one, whichever that is."""
    core, leave = compiled(core_now), compiled(turns.leave_core)
    for target in sorted(own_cores):
        n = len(own_cores)
        counters = np.zeros((n + 1) * PLACE, np.int64)
        counters[: n * PLACE : PLACE] = [1 + c if c != target else 0 for c in sorted(own_cores)]
        assert leave(counters, n + 1, n)
        assert counters[n * PLACE] == 1 + target
        assert os.sched_getaffinity(0) == own_cores
        assert 0 <= core() < 64 * WORDS


@linux
def test_a_thread_that_has_nowhere_to_go_stays(own_cores):
    shares, leave = compiled(turns.shares_core), compiled(turns.leave_core)
    core = min(own_cores)
    os.sched_setaffinity(0, {core})
    counters = np.zeros(2 * PLACE, np.int64)
    assert not shares(counters, 2, 1)  # where the other is, is not known
    assert counters[PLACE] == 1 + core
    counters[0] = 1 + core
    assert shares(counters, 2, 1)
    assert not leave(counters, 2, 1)
    assert os.sched_getaffinity(0) == {core}


def test_waiting_ends_when_the_counter_is_there():
    counters = np.zeros(2 * PLACE + 1, np.int64)

    def finish():
        counters[2 * PLACE] = 3

    threading.Timer(0.05, finish).start()
    begun = monotonic_ns()
    turn = turns.wait(counters, 2 * PLACE, 3, 2, 0, begun, 1000)
    assert counters[2 * PLACE] == 3
    assert begun - turns.TICK < turn < monotonic_ns() + turns.TICK
    assert turn % turns.TICK == 0  # it has offered its core
    for wait in (turns.wait, compiled(turns.wait)):
        assert wait(counters, 2 * PLACE, 3, 2, 0, begun, 1000) == begun


def test_a_helper_is_left_behind_where_that_is_allowed():
    joined, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work(thread):
        if thread == 0:
            assert joined.wait(20)
        else:
            joined.set()
            assert go_on.wait(20)
            ended.set()

    threads.run(work, 2, waits=False)
    assert not ended.is_set()
    go_on.set()
    assert ended.wait(20)
    joined.clear()
    threads.run(work, 2)
    assert ended.is_set()


def test_a_helper_is_waited_for_after_an_error():
    joined, ended = threading.Event(), threading.Event()

    def work(thread):
        if thread == 0:
            assert joined.wait(20)
            raise ZeroDivisionError
        joined.set()
        threading.Event().wait(0.1)
        ended.set()

    with pytest.raises(ZeroDivisionError):
        threads.run(work, 2, waits=False)
    assert ended.is_set()
