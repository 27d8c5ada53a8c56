"""The runs that a process has in hand: taken, and not yet known to be stored as released."""

import threading
from collections.abc import Iterable

from workflows.engine.rows import TakenRun

Take = tuple[str, int]  # a run's id and its fence


class RunsInHand:
    """What the process knows of the runs that it holds, to be compared with the database.

    The two differ where an answer was lost: a take whose connection broke may have been committed
    all the same, and a run that the process gave up for lost may still bear its name.
    """

    def __init__(self) -> None:
        # Held from before a take until its runs are known here.
        self.taking = threading.Lock()
        self._lock = threading.Lock()
        self._executing: set[Take] = set()
        self._ending: set[Take] = set()

    def ids(self) -> set[str]:
        """Return the ids of all runs in hand."""
        with self._lock:
            return {run_id for run_id, _ in self._executing | self._ending}

    def take(self, runs: Iterable[TakenRun]) -> None:
        """Take runs in hand."""
        with self._lock:
            self._executing.update((run.id, run.fence) for run in runs)

    def hand_over(self, run: TakenRun) -> None:
        """Note that a run's release is on its way to the database."""
        with self._lock:
            self._ending.add((run.id, run.fence))

    def executed(self, run: TakenRun) -> bool:
        """Note that no code of the run is at work here; tell whether its release is on its way."""
        with self._lock:
            self._executing.discard((run.id, run.fence))
            return (run.id, run.fence) in self._ending

    def settled(self, run: TakenRun) -> None:
        """Note that it is known what became of a run's release."""
        with self._lock:
            self._ending.discard((run.id, run.fence))
