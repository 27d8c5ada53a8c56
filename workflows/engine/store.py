"""Store what runs have done: results, suspensions and ends of many runs in one transaction.

A write names the run, and the fence under which its worker took it. The runs' rows are locked
first, in ascending order; a write whose fence is not the row's any more is refused whole.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from django.db import InterfaceError, OperationalError

from workflows.engine.catalogue import catalogue_of
from workflows.engine.ends import callers_of_gathered, follow_up, needs_follow_up, someone_listens
from workflows.engine.fingerprint import note_fingerprints
from workflows.engine.meters import time_steps
from workflows.engine.rows import AttemptRow, EventRow, Held, Release, StepRow, TakenRun
from workflows.engine.sql import sql
from workflows.engine.transactions import transaction
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.errors import LeaseLost, StepResultNotStorable
from workflows.models import RunStatus, Wait

PROGRAM_LIMIT_EXCEEDED = "54"  # a class of PostgreSQL's SQLSTATE codes


@dataclass(slots=True)
class Write:
    """What one run has to store at one moment."""

    run: TakenRun
    steps: list[StepRow] = field(default_factory=list)
    attempts: list[AttemptRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    release: Release | None = None
    is_outright_failure: bool = False  # the last resort: nothing else of this run can be stored
    given_up: list[str] = field(init=False)  # steps whose code has changed: nobody waits any more

    def __post_init__(self) -> None:
        """Compare with what is known of the steps before this is."""
        self.given_up = [row.key for row in self.steps if self.run.waited_otherwise(row)]


class Receipt(Protocol):
    """The promise that a write will be stored, or refused."""

    def wait(self) -> None:
        """Return once the write is durable.

        Raises:
            LeaseLost: the run is in other hands.
            StepResultNotStorable: the database will not store it.
        """


class Store(Protocol):
    """Where a run's writes go."""

    def submit(self, write: Write) -> Receipt:
        """Hand over a write. Writes of one run are stored in the order of their submission."""


class DirectStore:
    """Stores each write at once, in a transaction of its own, on the caller's connection."""

    def submit(self, write: Write) -> Receipt:
        """Store the write; a refusal is told by the receipt."""
        return Settled(store_singly([write], retry=no_second_try)[0])


@dataclass(frozen=True, slots=True)
class Settled:
    """The receipt of a write whose fate is known."""

    error: BaseException | None = None

    def wait(self) -> None:
        """Return, or raise what became of the write."""
        if self.error is not None:
            raise self.error


def store(writes: Sequence[Write]) -> list[Write]:
    """Store all writes that may be stored, in the caller's transaction; return the refused ones."""
    sql().plan_by_indexes()
    held = sql().lock_runs(_rows_to_lock(writes))
    accepted = [write for write in writes if may_write(write.run, held.get(write.run.id))]
    # The last word about a step counts: one statement cannot write a row twice.
    steps = {(row.run_id, row.key): row for write in accepted for row in write.steps}
    attempts = [row for write in accepted for row in write.attempts]
    events = [row for write in accepted for row in write.events]
    releases = [write.release for write in accepted if write.release]
    if steps:
        sql().upsert_steps(list(steps.values()))
        time_steps((write.run.workflow, row) for write in accepted for row in write.steps)
    if attempts:
        sql().insert_attempts(attempts)
    if events:
        sql().insert_events(events)
        wake_workers_after_commit()
    _store_waits(accepted)
    if releases:
        # Who listens to ends is known as of now: a process at a long body looks for nothing else.
        catalogue_of(sql().release_runs(releases))
        if any(write.release and write.run.is_in_a_lane for write in accepted):
            wake_workers_after_commit()  # a slot is free
        note_fingerprints(releases)
        _follow_up([write for write in accepted if write.release])
    if len(accepted) == len(writes):
        return []
    return [write for write in writes if not may_write(write.run, held.get(write.run.id))]


def _store_waits(writes: Sequence[Write]) -> None:
    for run_id, key in [(write.run.id, key) for write in writes for key in write.given_up]:
        Wait.objects.of_step(run_id, key).delete()
    waits = [wait for write in writes for wait in write.waits]
    if waits:
        Wait.objects.bulk_create(waits)
        wake_workers_after_commit()


def _rows_to_lock(writes: Sequence[Write]) -> list[str]:
    """Return the runs that are written to: also the callers of those that end."""
    callers = {write.run.parent_id for write in writes if write.release and write.run.parent_id}
    ended = [w.run.id for w in writes if w.run.gathered and w.release and w.release.ended_at]
    if ended:
        callers |= {caller for _, caller, _ in callers_of_gathered(ended)}
    return [*{write.run.id for write in writes}, *callers]


def _follow_up(released: Sequence[Write]) -> None:
    """Do what follows from the runs that have ended: mostly nothing, and then at no cost."""
    ended = [write.run for write in released if write.release and write.release.ended_at]
    listened = {workflow: someone_listens(workflow) for workflow in {run.workflow for run in ended}}
    run_ids = [run.id for run in ended if listened[run.workflow] or needs_follow_up(run)]
    if run_ids:
        follow_up(run_ids)


def may_write(run: TakenRun, held: Held | None) -> bool:
    """Tell whether the run is still in the hands of the worker that took it, in that take."""
    return not run.is_lost and held == (RunStatus.RUNNING, run.fence, run.worker_id)


def no_second_try() -> bool:
    """Leave a write that met an outage to whoever takes the run next."""
    return False


def store_singly(
    writes: Sequence[Write], *, retry: Callable[[], bool]
) -> list[BaseException | None]:
    """Store each write in its own transaction: one that the database refuses harms no other.

    Args:
        writes: in the order of their submission.
        retry: called when the database failed; whether there is a point in trying again.

    Returns:
        For each write: None, or why it was not stored.
    """
    fates: dict[str, BaseException] = {}
    results: list[BaseException | None] = []
    for write in writes:
        fate = fates.get(write.run.id)
        if fate is None:
            fate = _store_one(write, retry)
            if fate is not None:
                fates[write.run.id] = fate
        results.append(fate)
    return results


def _store_one(write: Write, retry: Callable[[], bool]) -> BaseException | None:
    while True:
        try:
            with transaction("store"):
                return LeaseLost() if store([write]) else None
        except Exception as error:  # noqa: BLE001  the drivers raise their own for what they refuse
            if not is_outage(error):
                return StepResultNotStorable(f"The database will not store this: {error!s:.1000}")
        if not retry():
            return LeaseLost()


def is_outage(error: BaseException) -> bool:
    """Tell whether the database failed, and not what it was given.

    PostgreSQL reports what is too large for it (class 54) as it reports that it is shutting down.
    """
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = getattr(error.__cause__, "sqlstate", None) or ""
    return not state.startswith(PROGRAM_LIMIT_EXCEEDED)
