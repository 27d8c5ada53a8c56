"""Figures over time, from the per-minute roll-ups: not from runs, of which there are millions.

Only what has ended since the last roll-up is counted from the runs themselves, up to a bound.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Max, QuerySet, Sum
from django.db.models.expressions import CombinedExpression

from workflows.admin.charts import Chart, Series, lines, stacked
from workflows.admin.display import duration
from workflows.clock import clock
from workflows.engine.histograms import percentile
from workflows.engine.hours import HOUR, summed_up_to
from workflows.models import (
    HourBacklog,
    HourCount,
    HourDuration,
    Housekeeping,
    Measure,
    MinuteBacklog,
    MinuteCount,
    MinuteDuration,
    MinuteError,
    Run,
    RunStatus,
)
from workflows.models.fields import Epoch
from workflows.models.hour_count import ALL_WORKFLOWS

# Name, span, and how much time is one column of a chart.
SPANS = {
    "15m": (timedelta(minutes=15), timedelta(minutes=1)),
    "1h": (timedelta(hours=1), timedelta(minutes=2)),
    "24h": (timedelta(hours=24), timedelta(hours=1)),
    "7d": (timedelta(days=7), timedelta(hours=4)),
}
DEFAULT_SPAN = "24h"
MEDIAN, HIGH = 0.5, 0.95
MOST_UNCOUNTED = 5000  # runs; who ends more of them in a minute will not miss the rest so long
RESULTS = (
    (RunStatus.COMPLETED, "completed"),
    (RunStatus.FAILED, "failed"),
    (RunStatus.CANCELLED, "cancelled"),
    (RunStatus.SKIPPED, "skipped"),
)


@dataclass(frozen=True, slots=True)
class Frame:
    """The time that is looked at, in columns; of one workflow, or of all."""

    name: str
    workflow: str | None
    begin: datetime
    column: timedelta
    count: int

    @property
    def seconds(self) -> int:
        """The length of a column."""
        return int(self.column.total_seconds())

    @property
    def first(self) -> int:
        """The number of the first column, counted from 1970."""
        return int(self.begin.timestamp()) // self.seconds

    def rows(self, minutes: Any, hours: Any = None) -> "list[QuerySet[Any]]":
        """Return the roll-ups of this time, each with the number of its column.

        Where a column is hours long these are the sums of hours, and the minutes since.
        """
        summed = summed_up_to()
        if hours is None or self.column < HOUR or summed is None:
            return [self._numbered(self._of_minutes(minutes, self.begin), "minute")]
        name = ALL_WORKFLOWS if self.workflow is None else self.workflow
        sums = hours.objects.filter(workflow=name, hour__gte=self.begin, hour__lt=summed)
        since = self._of_minutes(minutes, max(self.begin, summed))
        return [self._numbered(sums, "hour"), self._numbered(since, "minute")]

    def _of_minutes(self, model: Any, since: datetime) -> "QuerySet[Any]":
        rows: QuerySet[Any] = model.objects.filter(minute__gte=since)
        return rows if self.workflow is None else rows.filter(workflow=self.workflow)

    def _numbered(self, rows: "QuerySet[Any]", time: str) -> "QuerySet[Any]":
        numbered: QuerySet[Any] = rows.annotate(column=self.number_of(time))
        return numbered.order_by()

    def number_of(self, time: str) -> CombinedExpression:
        """Return the number of the column that a field's moment lies in, for the database."""
        return Epoch(F(time)) / self.seconds

    def titles(self) -> list[str]:
        """Return what the columns are called."""
        form = "%H:%M" if self.count * self.column <= timedelta(days=1) else "%d %b %H:%M"
        return [f"{self.begin + i * self.column:{form}}" for i in range(self.count)]

    def spread(self, figures: Mapping[int, float]) -> list[float | None]:
        """Return a figure for each column, None where there is none."""
        return [figures.get(self.first + i) for i in range(self.count)]


def frame(name: str, workflow: str | None = None) -> Frame:
    """Return the frame of this name, up to now; the default one where there is no such name."""
    name = name if name in SPANS else DEFAULT_SPAN
    span, column = SPANS[name]
    seconds = int(column.total_seconds())
    last = int(clock.now().timestamp()) // seconds
    count = span // column
    begin = datetime.fromtimestamp((last - count + 1) * seconds, tz=clock.now().tzinfo)
    return Frame(name, workflow, begin, column, count)


def results(over: Frame) -> tuple[Chart, Counter[str]]:
    """Return the chart of runs by result, and how many there were of each."""
    by_result: dict[str, Counter[int]] = defaultdict(Counter)
    totals: Counter[str] = Counter()
    for rows in over.rows(MinuteCount, HourCount):
        counted = rows.values_list("column", "result").annotate(n=Sum("count"))
        for column, result, count in counted:
            by_result[result][column] += count
            totals[result] += count
    for column, result in _ended_since_roll_up(over):
        by_result[result][column] += 1
        totals[result] += 1
    series = [
        Series(kind, kind, over.spread(by_result[result]))
        for result, kind in RESULTS
        if totals[result] or result in (RunStatus.COMPLETED, RunStatus.FAILED)
    ]
    return stacked("Runs by result", over.titles(), series), totals


def _ended_since_roll_up(over: Frame) -> list[tuple[int, str]]:
    """Return the column and the result of each run that is in no roll-up yet, newest first.

    Called after the roll-ups were read: a minute that is rolled up meanwhile is missing for a
    moment, rather than counted twice.
    """
    mark = Housekeeping.objects.values_list("rolled_up_to", flat=True).first()
    since = over.begin if mark is None else max(mark, over.begin)
    # Bounded before the workflow is looked at, which no index of ends has.
    ended = Run.objects.filter(ended_at__gte=since).annotate(column=over.number_of("ended_at"))
    newest = ended.order_by("-ended_at").values_list("column", "status", "workflow")
    return [
        (column, status)
        for column, status, workflow in newest[:MOST_UNCOUNTED]
        if over.workflow in (None, workflow)
    ]


def durations(over: Frame) -> tuple[Chart, Chart]:
    """Return the charts of run time and start delay."""
    seen: dict[str, dict[int, Counter[int]]] = {
        measure: defaultdict(Counter) for measure in Measure.values
    }
    for rows in over.rows(MinuteDuration, HourDuration):
        counted = rows.values_list("column", "measure", "bucket").annotate(n=Sum("count"))
        for column, measure, bucket, count in counted:
            seen[measure][column][bucket] += count
    return (
        _percentiles("Run time", over, seen[Measure.RUN_TIME]),
        _percentiles("Start delay", over, seen[Measure.START_DELAY]),
    )


def backlog(over: Frame) -> Chart:
    """Return the chart of what was queued: in each column, on average."""
    queued: Counter[int] = Counter()
    times: Counter[int] = Counter()
    for rows in over.rows(MinuteBacklog, HourBacklog):
        time = "hour" if rows.model is HourBacklog else "minute"
        sampled = rows.values_list("column").annotate(
            total=Sum("queued"), times=Count(time, distinct=True)
        )
        for column, total, count in sampled:
            queued[column] += total
            times[column] += count
    figures = {column: total / times[column] for column, total in queued.items()}
    return stacked("Backlog", over.titles(), [Series("backlog", "queued", over.spread(figures))])


@dataclass(frozen=True, slots=True)
class Recent:
    """What became of a workflow's runs in the last day."""

    ended: int
    failed: int
    high: float | None

    @property
    def failed_share(self) -> float:
        """The share of failures, in percent."""
        return 100 * self.failed / self.ended if self.ended else 0.0


def recent_by_workflow(workflows: Sequence[str]) -> dict[str, Recent]:
    """Return the last day's figures of these workflows, from whole hours only."""
    since = clock.now() - timedelta(hours=24)
    ended: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    counts = HourCount.objects.filter(workflow__in=workflows, hour__gte=since)
    for workflow, result, count in counts.values_list("workflow", "result").annotate(
        n=Sum("count")
    ):
        ended[workflow] += count
        failed[workflow] += count if result == RunStatus.FAILED else 0
    took: dict[str, Counter[int]] = defaultdict(Counter)
    times = HourDuration.objects.filter(workflow__in=workflows, hour__gte=since)
    grouped = times.filter(measure=Measure.RUN_TIME).values_list("workflow", "bucket")
    for workflow, bucket, count in grouped.annotate(n=Sum("count")):
        took[workflow][bucket] += count
    return {
        workflow: Recent(count, failed[workflow], percentile(took[workflow], HIGH))
        for workflow, count in ended.items()
    }


def queued_by_workflow() -> dict[str, int]:
    """Return what was queued of each workflow when the last minute ended."""
    minute = MinuteBacklog.objects.order_by("-minute").values_list("minute", flat=True).first()
    if minute is None:
        return {}
    rows = MinuteBacklog.objects.filter(minute=minute).values_list("workflow", "queued")
    return dict(rows)


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Failures with the same error, of one workflow."""

    fingerprint: str
    workflow: str
    count: int
    last_run: str
    text: str


def error_groups(over: Frame, *, most: int) -> list[ErrorGroup]:
    """Return the most frequent errors, each with its latest text."""
    groups = (
        over.rows(MinuteError)[0]
        .values("fingerprint", "workflow")
        .annotate(n=Sum("count"), last=Max("last_run"))
        .order_by("-n", "fingerprint")[:most]
    )
    found: Sequence[Any] = list(groups)
    texts = dict(
        MinuteError.objects.filter(
            minute__gte=over.begin, last_run__in=[group["last"] for group in found]
        ).values_list("last_run", "last_error")
    )
    return [
        ErrorGroup(
            group["fingerprint"],
            group["workflow"],
            group["n"],
            group["last"],
            texts.get(group["last"], ""),
        )
        for group in found
    ]


def _percentiles(title: str, over: Frame, counts: dict[int, Counter[int]]) -> Chart:
    def of(share: float) -> list[float | None]:
        figures = {column: percentile(each, share) or 0.0 for column, each in counts.items()}
        return over.spread(figures)

    series = [Series("first", "p50", of(MEDIAN)), Series("second", "p95", of(HIGH))]
    return lines(title, over.titles(), series, said=_seconds)


def _seconds(figure: float) -> str:
    return duration(timedelta(seconds=figure))
