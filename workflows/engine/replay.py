"""Replay an ended run as a new one: from its top, or from a step on with the results before it."""

import json
from typing import Any

from django.db.models import Max

from workflows.clock import clock, milliseconds, moment_after
from workflows.conf import configuration
from workflows.definitions.events import wire_data
from workflows.engine.cancel_rules import follow_cancel_rules
from workflows.engine.catalogue import current_catalogue
from workflows.engine.envelopes import envelope
from workflows.engine.limits import head_start_ms
from workflows.engine.rows import RunRow, place_by
from workflows.engine.singleton import as_the_only_active, singleton_key
from workflows.engine.sql import sql
from workflows.engine.tags import add_tags, tags_of
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.errors import RunStateError
from workflows.ids import new_id
from workflows.models import Event, GatheredEvent, GatherKind, Run, RunStatus, Step
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
        RunStateError: it has not ended, or has no such step; or it would be a second active run of
            its singleton key.
        InvalidEvent: the data cannot be an event's.
    """
    original = Run.objects.select_for_update(no_key=True).get(pk=run_id)
    if original.status not in ENDED:
        message = f"Run {run_id} is {original.status}: only runs that have ended can be replayed."
        raise RunStateError(message)
    kept = _steps_before(original, from_step) if from_step else []
    event_id = original.event_id if data is None else _edited_event(original.event, data)
    new = _new_run(original, event_id, is_edited=data is not None)
    with as_the_only_active(new.singleton, action="replayed"):
        sql().insert_runs([new])
    add_tags([(new.id, new.tags)])
    if new.gathered:
        _copy_batch(original, new.id)
    if kept:
        _copy_steps(kept, new.id)
    follow_cancel_rules(new.id)
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


def _new_run(original: Run, event_id: str, *, is_edited: bool) -> RunRow:
    now = clock.now()
    event = Event.objects.get(pk=event_id)
    catalogue = current_catalogue()
    rank = milliseconds(now) - _head_start_ms(original.workflow, event)
    start_within_ms = _start_within_ms(original.workflow)
    is_paused = original.workflow in catalogue.paused
    return RunRow(
        id=new_id(),
        workflow=original.workflow,
        event_id=event_id,
        status=RunStatus.QUEUED,
        reason=None,
        queue=original.queue,
        admitted=False,  # admission finds it, and puts it into its lane
        rank=rank,
        place=place_by(rank),
        lane_id=None,
        first_limit=None,
        second_limit=None,
        counts_while_active=False,
        is_in_line=False,
        created_at=now,
        ended_at=None,
        replay_of_id=original.pk,
        parent_id=None,
        parent_step=None,
        depth=0,
        expires_at=None if is_paused else moment_after(now, start_within_ms),
        start_left_ms=start_within_ms if is_paused else None,
        finish_within_ms=original.finish_within_ms,
        tags=_tags(original, event_id),
        # An edited event stands alone: a batch is replayed with it as a list of one.
        gathered=GatherKind.BATCH if original.gathered == "batch" and not is_edited else None,
        singleton=singleton_key(original.workflow, event, catalogue),
    )


def _head_start_ms(workflow: str, event: Event) -> int:
    route = current_catalogue().targets.get(workflow)
    if route is None or route.priority is None:
        return 0
    return head_start_ms(route.priority, envelope(event))


def _copy_batch(original: Run, run_id: str) -> None:
    """Let a replayed batch have the events of the original, in their order."""
    gathered = original.gathered_events.order_by("pk").values_list("event_id", flat=True)
    GatheredEvent.objects.bulk_create(
        [GatheredEvent(run_id=run_id, event_id=event_id) for event_id in gathered]
    )


def _start_within_ms(workflow: str) -> int | None:
    route = current_catalogue().targets.get(workflow)
    return None if route is None else route.start_within_ms


def _tags(original: Run, event_id: str) -> str:
    """Return the tags of the new run: its event may have other data."""
    route = current_catalogue().targets.get(original.workflow)
    if route is None or event_id == original.event_id:
        return json.dumps(original.tags)
    return tags_of(route, envelope(Event.objects.get(pk=event_id)))


def _copy_steps(steps: list[Step], run_id: str) -> None:
    for step in steps:
        step.run_id = run_id
        step._state.adding = True  # noqa: SLF001  Django's way to copy a row
    Step.objects.bulk_create(steps)
    # As if it had been taken before: a first take does not look for stored steps.
    ended = sum(step.ended_at is not None for step in steps)
    Run.objects.filter(pk=run_id).update(fence=1, attempt_sequence=ended)
