"""The dashboard: how it goes, what needs a person, and what the last while looked like."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from workflows.admin import figures
from workflows.admin.database_health import database_alerts
from workflows.admin.display import duration
from workflows.admin.figures import ErrorGroup
from workflows.admin.queue import Queue, queue_now
from workflows.models import OperatorAction, RegisteredWorkflow, RunStatus

MOST_ERRORS = 100  # groups of which the page is made
MOST_SHOWN = 8
OLDEST_FINE = timedelta(seconds=60)
SILENCE_FINE = timedelta(seconds=30)
FAILURES_FINE = 0.10
FEW_RUNS = 10  # below so many a failure rate says nothing


@dataclass(frozen=True, slots=True)
class Failing:
    """A workflow that fails most."""

    workflow: str
    count: int
    last_run: str
    text: str


def dashboard(request: HttpRequest) -> dict[str, Any]:
    """Return what the dashboard shows an operator."""
    over = figures.frame(request.GET.get("period", ""))
    queue = queue_now()
    by_result, totals = figures.results(over)
    run_time, start_delay = figures.durations(over)
    groups = figures.error_groups(over, most=MOST_ERRORS)
    user = request.user
    return {
        "spans": list(figures.SPANS),
        "over": over,
        "queue": queue,
        "ended": sum(totals.values()),
        "failed": totals[RunStatus.FAILED],
        "failed_share": 100 * failure_rate(totals),
        "charts": [by_result, figures.backlog(over), run_time, start_delay],
        "failing": _most_failing(groups),
        "errors": groups[:MOST_SHOWN],
        "alerts": alerts(queue, totals),
        "sees_payloads": user.has_perm("workflows.view_payload"),
        "sees_actions": user.has_perm("workflows.view_operatoraction"),
        "actions": OperatorAction.objects.order_by("-id")[:MOST_SHOWN],
    }


def alerts(queue: Queue, totals: Counter[str]) -> list[str]:
    """Say what needs a person."""
    found = []
    if queue.oldest is not None and queue.oldest > OLDEST_FINE:
        found.append(_("The oldest run that could start has waited %s.") % duration(queue.oldest))
    if queue.last_beat is None:
        found.append(_("No worker has been started: nothing runs."))
    elif queue.last_beat > SILENCE_FINE:
        found.append(_("No worker has been heard of for %s.") % duration(queue.last_beat))
    rate = failure_rate(totals)
    if rate > FAILURES_FINE and sum(totals.values()) >= FEW_RUNS:
        found.append(_("%.1f %% of runs failed.") % (100 * rate))
    paused = RegisteredWorkflow.objects.filter(paused_at__isnull=False).values_list("id", flat=True)
    found += [_("%s is paused.") % workflow for workflow in paused[:MOST_SHOWN]]
    return found + database_alerts()


def failure_rate(totals: Counter[str]) -> float:
    """Return the share of runs that failed among those that completed or failed."""
    failed = totals[RunStatus.FAILED]
    tried = failed + totals[RunStatus.COMPLETED]
    return failed / tried if tried else 0.0


def _most_failing(groups: list[ErrorGroup]) -> list[Failing]:
    """Return the workflows that fail most, each with its latest error."""
    counts: Counter[str] = Counter()
    latest: dict[str, ErrorGroup] = {}
    for group in groups:
        counts[group.workflow] += group.count
        known = latest.get(group.workflow)
        if known is None or group.last_run > known.last_run:
            latest[group.workflow] = group
    return [
        Failing(workflow, count, latest[workflow].last_run, latest[workflow].text)
        for workflow, count in counts.most_common(MOST_SHOWN)
    ]
