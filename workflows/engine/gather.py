"""Gather events for one run: debounce takes the latest of them, batch all.

An open window is a queued run that names the key whose events it gathers, and when it closes: so
operators see it, and may cancel it. Closing it makes it an ordinary queued run, which admission
finds among the arrivals. Only under the engine's lock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Count

from workflows.clock import milliseconds
from workflows.engine.cancel import cancel_in_transaction
from workflows.engine.catalogue import Catalogue, Route
from workflows.engine.ends import follow_up, lock_with_callers
from workflows.engine.envelopes import envelope
from workflows.engine.gate_rules import GatherRule, Mark
from workflows.engine.idempotency import forget_values_of
from workflows.engine.limits import head_start_ms
from workflows.engine.rows import UnroutedEvent, place_by
from workflows.engine.singleton import Singletons, replaced_by
from workflows.models import Event, GatheredEvent, GatherKind, Run, RunStatus

CLOSED_AT_ONCE = 100  # windows


@dataclass(slots=True)
class Window:
    """Events that are gathered for one run.

    Attributes:
        run_id: the run.
        kind: whether it will have the latest of them, or all.
        opened_at: when its first event came.
        due_at: when it closes.
        size: how many events it has.
        ts: when the event happened with which a debounced run starts.
        starts_with: the new start whose event the run has; None: still the one that is stored.
        is_new: whether its run is still to be written.
        is_full: whether it has closed because of its size.
        joined: the events that are new in it.
    """

    run_id: str
    kind: GatherKind
    opened_at: datetime
    due_at: datetime
    size: int
    ts: datetime
    starts_with: str | None = None
    is_new: bool = False
    is_full: bool = False
    joined: list[str] = field(default_factory=list)

    def join(self, start: str, event: UnroutedEvent, rule: GatherRule, now: datetime) -> None:
        """Gather one more event."""
        self.joined.append(event.id)
        self.size += 1
        if rule.kind == GatherKind.DEBOUNCE:
            self.due_at = closes_at(rule, opened_at=self.opened_at, last=now)
            if event.ts >= self.ts:
                self.ts, self.starts_with = event.ts, start
        self.is_full = rule.max_size is not None and self.size >= rule.max_size


def closes_at(rule: GatherRule, *, opened_at: datetime, last: datetime) -> datetime:
    """Return when a window closes whose last event came at a moment."""
    if rule.kind == GatherKind.BATCH:
        return opened_at + rule.wait
    quiet = last + rule.wait
    return quiet if rule.timeout is None else min(quiet, opened_at + rule.timeout)


class Windows:
    """The open windows of some keys, as one turn of routing finds and leaves them."""

    def __init__(self, keys: Iterable[str], now: datetime) -> None:
        self._now = now
        self._open = self._read(list(keys))
        self._all: list[Window] = list(self._open.values())

    def join(self, start: str, event: UnroutedEvent, rule: GatherRule, mark: Mark) -> Window:
        """Let a start's event join its window, which may be opened for it."""
        window = self._open.get(mark.digest) or self._opened(start, event, rule, mark)
        window.join(start, event, rule, self._now)
        if window.is_full:
            del self._open[mark.digest]
        return window

    def write(self, catalogue: Catalogue) -> None:
        """Write what has become of the windows that were there; route writes the new runs."""
        known = [window for window in self._all if not window.is_new and window.joined]
        Run.objects.bulk_update(
            [
                Run(pk=window.run_id, due_at=window.due_at)
                for window in known
                if window.kind == GatherKind.DEBOUNCE
            ],
            ["due_at"],
        )
        GatheredEvent.objects.bulk_create(
            GatheredEvent(run_id=window.run_id, event_id=event_id)
            for window in self._all
            for event_id in window.joined
        )
        close([window.run_id for window in known if window.is_full], catalogue, self._now)

    def superseded(self) -> list[Window]:
        """Return the windows that were there, and start with another event now."""
        return [window for window in self._all if not window.is_new and window.starts_with]

    def _read(self, keys: Sequence[str]) -> dict[str, Window]:
        if not keys:
            return {}
        # Locked, so that no operator cancels a run while it gathers one more event.
        runs = list(
            Run.objects.filter(gathering__in=keys).order_by("id").select_for_update(no_key=True)
        )
        events = Event.objects.in_bulk([run.event_id for run in runs])
        sizes = dict(
            GatheredEvent.objects.filter(run__in=[run.pk for run in runs])
            .values_list("run_id")
            .annotate(Count("pk"))
        )
        return {
            run.gathering: Window(
                run_id=run.pk,
                kind=GatherKind(run.gathered),
                opened_at=run.created_at,
                due_at=run.due_at,
                size=sizes.get(run.pk, 0),
                ts=events[run.event_id].ts,
            )
            for run in runs
            if run.gathering and run.gathered and run.due_at  # as a constraint has it
        }

    def _opened(self, start: str, event: UnroutedEvent, rule: GatherRule, mark: Mark) -> Window:
        window = Window(
            run_id=start,
            kind=rule.kind,
            opened_at=self._now,
            due_at=closes_at(rule, opened_at=self._now, last=self._now),
            size=0,
            ts=event.ts,
            starts_with=start,
            is_new=True,
        )
        self._open[mark.digest] = window
        self._all.append(window)
        return window


def close_due_windows(catalogue: Catalogue, now: datetime) -> int:
    """Let the runs start whose time of gathering is over, longest due first; return how many."""
    due = Run.objects.gathering_until(now).order_by("due_at", "id")
    return close(list(due.values_list("id", flat=True)[:CLOSED_AT_ONCE]), catalogue, now)


def close_overdue(keys: Sequence[str], catalogue: Catalogue, now: datetime) -> None:
    """Close those of some windows whose time is over: what comes now is not theirs any more."""
    if keys:
        overdue = Run.objects.gathering_until(now).filter(gathering__in=keys)
        close(list(overdue.values_list("id", flat=True)), catalogue, now)


def close(run_ids: Sequence[str], catalogue: Catalogue, now: datetime) -> int:
    """Let runs start that have gathered events, in the order of their ids; return how many."""
    if not run_ids:
        return 0
    lock_with_callers(run_ids)
    runs = Run.objects.filter(pk__in=run_ids, gathering__isnull=False).order_by("due_at", "id")
    closed = list(runs.select_related("event"))
    for run in closed:
        _close(run, catalogue, now)
    return len(closed)


def _close(run: Run, catalogue: Catalogue, now: datetime) -> None:
    route = catalogue.targets.get(run.workflow)
    gates = route.gates if route else None
    if run.gathered == GatherKind.BATCH or gates is None or gates.singleton is None:
        _start(run, route, catalogue, now)
        return
    mark = gates.singleton.keys.mark(envelope(run.event))
    singletons = Singletons([mark.digest])
    refusal = singletons.refusal(gates.singleton, mark)
    if refusal is not None:
        _skip(run, refusal, now)
        return
    if (replaced := singletons.claim(mark, run.pk)) is not None:
        cancel_in_transaction(replaced, reason=replaced_by(run.pk, mark))
    _start(run, route, catalogue, now, singleton=mark.digest)


def _start(
    run: Run, route: Route | None, catalogue: Catalogue, now: datetime, singleton: str | None = None
) -> None:
    """Make it an ordinary queued run: due when its window closed."""
    due_at = min(run.due_at or now, now)
    rank = milliseconds(due_at)
    if route is not None and route.priority is not None:
        rank -= head_start_ms(route.priority, envelope(run.event))
    within_ms = route.start_within_ms if route else None
    is_held = run.workflow in catalogue.paused
    Run.objects.filter(pk=run.pk).update(
        gathering=None,
        due_at=None,
        rank=rank,
        place=place_by(rank),
        singleton=singleton,
        expires_at=(
            None if is_held or within_ms is None else due_at + timedelta(milliseconds=within_ms)
        ),
        start_left_ms=within_ms if is_held else None,
    )


def _skip(run: Run, reason: str, now: datetime) -> None:
    Run.objects.filter(pk=run.pk).update(
        status=RunStatus.SKIPPED, reason=reason, ended_at=now, gathering=None, due_at=None
    )
    forget_values_of([run.pk])
    follow_up([run.pk])
