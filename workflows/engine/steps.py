"""The tools of a workflow's code: what is stored comes back, what is new is done and stored."""

import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Any, NoReturn, Self, TypeVar

from asgiref.sync import async_to_sync
from django.db import transaction as django_transaction

from workflows.clock import clock
from workflows.definitions.arguments import require_retries
from workflows.definitions.durations import parse_duration, positive_duration
from workflows.definitions.events import RUN_INVOKED, Event
from workflows.definitions.retries import Backoff, require_backoff
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
from workflows.engine.body import FINAL_ERRORS, Body, StepOptions
from workflows.engine.envelopes import envelope_of_run
from workflows.engine.execution import Branch, Execution
from workflows.engine.invocation import Invocation, invocation, output_type, require_depth
from workflows.engine.parallel import run_branches
from workflows.engine.rows import EventRow, StepRow, TakenRun
from workflows.engine.signals import wait_for_signal
from workflows.engine.store import Write, is_outage, store
from workflows.engine.time_limit import TimeLimit
from workflows.engine.transactions import crash_point, transaction
from workflows.engine.waits import waits_for_events
from workflows.engine.wanted import (
    EventNames,
    WantedEvent,
    WantedSignal,
    awaited_event,
    wanted_event,
    wanted_signal,
    wire_form,
)
from workflows.errors import (
    Interrupt,
    InvalidDuration,
    LeaseLost,
    NestedStepError,
    NonRetriableError,
    OutputTooLarge,
    SignalTaken,
    StepResultNotStorable,
    Suspend,
    TooManySteps,
    WorkflowsError,
)
from workflows.models import StepOp, StepStatus, Wait
from workflows.serialisation import return_annotation, round_trip

Checked = TypeVar("Checked")

logger = logging.getLogger("workflows.steps")


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
        given = step_options(retries=retries, timeout=timeout, backoff=backoff)
        return self._with(self.options.overridden_by(given))

    def _with(self, options: StepOptions) -> Self:
        """Return the same tools with these options."""
        return type(self)(self._execution, options=options)

    def _arrive(self, step_id: str, op: StepOp) -> Arrival:
        """Find out which step this is, and refuse what may not be a step here."""
        branch = self._branch_outside_body(step_id)
        require_step_id(step_id)
        if self._execution.fatal is not None:
            raise self._execution.fatal  # the author's code caught it and went on
        if branch.is_suspended:
            raise Suspend  # as above
        self._require_outside_atomic(step_id)
        occurrence = branch.occurrences[step_id]
        branch.occurrences[step_id] += 1
        key = step_key(step_id, occurrence, branch.path)
        row = self._execution.stored(key)
        self._require_room(key)
        if row is None:
            branch.progress.is_new = True
        elif row.op != op and not is_ended(row):
            row = None  # the code has changed: what the step waited for, nobody waits for now
        return Arrival(step_id, key, occurrence, branch, op, row)

    def _branch_outside_body(self, step_id: str) -> Branch:
        """Return the branch that the calling code is in; inside a body there may be no step."""
        place = context.current_place()
        if place is None or place.execution is not self._execution:
            return self._branch_of_own_thread(step_id)
        if place.step_id is not None:
            self._refuse_nested(step_id, place.step_id)
        return place.branch

    def _branch_of_own_thread(self, step_id: str) -> Branch:
        """Return the main line for a thread that the author's code has started between steps."""
        if self._execution.bodies:
            self._refuse_nested(step_id, "that is at work")
        return self._execution.main

    def _refuse_nested(self, step_id: str, outer: str) -> NoReturn:
        self._refuse(
            NestedStepError(
                f"Step {step_id!r} was called inside the body of step {outer!r}. "
                "A body is done as a whole: call the inner step after it, in the workflow."
            )
        )

    def _require_outside_atomic(self, step_id: str) -> None:
        if self._execution.is_inside_atomic():
            self._refuse(
                WorkflowsError(
                    f"Step {step_id!r} stands inside a transaction.atomic() of the workflow, whose "
                    "rollback would take the step's effects along but not its result. Open the "
                    "transaction inside the step, or use step.transaction."
                )
            )

    def _refuse(self, error: BaseException) -> NoReturn:
        """Fail the run with this error, also where the author's code catches it."""
        self._execution.fatal = error
        raise error

    def _require_room(self, key: str) -> None:
        if not self._execution.is_room_for(key):
            limit = self._execution.configuration.max_steps
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

    def _recall(self, arrival: Arrival, annotation: object) -> Any:
        """Give a stored result back, or raise the stored error."""
        arrival.branch.progress.pass_result()
        return recall(arrival.row, annotation)

    def _do_run(self, arrival: Arrival, fn: Callable[[], Any], annotation: object) -> Any:
        """Run a body and store what it returned."""
        with Body(self._execution, arrival, self.options) as body:
            try:
                value = call_within(body.time_limit(), fn)
                crash_point("after_body")
                output, value = self._as_stored(arrival, value, annotation)
            except Interrupt:
                raise
            except BaseException as error:  # noqa: BLE001  the author's code
                body.failed(error)
        body.submit(steps=[body.completed(output)])
        crash_point("after_store")
        return value

    def _do_transaction(self, arrival: Arrival, fn: Callable[[], Any], annotation: object) -> Any:
        """Run a body and store what it returned in one transaction with its writes."""
        with Body(self._execution, arrival, self.options) as body:
            row, value = self._commit(arrival, body, fn, annotation)
        self._execution.remember(row)
        crash_point("after_store")
        return value

    def _commit(
        self, arrival: Arrival, body: Body, fn: Callable[[], Any], annotation: object
    ) -> tuple[StepRow, Any]:
        done: tuple[StepRow, Any] | None = None
        is_committed: list[bool] = []
        try:
            with transaction("step transaction"):
                self._execution.require_lease()  # SQLite's write lock may have taken long
                django_transaction.on_commit(lambda: is_committed.append(True))
                value = call_within(body.time_limit(), fn)
                crash_point("after_body")
                output, value = self._as_stored(arrival, value, annotation)
                done = body.completed(output), value
                store_in_transaction(self._execution.run, done[0])
        except Interrupt:
            raise
        except BaseException as error:
            if done is not None and not is_committed and is_outage(error):
                raise LeaseLost from error  # nobody knows whether it is committed: read it anew
            if done is None or not is_committed:
                body.failed(error)
            # What the body had asked to be done after the commit has failed; the step has not.
            logger.exception("step.on_commit_failed run=%s", self._execution.run.id)
        return done

    def _as_stored(self, arrival: Arrival, value: object, annotation: object) -> tuple[str, Any]:
        """Return what a body gave as text, and as every replay will give it."""
        limit = self._execution.configuration.max_result_bytes
        try:
            return round_trip(value, annotation, max_bytes=limit)
        except (StepResultNotStorable, OutputTooLarge) as error:
            raise type(error)(f"Step {arrival.step_id!r}: {error}") from error

    def _do_send(self, arrival: Arrival, events: Any) -> list[str]:
        """Store events and their ids in one transaction."""
        substitute = self._substitute(arrival.step_id)
        with Body(self._execution, arrival, self.options) as body:
            try:
                rows = [] if substitute else send.event_rows(send.as_list(events))
                ids = list(substitute() or ()) if substitute else [row.id for row in rows]
                crash_point("after_body")
            except Interrupt:
                raise
            except BaseException as error:  # noqa: BLE001  what a test lets it raise, too
                body.failed(error)
        body.submit(steps=[body.completed(json.dumps(ids))], events=rows)
        crash_point("after_store")
        return ids

    def _checked(self, arrival: Arrival, read: Callable[[], Checked]) -> Checked:
        """Return what the author wrote, checked; what is wrong fails the step at once."""
        try:
            return read()
        except FINAL_ERRORS as error:
            with Body(self._execution, arrival, self.options) as body:
                body.failed(error)

    def _do_sleep(self, arrival: Arrival, read_moment: Callable[[], datetime]) -> None:
        """Suspend until a time, or go on where it has come."""
        execution, row, now = self._execution, arrival.row, clock.now()
        if row is None or row.status != StepStatus.SLEEPING:
            wakes_at = self._checked(arrival, read_moment)
            if self._answered(arrival):
                return
            row = self._waiting_row(arrival, StepStatus.SLEEPING, wakes_at)
        assert row.due_at is not None  # a sleeping step has one: the database's constraint
        if row.due_at > now:
            suspend(execution, arrival.branch, row)
        arrival.branch.progress.is_new = True
        woken = ended(execution, row, output="null")
        execution.submit(Write(execution.run, steps=[woken]), branch=arrival.branch)
        crash_point("after_store")

    def _do_wait_for_event(
        self, arrival: Arrival, read_wanted: Callable[[], WantedEvent]
    ) -> Arrival:
        """Wait until routing, or the timeout, ends the step."""
        self._go_on_waiting(arrival)
        run = self._execution.run

        def read() -> tuple[WantedEvent, list[Wait]]:
            wanted = read_wanted()
            own_event = envelope_of_run(run)
            waits = waits_for_events(
                run.id,
                own_event,
                wanted.names,
                step_key=arrival.key,
                condition=wanted.condition,
                looks_back=wanted.looks_back,
            )
            return wanted, waits

        wanted, waits = self._checked(arrival, read)
        answered = self._answered(arrival)
        if answered is None:
            row = self._waiting_row(arrival, StepStatus.WAITING, clock.now() + wanted.timeout)
            suspend(self._execution, arrival.branch, row, waits=waits)
        return answered

    def _do_invoke(self, arrival: Arrival, read_call: Callable[[], Invocation]) -> Arrival:
        """Store the event from which the other workflow runs; wait until that run ends."""
        self._go_on_waiting(arrival)
        run = self._execution.run

        def read() -> tuple[Invocation, EventRow]:
            call = read_call()
            require_depth(run.depth + 1, self._execution.configuration.max_invocation_depth)
            event = Event(name=RUN_INVOKED, data=call.data)
            return call, send.event_rows([event], allow_reserved=True)[0]

        call, event = self._checked(arrival, read)
        answered = self._answered(arrival)
        if answered is None:
            due_at = None if call.timeout is None else clock.now() + call.timeout
            row = self._waiting_row(arrival, StepStatus.WAITING, due_at)
            row = row._replace(invocation=event.id)
            event = event._replace(cause=run.id, cause_step=arrival.key, target=call.workflow)
            suspend(self._execution, arrival.branch, row, events=[event])
        return answered

    def _do_wait_for_signal(
        self, arrival: Arrival, read_wanted: Callable[[], WantedSignal]
    ) -> Arrival:
        """Wait until somebody sends the signal; fail at once where another run waits for it."""
        self._go_on_waiting(arrival)
        wanted = self._checked(arrival, read_wanted)
        answered = self._answered(arrival)
        if answered is None:
            row = self._claim_signal(arrival, wanted)
            suspend(self._execution, arrival.branch, row)
        return answered

    def _claim_signal(self, arrival: Arrival, wanted: WantedSignal) -> StepRow:
        """Store that the step waits for a signal, if nobody else does."""
        with Body(self._execution, arrival, self.options) as body:
            row = self._waiting_row(arrival, StepStatus.WAITING, clock.now() + wanted.timeout)
            try:
                with transaction("wait for signal"):
                    wait_for_signal(self._execution.run, row, wanted.name)
            except SignalTaken as error:
                body.failed(error)
        self._execution.remember(row)
        crash_point("after_store")
        return row

    def _go_on_waiting(self, arrival: Arrival) -> None:
        """Suspend where what an earlier slice waited for has not come yet."""
        if arrival.row is not None and arrival.row.status == StepStatus.WAITING:
            suspend(self._execution, arrival.branch, arrival.row)

    def _waiting_row(
        self, arrival: Arrival, status: StepStatus, due_at: datetime | None
    ) -> StepRow:
        """Return the row of a step that has to wait from now on; what failed before stays known."""
        before = arrival.row
        return new_row(
            self._execution,
            arrival,
            status,
            clock.now(),
            attempts=before.attempts if before else 0,
            forgiven=before.forgiven if before else 0,
            due_at=due_at,
        )

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
            return self._recall(arrival, annotation)
        return self._do_run(arrival, self._call(step_id, fn, args, kwargs), annotation)

    def transaction(
        self, step_id: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        """Run `fn` in one transaction with its stored result: its writes happen exactly once."""
        arrival = self._arrive(step_id, StepOp.TRANSACTION)
        annotation = return_annotation(fn)
        if is_ended(arrival.row):
            return self._recall(arrival, annotation)
        self._checked(arrival, lambda: require_no_coroutine_function(step_id, fn))
        return self._do_transaction(arrival, self._call(step_id, fn, args, kwargs), annotation)

    def send_event(self, step_id: str, events: Any) -> list[str]:
        """Send one event or a list, exactly once; give the ids."""
        arrival = self._arrive(step_id, StepOp.SEND_EVENT)
        if is_ended(arrival.row):
            return list(self._recall(arrival, Any))
        return self._do_send(arrival, events)

    def sleep(self, step_id: str, duration: timedelta | str) -> None:
        """Suspend the run for a time, holding no worker."""
        arrival = self._arrive(step_id, StepOp.SLEEP)
        if is_ended(arrival.row):
            self._recall(arrival, Any)
        else:
            self._do_sleep(arrival, lambda: moment_after(duration))

    def sleep_until(self, step_id: str, when: datetime) -> None:
        """Suspend the run until a moment, holding no worker."""
        arrival = self._arrive(step_id, StepOp.SLEEP)
        if is_ended(arrival.row):
            self._recall(arrival, Any)
        else:
            self._do_sleep(arrival, lambda: moment_given(step_id, when))

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
            arrival = self._do_wait_for_event(
                arrival,
                lambda: wanted_event(
                    event, match=match, if_=if_, timeout=timeout, lookback=lookback
                ),
            )
        return awaited_event(self._recall(arrival, Any))

    def wait_for_signal(self, step_id: str, *, signal: str, timeout: timedelta | str) -> Any:
        """Suspend until the signal is sent; give its data, or None after the timeout."""
        arrival = self._arrive(step_id, StepOp.WAIT_FOR_SIGNAL)
        if not is_ended(arrival.row):
            arrival = self._do_wait_for_signal(
                arrival, lambda: wanted_signal(signal, timeout=timeout)
            )
        return self._recall(arrival, Any)

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
        if not is_ended(arrival.row):
            arrival = self._do_invoke(arrival, lambda: invocation(workflow, data, timeout=timeout))
        return self._recall(arrival, output_type(workflow))

    def parallel(self, *branches: Callable[[], Any]) -> tuple[Any, ...]:
        """Run branches side by side; give what each gave, in their order."""
        parent = self._branch_outside_body("parallel")
        self._require_outside_atomic("parallel")
        return run_branches(self._execution, parent, branches)


def require_no_coroutine_function(step_id: str, fn: object) -> None:
    """Refuse a coroutine function: a transaction belongs to one thread."""
    if iscoroutinefunction(fn):
        message = (
            f"Step {step_id!r}: step.transaction takes no coroutine functions; "
            "use step.run, or a sync function."
        )
        raise NonRetriableError(message)


def call_within(limit: TimeLimit | None, fn: Callable[[], Any]) -> Any:
    """Call a body within its time; await what it returns, where that can be awaited."""
    value = fn() if limit is None else limit.call(fn)
    return async_to_sync(await_within)(limit, lambda: value) if isawaitable(value) else value


async def await_within(limit: TimeLimit | None, body: Callable[[], Awaitable[Any]]) -> Any:
    """Await a body within its time."""
    return await body() if limit is None else await limit.await_(body)


def step_options(
    *, retries: int | None, timeout: timedelta | str | None, backoff: Backoff | None
) -> StepOptions:
    """Check the options that the author wrote; what is wrong fails the run at once."""
    if backoff is not None and not callable(backoff):
        require_backoff(backoff)
    return StepOptions(
        retries=None if retries is None else require_retries(retries),
        timeout=None if timeout is None else positive_duration(timeout, argument="timeout"),
        backoff=backoff,
    )


def moment_after(duration: timedelta | str) -> datetime:
    """Return the moment after a duration from now on; beyond the calendar's end there is none."""
    try:
        return clock.now() + parse_duration(duration, argument="duration")
    except OverflowError as error:
        message = f"duration: {duration!r} is too long."
        raise InvalidDuration(message) from error


def moment_given(step_id: str, when: object) -> datetime:
    """Return an aware moment."""
    if not isinstance(when, datetime) or when.tzinfo is None:
        message = f"Step {step_id!r}: sleep_until takes an aware datetime, not {when!r:.100}."
        raise NonRetriableError(message)
    return when


def store_in_transaction(run: TakenRun, row: StepRow) -> None:
    """Store a result in its body's own transaction, if the run is still this worker's."""
    if store([Write(run, steps=[row])]):
        raise LeaseLost
