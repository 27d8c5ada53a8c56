"""Fire cron triggers: each firing once, on any number of hosts; after downtime the last missed."""

import json
from datetime import datetime, timedelta

from workflows import randomness
from workflows.clock import clock
from workflows.definitions.events import CRON_FIRED
from workflows.definitions.triggers import Cron
from workflows.definitions.workflow import Workflow
from workflows.engine.operator_schedules import fire_operators_schedules, moment_of_firing
from workflows.engine.rows import EventRow
from workflows.engine.sql import sql
from workflows.engine.transactions import transaction
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.ids import new_id
from workflows.models import CronSchedule, RegisteredWorkflow

AT_ONCE = 100  # schedules


def fire_schedules() -> int:
    """Send the events of cron triggers and schedules whose time has come; return how many."""
    due = CronSchedule.objects.due(clock.now()).order_by("fires_at")
    fired = sum(_fire(pk) for pk in due.values_list("pk", flat=True)[:AT_ONCE])
    return fired + fire_operators_schedules()


def schedule_crons(workflow: Workflow) -> None:
    """Keep a row for each cron trigger of a workflow, in the caller's transaction."""
    crons = [trigger for trigger in workflow.triggers if isinstance(trigger, Cron)]
    rows = {(row.line, row.tz): row for row in CronSchedule.objects.filter(workflow=workflow.id)}
    for cron in crons:
        row = rows.pop((cron.line, cron.tz), None)
        if row is None or row.fires_at is None:
            row = row or CronSchedule(workflow=workflow.id, line=cron.line, tz=cron.tz)
            _plan(row, cron, after=clock.now())
    CronSchedule.objects.filter(pk__in=[row.pk for row in rows.values()]).update(fires_at=None)


def _fire(pk: int) -> int:
    with transaction("fire"):
        locked = CronSchedule.objects.due(clock.now()).select_for_update(skip_locked=True)
        row = locked.filter(pk=pk).first()
        if row is None:
            return 0
        cron = _cron_of(row)
        if RegisteredWorkflow.objects.filter(pk=row.workflow, paused_at__isnull=False).exists():
            _plan(row, cron, after=clock.now())
            return 0
        jitter = timedelta(milliseconds=row.jitter_ms or 0)
        scheduled_at = moment_of_firing(cron, row.scheduled_at, jitter=jitter)
        sql().insert_events([_event(row, scheduled_at)])
        wake_workers_after_commit()
        _plan(row, cron, after=scheduled_at)
        return 1


def skip_missed_firings(workflow_id: str) -> None:
    """Let the crons of a workflow that is resumed fire at their next times, in the transaction."""
    now = clock.now()
    missed = CronSchedule.objects.due(now).filter(workflow=workflow_id)
    for row in missed.select_for_update():
        _plan(row, _cron_of(row), after=now)


def _plan(row: CronSchedule, cron: Cron, *, after: datetime) -> None:
    """Write when the trigger fires next."""
    row.jitter_ms = _jitter_ms(cron)
    row.scheduled_at = cron.next_after(after)
    delay = timedelta(milliseconds=(row.jitter_ms or 0) * randomness.fraction())
    row.fires_at = row.scheduled_at + delay
    row.save()


def _cron_of(row: CronSchedule) -> Cron:
    jitter = None if row.jitter_ms is None else timedelta(milliseconds=row.jitter_ms)
    return Cron(row.line, tz=row.tz, jitter=jitter)


def _jitter_ms(cron: Cron) -> int | None:
    if not isinstance(cron.jitter, timedelta):
        return None
    return cron.jitter // timedelta(milliseconds=1)


def _event(row: CronSchedule, scheduled_at: datetime) -> EventRow:
    now = clock.now()
    data = {"cron": row.line, "scheduledAt": scheduled_at.isoformat()}
    return EventRow(
        id=new_id(),
        name=CRON_FIRED,
        data=json.dumps(data),
        external_id=None,
        ts=scheduled_at,
        received_at=now,
        due_at=now,
        user=None,
        v=None,
        target=row.workflow,
    )
