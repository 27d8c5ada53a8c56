"""The threads of a worker process on which authors' code runs."""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache

from django.db import connections

from workflows.workers.scheduling import wake_patiently

SHARE_WORTH_A_TAKE = 4  # a quarter of all threads

Work = Callable[[], None]

logger = logging.getLogger("workflows.bodies")


class Bodies:
    """A fixed number of daemon threads, started as they are needed.

    They are daemons because nothing can stop an author's code: a process that ends leaves it.
    """

    def __init__(self, *, threads: int) -> None:
        self._most = threads
        self._work_to_do: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._started = 0
        self._busy = 0
        self._awaited: list[int] = []  # somebody waits until so few threads are at work
        self._changed = threading.Condition()

    @property
    def busy(self) -> int:
        """How many threads are at work."""
        return self._busy

    @property
    def some(self) -> int:
        """How much room is worth a take of its own."""
        return max(1, self._most // SHARE_WORTH_A_TAKE)

    @property
    def room(self) -> int:
        """How many more runs can be executed at once."""
        return self._most - self._busy

    def begin(self, works: Sequence[Work]) -> None:
        """Do each work on a thread of its own, as soon as one is free."""
        with self._changed:
            self._engage(len(works))
        for work in works:
            self._work_to_do.put(work)

    def help(self, work: Work, most: int) -> int:
        """Have up to `most` threads that are free now do the same work; return how many do."""
        with self._changed:
            helpers = max(0, min(most, self.room))
            self._engage(helpers)
        for _ in range(helpers):
            self._work_to_do.put(work)
        return helpers

    def wait_for_room(self, *, wanted: int, timeout: float) -> bool:
        """Wait until `wanted` runs could begin; return False where the time is over before."""
        return self.wait_until_only(self._most - wanted, timeout=timeout)

    def wait_until_empty(self, *, timeout: float | None) -> bool:
        """Wait until nothing is in hand; return False where the time is over before."""
        return self.wait_until_only(0, timeout=timeout)

    def wait_until_only(self, busy: int, *, timeout: float | None) -> bool:
        """Wait until no more than `busy` threads are at work; return False after the time."""
        with self._changed:
            self._awaited.append(busy)
            try:
                return self._changed.wait_for(lambda: self._busy <= busy, timeout)
            finally:
                self._awaited.remove(busy)

    def _engage(self, count: int) -> None:
        """Count threads as busy, and start those that are not there yet."""
        self._busy += count
        while self._started < min(self._busy, self._most):
            name = f"workflows-body-{self._started + 1}"
            try:
                threading.Thread(target=self._work, name=name, daemon=True).start()
            except RuntimeError:  # the host has no thread left: the work waits for another one
                logger.exception("body.no_thread threads=%s", self._started)
                return
            self._started += 1

    def _work(self) -> None:
        wake_patiently()
        while True:
            work = self._work_to_do.get()
            try:
                work()
            except BaseException:  # the thread must live, whatever this run did
                logger.exception("body.escaped")
            finally:
                _at_the_end()
                with self._changed:
                    self._busy -= 1
                    if any(self._busy <= awaited for awaited in self._awaited):
                        self._changed.notify_all()


def _at_the_end() -> None:
    try:
        give_connections_back()
    except Exception:  # as above
        logger.exception("body.kept_its_connection")


def return_to_pool() -> None:
    """Return this thread's connections to the pool, of which all bodies share a few.

    The next body gets one that the pool has looked at: this one may break meanwhile, and a body
    that takes long and needs none must not keep it from others.
    """
    for alias in pooled():
        connection = connections[alias]
        if connection.connection is not None and not connection.in_atomic_block:
            connection.close()


@lru_cache(maxsize=1)
def pooled() -> tuple[str, ...]:
    """Return the databases whose connections are a pool's."""
    return tuple(alias for alias, its in connections.settings.items() if its["OPTIONS"].get("pool"))


def give_connections_back() -> None:
    """Return this thread's connections to the pool; where there is none, close broken ones."""
    for connection in connections.all(initialized_only=True):
        if connection.connection is None:
            continue
        if connection.settings_dict["OPTIONS"].get("pool") or connection.in_atomic_block:
            connection.close()
        else:
            connection.close_if_unusable_or_obsolete()
