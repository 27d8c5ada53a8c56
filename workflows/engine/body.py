"""One attempt at a step's body: that it goes on, and what became of it."""

from collections.abc import Sequence
from contextvars import Token
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn

from django.db import connection

from workflows import randomness
from workflows.clock import clock
from workflows.definitions.durations import parse_duration
from workflows.definitions.retries import Backoff, wait_before_next_attempt
from workflows.engine import context
from workflows.engine.arrival import Arrival, new_row, suspend
from workflows.engine.execution import Execution
from workflows.engine.failure import as_text, describe, read_failure, step_error
from workflows.engine.rows import AttemptRow, EventRow, StepRow
from workflows.engine.store import Write
from workflows.engine.time_limit import TimeLimit
from workflows.engine.transactions import crash_point
from workflows.errors import (
    InvalidDuration,
    InvalidEvent,
    InvalidExpression,
    InvalidWorkflow,
    InvocationTooDeep,
    NonRetriableError,
    OutputTooLarge,
    RetryAfterError,
    SignalTaken,
    StepResultNotStorable,
    StepTimeout,
    UnknownWorkflow,
)
from workflows.ids import new_id
from workflows.models import StepOp, StepStatus

# What another attempt could not mend.
FINAL_ERRORS = (
    NonRetriableError,
    StepResultNotStorable,
    InvalidEvent,
    InvalidDuration,
    InvalidExpression,
    InvalidWorkflow,
    InvocationTooDeep,
    OutputTooLarge,
    SignalTaken,
    UnknownWorkflow,
)

# On SQLite a transaction holds the write lock, without which the lease cannot be renewed.
SQLITE_SHARE_OF_LEASE = 3


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How the steps of one `Step` are tried; None: as the workflow says."""

    retries: int | None = None
    timeout: timedelta | None = None
    backoff: Backoff | None = None

    def overridden_by(self, given: "StepOptions") -> "StepOptions":
        """Return these options with those in their place that are given."""
        return StepOptions(
            retries=self.retries if given.retries is None else given.retries,
            timeout=self.timeout if given.timeout is None else given.timeout,
            backoff=self.backoff if given.backoff is None else given.backoff,
        )


class Body:
    """One attempt at a step's body: says that it goes on, and what became of it."""

    def __init__(self, execution: Execution, arrival: Arrival, options: StepOptions) -> None:
        self._execution = execution
        self._arrival = arrival
        self._options = options
        self.is_shown = False
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
        self._arrival.branch.progress.is_new = True
        self._execution.begin(self._arrival.key, self)

    def enter(self) -> Token[context.Place | None]:
        """Say that the code that runs next is the step's body."""
        self._execution.before_body()
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
        self._execution.end(self._arrival.key)
        context.leave(token)
        self._execution.after_body()

    def time_limit(self) -> TimeLimit | None:
        """Return the time that the body has, if it is limited."""
        limits = [limit for limit in (self._options.timeout, self._share_of_lease()) if limit]
        if not limits:
            return None
        has_successor = self._execution.abandon is not None
        return TimeLimit(min(limits), overran=self._overran if has_successor else None)

    def _share_of_lease(self) -> timedelta | None:
        if self._arrival.op != StepOp.TRANSACTION or connection.vendor != "sqlite":
            return None
        return self._execution.configuration.lease / SQLITE_SHARE_OF_LEASE

    def _overran(self, error: StepTimeout) -> None:
        """Store the failure of a body that goes on though its time is over; have it replaced."""
        self._execution.end(self._arrival.key)
        row, attempt = self._failure(error)
        self._execution.store.submit(Write(self._execution.run, steps=[row], attempts=[attempt]))
        if self._execution.abandon is not None:
            self._execution.abandon()

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
        self._execution.end(self._arrival.key)  # what became of it is stored after all else
        self.require_not_fatal()
        row, attempt = self._failure(error)
        if row.status == StepStatus.RETRYING:
            suspend(self._execution, self._arrival.branch, row, attempts=[attempt])
        self.submit(steps=[row], attempts=[attempt])
        crash_point("after_store")
        raise step_error(self._arrival.step_id, read_failure(attempt.error)) from error

    def _failure(self, error: BaseException) -> tuple[StepRow, AttemptRow]:
        """Return the step as it is after a failed attempt, and the attempt."""
        now = clock.now()
        error, due_at = self._next_attempt(error)
        row = self._row(StepStatus.RETRYING if due_at else StepStatus.FAILED)._replace(
            attempts=self._attempts + 1,
            error=as_text(describe(error)),
            due_at=due_at,
            ended_at=None if due_at else now,
        )
        attempt = AttemptRow(
            id=new_id(),
            run_id=self._execution.run.id,
            step_key=self._arrival.key,
            number=row.attempts,
            started_at=self.started_at,
            ended_at=now,
            error=row.error or "",
        )
        return row, attempt

    def _next_attempt(self, error: BaseException) -> tuple[BaseException, datetime | None]:
        """Return the error, and when the step is tried again: None where it is not.

        Where the author's own wait cannot be reckoned, that is the error, and a final one.
        """
        failures = self._attempts + 1 - self._forgiven
        if isinstance(error, FINAL_ERRORS) or failures > self._retries():
            return error, None
        try:
            return error, next_attempt_at(error, failures=failures, backoff=self._options.backoff)
        except Exception as wrong_wait:  # noqa: BLE001  the author's code may raise anything
            return wrong_wait, None

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
            return require_aware(after)
        return clock.now() + parse_duration(after, argument="after")
    wait = wait_before_next_attempt(failures, backoff=backoff, jitter=randomness.fraction)
    return clock.now() + wait


def require_aware(after: datetime) -> datetime:
    """Refuse a moment whose time zone nobody knows."""
    if after.tzinfo is None:
        message = f"RetryAfterError takes a duration or an aware datetime, not {after!r}."
        raise InvalidDuration(message)
    return after
