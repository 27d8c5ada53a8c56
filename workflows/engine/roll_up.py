"""Roll up: count each minute's ended runs once, so that charts need not read a million of them.

Nothing of this lies on a run's way. When a minute is over, some worker reads the runs that ended
in it, by an index, and writes its rows in the transaction that moves the mark on: so a minute is
counted once, however many workers look and whoever dies. The backlog is sampled along with it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Count, Max, Min, Q

from workflows.clock import clock
from workflows.engine import meters
from workflows.engine.histograms import bucket_of
from workflows.engine.hours import sum_up_hour
from workflows.engine.transactions import transaction
from workflows.models import (
    Housekeeping,
    Measure,
    MinuteBacklog,
    MinuteCount,
    MinuteDuration,
    MinuteError,
    Run,
    RunStatus,
)

MINUTE = timedelta(minutes=1)
PIECE = timedelta(seconds=5)  # of a minute: so many runs are read at once
SETTLING = timedelta(seconds=10)  # an end's time is read before its transaction is committed
MINUTES_AT_ONCE = 10
MOST_BEHIND = timedelta(days=7)  # older minutes are not made up
LONGEST_ERROR = 300  # characters
METRICS = {Measure.RUN_TIME: meters.RUN_SECONDS, Measure.START_DELAY: meters.START_DELAY}


class Ended(NamedTuple):
    """What is counted of a run."""

    workflow: str
    status: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime


@dataclass(slots=True)
class Tally:
    """What a minute's runs come to."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    durations: Counter[tuple[str, Measure, int]] = field(default_factory=Counter)
    totals_ms: defaultdict[tuple[str, Measure, int], float] = field(
        default_factory=lambda: defaultdict(float)
    )
    metered: meters.Tally = field(default_factory=meters.Tally)

    def add(self, run: Ended) -> None:
        """Count a run, and how long it waited and took, if it ever started."""
        self.counts[run.workflow, run.status] += 1
        self.metered.count(meters.Meter(meters.RUNS, run.workflow, run.status))
        if run.started_at is not None:
            self._add(run.workflow, Measure.RUN_TIME, run.ended_at - run.started_at)
            self._add(run.workflow, Measure.START_DELAY, run.started_at - run.created_at)

    def _add(self, workflow: str, measure: Measure, duration: timedelta) -> None:
        milliseconds = max(0.0, duration / timedelta(milliseconds=1))
        key = (workflow, measure, bucket_of(milliseconds))
        self.durations[key] += 1
        self.totals_ms[key] += milliseconds
        self.metered.time(METRICS[measure], milliseconds / 1000, workflow=workflow)


def roll_up() -> int:
    """Write the roll-ups of minutes that are over; return how many minutes."""
    written = 0
    while written < MINUTES_AT_ONCE and _roll_up_next():
        written += 1
    return written


def _roll_up_next() -> bool:
    kept = housekeeping()
    minute = _next_minute(kept.rolled_up_to)
    if minute + MINUTE + SETTLING > clock.now():
        return False
    return _roll_up_minute(kept, minute)


def housekeeping() -> Housekeeping:
    """Return the one row, made when it is first asked for."""
    now = clock.now()
    first = {"rolled_up_to": _floor(now - MOST_BEHIND), "prune_at": now}
    row, _ = Housekeeping.objects.get_or_create(pk=1, defaults=first)
    return row


def _next_minute(mark: datetime) -> datetime:
    """Return the first minute from the mark on in which a run ended, or else the last one."""
    last = _floor(clock.now() - SETTLING) - MINUTE
    ended = Run.objects.filter(ended_at__gte=mark, ended_at__lt=last)
    first = ended.aggregate(first=Min("ended_at"))["first"]
    return max(mark, last) if first is None else _floor(first)


def _roll_up_minute(kept: Housekeeping, minute: datetime) -> bool:
    """Count a minute, and write it unless somebody else has done so meanwhile."""
    tally = _tally(minute)
    errors = list(_errors(minute))
    is_last = minute + 2 * MINUTE + SETTLING > clock.now()
    backlog = list(_backlog(minute)) if is_last else []
    with transaction("roll up"):
        moved = Housekeeping.objects.filter(rolled_up_to=kept.rolled_up_to).update(
            rolled_up_to=minute + MINUTE
        )
        if not moved:
            return False
        sum_up_hour(mark=kept.rolled_up_to, minute=minute)
        MinuteCount.objects.bulk_create(_counts(minute, tally))
        MinuteDuration.objects.bulk_create(_durations(minute, tally))
        MinuteError.objects.bulk_create(errors)
        MinuteBacklog.objects.bulk_create(backlog)
        meters.add_to_totals(tally.metered.amounts)
    return True


def _tally(minute: datetime) -> Tally:
    tally = Tally()
    for place in range(MINUTE // PIECE):
        begin = minute + place * PIECE
        ended = Run.objects.filter(ended_at__gte=begin, ended_at__lt=begin + PIECE)
        for row in ended.values_list(*Ended._fields):
            tally.add(Ended._make(row))
    return tally


def _counts(minute: datetime, tally: Tally) -> Iterable[MinuteCount]:
    for (workflow, result), count in tally.counts.items():
        yield MinuteCount(minute=minute, workflow=workflow, result=result, count=count)


def _durations(minute: datetime, tally: Tally) -> Iterable[MinuteDuration]:
    for key, count in tally.durations.items():
        workflow, measure, bucket = key
        yield MinuteDuration(
            minute=minute,
            workflow=workflow,
            measure=measure,
            bucket=bucket,
            count=count,
            total_ms=round(tally.totals_ms[key]),
        )


def _errors(minute: datetime) -> Iterable[MinuteError]:
    failed = Run.objects.filter(
        ended_at__gte=minute, ended_at__lt=minute + MINUTE, fingerprint__isnull=False
    )
    groups = failed.values("fingerprint", "workflow").annotate(count=Count("pk"), last=Max("pk"))
    found = list(groups.order_by("fingerprint", "workflow"))
    errors = dict(
        Run.objects.filter(pk__in=[group["last"] for group in found]).values_list("pk", "error")
    )
    for group in found:
        yield MinuteError(
            minute=minute,
            fingerprint=group["fingerprint"] or "",
            workflow=group["workflow"],
            count=group["count"],
            last_run=group["last"],
            last_error=_in_short(errors.get(group["last"])),
        )


def _in_short(error: Any) -> str:
    return f"{error['name']}: {error['message']}"[:LONGEST_ERROR] if error else ""


def _backlog(minute: datetime) -> Iterable[MinuteBacklog]:
    """Sample what waits, and what is in workers' hands, as the minute after this one begins."""
    counted = (
        Run.objects.filter(status__in=[RunStatus.QUEUED, RunStatus.RUNNING])
        .values("workflow")
        .annotate(
            queued=Count("pk", filter=Q(status=RunStatus.QUEUED)),
            running=Count("pk", filter=Q(status=RunStatus.RUNNING)),
        )
    )
    for row in counted.order_by("workflow"):
        yield MinuteBacklog(minute=minute, **row)


def _floor(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
