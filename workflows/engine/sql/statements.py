"""What the hot path asks of a database. None of these begins or ends a transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from workflows.engine.rows import (
    AttemptRow,
    EventRow,
    Held,
    Pulse,
    Release,
    RunRow,
    StepRow,
    TakenRun,
    UnderLock,
    UnroutedEvent,
)

SLOW_SENDERS = timedelta(seconds=5)  # from an event to its commit

# A step that is known becomes what it is now; one that has ended stays as it is, for good.
UNLESS_ENDED = f"""
    ON CONFLICT (run_id, key) DO UPDATE SET {
    ", ".join(
        f"{column} = excluded.{column}"
        for column in StepRow._fields
        if column not in ("run_id", "key", "step_id", "occurrence", "branch")
    )
}
    WHERE workflows_step.status NOT IN ('completed', 'failed')
"""


class Statements(Protocol):
    """One method for each statement that the ORM cannot say, or says too slowly."""

    def database_now(self) -> datetime | None:
        """Return the database's clock, or None where it is the host's own."""

    def catalogue_revision(self) -> int:
        """Return the number that rises with each change of the registered workflows."""

    def look(
        self, *, now: datetime, limit: int, start: datetime | None = None
    ) -> tuple[Pulse, list[UnroutedEvent]]:
        """Return what there is to do besides routing events, and what `unrouted_events` does."""

    def plan_by_indexes(self) -> None:
        """Have the rest of the engine's own transaction planned as for large tables.

        Does nothing inside a caller's transaction, whose plans are not the engine's business.
        """

    def engine_lock(self, *, waits: bool = False) -> UnderLock | None:
        """Try to take the lock under which routing decides, until the transaction's end.

        What comes after it is planned by indexes, as `plan_by_indexes` says.

        Args:
            waits: take it in any case, as soon as whoever has it is done.

        Returns:
            What was read under the lock; None where somebody else has it.
        """

    def insert_events(self, rows: Sequence[EventRow]) -> None:
        """Write new events."""

    def unrouted_events(
        self, *, now: datetime, limit: int, start: datetime | None = None
    ) -> list[UnroutedEvent]:
        """Return due events without a position, in the order in which they take effect.

        None that was due before `start`.
        """

    def position_events(self, ids: Sequence[str]) -> list[str]:
        """Give the events the next positions, in this order; return those that had none yet."""

    def insert_runs(self, rows: Sequence[RunRow]) -> None:
        """Write new runs."""

    def wake_runs(self, *, now: datetime, limit: int) -> int:
        """Queue the suspended runs that are due again, longest due first; return how many."""

    def take_runs(  # noqa: PLR0913  a take has as many sides
        self,
        *,
        worker_id: str,
        queue: str,
        unknown: Sequence[str],
        revision: int,
        now: datetime,
        limit: int,
        suspects: bool,
        start: int | None = None,
    ) -> list[TakenRun]:
        """Lease up to `limit` takeable runs to a worker that is alive, in the order of places.

        Either only runs that are suspected of killing their workers, or none of these; none whose
        place is before `start`; none at all where the catalogue has another revision by now.
        """

    def suspect_waits(self, *, queues: Sequence[str], unknown: Sequence[str]) -> bool:
        """Tell whether a takeable run is suspected of killing its workers."""

    def steps_of(self, run_ids: Sequence[str]) -> list[StepRow]:
        """Return the runs' stored steps, in the order in which results reached the run."""

    def lock_runs(self, run_ids: Sequence[str]) -> dict[str, Held]:
        """Lock runs, in ascending order, until the transaction's end; return who holds them."""

    def upsert_steps(self, rows: Sequence[StepRow]) -> None:
        """Write steps; a completed or failed one stays as it is."""

    def insert_attempts(self, rows: Sequence[AttemptRow]) -> None:
        """Write failed attempts."""

    def release_runs(self, rows: Sequence[Release]) -> int:
        """Let go of runs that are locked and held; return the catalogue's revision."""

    def next_due(
        self, *, now: datetime, queues: Sequence[str], unknown: Sequence[str]
    ) -> datetime | None:
        """Return when there is something to do, `now` or later; None: nothing is known."""

    def without_worker(self) -> list[str]:
        """Return the ids of workers that hold runs and have no row any more."""
