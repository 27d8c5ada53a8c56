"""Trends: what the roll-ups of a time tell, for the dashboard, charts and metrics.

The newest minute is missing until it is over and has settled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.db.models import Max, Model, QuerySet, Sum

from workflows.engine.histograms import percentile
from workflows.models import Measure, MinuteBacklog, MinuteCount, MinuteDuration, MinuteError
from workflows.models import RunStatus as Status

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class MinuteResult:
    """How many runs ended in a minute with one result."""

    minute: datetime
    result: str
    count: int


@dataclass(frozen=True, slots=True)
class Times:
    """What half, and what 95 of a hundred, durations do not exceed, in seconds."""

    count: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class WorkflowFailures:
    """How often a workflow has failed."""

    workflow: str
    count: int
    last_error: str


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Failures whose errors share a fingerprint."""

    fingerprint: str
    count: int
    workflows: list[str]
    last_run: str
    last_error: str
    last_minute: datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waited, and what was in workers' hands, at the end of a minute."""

    minute: datetime
    queued: int
    running: int


def runs_by_minute(
    *, since: datetime, until: datetime, workflow: str | None = None
) -> list[MinuteResult]:
    """Return how many runs ended in each minute, by result; minutes without any are left out."""
    rows = _of(MinuteCount.objects.filter(minute__gte=since, minute__lt=until), workflow)
    summed = rows.values("minute", "result").annotate(n=Sum("count")).order_by("minute", "result")
    return [MinuteResult(row["minute"], row["result"], row["n"]) for row in summed]


def runs_by_result(*, since: datetime, workflow: str | None = None) -> dict[str, int]:
    """Return how many runs have ended with each result."""
    rows = _of(MinuteCount.objects.filter(minute__gte=since), workflow)
    return dict(rows.values_list("result").annotate(n=Sum("count")).order_by("result"))


def runs_by_workflow(*, since: datetime) -> dict[str, dict[str, int]]:
    """Return, for each workflow, how many of its runs have ended with each result."""
    found: dict[str, dict[str, int]] = {}
    rows = MinuteCount.objects.filter(minute__gte=since).values_list("workflow", "result")
    for workflow, result, count in rows.annotate(n=Sum("count")).order_by("workflow", "result"):
        found.setdefault(workflow, {})[result] = count
    return found


def times(
    measure: Measure, *, since: datetime, until: datetime | None = None, workflow: str | None = None
) -> Times:
    """Return how long runs took, or waited for their start; at most a quarter too high."""
    rows = _of(MinuteDuration.objects.filter(minute__gte=since, measure=measure), workflow)
    if until is not None:
        rows = rows.filter(minute__lt=until)
    counts = dict(rows.values_list("bucket").annotate(n=Sum("count")).order_by("bucket"))
    return _times(counts)


def times_by_workflow(measure: Measure, *, since: datetime) -> dict[str, Times]:
    """Return the same for each workflow."""
    counts: dict[str, dict[int, int]] = {}
    rows = MinuteDuration.objects.filter(minute__gte=since, measure=measure)
    summed = rows.values_list("workflow", "bucket").annotate(n=Sum("count"))
    for workflow, bucket, count in summed.order_by("workflow", "bucket"):
        counts.setdefault(workflow, {})[bucket] = count
    return {workflow: _times(buckets) for workflow, buckets in counts.items()}


def most_failures(*, since: datetime, most: int = 10) -> list[WorkflowFailures]:
    """Return the workflows that have failed most, with their last error."""
    rows = MinuteCount.objects.filter(minute__gte=since, result=Status.FAILED).values("workflow")
    found = list(rows.annotate(n=Sum("count")).order_by("-n", "workflow")[:most])
    errors = _last_errors([row["workflow"] for row in found], since)
    return [
        WorkflowFailures(row["workflow"], row["n"], errors.get(row["workflow"], ""))
        for row in found
    ]


def errors_grouped(
    *, since: datetime, most: int = 10, workflow: str | None = None
) -> list[ErrorGroup]:
    """Return the errors by which most runs have failed, those with one fingerprint together."""
    rows = _of(MinuteError.objects.filter(minute__gte=since), workflow)
    summed = rows.values("fingerprint").annotate(
        n=Sum("count"), run=Max("last_run"), last=Max("minute")
    )
    found = list(summed.order_by("-n", "fingerprint")[:most])
    fingerprints = [row["fingerprint"] for row in found]
    workflows: dict[str, list[str]] = {}
    pairs = rows.filter(fingerprint__in=fingerprints).values_list("fingerprint", "workflow")
    for fingerprint, name in pairs.distinct().order_by("fingerprint", "workflow"):
        workflows.setdefault(fingerprint, []).append(name)
    shown = rows.filter(last_run__in=[row["run"] for row in found])
    errors = dict(shown.values_list("last_run", "last_error"))
    return [
        ErrorGroup(
            fingerprint=row["fingerprint"],
            count=row["n"],
            workflows=workflows[row["fingerprint"]],
            last_run=row["run"],
            last_error=errors[row["run"]],
            last_minute=row["last"],
        )
        for row in found
    ]


def backlog(*, since: datetime, workflow: str | None = None) -> list[Backlog]:
    """Return the backlog at the end of each minute; a minute without any is left out."""
    rows = _of(MinuteBacklog.objects.filter(minute__gte=since), workflow).values("minute")
    summed = rows.annotate(q=Sum("queued"), r=Sum("running")).order_by("minute")
    return [Backlog(row["minute"], row["q"], row["r"]) for row in summed]


def _of(rows: "QuerySet[Row]", workflow: str | None) -> "QuerySet[Row]":
    return rows if workflow is None else rows.filter(workflow=workflow)


def _times(counts: dict[int, int]) -> Times:
    return Times(sum(counts.values()), percentile(counts, 0.5), percentile(counts, 0.95))


def _last_errors(workflows: Sequence[str], since: datetime) -> dict[str, str]:
    rows = MinuteError.objects.filter(minute__gte=since, workflow__in=workflows)
    newest = rows.values("workflow").annotate(run=Max("last_run")).values("run")
    return dict(rows.filter(last_run__in=newest).values_list("workflow", "last_error"))
