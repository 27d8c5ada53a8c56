"""Execute a run that was taken: call its function on its stored steps, and store the outcome."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from asgiref.sync import async_to_sync

from workflows.clock import clock
from workflows.definitions.events import Event, build_event
from workflows.engine import context
from workflows.engine.async_steps import call_async
from workflows.engine.body import FINAL_ERRORS, next_attempt_at
from workflows.engine.execution import Execution
from workflows.engine.failure import Failure, as_text, describe
from workflows.engine.rows import AttemptRow, Release, TakenRun
from workflows.engine.steps import DurableStep
from workflows.engine.store import Write
from workflows.engine.transactions import crash_point
from workflows.engine.wanted import awaited_event
from workflows.errors import Interrupt, InvalidDuration, LeaseLost, StepError, Suspend
from workflows.ids import new_id
from workflows.models import Event as StoredEvent
from workflows.models import RunStatus, StepStatus
from workflows.serialisation import return_annotation, round_trip


@dataclass(frozen=True, slots=True)
class RunError:
    """The error with which a run failed, as an `on_failure` function gets it."""

    name: str
    message: str
    traceback: str


def execute(execution: Execution) -> None:
    """Take a run as far as it can go: to its end, to its next attempt, or to what it waits for.

    Where the run is lost to another worker, nothing more is stored.
    """
    token = context.enter(context.Place(execution, execution.main))
    try:
        execution.require_lease()
        outcome = _call(execution)
        crash_point("before_finish")
        execution.submit(outcome, branch=execution.main)
    except LeaseLost:
        return
    finally:
        context.leave(token)


def failed_outright(run: TakenRun, error: BaseException) -> Write:
    """Return the end of a run that cannot even be executed, or whose outcome cannot be stored."""
    release = Release(
        run_id=run.id,
        status=RunStatus.FAILED,
        due_at=None,
        ended_at=clock.now(),
        output=None,
        error=as_text(describe(error)),
        attempt=1,
        attempt_step=None,
        attempt_sequence=len(run.steps),
    )
    return Write(run, release=release, is_outright_failure=True)


def _call(execution: Execution) -> Write:
    """Call the author's function; return what is to be stored of how that ended."""
    try:
        value = _call_function(execution)
        if execution.fatal is None and not execution.main.is_suspended:
            return _completed(execution, value)
        return _interrupted(execution, Suspend())
    except Suspend as suspension:
        return _interrupted(execution, suspension)
    except Interrupt:
        raise
    except BaseException as error:  # noqa: BLE001  the author's code
        return _interrupted(execution, _unwrapped(error))


def _interrupted(execution: Execution, error: BaseException) -> Write:
    """The function did not come to its end, or only because it caught what it must not."""
    if execution.fatal is not None:
        return _failed(execution, execution.fatal)
    if isinstance(error, Suspend) or execution.main.is_suspended:
        return _suspended(execution)
    return _not_returned(execution, error)


def _unwrapped(error: BaseException) -> BaseException:
    """Return the first error of a group, as a `TaskGroup` raises it, where all of it is final."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, Interrupt):
            raise leaf
    is_final = all(isinstance(leaf, (StepError, *FINAL_ERRORS)) for leaf in leaves)
    return leaves[0] if is_final else error


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _call_function(execution: Execution) -> object:
    arguments = _arguments(execution)
    if execution.workflow.is_async:
        return async_to_sync(call_async)(execution, arguments)
    return execution.workflow.function(*arguments, DurableStep(execution))


def _arguments(execution: Execution) -> list[Any]:
    """Return what the function is given before the step: the event, and for a failure its error."""
    event = _event_of(execution.run)
    if execution.workflow.batch is not None:
        return [[_built(each) for each in execution.run.batch] or [event]]
    if execution.workflow.failure_of is None:
        return [event]
    return [awaited_event(event.data["event"]), RunError(**event.data["error"])]


def _event_of(run: TakenRun) -> Event[Any]:
    return build_event(
        id=run.event_id,
        name=run.event_name,
        data=run.event_data,
        ts=run.event_ts,
        user=json.loads(run.event_user) if run.event_user else None,
        v=run.event_v,
    )


def _built(event: StoredEvent) -> Event[Any]:
    return build_event(
        id=event.pk,
        name=event.name,
        data=event.data,
        ts=event.ts,
        user=event.user,
        v=event.v,
    )


def _completed(execution: Execution, value: object) -> Write:
    """The function returned: the run ends with what it returned, unless that cannot be stored."""
    annotation = return_annotation(execution.workflow.function)
    limit = execution.configuration.max_result_bytes
    output, _ = round_trip(value, annotation, max_bytes=limit)
    return Write(
        execution.run,
        release=_release(
            execution, RunStatus.COMPLETED, output=output, attempt=execution.failed_attempts()
        ),
    )


def _suspended(execution: Execution) -> Write:
    """The run goes on when the first of what it waits for is due."""
    steps = execution.suspended
    retrying = next((row for row in steps if row.status == StepStatus.RETRYING), None)
    is_waiting = any(row.status == StepStatus.WAITING for row in steps)
    return Write(
        execution.run,
        release=_release(
            execution,
            RunStatus.WAITING if is_waiting else RunStatus.SLEEPING,
            due_at=min((row.due_at for row in steps if row.due_at is not None), default=None),
            attempt=retrying.attempts - retrying.forgiven if retrying else 0,
            attempt_step=retrying.key if retrying else None,
        ),
    )


def _not_returned(execution: Execution, error: BaseException) -> Write:
    """The code between steps raised: try it again later, or fail the run."""
    failures = execution.failed_attempts() + 1
    is_final = isinstance(error, (StepError, *FINAL_ERRORS))
    if is_final or failures > execution.workflow.retries:
        return _failed(execution, error, failures=failures)
    try:
        due_at = next_attempt_at(error, failures=failures)
    except InvalidDuration as wrong_wait:
        return _failed(execution, wrong_wait, failures=failures)
    attempt = _attempt(execution, describe(error), failures)
    release = _release(execution, RunStatus.SLEEPING, due_at=due_at, attempt=failures)
    return Write(execution.run, attempts=[attempt], release=release)


def _failed(execution: Execution, error: BaseException, *, failures: int = 1) -> Write:
    """The run ends with an error; a step's uncaught error is shown as the error that it was."""
    failure = describe(error)
    failed_step = _step_that_raised(execution, error)
    release = _release(
        execution,
        RunStatus.FAILED,
        error=as_text(failure),
        attempt=_attempts_of(execution, failed_step) if failed_step else failures,
        attempt_step=failed_step,
    )
    attempts = [] if failed_step else [_attempt(execution, failure, failures)]
    return Write(execution.run, attempts=attempts, release=release)


def _step_that_raised(execution: Execution, error: BaseException) -> str | None:
    """Return the key of the step whose uncaught error this is."""
    if not isinstance(error, StepError):
        return None
    failed = [
        row
        for row in execution.rows()
        if row.status == StepStatus.FAILED and row.step_id == error.step_id
    ]
    return max(failed, key=lambda row: row.sequence).key if failed else None


def _attempts_of(execution: Execution, key: str) -> int:
    row = execution.run.steps[key]
    return row.attempts - row.forgiven


def _attempt(execution: Execution, failure: Failure, number: int) -> AttemptRow:
    now = clock.now()
    return AttemptRow(
        id=new_id(),
        run_id=execution.run.id,
        step_key=None,
        number=number,
        started_at=now,
        ended_at=now,
        error=as_text(failure),
    )


def _release(  # noqa: PLR0913  a run's end has as many columns
    execution: Execution,
    status: RunStatus,
    *,
    due_at: object = None,
    output: str | None = None,
    error: str | None = None,
    attempt: int = 0,
    attempt_step: str | None = None,
) -> Release:
    is_end = status in (RunStatus.COMPLETED, RunStatus.FAILED)
    return Release(
        run_id=execution.run.id,
        status=status,
        due_at=due_at,  # type: ignore[arg-type]
        ended_at=clock.now() if is_end else None,
        output=output,
        error=error,
        attempt=attempt,
        attempt_step=attempt_step,
        attempt_sequence=execution.steps_ended(),
    )
