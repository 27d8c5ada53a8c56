"""Store what runs have done: results, suspensions and ends of many runs in one transaction.

A write names the run, and the fence under which its worker took it. The runs' rows are locked
first, in ascending order; a write whose fence is not the row's any more is refused whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from django.db import DatabaseError

from workflows.engine.ends import follow_up, needs_follow_up, someone_listens
from workflows.engine.rows import AttemptRow, EventRow, Held, Release, StepRow, TakenRun
from workflows.engine.sql import sql
from workflows.engine.transactions import transaction
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.errors import LeaseLost, StepResultNotStorable
from workflows.models import RunStatus, Wait


@dataclass(slots=True)
class Write:
    """What one run has to store at one moment."""

    run: TakenRun
    steps: list[StepRow] = field(default_factory=list)
    attempts: list[AttemptRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    release: Release | None = None


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
        with transaction("store"):
            refused = store([write])
        return Settled(LeaseLost() if refused else None)


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
    held = sql().lock_runs(_rows_to_lock(writes))
    accepted = [write for write in writes if may_write(write.run, held.get(write.run.id))]
    # The last word about a step counts: one statement cannot write a row twice.
    steps = {(row.run_id, row.key): row for write in accepted for row in write.steps}
    attempts = [row for write in accepted for row in write.attempts]
    events = [row for write in accepted for row in write.events]
    releases = [write.release for write in accepted if write.release]
    if steps:
        sql().upsert_steps(list(steps.values()))
    if attempts:
        sql().insert_attempts(attempts)
    if events:
        sql().insert_events(events)
        wake_workers_after_commit()
    waits = [wait for write in accepted for wait in write.waits]
    if waits:
        Wait.objects.bulk_create(waits)
        wake_workers_after_commit()
    if releases:
        sql().release_runs(releases)
        _follow_up([write for write in accepted if write.release])
    if len(accepted) == len(writes):
        return []
    return [write for write in writes if not may_write(write.run, held.get(write.run.id))]


def _rows_to_lock(writes: Sequence[Write]) -> list[str]:
    """Return the runs that are written to: also the callers of those that end."""
    callers = {write.run.parent_id for write in writes if write.release and write.run.parent_id}
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
    return held is not None and held == (RunStatus.RUNNING, run.fence, run.worker_id)


def store_singly(writes: Sequence[Write]) -> list[BaseException | None]:
    """Store each write in its own transaction: one that the database refuses harms no other.

    Returns:
        For each write: None, or why it was not stored.
    """
    fates: dict[str, BaseException] = {}
    results: list[BaseException | None] = []
    for write in writes:
        fate = fates.get(write.run.id)
        if fate is None:
            fate = _store_one(write)
            if fate is not None:
                fates[write.run.id] = fate
        results.append(fate)
    return results


def _store_one(write: Write) -> BaseException | None:
    try:
        with transaction("store"):
            return LeaseLost() if store([write]) else None
    except DatabaseError as error:
        return StepResultNotStorable(f"The database will not store this: {error}")
