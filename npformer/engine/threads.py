"""A team of helper threads, which wait until a call needs them.

A call puts a job into a queue, once for each helper that it would like, and starts to work on it
itself. Whichever helper is idle takes the job and joins in; the work needs no fixed number of
workers (see `npformer.engine.walk`). When the work is done, the caller waits only for helpers that
have joined, and not even for these if nothing is left that they could do. So several Python threads
may call at the same time: they share the helpers, and none waits for another's job. Helpers are
started when first needed, as far as the system allows, and again in a forked child, which inherits
none.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue

from ..errors import ConfigError

VARIABLE = "NPFORMER_NUM_THREADS"
MOST = 4096
"""More threads than any processor has cores cannot be asked for."""

_chosen: int | None = None
_caller = threading.local()
"""What holds for the calling thread alone: `most`, if it is `limited`."""


def set_num_threads(n: int | None) -> None:
    """Choose how many threads a forward pass uses.

    Parameters
    ----------
    n : int or None
        None restores the default: the environment variable ``NPFORMER_NUM_THREADS``, else the
        number of processor cores that this process may use.

    Raises
    ------
    ConfigError
        If `n` is not a whole number from 1 to `MOST`.
    """
    global _chosen
    _chosen = None if n is None else _positive(n, "the number of threads")


def get_num_threads() -> int:
    """Return how many threads a forward pass uses, if this thread calls it.

    Raises
    ------
    ConfigError
        If ``NPFORMER_NUM_THREADS`` counts and is not a whole number from 1 to `MOST`.
    """
    most: int = getattr(_caller, "most", MOST)
    if _chosen is not None:
        return min(_chosen, most)
    if value := os.environ.get(VARIABLE):
        return min(_positive(value, VARIABLE), most)
    return min(usable_cores(), most)


@contextmanager
def limited(n: int) -> Iterator[None]:
    """Let forward passes that this thread calls, in the block, use `n` threads at most.

    For callers that are themselves as many threads as there are cores.
    """
    before = getattr(_caller, "most", MOST)
    _caller.most = min(n, before)
    try:
        yield
    finally:
        _caller.most = before


def _positive(value: int | str, name: str) -> int:
    try:
        n = int(value)
    except (TypeError, ValueError):
        n = 0
    if not 1 <= n <= MOST or isinstance(value, (bool, float)):
        raise ConfigError(f"{name} is {value!r}; expected a whole number from 1 to {MOST}")
    return n


def usable_cores(system: Path = Path("/")) -> int:
    """Count the cores that this process may use, by its affinity and its control group's limits.

    Parameters
    ----------
    system : Path
        Root of the file system in which Linux lists the limits.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, int(min(cores, _group_limit(system))))


@cache
def _group_limit(system: Path) -> float:
    """The control group's limit of processor time per time, in cores; read once."""
    limit = float("inf")
    try:
        groups = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return limit
    for group in groups:
        _, controllers, path = group.split(":", 2)
        mount = system / "sys/fs/cgroup"
        if controllers:  # version 1: a hierarchy for each controller
            if "cpu" not in controllers.split(","):
                continue
            mount /= controllers
        # A container may see its own group as the root, or under its full path; limits of parents
        # apply to their children too.
        folder = mount / path.lstrip("/")
        for place in [folder, *folder.parents]:
            if place == mount.parent:
                break
            limit = min(limit, _quota(place))
        limit = min(limit, _quota(mount))
    return limit


def _quota(folder: Path) -> float:
    """The limit of one group, in cores; infinite if there is none or it cannot be read."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return float("inf") if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError):
        return float("inf")


class Job:
    """Work that helpers may join while it is open.

    Parameters
    ----------
    work : callable
        ``work(i)`` is called by each helper, with i from 1.
    release : callable
        Is called after an error, so that nobody waits for what will not be done.
    """

    def __init__(self, work: Callable[[int], None], release: Callable[[], None]) -> None:
        self._work, self.release = work, release
        self._lock = threading.Lock()
        self._open = True
        self._joined = 0
        self._ended = 0
        self._error: BaseException | None = None
        self._left: SimpleQueue[None] = SimpleQueue()

    def join(self) -> None:
        """Join the work, if it is still open."""
        with self._lock:
            if not self._open:
                return
            self._joined += 1
            number = self._joined
        try:
            self._work(number)
        except BaseException as error:
            self._error = error
            self.release()
        finally:
            with self._lock:
                self._ended += 1
            self._left.put(None)

    def close(self, waits: bool) -> None:
        """Close the job, and wait for helpers that have joined.

        An exception of a helper is raised here. Ctrl-C is raised after the waiting: helpers still
        use the memory of this call.

        Parameters
        ----------
        waits : bool
            If False, helpers are waited for only if one of them has failed.
        """
        interrupt: KeyboardInterrupt | None = None
        while True:
            try:
                self._wait(waits or interrupt is not None)
                break
            except KeyboardInterrupt as error:
                interrupt = error
                self.release()
        if interrupt is not None:
            raise interrupt
        if self._error is not None:
            raise self._error

    def _wait(self, waits: bool) -> None:
        """Wait as `close` says; may be called again after an interrupt."""
        with self._lock:
            self._open = False
        if waits or self._error is not None:
            while self._ended < self._joined:  # counted by the helpers: an interrupt loses nothing
                self._left.get()


class Team:
    """Helpers, and the queue in which they wait for jobs."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job | _Rest] = SimpleQueue()
        self._size = 0
        self._lock = threading.Lock()

    def run(
        self,
        work: Callable[[int], None],
        threads: int,
        release: Callable[[], None],
        waits: bool,
    ) -> None:
        """Call ``work(0)`` here and, as far as helpers are idle, ``work(1)`` … there; see `run`."""
        if threads == 1:
            work(0)
            return
        helpers = min(threads - 1, self._grow(threads - 1))
        job = Job(work, release)
        done = False
        try:
            for _ in range(helpers):
                self._jobs.put(job)
            work(0)
            done = True
        except BaseException:
            release()
            raise
        finally:
            job.close(waits or not done)

    def _grow(self, size: int) -> int:
        """Start helpers until there are `size`, or no more can be started; return how many are."""
        with self._lock:
            while self._size < size:
                name = f"npformer-{self._size + 1}"
                try:
                    threading.Thread(target=self._help, name=name, daemon=True).start()
                except RuntimeError:  # at the limit of a container or user; helpers are optional
                    break
                self._size += 1
            return self._size

    def rest(self) -> None:
        """Let every helper end what it does, and do nothing more."""
        said: SimpleQueue[None] = SimpleQueue()
        for _ in range(self._size):
            self._jobs.put(_Rest(said))
        with suppress(Empty):
            for _ in range(self._size):
                said.get(timeout=1)

    def _help(self) -> None:
        while True:
            self._jobs.get().join()


class _Rest:
    """What a helper takes for a job when the process ends: it says so, and never comes back."""

    def __init__(self, said: SimpleQueue[None]) -> None:
        self._said = said

    def join(self) -> None:
        self._said.put(None)
        threading.Event().wait()


_team = Team()


@atexit.register
def _rest() -> None:
    """Wait, for a second at most, until no helper runs machine code, which is about to go."""
    _team.rest()


def run(
    work: Callable[[int], None],
    threads: int,
    release: Callable[[], None] = lambda: None,
    waits: bool = True,
) -> None:
    """Call `work` on up to `threads` threads, this one among them, and return when all are done.

    Parameters
    ----------
    work : callable
        ``work(i)`` is called with 0 on this thread, and with 1, 2, … on helpers that are idle. An
        exception of any of them is raised here.
    threads : int
        Number of threads, at most.
    release : callable
        Is called, on any thread, when one of them is left by an exception, so that the others do
        not wait for what it will not do. It may be called more than once.
    waits : bool
        Whether helpers are waited for. False says that none has anything left to do when
        ``work(0)`` returns without an error, and may be left behind: its way back through the
        interpreter takes longer than the last layers, and much longer if another program has its
        core.
    """
    _team.run(work, threads, release, waits)


def _after_fork() -> None:
    """Start without helpers in a forked child."""
    global _team
    _team = Team()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
