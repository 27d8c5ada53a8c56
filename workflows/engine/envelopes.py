"""Events as expressions see them, and as they are stored inside results and other events."""

import json
from typing import Any

from workflows.clock import milliseconds
from workflows.engine.rows import TakenRun, UnroutedEvent
from workflows.models import Event


def envelope(event: Event) -> dict[str, Any]:
    """Return an event as expressions see it, and as a wait's result is stored."""
    return {
        "id": event.pk,
        "name": event.name,
        "data": event.data,
        "ts": milliseconds(event.ts),
        "user": event.user,
        "v": event.v,
    }


def envelope_of_run(run: TakenRun) -> dict[str, Any]:
    """Return the run's own event as expressions see it."""
    return {
        "id": run.event_id,
        "name": run.event_name,
        "data": json.loads(run.event_data),
        "ts": milliseconds(run.event_ts),
        "user": json.loads(run.event_user) if run.event_user else None,
        "v": run.event_v,
    }


def envelope_of_row(event: UnroutedEvent) -> dict[str, Any]:
    """Return an event that is being routed as expressions see it."""
    return {
        "id": event.id,
        "name": event.name,
        "data": json.loads(event.data),
        "ts": milliseconds(event.ts),
        "user": json.loads(event.user) if event.user else None,
        "v": event.v,
    }
