"""The threads of a worker process on which authors' code runs."""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial

from django.db import connections

from workflows.engine.rows import TakenRun

logger = logging.getLogger("workflows.bodies")


class Bodies:
    """A fixed number of daemon threads, started as they are needed.

    They are daemons because nothing can stop an author's code: a process that ends leaves it.
    """

    def __init__(self, *, threads: int, execute: Callable[[TakenRun], None]) -> None:
        self._most = threads
        self._execute = execute
        self._work_to_do: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._started = 0
        self._busy = 0
        self._changed = threading.Condition()

    @property
    def busy(self) -> int:
        """How many threads are at work."""
        return self._busy

    @property
    def room(self) -> int:
        """How many more runs can be executed at once."""
        return self._most - self._busy

    def begin(self, runs: Sequence[TakenRun]) -> None:
        """Execute runs, each on a thread of its own as soon as one is free."""
        with self._changed:
            self._engage(len(runs))
        for run in runs:
            self._work_to_do.put(partial(self._execute, run))

    def help(self, work: Callable[[], None], most: int) -> int:
        """Have up to `most` threads that are free now do the same work; return how many do."""
        with self._changed:
            helpers = max(0, min(most, self.room))
            self._engage(helpers)
        for _ in range(helpers):
            self._work_to_do.put(work)
        return helpers

    def wait_for_room(self, *, wanted: int, timeout: float) -> bool:
        """Wait until `wanted` runs could begin; return False where the time is over before."""
        with self._changed:
            return self._changed.wait_for(lambda: self.room >= wanted, timeout)

    def wait_until_empty(self, *, timeout: float) -> bool:
        """Wait until nothing is in hand; return False where the time is over before."""
        return self.wait_for_room(wanted=self._most, timeout=timeout)

    def _engage(self, count: int) -> None:
        """Count threads as busy, and start those that are not there yet."""
        self._busy += count
        while self._started < min(self._busy, self._most):
            self._started += 1
            name = f"workflows-body-{self._started}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while True:
            work = self._work_to_do.get()
            try:
                work()
            except BaseException:  # the thread must live, whatever this run did
                logger.exception("body.escaped")
            finally:
                give_connections_back()
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()


def give_connections_back() -> None:
    """Return this thread's connections to the pool; where there is none, close broken ones."""
    for connection in connections.all(initialized_only=True):
        if connection.connection is None:
            continue
        if connection.settings_dict["OPTIONS"].get("pool") or connection.in_atomic_block:
            connection.close()
        else:
            connection.close_if_unusable_or_obsolete()
