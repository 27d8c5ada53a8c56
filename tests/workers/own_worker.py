"""A worker in the test's own process: its threads, connections, writer, beat and clock are real."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from django.db import connection, connections

from workflows.clock import clock
from workflows.conf import configuration
from workflows.definitions.registry import isolated_registry
from workflows.engine.wakeup import nobody_to_wake
from workflows.models import Event, Run
from workflows.models.run import UNENDED
from workflows.testing.kit import forget_what_the_database_knew
from workflows.workers.drain import Drain
from workflows.workers.process import WorkerProcess

PAUSE = 0.01  # seconds between drains, as they come from the broker

HANG_UP = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class OwnWorker:
    """Works only while it is told to, so that a test can look at what there is between."""

    def __init__(self) -> None:
        self._process: WorkerProcess | None = None

    def work_until_all_has_ended(self, *, within: float = 30) -> float:
        """Drain until every event is routed and every run has ended; return the seconds it took."""
        process = self._process or self._begun()
        begun = time.monotonic()
        while process.holds_runs or self._is_something_to_do():
            took = time.monotonic() - begun
            assert took < within, f"after {took:.1f} s there are {self._what_there_is()}"
            Drain(process).work()
            time.sleep(PAUSE)
        return time.monotonic() - begun

    def stop(self) -> None:
        """Give back what is held, and let go of all connections."""
        if self._process is not None:
            self._process.stop(grace=10)
            self._process.core.unshare()
            self._close_connections(self._process)
            _hang_up_on_others()

    def _begun(self) -> WorkerProcess:
        """Begin once the test has declared its workflows."""
        self._process = WorkerProcess(
            cluster="own", declared_at=clock.now(), is_stopping=lambda: False, leave=lambda: None
        )
        assert self._process.prepare()
        assert self._process.start()
        self._process.core.share()
        return self._process

    def _is_something_to_do(self) -> bool:
        return Event.objects.filter(position=None).exists() or Run.objects.unended().exists()

    def _what_there_is(self) -> list[tuple[str, str]]:
        return list(Run.objects.filter(status__in=UNENDED).values_list("workflow", "status"))

    def _close_connections(self, process: WorkerProcess) -> None:
        """Let each thread close what it has: they live as long as the process does."""
        threads = configuration().threads
        together = threading.Barrier(threads, timeout=10)
        process.bodies.begin([partial(_close, together)] * threads)
        assert process.bodies.wait_until_empty(timeout=10)


def _close(together: threading.Barrier) -> None:
    together.wait()  # so that none does it twice
    connections.close_all()


def _hang_up_on_others() -> None:
    """End what engine threads leave open until their process ends: the database will be dropped."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(HANG_UP)


@contextmanager
def own_worker() -> Iterator[OwnWorker]:
    """Give a worker that ends with the block."""
    forget_what_the_database_knew()
    worker = OwnWorker()
    try:
        # Nobody else works here, and the notifier would keep its connection for a while.
        with isolated_registry(), nobody_to_wake():
            try:
                yield worker
            finally:
                worker.stop()
    finally:
        forget_what_the_database_knew()
