"""A step that the code has reached: which one it is, and what is known of it."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

from workflows.clock import clock
from workflows.engine.execution import ENDED, Branch, Execution
from workflows.engine.failure import read_failure, step_error, storable
from workflows.engine.rows import StepRow
from workflows.engine.store import Write
from workflows.engine.transactions import crash_point
from workflows.errors import NonRetriableError, Suspend
from workflows.models import StepOp, StepStatus
from workflows.serialisation import decode

MAX_STEP_ID = 256  # characters


@dataclass(frozen=True, slots=True)
class Arrival:
    """A step, known by its id, and by how often the branch has reached that id before."""

    step_id: str
    key: str
    occurrence: int
    branch: Branch
    op: StepOp
    row: StepRow | None


@lru_cache(maxsize=4096)
def step_key(step_id: str, occurrence: int = 0, branch: str = "") -> str:
    """Return the key of a step: outside branches the one that Inngest's SDKs compute.

    Source: the SDK specification of inngest/inngest, "Hashing IDs": SHA-1 of the id, or of
    `id:n` for its n-th repetition.
    """
    name = step_id if occurrence == 0 else f"{step_id}:{occurrence}"
    if branch:
        name = f"{branch}\0{name}"
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()


def require_step_id(step_id: object) -> None:
    """Refuse what cannot be a step's id."""
    if (
        not isinstance(step_id, str)
        or not 0 < len(step_id) <= MAX_STEP_ID
        or storable(step_id) != step_id
    ):
        message = f"A step's id is a text of 1 to {MAX_STEP_ID} characters, not {step_id!r:.100}."
        raise NonRetriableError(message)


def is_ended(row: StepRow | None) -> bool:
    """Tell whether a step has its result, or its error, for good."""
    return row is not None and row.status in ENDED


def recall(row: StepRow | None, annotation: object) -> Any:
    """Give an ended step's result back, or raise its error."""
    assert row is not None  # the caller has seen that it is ended
    if row.status == StepStatus.FAILED:
        raise step_error(row.step_id, read_failure(row.error or "{}"))
    return decode(row.output or "null", annotation)


def new_row(  # noqa: PLR0913  a row has as many columns
    execution: Execution,
    arrival: Arrival,
    status: StepStatus,
    started_at: datetime,
    *,
    attempts: int = 0,
    forgiven: int = 0,
    output: str | None = None,
    ended_at: datetime | None = None,
    due_at: datetime | None = None,
) -> StepRow:
    """Return the row of a step as it is now."""
    return StepRow(
        execution.run.id,
        arrival.key,
        execution.next_sequence(ending=arrival.key if status in ENDED else None),
        arrival.step_id,
        arrival.occurrence,
        arrival.branch.path,
        arrival.op,
        status,
        attempts,
        forgiven,
        output,
        None,
        arrival.row.started_at if arrival.row else started_at,
        ended_at,
        due_at,
    )


def ended(execution: Execution, row: StepRow, *, output: str) -> StepRow:
    """Return a suspended step's row as it is once what it waited for has happened."""
    return row._replace(
        status=StepStatus.COMPLETED,
        sequence=execution.next_sequence(ending=row.key),
        output=output,
        ended_at=clock.now(),
        due_at=None,
    )


def suspend(execution: Execution, branch: Branch, row: StepRow, **news: Any) -> NoReturn:
    """Store a step that has to wait, if that is news, and leave the author's code.

    Args:
        execution: the slice.
        branch: where in the workflow the step stands.
        row: the step, as it waits.
        news: what else is stored with it, as `Write` names it.
    """
    is_news = execution.stored(row.key) != row
    if is_news:
        execution.submit(Write(execution.run, steps=[row], **news), branch=branch)
    branch.is_suspended = True
    execution.suspended.append(row)
    if is_news:
        crash_point("after_store")
    raise Suspend
