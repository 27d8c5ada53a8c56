"""Whether schedules fire when they should: how late the last firing was, and what is overdue."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile

from workflows.clock import clock
from workflows.definitions.cron import firings
from workflows.definitions.events import CRON_FIRED
from workflows.models import CronSchedule, Run, Schedule

FINE = timedelta(minutes=1)  # workers look every few seconds, and a busy one a little later
MOST_COUNTED = 100  # firings that were missed
LOOKED_AT = 20  # of a workflow's latest runs, among which the last firing is looked for


@dataclass(frozen=True, slots=True)
class Firing:
    """A firing that has happened.

    Attributes:
        planned_at: its moment by the plan; by hand, when it was asked for.
        fired_at: when its event was sent.
        slack: how much later than planned it may be, by the schedule's jitter.
    """

    planned_at: datetime
    fired_at: datetime
    slack: timedelta = timedelta()

    @property
    def late_by(self) -> timedelta | None:
        """How much too late it was; None: it was on time."""
        late = self.fired_at - self.planned_at - self.slack
        return late if late > FINE else None


@dataclass(frozen=True, slots=True)
class Overdue:
    """A firing whose time has come, and that no worker has made.

    Attributes:
        since: when it was due.
        missed: firings that will not be made up, as only the last of all is.
        is_many: there are more of these than were counted.
    """

    since: datetime
    missed: int
    is_many: bool = False


def latest_of_code(row: CronSchedule) -> tuple[Run | None, Firing | None]:
    """Return the latest run of a cron's workflow, and the cron's last firing, if that is recent."""
    runs = list(
        Run.objects.filter(workflow=row.workflow)
        .select_related("event")
        .only("status", "event__name", "event__data", "event__ts", "event__received_at")
        .order_by("-id")[:LOOKED_AT]
    )
    slack = timedelta(milliseconds=row.jitter_ms or 0)
    fired = (
        Firing(run.event.ts, run.event.received_at, slack)
        for run in runs
        if run.event.name == CRON_FIRED and run.event.data.get("cron") == row.line
    )
    return (runs[0] if runs else None), next(fired, None)


def overdue_of_code(row: CronSchedule) -> Overdue | None:
    """Say whether a cron of the code should have fired by now."""
    return _overdue(row.fires_at, firings(row.line, zone=row.tz, after=row.scheduled_at))


def overdue_of(schedule: Schedule) -> Overdue | None:
    """Say whether an operator's schedule should have fired by now."""
    due_at, cron = schedule.due_at, schedule.cron
    if due_at is None:
        return None
    return _overdue(due_at, firings(cron, zone=schedule.tz, after=due_at) if cron else ())


def _overdue(due_at: datetime | None, later: Iterable[datetime]) -> Overdue | None:
    now = clock.now()
    if due_at is None or now - due_at <= FINE:
        return None
    passed = list(islice(takewhile(lambda at: at <= now, later), MOST_COUNTED + 1))
    return Overdue(due_at, min(len(passed), MOST_COUNTED), len(passed) > MOST_COUNTED)
