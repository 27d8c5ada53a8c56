"""Everything that this package raises, in one tree.

WorkflowsError                  over all of them
├── InvalidWorkflow             a declaration is wrong
├── InvalidExpression           the text of an expression is wrong
├── InvalidDuration             a duration is wrong
├── InvalidEvent                an event is wrong, or no longer fits its class
│   └── EventTooLarge           an event, or a request with events, is too large
├── UnknownWorkflow             no workflow has this id
├── RunStateError               the run's state does not allow what was asked
├── WorkflowStateError          the workflow's state does not allow what was asked
├── InvalidSchedule             an operator's schedule is wrong
├── InvalidFilter               a filter of runs is wrong
├── InvalidRate                 a rate is wrong
├── OperationEnded              a bulk operation has ended already
├── NonRetriableError           user code: fail now, without further attempts
├── RetryAfterError             user code: try again then
├── StepError                   a step has failed for good
│   ├── InvokeTimeout           the invoked run did not end in time
│   ├── RunCancelled            the invoked run was cancelled
│   └── RunSkipped              the invoked run was skipped
├── StepResultNotStorable       what a step returned cannot be stored
├── NestedStepError             a step inside another step's body
├── SignalTaken                 another run already waits for the signal
├── WorkerLost                  the run's own step killed its worker again and again
├── StepTimeout                 a step's body outlived its timeout
├── TooManySteps                the run has more steps than are allowed
├── InvocationTooDeep           runs invoke runs deeper than is allowed
└── OutputTooLarge              a result or an output is larger than is allowed

Interrupts unwind user code and are no errors. They derive from BaseException, so that an
`except Exception` of a workflow cannot swallow them:

Interrupt                       over all of them
├── Suspend                     the run gives up its worker until something happens
├── LeaseLost                   the run belongs to another worker now
└── TimeIsUp                    the step's body has had its time
"""

# ruff: noqa: N818 - these names are the public surface; most say more without the suffix.

from __future__ import annotations

from datetime import datetime, timedelta


class WorkflowsError(Exception):
    """Anything that this package raises on purpose."""


class InvalidWorkflow(WorkflowsError):
    """A workflow is declared wrongly; the message names the workflow and the argument."""


class InvalidExpression(WorkflowsError):
    """The text of an expression cannot be compiled; the message shows the text and the reason."""


class InvalidDuration(WorkflowsError):
    """A value that should be a duration is none; the message shows what durations look like."""


class InvalidEvent(WorkflowsError):
    """An event breaks a rule of the event API, or no longer fits its `EventData` class."""


class EventTooLarge(InvalidEvent):
    """An event, or a request with events, is larger than is allowed."""


class UnknownWorkflow(WorkflowsError):
    """No workflow has this id; the message names the nearest one."""


class RunStateError(WorkflowsError):
    """The state of a run does not allow what was asked of it."""


class WorkflowStateError(WorkflowsError):
    """The state of a workflow does not allow what was asked of it."""


class InvalidSchedule(WorkflowsError):
    """An operator's schedule cannot be; the message says what is wrong with it."""


class InvalidFilter(WorkflowsError):
    """A filter of runs cannot be read; the message names the field."""


class InvalidRate(WorkflowsError):
    """A rate is none; the message shows what rates look like."""


class OperationEnded(WorkflowsError):
    """A bulk operation has ended already, and cannot be aborted."""


class NonRetriableError(WorkflowsError):
    """Raised by user code: fail now, however many attempts are left."""


class RetryAfterError(WorkflowsError):
    """Raised by user code: this attempt has failed, and the next one comes after `after`.

    Attributes:
        after: a duration (`timedelta`, or text such as `"5m"`) or an aware `datetime`.
    """

    def __init__(self, message: str, after: timedelta | str | datetime) -> None:
        super().__init__(message, after)
        self.message = message
        self.after = after

    def __str__(self) -> str:
        return self.message


class StepError(WorkflowsError):
    """A step has failed for good; a workflow may catch it and go on.

    Attributes:
        step_id: the id of the step that failed.
        name: the name of the original error's class.
        message: the original error's message.
        traceback: the original error's traceback as text, or empty.
    """

    def __init__(
        self, message: str, *, step_id: str = "", name: str | None = None, traceback: str = ""
    ) -> None:
        super().__init__(message)
        self.step_id = step_id
        self.name = name if name is not None else type(self).__name__
        self.message = message
        self.traceback = traceback

    def __reduce__(self) -> tuple[object, ...]:
        # Attributes travel as state: the default would call the class without its keywords.
        return type(self), (self.message,), self.__dict__

    def __str__(self) -> str:
        return f"step {self.step_id!r} failed: {self.name}: {self.message}"


class InvokeTimeout(StepError):
    """The run that a step invoked did not end within the step's timeout, and goes on."""


class RunCancelled(StepError):
    """The run that a step invoked was cancelled."""


class RunSkipped(StepError):
    """The run that a step invoked was skipped; the message gives the reason."""


class StepResultNotStorable(WorkflowsError):
    """What a step returned cannot be stored; the message names the step and the type."""


class NestedStepError(WorkflowsError):
    """A step was started inside another step's body, which fails the run whatever catches this.

    It is an ordinary error, so that user code unwinds as usual. That it cannot be swallowed is
    the engine's doing: it marks the execution when it raises this, and an execution so marked
    fails, however its function ends.
    """


class SignalTaken(WorkflowsError):
    """Another run already waits for the signal."""


class WorkerLost(WorkflowsError):
    """The run's own step killed its worker as many times as `MAX_WORKER_LOSSES` allows."""


class StepTimeout(WorkflowsError):
    """The body of a step ran longer than the step's timeout."""


class TooManySteps(WorkflowsError):
    """A run has more steps than `MAX_STEPS` allows."""


class OutputTooLarge(WorkflowsError):
    """The result of a step, or the output of a run, is larger than `MAX_RESULT_BYTES`."""


class InvocationTooDeep(WorkflowsError):
    """A run was invoked by a run that was invoked by a run: more of them than is allowed."""


class Interrupt(BaseException):
    """The engine unwinds user code."""


class Suspend(Interrupt):
    """The run gives up its worker; what it waits for has been recorded."""


class LeaseLost(Interrupt):
    """The run belongs to another worker now: nothing may be stored or started any more."""


class TimeIsUp(Interrupt):
    """The step's body has had its time; the step records a `StepTimeout`."""
