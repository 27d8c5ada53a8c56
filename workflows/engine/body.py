"""One attempt at a step's body: that it goes on, and what became of it."""

from collections.abc import Sequence
from contextvars import Token
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn

from workflows import randomness
from workflows.clock import clock
from workflows.definitions.durations import parse_duration
from workflows.definitions.retries import Backoff, wait_before_next_attempt
from workflows.engine import context
from workflows.engine.arrival import Arrival, new_row, suspend
from workflows.engine.execution import Execution
from workflows.engine.failure import as_text, describe, step_error
from workflows.engine.rows import AttemptRow, EventRow, StepRow
from workflows.engine.store import Write
from workflows.engine.transactions import crash_point
from workflows.errors import (
    InvalidDuration,
    InvalidEvent,
    InvalidExpression,
    NonRetriableError,
    OutputTooLarge,
    RetryAfterError,
    SignalTaken,
    StepResultNotStorable,
    UnknownWorkflow,
)
from workflows.ids import new_id
from workflows.models import StepStatus

# What another attempt could not mend.
FINAL_ERRORS = (
    NonRetriableError,
    StepResultNotStorable,
    InvalidEvent,
    InvalidDuration,
    InvalidExpression,
    OutputTooLarge,
    SignalTaken,
    UnknownWorkflow,
)


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How the steps of one `Step` are tried; None: as the workflow says."""

    retries: int | None = None
    timeout: timedelta | None = None
    backoff: Backoff | None = None


class Body:
    """One attempt at a step's body: says that it goes on, and what became of it."""

    def __init__(self, execution: Execution, arrival: Arrival, options: StepOptions) -> None:
        self._execution = execution
        self._arrival = arrival
        self._options = options
        self._attempts = arrival.row.attempts if arrival.row else 0
        self._forgiven = arrival.row.forgiven if arrival.row else 0

    def __enter__(self) -> "Body":
        """Begin the attempt."""
        self.prepare()
        self._token = self.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave(self._token)
        self.require_not_fatal()

    def prepare(self) -> None:
        """Wait until all that was done before is stored, and see that the run is still here."""
        self._wait_for_retry()
        self._arrival.branch.settle()
        self._execution.require_lease()
        crash_point("before_body")
        self.started_at = clock.now()
        self._execution.bodies[self._arrival.key] = self

    def enter(self) -> Token[context.Place | None]:
        """Say that the code that runs next is the step's body."""
        return context.enter(
            context.Place(
                self._execution,
                self._arrival.branch,
                step_id=self._arrival.step_id,
                key=self._arrival.key,
                attempt=self._attempts - self._forgiven,
                max_attempts=self._retries() + 1,
            )
        )

    def leave(self, token: Token[context.Place | None]) -> None:
        """Say that the step's body has ended."""
        self._execution.bodies.pop(self._arrival.key, None)
        context.leave(token)

    def require_not_fatal(self) -> None:
        """Raise what ends the run, though the body caught it."""
        if self._execution.fatal is not None:
            raise self._execution.fatal

    def running_row(self) -> StepRow:
        """Return the step as operators see it while its body is at work."""
        return self._row(StepStatus.RUNNING)

    def completed(self, output: str) -> StepRow:
        """Return the step as it is once its body has returned."""
        return new_row(
            self._execution,
            self._arrival,
            StepStatus.COMPLETED,
            self.started_at,
            attempts=self._attempts + 1,
            forgiven=self._forgiven,
            output=output,
            ended_at=clock.now(),
        )

    def submit(
        self,
        *,
        steps: list[StepRow],
        attempts: Sequence[AttemptRow] = (),
        events: Sequence[EventRow] = (),
    ) -> None:
        """Hand over what became of the attempt."""
        write = Write(
            self._execution.run, steps=steps, attempts=list(attempts), events=list(events)
        )
        self._execution.submit(write, branch=self._arrival.branch)

    def failed(self, error: BaseException) -> NoReturn:
        """Record a failed attempt; then wait for the next, or tell the workflow that there is none.

        Raises:
            Suspend: there will be another attempt.
            StepError: there will be none.
        """
        self.require_not_fatal()
        failures = self._attempts + 1
        is_final = isinstance(error, FINAL_ERRORS) or failures - self._forgiven > self._retries()
        failure = describe(error)
        row = self._row(StepStatus.FAILED if is_final else StepStatus.RETRYING)._replace(
            attempts=failures, error=as_text(failure)
        )
        attempt = AttemptRow(
            id=new_id(),
            run_id=self._execution.run.id,
            step_key=self._arrival.key,
            number=failures,
            started_at=self.started_at,
            ended_at=clock.now(),
            error=as_text(failure),
        )
        if not is_final:
            due_at = self._next_attempt_at(error)
            suspend(
                self._execution,
                self._arrival.branch,
                row._replace(due_at=due_at),
                attempts=[attempt],
            )
        self.submit(steps=[row._replace(ended_at=clock.now())], attempts=[attempt])
        crash_point("after_store")
        raise step_error(self._arrival.step_id, failure) from error

    def _wait_for_retry(self) -> None:
        """Suspend where the time of the next attempt has not come yet."""
        row = self._arrival.row
        if (
            row is not None
            and row.status == StepStatus.RETRYING
            and row.due_at
            and row.due_at > clock.now()
        ):
            suspend(self._execution, self._arrival.branch, row)

    def _next_attempt_at(self, error: BaseException) -> datetime:
        return next_attempt_at(
            error, failures=self._attempts + 1 - self._forgiven, backoff=self._options.backoff
        )

    def _retries(self) -> int:
        given = self._options.retries
        return self._execution.workflow.retries if given is None else given

    def _row(self, status: StepStatus) -> StepRow:
        return new_row(
            self._execution,
            self._arrival,
            status,
            self.started_at,
            attempts=self._attempts,
            forgiven=self._forgiven,
        )


def next_attempt_at(
    error: BaseException, *, failures: int, backoff: Backoff | None = None
) -> datetime:
    """Return when the next attempt is due after so many failed ones."""
    if isinstance(error, RetryAfterError):
        after = error.after
        if isinstance(after, datetime):
            return after
        return clock.now() + parse_duration(after, argument="after")
    wait = wait_before_next_attempt(failures, backoff=backoff, jitter=randomness.fraction)
    return clock.now() + wait
