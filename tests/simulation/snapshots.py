"""The engine's tables at one moment, as the invariants compare them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection


class RunNow(NamedTuple):
    """A run."""

    id: str
    workflow: str
    event_id: str
    status: str
    worker_id: str | None
    fence: int
    losses: int
    lonely_losses: int
    attempt: int
    attempt_step: str | None
    ended_at: Any
    output: str | None
    error: str | None
    parent_id: str | None
    parent_step: str | None
    replay_of_id: str | None
    due_at: Any
    created_at: Any


class StepNow(NamedTuple):
    """A step."""

    run_id: str
    key: str
    step_id: str
    occurrence: int
    branch: str
    op: str
    status: str
    sequence: int
    attempts: int
    output: str | None
    error: str | None
    started_at: Any
    ended_at: Any
    due_at: Any


class EventNow(NamedTuple):
    """An event."""

    id: str
    name: str
    data: str
    external_id: str | None
    position: int | None
    duplicate_of_id: str | None
    due_at: Any
    target: str | None
    cause: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of them."""

    runs: dict[str, RunNow]
    steps: dict[tuple[str, str], StepNow]
    events: dict[str, EventNow]
    waits: frozenset[tuple[str, str | None]]
    workers: dict[str, Any]
    effects: dict[tuple[str, str], int]


EMPTY = Snapshot({}, {}, {}, frozenset(), {}, {})


def snapshot() -> Snapshot:
    """Read the tables as they are."""
    effects: dict[tuple[str, str], int] = {}
    for run_id, key in _rows("SELECT run_id, step_key FROM simulation_effect"):
        effects[run_id, key] = effects.get((run_id, key), 0) + 1
    return Snapshot(
        runs={row[0]: RunNow._make(row) for row in _rows(_select("workflows_run", RunNow))},
        steps={
            (row[0], row[1]): StepNow._make(row)
            for row in _rows(_select("workflows_step", StepNow))
        },
        events={row[0]: EventNow._make(row) for row in _rows(_select("workflows_event", EventNow))},
        waits=frozenset(_rows("SELECT run_id, step_key FROM workflows_wait")),
        workers=dict(_rows("SELECT id, lease_until FROM workflows_worker")),
        effects=effects,
    )


def _select(table: str, row: Any) -> str:
    return f"SELECT {', '.join(row._fields)} FROM {table}"


def _rows(statement: str) -> list[Any]:
    return list(connection.connection.execute(statement))
