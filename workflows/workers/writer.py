"""The writer: one thread in each process that stores what all its runs have done.

It takes whatever has gathered, without waiting for more, and writes it in one transaction.
Under load one commit carries dozens of steps; alone, a step is stored at once.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from workflows.engine.execute import failed_outright
from workflows.engine.store import Receipt, Write, store, store_singly
from workflows.engine.transactions import transaction
from workflows.errors import LeaseLost

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
        self, *, may_go_on: Callable[[], bool], on_refusal: Callable[[Write], None]
    ) -> None:
        """Make a writer.

        Args:
            may_go_on: whether the process still has its lease, and so a chance to store anything.
            on_refusal: called with each write that was refused because its run is in other hands.
        """
        self._submissions: queue.SimpleQueue[Submission | None] = queue.SimpleQueue()
        self._may_go_on = may_go_on
        self._on_refusal = on_refusal
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
        while True:
            gathered, is_last = self._gather()
            if gathered:
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
            receipt.settle(fate)
            if isinstance(fate, LeaseLost):
                self._on_refusal(write)
            elif fate is not None and write.release is not None:
                # Nobody waits for a run's outcome, so that nobody else would end the run.
                self.submit(failed_outright(write.run, fate))

    def _fates(self, writes: list[Write]) -> list[BaseException | None]:
        """Store the writes; say of each whether it was stored, or why not."""
        while True:
            try:
                with transaction("store"):
                    refused = {id(write) for write in store(writes)}
            except (OperationalError, InterfaceError) as error:
                if not self._may_go_on():
                    return [LeaseLost() for _ in writes]
                logger.warning("writer.retries error=%s", error)
                connection.close()
                time.sleep(RECONNECT_PAUSE)
            except DatabaseError as error:
                logger.warning("writer.stores_singly writes=%s error=%s", len(writes), error)
                return store_singly(writes)
            else:
                return [LeaseLost() if id(write) in refused else None for write in writes]
