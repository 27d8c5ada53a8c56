"""What outsiders see of runs and events: the shapes that the HTTP API and the test kit give."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from workflows.engine.waiting import why_queued
from workflows.models import Event, GatherKind, Run, RunStatus, Step


@dataclass(frozen=True, slots=True)
class StepResource:
    """A step of a run, in the order in which results reached the run."""

    id: str
    index: int
    op: str
    status: str
    attempts: int
    output: Any
    error: Any
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class RunResource:
    """A run; lists of runs leave `steps` out."""

    id: str
    workflow: str
    status: str
    event_ids: list[str]
    attempt: int
    output: Any
    error: Any
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    due_at: datetime | None
    reason: str | None
    replay_of: str | None
    parent: str | None
    tags: dict[str, str]
    steps: list[StepResource]


@dataclass(frozen=True, slots=True)
class EventResource:
    """An event; `external_id` is the one that its sender gave it."""

    id: str
    external_id: str | None
    name: str
    data: dict[str, Any]
    ts: datetime
    received_at: datetime
    user: dict[str, Any] | None
    v: str | None
    duplicate_of: str | None


def run_resource(run: Run, steps: Iterable[Step] | None = None) -> RunResource:
    """Return a run as outsiders see it, with its steps, or with those given."""
    if steps is None:
        steps = run.steps.order_by("sequence")
    return RunResource(
        id=run.pk,
        workflow=run.workflow,
        status=str(run.status),
        event_ids=event_ids_of(run),
        attempt=run.attempt,
        output=run.output,
        error=run.error,
        created_at=run.created_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
        due_at=run.due_at,
        reason=reason_of(run),
        replay_of=run.replay_of_id,
        parent=run.parent_id,
        tags=run.tags,
        steps=[step_resource(step) for step in steps],
    )


def redacted(run: RunResource) -> RunResource:
    """Return a run without its payloads, for those who may not see them."""
    return replace(
        run,
        output=None,
        error=_redacted_error(run.error),
        steps=[replace(step, output=None, error=_redacted_error(step.error)) for step in run.steps],
    )


def redacted_event(event: EventResource) -> EventResource:
    """Return an event without its payload, for those who may not see it."""
    return replace(event, data={}, user=None)


def _redacted_error(error: Any) -> dict[str, str] | None:
    """Leave an error its name: messages and tracebacks quote data."""
    return None if error is None else {"name": error["name"], "message": "", "traceback": ""}


def step_resource(step: Step) -> StepResource:
    """Return a step as outsiders see it; an error shows only where it has not been overcome."""
    return StepResource(
        id=step.step_id,
        index=step.occurrence,
        op=str(step.op),
        status=str(step.status),
        attempts=step.attempts,
        output=step.output,
        error=step.error,
        started_at=step.started_at,
        ended_at=step.ended_at,
    )


def event_resource(event: Event) -> EventResource:
    """Return an event as outsiders see it."""
    return EventResource(
        id=event.pk,
        external_id=event.external_id,
        name=event.name,
        data=event.data,
        ts=event.ts,
        received_at=event.received_at,
        user=event.user,
        v=event.v,
        duplicate_of=event.duplicate_of_id,
    )


def event_ids_of(run: Run) -> list[str]:
    """Return the events that a run has: a batch has all that it gathered, in their order."""
    if run.gathered != GatherKind.BATCH:
        return [run.event_id]
    gathered = sorted(run.gathered_events.all(), key=lambda row: row.pk)
    return [row.event_id for row in gathered] or [run.event_id]


def reason_of(run: Run) -> str | None:
    """Say why a run was skipped or cancelled, or what a queued one waits for."""
    if run.reason is None and run.status == RunStatus.QUEUED:
        return why_queued(run)
    return run.reason
