"""How the kernel schedules a worker process's threads, of which one at a time executes Python.

Left alone it spreads them over all cores, and lets each that wakes interrupt the one at work,
though it can do nothing but wait for Python's lock. So each turn of another thread wakes a sleeping
core, and moves the data from cache to cache: a quarter to a third of all runs a second.
"""

import logging
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

THREAD_STATUS = Path("/proc/thread-self/stat")
CLAIMS = "\0workflows-core-"  # names that are in no file system, and go with the process
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
    """The one core on which a process's threads run while all are busy, but for bodies.

    A body runs on any core: it may compute outside of Python, and what it starts, other programs
    or threads, inherits where it may run. No two processes of a host share one. Where the platform
    cannot bind threads, they run anywhere.
    """

    def __init__(self) -> None:
        """Begin without a shared core; any is one on which the calling thread may run."""
        can_bind = hasattr(os, "sched_setaffinity") and THREAD_STATUS.exists()
        self._any = frozenset(os.sched_getaffinity(0) if can_bind else ())
        self._cores = self._any
        self._is_worth_it = len(self._any) > 1
        self._has_looked = False
        self._claim: socket.socket | None = None
        self._mine = threading.local()

    def share(self) -> None:
        """Let all threads follow the calling one, where it runs now or to a free core."""
        if self._is_worth_it and not self._has_looked:
            self._has_looked = True
            here = current_core()
            for core in sorted(self._any, key=lambda core: (core != here, core)):
                self._claim = claim(core)
                if self._claim is not None:
                    self._cores = frozenset({core})
                    break
            self.join()

    def unshare(self) -> None:
        """Let all threads run anywhere again: the kernel, and other processes, have the choice."""
        self._has_looked = False
        if self._claim is not None:
            self._cores = self._any
            self._claim.close()
            self._claim = None
            self.join()

    def join(self) -> None:
        """Let the calling thread run where the process's threads do now."""
        if self._is_worth_it:
            self._bind(self._cores)

    def leave(self) -> None:
        """Let the calling thread, and what it starts, run on any core."""
        if self._is_worth_it:
            self._bind(self._any)

    def _bind(self, cores: frozenset[int]) -> None:
        # A thread that was never bound here runs where the one does that started it.
        if getattr(self._mine, "cores", None) is cores:
            return
        try:
            os.sched_setaffinity(0, cores)
        except OSError as error:  # the host has taken cores away meanwhile
            logger.warning("worker.shares_no_core error=%s", error)
            self._is_worth_it = False
        else:
            self._mine.cores = cores


def claim(core: int) -> socket.socket | None:
    """Claim a core for this process, until the socket is closed or the process ends.

    Returns:
        None where another process of this host, or of this container, has claimed it.
    """
    claimed = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claimed.bind(f"{CLAIMS}{core}")
    except OSError:
        claimed.close()
        return None
    return claimed


def current_core() -> int:
    """Return the core on which the calling thread runs."""
    return int(THREAD_STATUS.read_text().rpartition(")")[2].split()[LAST_CORE])
