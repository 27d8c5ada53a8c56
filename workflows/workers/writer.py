"""The writer: one thread in each process that stores what all its runs have done.

It takes whatever has gathered, without waiting for more, and writes it in one transaction.
Under load one commit carries dozens of steps; alone, a step is stored at once.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from django.db import DatabaseError, InterfaceError, connection

from workflows.engine.execute import failed_outright
from workflows.engine.rows import TakenRun
from workflows.engine.store import Receipt, Write, is_outage, store, store_singly
from workflows.engine.transactions import transaction
from workflows.errors import LeaseLost
from workflows.workers.own_connection import use_own_connection
from workflows.workers.scheduling import wake_patiently

MOST_IN_A_COMMIT = 500  # writes
RECONNECT_PAUSE = 0.2  # seconds

logger = logging.getLogger("workflows.writer")


class PendingReceipt:
    """The receipt of a write that the writer has not stored yet."""

    __slots__ = ("_error", "_settled")

    def __init__(self) -> None:
        self._error: BaseException | None = None
        self._settled = threading.Lock()
        self._settled.acquire()

    def settle(self, error: BaseException | None) -> None:
        """Say what became of the write, once."""
        self._error = error
        self._settled.release()

    def wait(self) -> None:
        """Return once the write is durable, or raise why it is not."""
        with self._settled:
            if self._error is not None:
                raise self._error


Submission = tuple[Write, PendingReceipt]


class Writer:
    """Implements `Store` for the threads of a worker process."""

    def __init__(
        self,
        *,
        may_go_on: Callable[[], bool],
        on_settled: Callable[[TakenRun], None],
        before_store: Callable[[], None],
    ) -> None:
        """Make a writer.

        Args:
            may_go_on: whether the process still has its lease, and so a chance to store anything.
            on_settled: called once it is known what became of a run's release.
            before_store: called on the writer's thread before each transaction.
        """
        self._submissions: queue.SimpleQueue[Submission | None] = queue.SimpleQueue()
        self._may_go_on = may_go_on
        self._on_settled = on_settled
        self._before_store = before_store
        self._thread = threading.Thread(target=self._work, name="workflows-writer", daemon=True)

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def stop(self, *, timeout: float) -> None:
        """Store what was submitted before, then end."""
        self._submissions.put(None)
        self._thread.join(timeout)

    def submit(self, write: Write) -> Receipt:
        """Hand over a write; its receipt tells when it is durable."""
        receipt = PendingReceipt()
        self._submissions.put((write, receipt))
        return receipt

    def _work(self) -> None:
        use_own_connection()
        wake_patiently()
        while True:
            gathered, is_last = self._gather()
            if gathered:
                self._before_store()
                self._store(gathered)
            if is_last:
                connection.close()
                return

    def _gather(self) -> tuple[list[Submission], bool]:
        """Wait for a submission; return it with all that have come meanwhile."""
        gathered: list[Submission] = []
        submission = self._submissions.get()
        try:
            while submission is not None and len(gathered) < MOST_IN_A_COMMIT:
                gathered.append(submission)
                submission = self._submissions.get_nowait()
        except queue.Empty:
            return gathered, False
        if submission is None:
            return gathered, True
        gathered.append(submission)
        return gathered, False

    def _store(self, gathered: Sequence[Submission]) -> None:
        fates = self._fates([write for write, _ in gathered])
        for (write, receipt), fate in zip(gathered, fates, strict=True):
            if isinstance(fate, LeaseLost):
                # Also where nobody has the run yet: its end must not be stored without this step.
                write.run.is_lost = True
            receipt.settle(fate)
            if write.release is not None:
                self._settle_release(write, fate)

    def _settle_release(self, write: Write, fate: BaseException | None) -> None:
        """Nobody waits for a run's outcome: where it cannot be stored, end the run otherwise."""
        if fate is None or isinstance(fate, LeaseLost) or write.is_outright_failure:
            self._on_settled(write.run)
        else:
            self.submit(failed_outright(write.run, fate))

    def _fates(self, writes: list[Write]) -> list[BaseException | None]:
        """Store the writes; say of each whether it was stored, or why not. Never raises."""
        while True:
            try:
                with transaction("store"):
                    refused = {id(write) for write in store(writes)}
            except Exception as error:  # noqa: BLE001  the threads of all runs wait for this one
                if not is_outage(error):
                    return self._singly(writes, error)
                logger.warning("writer.retries writes=%s error=%s", len(writes), error)
                if not self._may_try_again():
                    return [LeaseLost() for _ in writes]
            else:
                return [LeaseLost() if id(write) in refused else None for write in writes]

    def _singly(self, writes: list[Write], error: Exception) -> list[BaseException | None]:
        """One of the writes cannot be stored: it must not fail the others."""
        logger.warning("writer.stores_singly writes=%s error=%.500s", len(writes), error)
        return store_singly(writes, retry=self._may_try_again)

    def _may_try_again(self) -> bool:
        """Give the database a moment; tell whether there is still a point in trying."""
        with suppress(DatabaseError, InterfaceError):  # it is broken
            connection.close()
        time.sleep(RECONNECT_PAUSE)
        return self._may_go_on()
