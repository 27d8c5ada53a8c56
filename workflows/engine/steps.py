"""The tools of a workflow's code: what is stored comes back, what is new is done and stored."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, NoReturn, Self

from workflows.clock import clock
from workflows.definitions.durations import parse_duration
from workflows.definitions.events import RUN_INVOKED, Event
from workflows.definitions.retries import Backoff
from workflows.definitions.workflow import Workflow
from workflows.engine import context, send
from workflows.engine.arrival import (
    Arrival,
    ended,
    is_ended,
    new_row,
    recall,
    require_step_id,
    step_key,
    suspend,
)
from workflows.engine.body import Body, StepOptions
from workflows.engine.envelopes import envelope_of_run
from workflows.engine.execution import Branch, Execution
from workflows.engine.invocation import Invocation, invocation
from workflows.engine.parallel import run_branches
from workflows.engine.rows import StepRow, TakenRun
from workflows.engine.signals import wait_for_signal
from workflows.engine.sql import sql
from workflows.engine.store import Write, may_write
from workflows.engine.transactions import crash_point, transaction
from workflows.engine.waits import waits_for_events
from workflows.engine.wanted import EventNames, WantedEvent, awaited_event, wanted_event, wire_form
from workflows.errors import (
    LeaseLost,
    NestedStepError,
    NonRetriableError,
    SignalTaken,
    Suspend,
    TooManySteps,
    WorkflowsError,
)
from workflows.models import StepOp, StepStatus
from workflows.serialisation import return_annotation, round_trip


class Tools:
    """What the tools of sync and async workflows have in common."""

    def __init__(self, execution: Execution, *, options: StepOptions | None = None) -> None:
        self._execution = execution
        self.options = options or StepOptions()

    def with_options(
        self,
        *,
        retries: int | None = None,
        timeout: timedelta | str | None = None,
        backoff: Backoff | None = None,
    ) -> Self:
        """Return a `Step` whose next calls have these options."""
        given = StepOptions(
            retries=self.options.retries if retries is None else retries,
            timeout=self.options.timeout
            if timeout is None
            else parse_duration(timeout, argument="timeout"),
            backoff=self.options.backoff if backoff is None else backoff,
        )
        return type(self)(self._execution, options=given)

    def _arrive(self, step_id: str, op: StepOp) -> Arrival:
        """Find out which step this is, and refuse what may not be a step here."""
        branch = self._branch_outside_body(step_id)
        require_step_id(step_id)
        if branch.is_suspended:
            raise Suspend  # the author's code caught the suspension and went on
        if self._execution.is_inside_atomic():
            self._refuse(
                WorkflowsError(
                    f"Step {step_id!r} stands inside a transaction.atomic() of the workflow, whose "
                    "rollback would take the step's effects along but not its result. Open the "
                    "transaction inside the step, or use step.transaction."
                )
            )
        occurrence = branch.occurrences[step_id]
        branch.occurrences[step_id] += 1
        key = step_key(step_id, occurrence, branch.path)
        row = self._execution.stored(key)
        self._count_passage(branch, row)
        return Arrival(step_id, key, occurrence, branch, op, row)

    def _branch_outside_body(self, step_id: str) -> Branch:
        """Return the branch that the calling code is in; inside a body there may be no step."""
        place = context.current_place()
        if place is None or place.execution is not self._execution:
            return self._execution.main  # a thread of the author's own
        if place.step_id is not None:
            self._refuse(
                NestedStepError(
                    f"Step {step_id!r} was called inside the body of step {place.step_id!r}. "
                    "A body is done as a whole: call the inner step after it, in the workflow."
                )
            )
        return place.branch

    def _refuse(self, error: BaseException) -> NoReturn:
        """Fail the run with this error, also where the author's code catches it."""
        self._execution.fatal = error
        raise error

    def _count_passage(self, branch: Branch, row: StepRow | None) -> None:
        if row is not None:
            branch.passed_stored_steps += 1
        limit = self._execution.configuration.max_steps
        if row is None and len(self._execution.run.steps) >= limit:
            self._refuse(
                TooManySteps(
                    f"The run has {limit} steps, which is the most that it may have (MAX_STEPS)."
                )
            )

    def _substitute(self, step_id: str) -> Callable[..., Any] | None:
        return self._execution.substitutes.get((self._execution.run.workflow, step_id))

    def _call(
        self, step_id: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Callable[[], Any]:
        """Return the body without its arguments, or a test's stand-in for it."""
        return self._substitute(step_id) or partial(fn, *args, **kwargs)

    def _do_run(self, arrival: Arrival, fn: Callable[[], Any], annotation: object) -> Any:
        """Run a body and store what it returned."""
        with Body(self._execution, arrival, self.options) as body:
            try:
                value = fn()
                crash_point("after_body")
                output, value = round_trip(
                    value, annotation, max_bytes=self._execution.configuration.max_result_bytes
                )
            except (Exception, SystemExit) as error:  # noqa: BLE001  the author's code
                body.failed(error)
        body.submit(steps=[body.completed(output)])
        crash_point("after_store")
        return value

    def _do_transaction(self, arrival: Arrival, fn: Callable[[], Any], annotation: object) -> Any:
        """Run a body and store what it returned in one transaction with its writes."""
        with Body(self._execution, arrival, self.options) as body:
            try:
                with transaction("step transaction"):
                    value = fn()
                    crash_point("after_body")
                    output, value = round_trip(
                        value, annotation, max_bytes=self._execution.configuration.max_result_bytes
                    )
                    row = body.completed(output)
                    store_in_transaction(self._execution.run, row)
            except (Exception, SystemExit) as error:  # noqa: BLE001  the author's code
                body.failed(error)
        self._execution.remember(row)
        crash_point("after_store")
        return value

    def _do_send(self, arrival: Arrival, events: Any) -> list[str]:
        """Store events and their ids in one transaction."""
        substitute = self._substitute(arrival.step_id)
        with Body(self._execution, arrival, self.options) as body:
            try:
                rows = [] if substitute else send.event_rows(send.as_list(events))
                ids = list(substitute()) if substitute else [row.id for row in rows]
                crash_point("after_body")
            except (Exception, SystemExit) as error:  # noqa: BLE001  the author's code
                body.failed(error)
        body.submit(steps=[body.completed(json.dumps(ids))], events=rows)
        crash_point("after_store")
        return ids

    def _do_sleep(self, arrival: Arrival, wakes_at: Callable[[], datetime]) -> None:
        """Suspend until a time, or go on where it has come."""
        execution, row, now = self._execution, arrival.row, clock.now()
        if self._substitute(arrival.step_id):
            row = new_row(execution, arrival, StepStatus.SLEEPING, now, due_at=now)
        elif row is None:
            row = new_row(execution, arrival, StepStatus.SLEEPING, now, due_at=wakes_at())
        assert row.due_at is not None  # a sleeping step has one: the database's constraint
        if row.due_at > now:
            suspend(execution, arrival.branch, row)
        woken = ended(execution, row, output="null")
        execution.submit(Write(execution.run, steps=[woken]), branch=arrival.branch)
        crash_point("after_store")

    def _do_wait_for_event(self, arrival: Arrival, wanted: WantedEvent) -> NoReturn:
        """Wait until routing, or the timeout, ends the step."""
        run = self._execution.run
        if arrival.row is not None:
            suspend(self._execution, arrival.branch, arrival.row)
        row = new_row(
            self._execution,
            arrival,
            StepStatus.WAITING,
            clock.now(),
            due_at=clock.now() + wanted.timeout,
        )
        waits = waits_for_events(
            run.id,
            envelope_of_run(run),
            wanted.names,
            step_key=arrival.key,
            condition=wanted.condition,
            looks_back=wanted.looks_back,
        )
        suspend(self._execution, arrival.branch, row, waits=waits)

    def _do_invoke(self, arrival: Arrival, call: Invocation) -> NoReturn:
        """Store the event from which the other workflow runs; wait until that run ends."""
        if arrival.row is not None:
            suspend(self._execution, arrival.branch, arrival.row)
        now = clock.now()
        due_at = None if call.timeout is None else now + call.timeout
        row = new_row(self._execution, arrival, StepStatus.WAITING, now, due_at=due_at)
        event = send.event_rows([Event(name=RUN_INVOKED, data=call.data)], allow_reserved=True)[0]
        event = event._replace(
            cause=self._execution.run.id, cause_step=arrival.key, target=call.workflow
        )
        suspend(self._execution, arrival.branch, row, events=[event])

    def _do_wait_for_signal(self, arrival: Arrival, signal: str, timeout: timedelta) -> NoReturn:
        """Wait until somebody sends the signal; fail at once where another run waits for it."""
        if arrival.row is not None:
            suspend(self._execution, arrival.branch, arrival.row)
        with Body(self._execution, arrival, self.options) as body:
            now = clock.now()
            row = new_row(self._execution, arrival, StepStatus.WAITING, now, due_at=now + timeout)
            try:
                with transaction("wait for signal"):
                    wait_for_signal(self._execution.run, row, signal)
            except SignalTaken as error:
                body.failed(error)
        self._execution.remember(row)
        suspend(self._execution, arrival.branch, row)

    def _answered(self, arrival: Arrival) -> Arrival | None:
        """End a wait at once with what a test's stand-in gives, where there is one."""
        substitute = self._substitute(arrival.step_id)
        if substitute is None:
            return None
        with Body(self._execution, arrival, self.options) as body:
            try:
                output, _ = round_trip(wire_form(substitute()), Any)
            except Exception as error:  # noqa: BLE001  what the test lets it raise
                body.failed(error)
        row = body.completed(output)
        body.submit(steps=[row])
        return replace(arrival, row=row)


class DurableStep(Tools):
    """Implements `workflows.Step` for one slice of a run of a sync workflow."""

    def run(self, step_id: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run `fn` once and store what it returns; from then on give the stored result back."""
        arrival = self._arrive(step_id, StepOp.RUN)
        annotation = return_annotation(fn)
        if is_ended(arrival.row):
            return recall(arrival.row, annotation)
        return self._do_run(arrival, self._call(step_id, fn, args, kwargs), annotation)

    def transaction(
        self, step_id: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        """Run `fn` in one transaction with its stored result: its writes happen exactly once."""
        arrival = self._arrive(step_id, StepOp.TRANSACTION)
        require_no_coroutine_function(step_id, fn)
        annotation = return_annotation(fn)
        if is_ended(arrival.row):
            return recall(arrival.row, annotation)
        return self._do_transaction(arrival, self._call(step_id, fn, args, kwargs), annotation)

    def send_event(self, step_id: str, events: Any) -> list[str]:
        """Send one event or a list, exactly once; give the ids."""
        arrival = self._arrive(step_id, StepOp.SEND_EVENT)
        if is_ended(arrival.row):
            return list(recall(arrival.row, Any))
        return self._do_send(arrival, events)

    def sleep(self, step_id: str, duration: timedelta | str) -> None:
        """Suspend the run for a time, holding no worker."""
        arrival = self._arrive(step_id, StepOp.SLEEP)
        if not is_ended(arrival.row):
            self._do_sleep(arrival, moment_after(duration))

    def sleep_until(self, step_id: str, when: datetime) -> None:
        """Suspend the run until a moment, holding no worker."""
        arrival = self._arrive(step_id, StepOp.SLEEP)
        if not is_ended(arrival.row):
            self._do_sleep(arrival, moment_given(step_id, when))

    def wait_for_event(
        self,
        step_id: str,
        *,
        event: EventNames,
        match: str | None = None,
        if_: str | None = None,
        timeout: timedelta | str,
        lookback: bool = True,
    ) -> Event[Any] | None:
        """Suspend until a matching event arrives; give it, or None after the timeout."""
        arrival = self._arrive(step_id, StepOp.WAIT_FOR_EVENT)
        if not is_ended(arrival.row):
            wanted = wanted_event(event, match=match, if_=if_, timeout=timeout, lookback=lookback)
            arrival = self._answered(arrival) or self._do_wait_for_event(arrival, wanted)
        return awaited_event(recall(arrival.row, Any))

    def wait_for_signal(self, step_id: str, *, signal: str, timeout: timedelta | str) -> Any:
        """Suspend until the signal is sent; give its data, or None after the timeout."""
        arrival = self._arrive(step_id, StepOp.WAIT_FOR_SIGNAL)
        if not is_ended(arrival.row):
            limit = parse_duration(timeout, argument="timeout")
            arrival = self._answered(arrival) or self._do_wait_for_signal(arrival, signal, limit)
        return recall(arrival.row, Any)

    def invoke(
        self,
        step_id: str,
        workflow: Workflow | str,
        data: Any = None,
        *,
        timeout: timedelta | str | None = None,
    ) -> Any:
        """Run another workflow as a run of its own and give its output."""
        arrival = self._arrive(step_id, StepOp.INVOKE)
        call = invocation(workflow, data, timeout=timeout)
        if not is_ended(arrival.row):
            arrival = self._answered(arrival) or self._do_invoke(arrival, call)
        return recall(arrival.row, call.output_type)

    def parallel(self, *branches: Callable[[], Any]) -> tuple[Any, ...]:
        """Run branches side by side; give what each gave, in their order."""
        parent = self._branch_outside_body("parallel")
        return run_branches(self._execution, parent, branches)


def require_no_coroutine_function(step_id: str, fn: object) -> None:
    """Refuse a coroutine function: a transaction belongs to one thread."""
    if iscoroutinefunction(fn):
        message = (
            f"Step {step_id!r}: step.transaction takes no coroutine functions; "
            "use step.run, or a sync function."
        )
        raise NonRetriableError(message)


def moment_after(duration: timedelta | str) -> Callable[[], datetime]:
    """Return a callable that gives the moment after a duration from when it is called."""
    delay = parse_duration(duration, argument="duration")
    return lambda: clock.now() + delay


def moment_given(step_id: str, when: object) -> Callable[[], datetime]:
    """Return a callable that gives an aware moment."""
    if not isinstance(when, datetime) or when.tzinfo is None:
        message = f"Step {step_id!r}: sleep_until takes an aware datetime, not {when!r:.100}."
        raise NonRetriableError(message)
    return lambda: when


def store_in_transaction(run: TakenRun, row: StepRow) -> None:
    """Store a result in its body's own transaction, if the run is still this worker's."""
    held = sql().lock_runs([run.id]).get(run.id)
    if not may_write(run, held):
        raise LeaseLost
    sql().upsert_steps([row])
