"""The rows that the hot path writes and reads: tuples in the order of their tables' columns."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from workflows.models import Event, RunStatus, StepOp, StepStatus
from workflows.models.step import WAITING_OPS


class EventRow(NamedTuple):
    """An event as it is inserted; `data` and `user` are JSON text."""

    id: str
    name: str
    data: str
    external_id: str | None
    ts: datetime
    received_at: datetime
    due_at: datetime
    user: str | None
    v: str | None
    cause: str | None = None
    cause_step: str | None = None
    target: str | None = None


class UnroutedEvent(NamedTuple):
    """What routing needs of an event."""

    id: str
    name: str
    data: str
    external_id: str | None
    ts: datetime
    user: str | None
    v: str | None
    cause: str | None
    cause_step: str | None
    target: str | None


class RunRow(NamedTuple):
    """A run as it is inserted."""

    id: str
    workflow: str
    event_id: str
    status: RunStatus
    reason: str | None
    queue: str
    admitted: bool
    rank: int
    place: int
    lane_id: str | None
    first_limit: str | None
    second_limit: str | None
    counts_while_active: bool
    is_in_line: bool
    created_at: datetime
    ended_at: datetime | None
    replay_of_id: str | None
    parent_id: str | None
    parent_step: str | None
    depth: int
    expires_at: datetime | None
    start_left_ms: int | None
    finish_within_ms: int | None
    tags: str
    due_at: datetime | None = None
    gathered: str | None = None
    gathering: str | None = None
    singleton: str | None = None


FIRST_OF_ALL = -(2**63)  # a place that is before all others


def place_by(rank: int) -> int:
    """Return the place in the order of taking that a rank gives, where nothing limits a run."""
    return rank * 1000


class StepRow(NamedTuple):
    """A step as it is stored; `output` and `error` are JSON text."""

    run_id: str
    key: str
    sequence: int
    step_id: str
    occurrence: int
    branch: str
    op: StepOp
    status: StepStatus
    attempts: int
    forgiven: int
    output: str | None
    error: str | None
    started_at: datetime
    ended_at: datetime | None
    due_at: datetime | None
    invocation: str | None = None


class AttemptRow(NamedTuple):
    """A failed attempt as it is stored."""

    id: str
    run_id: str
    step_key: str | None
    number: int
    started_at: datetime
    ended_at: datetime
    error: str


class Release(NamedTuple):
    """How a worker lets go of a run: suspended, queued again, or ended."""

    run_id: str
    status: RunStatus
    due_at: datetime | None
    ended_at: datetime | None
    output: str | None
    error: str | None
    attempt: int
    attempt_step: str | None
    attempt_sequence: int


class Pulse(NamedTuple):
    """What a worker looks at first, in one statement."""

    revision: int
    has_unrouted_waits: bool
    has_due_windows: bool
    has_due_runs: bool
    may_admit: bool
    has_arrivals: bool
    has_active_lanes: bool
    has_blocked_lanes: bool


class UnderLock(NamedTuple):
    """What is read as soon as the engine's lock is taken, and holds as long as that is."""

    revision: int
    has_waits: bool


class Held(NamedTuple):
    """Who may write to a run: read under its row's lock."""

    status: RunStatus
    fence: int
    worker_id: str | None


@dataclass(slots=True)
class TakenRun:
    """A run in a worker's hands, with its event and its stored steps."""

    id: str
    workflow: str
    fence: int
    worker_id: str
    attempt: int
    attempt_step: str | None
    attempt_sequence: int
    losses: int
    parent_id: str | None
    parent_step: str | None
    depth: int
    started_at: datetime
    finish_within_ms: int | None
    event_id: str
    event_name: str
    event_data: str
    event_ts: datetime
    event_user: str | None
    event_v: str | None
    event_position: int
    event_cause: str | None
    gathered: str | None
    is_in_a_lane: bool
    place: int
    steps: dict[str, StepRow] = field(default_factory=dict)
    batch: list[Event] = field(default_factory=list)
    is_lost: bool = (
        False  # one of its writes was given up: nothing that comes after it may be stored
    )

    def waited_otherwise(self, row: StepRow) -> bool:
        """Tell whether a step, as it is known so far, waits by another tool than in this row."""
        before = self.steps.get(row.key)
        return before is not None and before.op != row.op and before.op in WAITING_OPS
