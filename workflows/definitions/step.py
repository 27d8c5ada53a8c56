"""The tools that a workflow's code gets as `step`. The engine supplies what they do."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, ParamSpec, Protocol, TypeVar

from workflows.definitions.events import Event, EventData
from workflows.definitions.retries import Backoff
from workflows.definitions.workflow import Workflow

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

Sendable = EventData | Event[Any]


class Step(Protocol):
    """The first argument of each tool is the step's id; the same id again is its next occurrence.

    What a step did is stored, and given back on every later pass: its body does not run again.
    """

    def run(
        self,
        step_id: str,
        fn: Callable[Parameters, Result],
        /,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Run `fn`, store what it returned, and from then on give the stored result back.

        A failing attempt is retried after a wait.

        Raises:
            StepError: the last attempt failed. The workflow may catch it and go on.
        """

    def transaction(
        self,
        step_id: str,
        fn: Callable[Parameters, Result],
        /,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Run `fn` with its database writes and its stored result in ONE transaction.

        Its effects on the database happen exactly once. `fn` is no coroutine function.

        Raises:
            StepError: the last attempt failed. The workflow may catch it and go on.
        """

    def send_event(self, step_id: str, events: Sendable | list[Sendable]) -> list[str]:
        """Send one event or a list, exactly once; give their ids.

        Raises:
            StepError: one of them cannot be an event.
        """

    def sleep(self, step_id: str, duration: timedelta | str) -> None:
        """Suspend the run for a time such as "30s" or "1h30m", holding no worker."""

    def sleep_until(self, step_id: str, when: datetime) -> None:
        """Suspend the run until an aware datetime, holding no worker."""

    def wait_for_event(
        self,
        step_id: str,
        *,
        event: str | type[EventData] | Sequence[str | type[EventData]],
        match: str | None = None,
        if_: str | None = None,
        timeout: timedelta | str,
        lookback: bool = True,
    ) -> Event[Any] | None:
        """Suspend the run until a matching event arrives; give it, or None after the timeout.

        Args:
            step_id: the step's id.
            event: the name of the event, or several: any of them ends the wait.
            match: a path such as "data.parentId" at which both events have the same value.
            if_: an expression over `event`, the run's own, and `async`, the arriving one.
            timeout: how long to wait.
            lookback: whether an event counts that arrived after the run's own event and before
                the wait was reached. The earliest match is taken.
        """

    def wait_for_signal(self, step_id: str, *, signal: str, timeout: timedelta | str) -> Any:
        """Suspend the run until `send_signal(signal, data)`; give the data, or None.

        Raises:
            StepError: another run waits for this signal (`SignalTaken`).
        """

    def invoke(
        self,
        step_id: str,
        workflow: Workflow | str,
        data: Any = None,
        *,
        timeout: timedelta | str | None = None,
    ) -> Any:
        """Run another workflow as a run of its own, and give its output.

        Args:
            step_id: the step's id.
            workflow: the workflow or its id.
            data: the data of the event `workflows/run.invoked` from which it runs.
            timeout: how long to wait; the invoked run goes on after it.

        Raises:
            StepError: named after what happened: the callee's own error, `InvokeTimeout`,
                `RunCancelled`, `RunSkipped` or `UnknownWorkflow`.
        """

    def parallel(self, *branches: Callable[[], Any]) -> tuple[Any, ...]:
        """Run zero-argument callables that use `step` side by side; give their values in order.

        Branches do not wait for each other between their own steps. When one fails for good, the
        others finish first; then the error of the first that failed is raised.
        """

    def with_options(
        self,
        *,
        retries: int | None = None,
        timeout: timedelta | str | None = None,
        backoff: Backoff | None = None,
    ) -> "Step":
        """Return a `Step` whose next calls have these options.

        Args:
            retries: attempts after the first, from 0 to 20.
            timeout: how long one attempt's body may take.
            backoff: the wait before the next attempt: a duration, a list of them (the last
                repeats), or a callable from the failed attempts so far to a timedelta.
        """
