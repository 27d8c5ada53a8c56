"""Planted bugs: each takes one safeguard of the engine away, and must not survive the invariants.

Each stands for a mistake that somebody could make. They patch the engine from outside.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from django.db.models import F

from workflows.clock import clock
from workflows.engine import (
    arrival,
    body,
    cancel,
    rescue,
    resume,
    route,
    signals,
    steps,
    store,
    transactions,
    waits,
    wake,
)
from workflows.engine.execution import TimedLease
from workflows.engine.rows import EventRow, Held, TakenRun, UnroutedEvent
from workflows.engine.sql import sql, sqlite
from workflows.models import RunStatus
from workflows.models.worker import WorkerQuerySet
from workflows.workers import process

Bug = Callable[[], AbstractContextManager[object]]


@contextmanager
def may_write_is(decide: Callable[[TakenRun, Held | None], bool]) -> Iterator[None]:
    with (
        patch.object(store, "may_write", decide),
        patch.object(steps, "may_write", decide),
        patch.object(signals, "may_write", decide),
    ):
        yield


def no_fence() -> AbstractContextManager[object]:
    """Whoever took a run once may write to it for ever."""
    return may_write_is(lambda run, held: held is not None)


def any_fence_of_a_running_run() -> AbstractContextManager[object]:
    """A run that is running may be written to, whoever runs it."""
    return may_write_is(lambda run, held: held is not None and held.status == RunStatus.RUNNING)


def leases_count_as_over_too_early() -> AbstractContextManager[object]:
    def lost(workers: Any, now: Any) -> Any:
        return workers.filter(lease_until__lte=now + timedelta(seconds=25))

    return patch.object(WorkerQuerySet, "lost", lost)


def no_deadline_of_ones_own() -> AbstractContextManager[object]:
    """A worker looks at no clock before a body begins."""
    return patch.object(TimedLease, "require", lambda self: None)


def wake_ups_of_waits_are_lost() -> AbstractContextManager[object]:
    return patch.object(resume, "wake_run", lambda run_id: None)


def a_wake_up_during_a_slice_is_ignored() -> AbstractContextManager[object]:
    statement = sqlite.RELEASE_RUN.replace("WHEN is_woken AND", "WHEN 0 AND")
    assert statement != sqlite.RELEASE_RUN
    return patch.object(sqlite, "RELEASE_RUN", statement)


class LeftAlone:
    """Stands in for `F`, and leaves the fence as it is where it should be raised."""

    def __new__(cls, name: str) -> Any:
        return super().__new__(cls) if name == "fence" else F(name)

    def __init__(self, name: str) -> None:
        self._name = name

    def __add__(self, _: int) -> F:
        return F(self._name)


def a_cancel_leaves_the_fence() -> AbstractContextManager[object]:
    return patch.object(cancel, "F", LeftAlone)


def a_rescue_leaves_the_fence() -> AbstractContextManager[object]:
    return patch.object(rescue, "F", LeftAlone)


def a_rescue_forgets_the_runs() -> AbstractContextManager[object]:
    return patch.object(rescue, "_queue_lost", lambda runs: 0)


def takes_whose_answer_was_lost_are_forgotten() -> AbstractContextManager[object]:
    return patch.object(process, "give_back_forgotten", lambda worker_id, in_hand: 0)


def a_worker_without_a_lease_takes_runs() -> AbstractContextManager[object]:
    condition = "AND EXISTS (SELECT 1 FROM workflows_worker WHERE id = ?1 AND lease_until > ?2)"
    statement = sqlite.TAKE_RUNS.replace(condition, "")
    assert statement != sqlite.TAKE_RUNS
    return patch.object(sqlite, "TAKE_RUNS", statement)


def routing_looks_above_the_last_id() -> AbstractContextManager[object]:
    """An event that is committed late, with a smaller id, is never found."""
    unrouted, last = sqlite.SQLite.unrouted_events, [""]

    def above_the_last(self: Any, *, now: Any, limit: int) -> list[UnroutedEvent]:
        found = [event for event in unrouted(self, now=now, limit=limit) if event.id > last[0]]
        last[0] = max([event.id for event in found], default=last[0])
        return found

    return patch.object(sqlite.SQLite, "unrouted_events", above_the_last)


@contextmanager
def not_a_transaction(name: str) -> Iterator[None]:
    """Stand in for `transaction`: each statement is committed by itself."""
    transactions.crash_point(f"before {name}")
    yield
    transactions.crash_point(f"after {name}")


def a_transaction_step_is_not_one() -> AbstractContextManager[object]:
    return patch.object(steps, "transaction", not_a_transaction)


def routing_is_not_one_transaction() -> AbstractContextManager[object]:
    return patch.object(route, "transaction", not_a_transaction)


def events_are_sent_before_their_steps_result() -> AbstractContextManager[object]:
    submit = body.Body.submit

    def send_first(self: Any, *, events: list[EventRow] | tuple[()] = (), **rest: Any) -> None:
        if events:
            sql().insert_events(events)
        transactions.crash_point("before store")
        submit(self, **rest)

    return patch.object(body.Body, "submit", send_first)


def stored_steps_run_again() -> AbstractContextManager[object]:
    is_ended = arrival.is_ended
    return patch.object(steps, "is_ended", lambda row: is_ended(row) and row.op != "run")


class Fast:
    """A clock that is half a minute fast."""

    def now(self) -> Any:
        return clock.now() + timedelta(seconds=30)


@contextmanager
def sleepers_wake_early() -> Iterator[None]:
    with patch.object(steps, "clock", Fast()), patch.object(wake, "clock", Fast()):
        yield


def waits_do_not_look_back() -> AbstractContextManager[object]:
    return patch.object(waits, "_look_back", lambda wait: None)


def one_event_ends_two_waits() -> AbstractContextManager[object]:
    return patch.object(waits, "_events_that_ended_waits", lambda run_id: set())


def ended_runs_are_cancelled() -> AbstractContextManager[object]:
    return patch.object(cancel, "UNENDED", tuple(RunStatus))


def cancelled_runs_get_answers() -> AbstractContextManager[object]:
    """What a cancelled run waited for happens afterwards, and is stored as its step's result."""
    return patch.object(resume, "UNENDED", tuple(RunStatus))


BUGS: tuple[Bug, ...] = (
    no_fence,
    any_fence_of_a_running_run,
    leases_count_as_over_too_early,
    no_deadline_of_ones_own,
    wake_ups_of_waits_are_lost,
    a_wake_up_during_a_slice_is_ignored,
    a_cancel_leaves_the_fence,
    a_rescue_leaves_the_fence,
    a_rescue_forgets_the_runs,
    takes_whose_answer_was_lost_are_forgotten,
    a_worker_without_a_lease_takes_runs,
    routing_looks_above_the_last_id,
    a_transaction_step_is_not_one,
    routing_is_not_one_transaction,
    events_are_sent_before_their_steps_result,
    stored_steps_run_again,
    sleepers_wake_early,
    waits_do_not_look_back,
    one_event_ends_two_waits,
    ended_runs_are_cancelled,
    cancelled_runs_get_answers,
)
