"""What author's code can ask of the run that it is a part of: `current_run()`."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from contextvars import ContextVar, Token
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from asgiref.sync import AsyncToSync

from workflows.engine.execution import Branch, Execution
from workflows.errors import WorkflowsError
from workflows.models import Run, RunStatus

LONGEST_WAIT = 1.0  # seconds for which an event loop may stand still

Answer = TypeVar("Answer")

_logger = logging.getLogger("workflows.run")


@dataclass(frozen=True)
class CurrentRun:
    """The run that is being executed, as its own code sees it.

    Attributes:
        id: the run's id.
        workflow_id: the id of its workflow.
        attempt: failed attempts so far at this step, or at the code between steps.
        max_attempts: attempts that there can be.
        step_id: the id of the step whose body this is; None between steps.
        idempotency_key: the same over all attempts of a step; None between steps.
    """

    id: str
    workflow_id: str
    attempt: int
    max_attempts: int
    step_id: str | None
    idempotency_key: str | None

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody has cancelled the run meanwhile: asks the database."""
        return _on_a_sync_thread(self._is_cancelled, otherwise=False)

    def _is_cancelled(self) -> bool:
        return Run.objects.filter(pk=self.id, status=RunStatus.CANCELLED).exists()

    @cached_property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that names the run, and is silent while stored steps are replayed."""
        return RunLogger(_logger, {"run": self.id, "workflow": self.workflow_id})


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds the run to each line; says nothing that an earlier slice has said."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  the name is logging's
        """Tell whether a line of this level would be written now."""
        place = _place.get()
        return super().isEnabledFor(level) and not (place and place.is_replaying)

    def process(self, msg: object, kwargs: object) -> tuple[str, dict[str, object]]:
        """Put the run's id and workflow before the message."""
        extra = self.extra or {}
        return f"{msg} run={extra['run']} workflow={extra['workflow']}", {**kwargs, "extra": extra}  # type: ignore[dict-item]


def _on_a_sync_thread(ask: Callable[[], Answer], *, otherwise: Answer) -> Answer:
    """Ask the database something; from an event loop, on the run's own thread.

    Args:
        ask: what uses the database.
        otherwise: the answer where that thread has no time just now.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return ask()
    asked: Future[Answer] = AsyncToSync.executors.current.submit(ask)
    try:
        return asked.result(LONGEST_WAIT)
    except NotInTime:
        asked.cancel()
        return otherwise


@dataclass(slots=True)
class Place:
    """Where in a run the running code is: in which branch, and between steps or in a body.

    Attributes:
        execution: the slice.
        branch: the branch that the code is in.
        step_id: the step whose body it is; None between steps.
        key: that step's key.
        attempt: how often that body has failed so far.
        max_attempts: attempts that there can be.
    """

    execution: Execution
    branch: Branch
    step_id: str | None = None
    key: str | None = None
    attempt: int = 0
    max_attempts: int = 1

    @property
    def is_replaying(self) -> bool:
        """Whether an earlier slice has passed here."""
        return self.step_id is None and not self.branch.progress.is_new


_place: ContextVar[Place | None] = ContextVar("workflows_place", default=None)


def current_place() -> Place | None:
    """Return where the running code is, or None outside a run."""
    return _place.get()


def enter(place: Place) -> Token[Place | None]:
    """Say where the code that runs next is; `leave` takes it back."""
    return _place.set(place)


def leave(token: Token[Place | None]) -> None:
    """Take back what `enter` said."""
    _place.reset(token)


def current_run() -> CurrentRun:
    """Return the run that the calling code is a part of.

    Raises:
        WorkflowsError: the code does not run in a workflow.
    """
    place = _place.get()
    if place is None:
        message = (
            "current_run() was called outside a workflow: it works in workflows and their steps."
        )
        raise WorkflowsError(message)
    execution, run = place.execution, place.execution.run
    is_body = place.step_id is not None
    return CurrentRun(
        id=run.id,
        workflow_id=run.workflow,
        attempt=place.attempt if is_body else execution.failed_attempts(),
        max_attempts=place.max_attempts if is_body else execution.workflow.retries + 1,
        step_id=place.step_id,
        idempotency_key=f"{run.id}:{place.key}" if place.key else None,
    )
