"""Sum the minutes of an hour, once the hour is over: in the transaction that begins the next one.

So an hour is summed exactly when the mark is past it, and a reader knows from the mark alone
which hours to read, and from when on minutes.
"""

from collections import Counter
from datetime import datetime, timedelta

from django.db.models import Sum

from workflows.models import (
    HourBacklog,
    HourCount,
    HourDuration,
    Housekeeping,
    MinuteBacklog,
    MinuteCount,
    MinuteDuration,
)
from workflows.models.hour_count import ALL_WORKFLOWS

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def summed_up_to() -> datetime | None:
    """Return the moment before which hours are summed; None: nothing has been rolled up yet."""
    mark = Housekeeping.objects.values_list("rolled_up_to", flat=True).first()
    return None if mark is None else hour_of(mark - MINUTE)


def sum_up_hour(*, mark: datetime, minute: datetime) -> None:
    """Sum the hour of the last minute before the mark, if this minute is in a later one."""
    hour = hour_of(mark - MINUTE)
    if hour == hour_of(minute):
        return
    _sum_counts(hour)
    _sum_durations(hour)
    _sum_backlog(hour)


def hour_of(moment: datetime) -> datetime:
    """Return the hour in which a moment lies."""
    return moment.replace(minute=0, second=0, microsecond=0)


def _sum_counts(hour: datetime) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    rows = MinuteCount.objects.filter(minute__gte=hour, minute__lt=hour + HOUR)
    for workflow, result, count in rows.values_list("workflow", "result").annotate(n=Sum("count")):
        counts[workflow, result] += count
        counts[ALL_WORKFLOWS, result] += count
    HourCount.objects.bulk_create(
        HourCount(hour=hour, workflow=workflow, result=result, count=count)
        for (workflow, result), count in counts.items()
    )


def _sum_durations(hour: datetime) -> None:
    counts: Counter[tuple[str, str, int]] = Counter()
    rows = MinuteDuration.objects.filter(minute__gte=hour, minute__lt=hour + HOUR)
    grouped = rows.values_list("workflow", "measure", "bucket").annotate(n=Sum("count"))
    for workflow, measure, bucket, count in grouped:
        counts[workflow, measure, bucket] += count
        counts[ALL_WORKFLOWS, measure, bucket] += count
    HourDuration.objects.bulk_create(
        HourDuration(hour=hour, workflow=workflow, measure=measure, bucket=bucket, count=count)
        for (workflow, measure, bucket), count in counts.items()
    )


def _sum_backlog(hour: datetime) -> None:
    queued: Counter[str] = Counter()
    rows = MinuteBacklog.objects.filter(minute__gte=hour, minute__lt=hour + HOUR)
    for workflow, total in rows.values_list("workflow").annotate(n=Sum("queued")):
        queued[workflow] += total
        queued[ALL_WORKFLOWS] += total
    HourBacklog.objects.bulk_create(
        HourBacklog(hour=hour, workflow=workflow, queued=total / (HOUR / MINUTE))
        for workflow, total in queued.items()
    )
