"""How the kernel schedules a worker process's threads, of which one at a time executes Python.

Left alone it spreads them over all cores, and lets each that wakes interrupt the one at work,
though it can do nothing but wait for Python's lock. So each turn of another thread wakes a sleeping
core, and moves the data from cache to cache: a quarter to a third of all runs a second.
"""

import logging
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

CHOOSE_EVERY = 5.0  # seconds
THREAD_STATUS = Path("/proc/thread-self/stat")
LAST_CORE = 36  # its place after the thread's name; see proc(5), "processor"

logger = logging.getLogger("workflows.process")


def wake_patiently() -> None:
    """Let the calling thread, when it wakes, not interrupt the thread at work; only a hint."""
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):
            # What a body starts is scheduled as usual.
            policy = os.SCHED_BATCH | os.SCHED_RESET_ON_FORK
            os.sched_setscheduler(0, policy, os.sched_param(0))


class SharedCore:
    """The one core on which a process's threads run, but for the bodies that they execute.

    A body runs on any core: it may compute outside of Python, and what it starts, other programs
    or threads, inherits where it may run.

    The kernel chooses: it is the core on which it has woken the main thread for a drain. Every
    few seconds it may choose anew, so that the process is not stuck beside another one. Where
    the platform cannot bind threads, they run anywhere.
    """

    def __init__(self) -> None:
        """Begin without a shared core; any is one on which the calling thread may run."""
        can_bind = hasattr(os, "sched_setaffinity") and THREAD_STATUS.exists()
        self._any = frozenset(os.sched_getaffinity(0) if can_bind else ())
        self._is_worth_it = len(self._any) > 1
        self._shared: frozenset[int] | None = None
        self._next_choice = 0.0
        self._mine = threading.local()

    def choose(self) -> None:
        """Let all threads follow the calling one to where it runs now, unless it has joined."""
        if self._is_worth_it and (self._shared is None or self._cores() is not self._shared):
            self._shared = frozenset({current_core()})
            self._next_choice = time.monotonic() + CHOOSE_EVERY
            self.join()

    def let_choose(self) -> None:
        """Let the calling thread run anywhere, and so choose, if it is time for that."""
        if time.monotonic() >= self._next_choice:
            self.leave()

    def join(self) -> None:
        """Let the calling thread run on the shared core only, if there is one."""
        if self._shared is not None:
            self._bind(self._shared)

    def leave(self) -> None:
        """Let the calling thread, and what it starts, run on any core."""
        if self._is_worth_it:
            self._bind(self._any)

    def _cores(self) -> frozenset[int] | None:
        """Return where the calling thread was let run; None: as the one that started it."""
        cores: frozenset[int] | None = getattr(self._mine, "cores", None)
        return cores

    def _bind(self, cores: frozenset[int]) -> None:
        if self._cores() is cores:
            return
        try:
            os.sched_setaffinity(0, cores)
        except OSError as error:  # the host has taken cores away meanwhile
            logger.warning("worker.shares_no_core error=%s", error)
            self._is_worth_it, self._shared = False, None
        else:
            self._mine.cores = cores


def current_core() -> int:
    """Return the core on which the calling thread runs."""
    return int(THREAD_STATUS.read_text().rpartition(")")[2].split()[LAST_CORE])
