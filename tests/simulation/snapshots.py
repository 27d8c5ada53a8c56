"""The engine's tables at one moment, as the invariants compare them.

Triggers note which rows change, so that a snapshot reads these rows alone and shares all others
with the snapshot before it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

CHANGES = """
    CREATE TABLE simulation_change (
        id INTEGER PRIMARY KEY, watched TEXT NOT NULL, row INTEGER NOT NULL)
"""


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
    lane_id: str | None
    is_in_line: bool
    is_let_in: bool
    gathered: str | None
    gathering: str | None


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
    ts: Any
    target: str | None
    cause: str | None


class WaitNow(NamedTuple):
    """A wait, or a cancel rule."""

    run_id: str
    step_key: str | None


class WorkerNow(NamedTuple):
    """A worker."""

    id: str
    lease_until: Any


class EffectNow(NamedTuple):
    """What the body of a `step.transaction` wrote."""

    run_id: str
    step_key: str


class GatheredNow(NamedTuple):
    """An event that a run has gathered."""

    run_id: str
    event_id: str


class WorkflowNow(NamedTuple):
    """A registered workflow."""

    id: str
    paused_at: Any


WATCHED: dict[str, tuple[str, Any]] = {
    "runs": ("workflows_run", RunNow),
    "steps": ("workflows_step", StepNow),
    "events": ("workflows_event", EventNow),
    "waits": ("workflows_wait", WaitNow),
    "workers": ("workflows_worker", WorkerNow),
    "effects": ("simulation_effect", EffectNow),
    "gathered": ("workflows_gatheredevent", GatheredNow),
    "workflows": ("workflows_registeredworkflow", WorkflowNow),
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of them, by their keys; waits, effects and gathered events by their rows' numbers."""

    runs: dict[str, RunNow] = field(default_factory=dict)
    steps: dict[tuple[str, str], StepNow] = field(default_factory=dict)
    events: dict[str, EventNow] = field(default_factory=dict)
    waits: dict[int, WaitNow] = field(default_factory=dict)
    workers: dict[str, WorkerNow] = field(default_factory=dict)
    effects: dict[int, EffectNow] = field(default_factory=dict)
    gathered: dict[int, GatheredNow] = field(default_factory=dict)
    workflows: dict[str, WorkflowNow] = field(default_factory=dict)
    changed: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def has_changed(self, *tables: str) -> bool:
        """Tell whether any of these is not as it was in the snapshot before."""
        return any(table in self.changed for table in tables)


EMPTY = Snapshot()


class Tables:
    """Reads one snapshot after another from a connection of `sqlite3`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._last = 0
        self._keys: dict[str, dict[int, Any]] = {table: {} for table in WATCHED}
        self.latest = EMPTY

    def read(self) -> Snapshot:
        """Read what has changed since the last time."""
        changes: dict[str, set[int]] = {}
        statement = "SELECT id, watched, row FROM simulation_change WHERE id > ? ORDER BY id"
        for number, watched, row in self._connection.execute(statement, (self._last,)):
            changes.setdefault(watched, set()).add(row)
            self._last = number
        news = {watched: self._read(watched, rows) for watched, rows in changes.items()}
        changed = {
            watched: tuple(self._keys[watched][row] for row in sorted(rows))
            for watched, rows in changes.items()
        }
        kept = {watched: getattr(self.latest, watched) for watched in WATCHED}
        self.latest = Snapshot(**{**kept, **news}, changed=changed)
        return self.latest

    def _read(self, watched: str, rows: Iterable[int]) -> dict[Any, Any]:
        """Return a table as it is now; the snapshot before keeps its own."""
        table, kind = WATCHED[watched]
        keys = self._keys[watched]
        now = dict(getattr(self.latest, watched))
        statement = (
            f"SELECT rowid, {', '.join(kind._fields)} FROM {table} "
            "WHERE rowid IN (SELECT value FROM json_each(?))"
        )
        gone = set(rows)
        for number, *values in self._connection.execute(statement, (json.dumps(list(gone)),)):
            row = kind._make(values)
            keys[number] = _key(watched, number, row)
            now[keys[number]] = row
            gone.discard(number)
        for number in gone:
            now.pop(keys.setdefault(number, number), None)
        return now


def triggers() -> Iterable[str]:
    """Return what notes the changes, as statements."""
    for watched, (table, _) in WATCHED.items():
        for what, row in (("INSERT", "new"), ("UPDATE", "new"), ("DELETE", "old")):
            yield (
                f"CREATE TRIGGER simulation_{watched}_{what.lower()} AFTER {what} ON {table} BEGIN "
                "INSERT INTO simulation_change (watched, row) "
                f"VALUES ('{watched}', {row}.rowid); END"
            )


def _key(watched: str, number: int, row: Any) -> Any:
    if watched == "steps":
        return (row.run_id, row.key)
    return number if watched in ("waits", "effects", "gathered") else row.id
