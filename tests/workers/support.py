"""Runs in a worker's hands, without a worker."""

from datetime import timedelta

from workflows.clock import clock
from workflows.engine.rows import StepRow, TakenRun
from workflows.engine.store import Write
from workflows.ids import new_id
from workflows.models import Event, Run, RunStatus, StepOp, StepStatus, Worker

WORKER = "01WORKER000000000000000000"


def taken_run(*, of: str | None = None, fence: int = 1) -> TakenRun:
    """Return a run that a worker has taken; `of` a run that is there, what a worker knows of it."""
    now = clock.now()
    if of is None:
        of = new_id()
        event = Event.objects.create(
            id=new_id(), name="go", data={}, ts=now, received_at=now, due_at=now
        )
        Worker.objects.get_or_create(
            id=WORKER,
            defaults={
                "host": "here",
                "pid": 1,
                "cluster": "one",
                "workflows": [],
                "threads": 1,
                "started_at": now,
                "beat_at": now,
                "lease_until": now + timedelta(minutes=1),
            },
        )
        Run.objects.create(
            id=of,
            workflow="w",
            event=event,
            status=RunStatus.RUNNING,
            queue="default",
            admitted=True,
            rank=0,
            place=0,
            worker_id=WORKER,
            fence=fence,
            created_at=now,
            started_at=now,
        )
    run = Run.objects.select_related("event").get(pk=of)
    return TakenRun(
        id=of,
        workflow="w",
        fence=fence,
        worker_id=WORKER,
        attempt=0,
        attempt_step=None,
        attempt_sequence=0,
        losses=0,
        parent_id=None,
        parent_step=None,
        depth=0,
        started_at=now,
        finish_within_ms=None,
        event_id=run.event.pk,
        event_name="go",
        event_data="{}",
        event_ts=now,
        event_user=None,
        event_v=None,
        event_position=1,
        event_cause=None,
        gathered=None,
        is_in_a_lane=False,
        place=0,
    )


def write_of(run: TakenRun, *, step_id: str = "step") -> Write:
    """Return a write of one step's result."""
    now = clock.now()
    row = StepRow(
        run.id,
        "key",
        1,
        step_id,
        0,
        "",
        StepOp.RUN,
        StepStatus.COMPLETED,
        1,
        0,
        "1",
        None,
        now,
        now,
        None,
    )
    return Write(run, steps=[row])


def failing_write(run: TakenRun) -> Write:
    """Return a write that the database's driver cannot even encode."""
    return write_of(run, step_id="\ud800")
