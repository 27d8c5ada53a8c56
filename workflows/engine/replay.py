"""Replay an ended run as a new one: from its top, or from a step on with the results before it."""

import json
from typing import Any

from django.db.models import Max

from workflows.clock import clock, milliseconds
from workflows.conf import configuration
from workflows.definitions.events import wire_data
from workflows.engine.rows import RunRow
from workflows.engine.sql import sql
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.errors import RunStateError
from workflows.ids import new_id
from workflows.models import Event, Run, RunStatus, Step
from workflows.models.run import ENDED
from workflows.serialisation import require_storable_event_data


def replay_in_transaction(
    run_id: str, *, from_step: str | None = None, data: dict[str, Any] | None = None
) -> str:
    """Start a new run from an ended one's event, in the caller's transaction; return its id.

    Args:
        run_id: the run that has ended.
        from_step: the id of the step, or `id:n` for its n-th repetition, from which on steps are
            done anew; those that ended before it keep their results.
        data: replaces the event's data, in an event of the new run's own.

    Raises:
        Run.DoesNotExist: there is no such run.
        RunStateError: it has not ended, or has no such step.
        InvalidEvent: the data cannot be an event's.
    """
    original = Run.objects.select_for_update(no_key=True).get(pk=run_id)
    if original.status not in ENDED:
        message = f"Run {run_id} is {original.status}: only runs that have ended can be replayed."
        raise RunStateError(message)
    kept = _steps_before(original, from_step) if from_step else []
    event_id = original.event_id if data is None else _edited_event(original.event, data)
    new = _new_run(original, event_id)
    sql().insert_runs([new])
    if kept:
        _copy_steps(kept, new.id)
    wake_workers_after_commit()
    return new.id


def _steps_before(run: Run, from_step: str) -> list[Step]:
    steps = list(run.steps.order_by("sequence"))
    first = next((step for step in steps if _name(step) == from_step), None)
    if first is None:
        message = (
            f"Run {run.pk} has no step {from_step!r}: its steps are {[_name(s) for s in steps]}."
        )
        raise RunStateError(message)
    return [step for step in steps if step.sequence < first.sequence and step.ended_at is not None]


def _name(step: Step) -> str:
    return step.step_id if step.occurrence == 0 else f"{step.step_id}:{step.occurrence}"


def _edited_event(original: Event, data: dict[str, Any]) -> str:
    """Store the event with other data, already in its place: it starts nothing else."""
    now = clock.now()
    text = require_storable_event_data(
        wire_data(original.name, data), max_bytes=configuration().max_event_bytes
    )
    last = Event.objects.aggregate(last=Max("position"))["last"] or 0
    event: Event = Event.objects.create(
        id=new_id(),
        name=original.name,
        data=json.loads(text),
        ts=original.ts,
        received_at=now,
        due_at=now,
        user=original.user,
        v=original.v,
        position=last,
    )
    return str(event.pk)


def _new_run(original: Run, event_id: str) -> RunRow:
    now = clock.now()
    return RunRow(
        id=new_id(),
        workflow=original.workflow,
        event_id=event_id,
        status=RunStatus.QUEUED,
        reason=None,
        queue=original.queue,
        admitted=True,
        rank=milliseconds(now),
        created_at=now,
        ended_at=None,
        replay_of_id=original.pk,
        parent_id=None,
        parent_step=None,
        depth=0,
        expires_at=None,
        finish_within_ms=original.finish_within_ms,
        tags=json.dumps(original.tags),
    )


def _copy_steps(steps: list[Step], run_id: str) -> None:
    for step in steps:
        step.run_id = run_id
        step._state.adding = True  # noqa: SLF001  Django's way to copy a row
    Step.objects.bulk_create(steps)
    # As if it had been taken before: a first take does not look for stored steps.
    Run.objects.filter(pk=run_id).update(fence=1)
