"""Planted bugs: each takes one safeguard of the engine away, and must not survive the invariants.

Each stands for a mistake that somebody could make. They patch the engine from outside.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any
from unittest.mock import Mock, patch

from django.db.models import F

from workflows.clock import clock
from workflows.engine import (
    arrival,
    body,
    cancel,
    ends,
    gates,
    gather,
    rescue,
    resume,
    route,
    settle,
    signals,
    steps,
    store,
    transactions,
    waits,
    wake,
)
from workflows.engine.execution import TimedLease
from workflows.engine.gather import Window, Windows
from workflows.engine.idempotency import SeenValues
from workflows.engine.limits import Regime
from workflows.engine.rate_limit import Acceptances
from workflows.engine.rows import EventRow, Held, TakenRun, UnroutedEvent
from workflows.engine.singleton import Singletons
from workflows.engine.sql import sql, sqlite, sqlite_lanes
from workflows.engine.throttle import PaceOf
from workflows.models import RunStatus
from workflows.models.run import RunQuerySet
from workflows.models.worker import WorkerQuerySet
from workflows.workers import process

Bug = Callable[[], AbstractContextManager[object]]


@contextmanager
def may_write_is(decide: Callable[[TakenRun, Held | None], bool]) -> Iterator[None]:
    with (
        patch.object(store, "may_write", decide),
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


def ended_runs_keep_their_waits() -> AbstractContextManager[object]:
    """What a cancelled or failed run waited for can still be taken by it."""
    return patch.object(ends, "Wait", Mock())


def the_memory_of_rate_limits_is_lost() -> AbstractContextManager[object]:
    return patch.object(Acceptances, "_count", lambda self, rule, keys: None)


def seen_values_are_forgotten() -> AbstractContextManager[object]:
    return patch.object(SeenValues, "write", lambda self: None)


def singletons_are_not_looked_for() -> AbstractContextManager[object]:
    """The database refuses the second one, and with it all that is routed in the same turn."""
    active = RunQuerySet.active_singletons
    return patch.object(RunQuerySet, "active_singletons", lambda self, keys: active(self, []))


def a_singleton_is_not_written_as_one() -> AbstractContextManager[object]:
    judged_row = route._judged_row

    def without(row: Any, verdict: Any) -> Any:
        return judged_row(row, verdict)._replace(singleton=None)

    return patch.object(route, "_judged_row", without)


def a_singleton_skips_where_it_should_replace() -> AbstractContextManager[object]:
    def refusal(self: Any, rule: Any, mark: Any) -> str | None:
        return "singleton" if mark.digest in self._active else None

    return patch.object(Singletons, "refusal", refusal)


def slots_of_cancelled_runs_are_free_too_early() -> AbstractContextManager[object]:
    condition = "WHERE worker_id IN (SELECT id FROM workflows_worker)"
    statement = sqlite_lanes.IN_USE.replace(condition, condition + " AND ended_at IS NULL")
    assert statement != sqlite_lanes.IN_USE
    return patch.object(sqlite_lanes, "IN_USE", statement)


def slots_of_runs_at_work_are_not_counted() -> AbstractContextManager[object]:
    condition = "WHERE worker_id IN (SELECT id FROM workflows_worker)"
    statement = sqlite_lanes.IN_USE.replace(condition, condition + " AND 0")
    assert statement != sqlite_lanes.IN_USE
    return patch.object(sqlite_lanes, "IN_USE", statement)


def sleepers_count_as_inactive() -> AbstractContextManager[object]:
    statement = sqlite_lanes.ACTIVE.replace("is_let_in", "is_let_in AND status <> 'sleeping'")
    assert statement != sqlite_lanes.ACTIVE
    return patch.object(sqlite_lanes, "ACTIVE", statement)


def lanes_are_served_in_the_order_of_ids() -> AbstractContextManager[object]:
    """Head starts are of no use."""
    statement = sqlite_lanes.FIRST_IN.replace("ORDER BY rank, id", "ORDER BY id")
    assert statement != sqlite_lanes.FIRST_IN
    return patch.object(sqlite_lanes, "FIRST_IN", statement)


def a_throttle_does_not_count() -> AbstractContextManager[object]:
    return patch.object(PaceOf, "use", lambda self: None)


def a_full_batch_goes_on() -> AbstractContextManager[object]:
    join = Window.join

    def without_end(self: Window, *arguments: Any) -> None:
        join(self, *arguments)
        self.is_full = False

    return patch.object(Window, "join", without_end)


def what_comes_late_joins_an_overdue_window() -> AbstractContextManager[object]:
    return patch.object(gates, "close_overdue", lambda keys, catalogue, now: None)


def a_debounce_closes_though_events_come() -> AbstractContextManager[object]:
    def closes_at(rule: Any, *, opened_at: Any, last: Any) -> Any:
        return opened_at + rule.wait

    return patch.object(gather, "closes_at", closes_at)


def a_debounced_run_keeps_its_first_event() -> AbstractContextManager[object]:
    return patch.object(route, "_supersede", lambda windows: None)


def an_open_window_takes_no_more_events() -> AbstractContextManager[object]:
    """What joins a window of an earlier turn is lost."""
    write = Windows.write

    def lose(self: Windows, catalogue: Any) -> None:
        for window in self._all:
            if not window.is_new:
                window.joined.clear()
        write(self, catalogue)

    return patch.object(Windows, "write", lose)


def windows_are_closed_without_a_look_at_their_time() -> AbstractContextManager[object]:
    def all_windows(runs: Any, moment: Any) -> Any:
        return runs.filter(gathering__isnull=False)

    return patch.object(RunQuerySet, "gathering_until", all_windows)


def a_pause_is_ignored() -> AbstractContextManager[object]:
    """By admission, and by those who take: each alone would keep the other one's runs."""
    return patch.object(Regime, "is_paused", new=False)


def a_resume_leaves_lanes_held() -> AbstractContextManager[object]:
    free_or_hold = settle._hold_or_free_lanes

    def hold(regime: Any) -> None:
        if regime.is_paused:
            free_or_hold(regime)

    return patch.object(settle, "_hold_or_free_lanes", hold)


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
    ended_runs_keep_their_waits,
    the_memory_of_rate_limits_is_lost,
    seen_values_are_forgotten,
    singletons_are_not_looked_for,
    a_singleton_is_not_written_as_one,
    a_singleton_skips_where_it_should_replace,
    slots_of_cancelled_runs_are_free_too_early,
    slots_of_runs_at_work_are_not_counted,
    sleepers_count_as_inactive,
    lanes_are_served_in_the_order_of_ids,
    a_throttle_does_not_count,
    a_full_batch_goes_on,
    what_comes_late_joins_an_overdue_window,
    a_debounce_closes_though_events_come,
    a_debounced_run_keeps_its_first_event,
    an_open_window_takes_no_more_events,
    windows_are_closed_without_a_look_at_their_time,
    a_pause_is_ignored,
    a_resume_leaves_lanes_held,
)
