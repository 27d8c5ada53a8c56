"""Prune: delete ended runs and spent events that are past retention, in small batches.

A run goes with all that is its own in one transaction, so that a crash leaves nothing half
deleted. An event goes once no run is left of it. Kept is what a run that has not ended may still
need: its event, and every event from then on, because a wait that it comes to looks back. Links to
what is gone (a parent, the original of a replay or of a duplicate) stay, and lead nowhere.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.db.models import Exists, Min, Model, OuterRef, Q, QuerySet

from workflows.clock import clock
from workflows.conf import configuration
from workflows.engine.keys import SEED_LIFE
from workflows.engine.route import DEDUPLICATION_PERIOD
from workflows.engine.transactions import transaction
from workflows.models import (
    Attempt,
    Event,
    EventSeed,
    GatheredEvent,
    HourBacklog,
    HourCount,
    HourDuration,
    Housekeeping,
    MinuteBacklog,
    MinuteCount,
    MinuteDuration,
    MinuteError,
    Run,
    RunTag,
    Step,
    Wait,
)
from workflows.models.run import ENDED

BATCH = 200  # runs or events in a transaction
ROWS = 500  # others
BATCHES_AT_ONCE = 20
PRUNE_EVERY = timedelta(minutes=10)

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was deleted."""

    runs: int = 0
    events: int = 0
    others: int = 0

    def __add__(self, other: "Pruned") -> "Pruned":
        """Add up what two batches deleted."""
        return Pruned(
            self.runs + other.runs, self.events + other.events, self.others + other.others
        )

    def __bool__(self) -> bool:
        """Tell whether anything was."""
        return bool(self.runs or self.events or self.others)


class Pruning:
    """Deletes what ended, or was received, before a moment, a batch at a time."""

    def __init__(self, before: datetime) -> None:
        self._before = before
        self._first_needed: int | None = None
        self._runs_are_gone = False

    def delete_batch(self) -> Pruned:
        """Delete the next batch; return nothing where all is gone."""
        if not self._runs_are_gone:
            runs = _delete_runs(self._before)
            if runs:
                return Pruned(runs=runs)
            self._runs_are_gone = True
            self._first_needed = _first_needed_position()
        events = _delete_events(self._before, self._first_needed)
        if events:
            return Pruned(events=events)
        return Pruned(others=_delete_seeds() + _delete_roll_ups(self._before))


def _delete_runs(before: datetime) -> int:
    old = Run.objects.filter(ended_at__lt=before, status__in=ENDED, worker_id=None)
    found = list(old.order_by("ended_at").values_list("pk", flat=True)[:BATCH])
    if not found:
        return 0
    with transaction("prune runs"):
        # Asked again under the lock: a retry may have taken one up meanwhile.
        locked = old.filter(pk__in=found).order_by("pk").select_for_update(skip_locked=True)
        ids = list(locked.values_list("pk", flat=True))
        Step.objects.filter(run_id__in=ids).delete()
        Attempt.objects.filter(run_id__in=ids).delete()
        RunTag.objects.filter(run_id__in=ids).delete()
        Wait.objects.filter(run_id__in=ids).delete()
        GatheredEvent.objects.filter(run_id__in=ids).delete()
        Run.objects.filter(pk__in=ids).delete()
    return len(ids)


def _first_needed_position() -> int | None:
    """Return the place of the earliest event of a run that has not ended.

    Neither it nor any later event is spent: a wait of the run may look back so far. None: there is
    no such run.
    """
    first: int | None = Run.objects.unended().aggregate(first=Min("event__position"))["first"]
    return first


def _delete_events(before: datetime, first_needed: int | None) -> int:
    found = list(_spent(before, first_needed).values_list("pk", flat=True)[:BATCH])
    if not found:
        return 0
    with transaction("prune events"):
        ids = list(_spent(before, first_needed).filter(pk__in=found).values_list("pk", flat=True))
        Event.objects.filter(pk__in=ids).delete()
    return len(ids)


def _spent(before: datetime, first_needed: int | None) -> QuerySet[Event]:
    """Return events that are old, routed, of no run, and not needed to tell a duplicate."""
    forgotten = clock.now() - DEDUPLICATION_PERIOD
    spent = Event.objects.filter(
        Q(external_id=None) | Q(due_at__lt=forgotten),
        ~Exists(Run.objects.filter(event_id=OuterRef("pk"))),
        ~Exists(GatheredEvent.objects.filter(event_id=OuterRef("pk"))),
        position__isnull=False,
        due_at__lt=before,
    ).order_by("position")
    return spent if first_needed is None else spent.filter(position__lt=first_needed)


def _delete_seeds() -> int:
    return _delete_some(EventSeed.objects.filter(created_at__lt=clock.now() - SEED_LIFE))


def _delete_roll_ups(before: datetime) -> int:
    tables = (MinuteCount, MinuteDuration, MinuteError, MinuteBacklog)
    minutes = sum(_delete_some(table.objects.filter(minute__lt=before)) for table in tables)
    sums = (HourCount, HourDuration, HourBacklog)
    return minutes + sum(_delete_some(table.objects.filter(hour__lt=before)) for table in sums)


def _delete_some(rows: "QuerySet[Row]") -> int:
    ids = list(rows.values_list("pk", flat=True)[:ROWS])
    if not ids:
        return 0
    with transaction("prune rows"):
        deleted, _ = rows.filter(pk__in=ids).delete()
    return deleted


def prune_by_retention() -> Pruned:
    """Delete a few batches of what is past `RETENTION`, if it is time; return what was deleted.

    One conditional statement decides which of many workers does so now.
    """
    retention, now = configuration().retention, clock.now()
    claimed = Housekeeping.objects.filter(prune_at__lte=now)
    if retention is None or not claimed.update(prune_at=now + PRUNE_EVERY):
        return Pruned()
    pruning, deleted = Pruning(now - retention), Pruned()
    for _ in range(BATCHES_AT_ONCE):
        batch = pruning.delete_batch()
        if not batch:
            return deleted
        deleted += batch
    Housekeeping.objects.update(prune_at=now)  # there is more
    return deleted
