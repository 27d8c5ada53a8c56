"""The tools of async workflows: each is awaitable, so that steps can run side by side.

A slice has an event loop of its own, on a thread beside the run's. What uses the database, and
sync bodies, run on the run's own thread, or on free ones that help.

A suspended step leaves its task waiting for ever. Once no step is in flight and nothing in the
loop moves any more, the slice ends: the tasks are cancelled, and the next slice replays them.

Results, the stored and the new ones, reach the code one at a time, in the order of their
sequence numbers, so that a race has the same winner on every pass. A step that has begun goes on
to its end though its task be cancelled, as a `TaskGroup` does: its body must not run again.
"""

import asyncio
import contextvars
import heapq
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from inspect import isawaitable, iscoroutinefunction
from typing import Any, NoReturn, Self

from asgiref.sync import sync_to_async

from workflows.clock import clock
from workflows.definitions.events import Event
from workflows.definitions.workflow import Workflow
from workflows.engine import context
from workflows.engine.arrival import Arrival, is_ended
from workflows.engine.body import Body, StepOptions
from workflows.engine.execution import Branch, Execution
from workflows.engine.invocation import Invocation, invocation, output_type
from workflows.engine.rows import StepRow
from workflows.engine.steps import (
    Tools,
    await_within,
    moment_after,
    moment_given,
    require_no_coroutine_function,
)
from workflows.engine.transactions import crash_point
from workflows.engine.wanted import (
    EventNames,
    WantedEvent,
    WantedSignal,
    awaited_event,
    wanted_event,
    wanted_signal,
)
from workflows.errors import Interrupt, Suspend
from workflows.models import StepOp
from workflows.serialisation import MODEL, return_annotation

# Turns of the loop without any step's arrival or end after which nothing moves any more: more
# than the combinations (gather, TaskGroup, wait) that a workflow nests need to pass a result on.
QUIET_TURNS = 25


class Traffic:
    """What goes on between an async workflow's tasks and its steps."""

    def __init__(self, execution: Execution) -> None:
        self.in_flight = 0
        self.is_parked = False
        self.is_over = False
        self._announced = execution.announced
        self._moves = 0
        self._order = itertools.count()
        self._turns: list[tuple[tuple[int, Any], int, asyncio.Future[None]]] = []
        self._moved = asyncio.Event()

    def move(self) -> None:
        """Note that a step arrived or ended."""
        self._moves += 1
        self._moved.set()

    async def turn(self, place: tuple[int, Any], *, of_new: str | None = None) -> None:
        """Wait until the results that come before this one have reached the code.

        Args:
            place: in the order of results.
            of_new: the key of the step whose result is new, and was announced with its place.
        """
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._turns, (place, next(self._order), reached))
        if of_new is not None:
            self._announced.pop(of_new, None)
        self.move()
        await reached

    async def park(self) -> None:
        """Wait for what this slice will not see."""
        self.is_parked = True
        self.move()
        await asyncio.get_running_loop().create_future()

    async def conduct(self, main: "asyncio.Task[Any]") -> None:
        """Let results through, one at a time, until the workflow ends or has to wait."""
        main.add_done_callback(lambda _: self.move())
        while not await self._is_over(main):
            self._moved.clear()
            if self._turns and self._may_pass(self._turns[0][0]):
                reached = heapq.heappop(self._turns)[2]
                if not reached.done():
                    reached.set_result(None)
            else:
                await self._moved.wait()

    def _may_pass(self, place: tuple[int, Any]) -> bool:
        """Tell whether no result with an earlier place is on its way."""
        on_their_way = list(self._announced.values())
        return not on_their_way or place < (0, min(on_their_way))

    async def _is_over(self, main: "asyncio.Task[Any]") -> bool:
        """Wait until nothing moves; tell whether nothing will."""
        await self._quiet()
        if self.in_flight:
            return False
        return main.done() or (self.is_parked and not self._turns)

    async def _quiet(self) -> None:
        moves, turns = self._moves, 0
        while turns < QUIET_TURNS:
            await asyncio.sleep(0)
            turns = turns + 1 if moves == self._moves else 0
            moves = self._moves


class AsyncDurableStep(Tools):
    """Implements `workflows.Step` for one slice of a run of an async workflow."""

    def __init__(
        self, execution: Execution, *, traffic: Traffic, options: StepOptions | None = None
    ) -> None:
        super().__init__(execution, options=options)
        self._traffic = traffic

    def _with(self, options: StepOptions) -> Self:
        return type(self)(self._execution, options=options, traffic=self._traffic)

    async def run(self, step_id: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run `fn`, which may be a coroutine function, once, and store what it returns."""
        arrival = self._arrive_alone(step_id, StepOp.RUN)
        annotation = return_annotation(fn)
        if is_ended(arrival.row):
            return await self._recall_in_turn(arrival, annotation)
        call = self._call(step_id, fn, args, kwargs)
        if is_coroutine_function(fn) and not self._substitute(step_id):
            return await self._live(arrival, self._await_body(arrival, call, annotation))
        return await self._live_on_a_thread(arrival, self._do_run, call, annotation)

    async def transaction(
        self, step_id: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        """Run `fn` with its database writes and its stored result in one transaction."""
        arrival = self._arrive_alone(step_id, StepOp.TRANSACTION)
        annotation = return_annotation(fn)
        if is_ended(arrival.row):
            return await self._recall_in_turn(arrival, annotation)
        call = self._call(step_id, fn, args, kwargs)

        def do(arrival: Arrival) -> Any:
            self._checked(arrival, lambda: require_no_coroutine_function(step_id, fn))
            return self._do_transaction(arrival, call, annotation)

        return await self._live_on_a_thread(arrival, do)

    async def send_event(self, step_id: str, events: Any) -> list[str]:
        """Send one event or a list, exactly once; give the ids."""
        arrival = self._arrive_alone(step_id, StepOp.SEND_EVENT)
        if is_ended(arrival.row):
            return list(await self._recall_in_turn(arrival, Any))
        ids: list[str] = await self._live_on_a_thread(arrival, self._do_send, events)
        return ids

    async def sleep(self, step_id: str, duration: timedelta | str) -> None:
        """Suspend this task for a time, holding no worker."""
        await self._sleep(step_id, lambda: moment_after(duration))

    async def sleep_until(self, step_id: str, when: datetime) -> None:
        """Suspend this task until a moment, holding no worker."""
        await self._sleep(step_id, lambda: moment_given(step_id, when))

    async def wait_for_event(
        self,
        step_id: str,
        *,
        event: EventNames,
        match: str | None = None,
        if_: str | None = None,
        timeout: timedelta | str,
        lookback: bool = True,
    ) -> Event[Any] | None:
        """Suspend this task until a matching event arrives; give it, or None after the timeout."""
        arrival = self._arrive_alone(step_id, StepOp.WAIT_FOR_EVENT)

        def read_wanted() -> WantedEvent:
            return wanted_event(event, match=match, if_=if_, timeout=timeout, lookback=lookback)

        if is_ended(arrival.row):
            return awaited_event(await self._recall_in_turn(arrival, Any))
        answered = await self._live_on_a_thread(arrival, self._do_wait_for_event, read_wanted)
        return awaited_event(await self._recall_on_a_thread(answered, Any))

    async def wait_for_signal(self, step_id: str, *, signal: str, timeout: timedelta | str) -> Any:
        """Suspend this task until the signal is sent; give its data, or None after the timeout."""
        arrival = self._arrive_alone(step_id, StepOp.WAIT_FOR_SIGNAL)

        def read_wanted() -> WantedSignal:
            return wanted_signal(signal, timeout=timeout)

        if is_ended(arrival.row):
            return await self._recall_in_turn(arrival, Any)
        answered = await self._live_on_a_thread(arrival, self._do_wait_for_signal, read_wanted)
        return await self._recall_on_a_thread(answered, Any)

    async def invoke(
        self,
        step_id: str,
        workflow: Workflow | str,
        data: Any = None,
        *,
        timeout: timedelta | str | None = None,
    ) -> Any:
        """Run another workflow as a run of its own and give its output."""
        arrival = self._arrive_alone(step_id, StepOp.INVOKE)

        def read_call() -> Invocation:
            return invocation(workflow, data, timeout=timeout)

        if is_ended(arrival.row):
            return await self._recall_in_turn(arrival, output_type(workflow))
        answered = await self._live_on_a_thread(arrival, self._do_invoke, read_call)
        return await self._recall_on_a_thread(answered, output_type(workflow))

    async def parallel(self, *branches: Callable[[], Any]) -> tuple[Any, ...]:
        """Run branches side by side; give what each gave, in their order."""
        parent = self._branch_outside_body("parallel")
        prefix = f"{parent.path}{parent.parallels}."
        parent.parallels += 1
        children = [
            self._execution.branch(parent, f"{prefix}{number}/") for number in range(len(branches))
        ]
        outcomes = await asyncio.gather(
            *(self._branch(child, code) for child, code in zip(children, branches, strict=True)),
            return_exceptions=True,
        )
        for child in children:
            parent.progress.is_new |= child.progress.is_new
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return tuple(outcomes)

    async def _branch(self, branch: Branch, code: Callable[[], Any]) -> Any:
        context.enter(context.Place(self._execution, branch))
        value = code()
        return await value if isawaitable(value) else value

    async def _sleep(self, step_id: str, read_moment: Callable[[], datetime]) -> None:
        arrival = self._arrive_alone(step_id, StepOp.SLEEP)
        if is_ended(arrival.row):
            await self._recall_in_turn(arrival, Any)
            return
        row = arrival.row
        if row is not None and row.due_at is not None and row.due_at <= clock.now():
            await self._traffic.turn((1, row.due_at))
        await self._live_on_a_thread(arrival, self._do_sleep, read_moment)

    def _arrive_alone(self, step_id: str, op: StepOp) -> Arrival:
        """Arrive with a branch whose pending writes are this step's alone."""
        if self._traffic.is_over:
            raise asyncio.CancelledError  # a `finally` block: its steps belong to the next slice
        arrival = self._arrive(step_id, op)
        self._traffic.move()
        branch = replace(arrival.branch, pending=[], is_suspended=False)
        return replace(arrival, branch=branch)

    async def _recall_in_turn(self, arrival: Arrival, annotation: object) -> Any:
        """Give a stored result back when its turn has come."""
        assert arrival.row is not None  # the caller has seen that it is ended
        await self._traffic.turn((0, arrival.row.sequence))
        return await self._recall_on_a_thread(arrival, annotation)

    async def _recall_on_a_thread(self, arrival: Arrival, annotation: object) -> Any:
        """Give a stored result back; what a reference stands for may have to be loaded."""
        if not needs_database(arrival.row):
            return self._recall(arrival, annotation)
        self._traffic.in_flight += 1
        try:
            return await sync_to_async(self._recall)(arrival, annotation)
        finally:
            self._traffic.in_flight -= 1
            self._traffic.move()

    async def _live_on_a_thread(
        self, arrival: Arrival, work: Callable[..., Any], *arguments: Any
    ) -> Any:
        """Do a step whose work is sync."""

        def durably() -> Any:
            try:
                return work(arrival, *arguments)
            finally:
                arrival.branch.settle()

        return await self._live(arrival, self._on_a_thread(durably))

    async def _live(self, arrival: Arrival, work: Coroutine[Any, Any, Any]) -> Any:
        """Do a step, and go on once its result is durable; park where it has to wait."""
        step = asyncio.ensure_future(self._to_its_end(arrival, work))
        step.add_done_callback(_look_at)
        try:
            return await asyncio.shield(step)
        except Suspend:
            return await self._traffic.park()

    async def _to_its_end(self, arrival: Arrival, work: Coroutine[Any, Any, Any]) -> Any:
        """Do a step's work whatever becomes of the task that waits for it."""
        self._traffic.in_flight += 1
        try:
            return await work
        finally:
            self._traffic.in_flight -= 1
            sequence = self._execution.announced.get(arrival.key)
            if sequence is not None:
                await self._traffic.turn((0, sequence), of_new=arrival.key)
            self._traffic.move()

    async def _await_body(
        self, arrival: Arrival, call: Callable[[], Awaitable[Any]], annotation: object
    ) -> Any:
        """Run a coroutine function's body on the loop, and store what it returned."""
        body = Body(self._execution, arrival, self.options)
        await sync_to_async(body.prepare)()
        token = body.enter()
        try:
            value = await await_within(body.time_limit(), call)
            crash_point("after_body")
            output, value = self._as_stored(arrival, value, annotation)
        except Interrupt:
            body.leave(token)
            raise
        except BaseException as error:  # noqa: BLE001  the author's code may raise anything
            body.leave(token)
            failure = error
        else:
            body.leave(token)
            body.require_not_fatal()
            await sync_to_async(self._store_completed)(arrival, body, output)
            return value
        return await sync_to_async(self._store_failed)(arrival, body, failure)

    def _store_completed(self, arrival: Arrival, body: Body, output: str) -> None:
        body.submit(steps=[body.completed(output)])
        crash_point("after_store")
        arrival.branch.settle()

    def _store_failed(self, arrival: Arrival, body: Body, error: BaseException) -> NoReturn:
        try:
            body.failed(error)
        finally:
            arrival.branch.settle()

    async def _on_a_thread(self, work: Callable[[], Any]) -> Any:
        """Do sync work on a thread that helps, or else on the run's own."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        in_context = contextvars.copy_context()

        def work_elsewhere() -> None:
            try:
                value = in_context.run(work)
            except BaseException as error:  # noqa: BLE001  told to the loop
                loop.call_soon_threadsafe(_succeed, done, _Raised(error))
            else:
                loop.call_soon_threadsafe(_succeed, done, value)

        if self._execution.call_helpers(work_elsewhere, 1):
            outcome = await done
            if isinstance(outcome, _Raised):
                raise outcome.error
            return outcome
        return await sync_to_async(work)()


class _Raised:
    """What work on another thread raised; a future cannot hold every exception."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _succeed(future: "asyncio.Future[Any]", value: object) -> None:
    if not future.done():
        future.set_result(value)


def _look_at(step: "asyncio.Future[Any]") -> None:
    """Take notice of how a step ended: the task that waited for it may be cancelled by now."""
    if not step.cancelled():
        step.exception()


def is_coroutine_function(fn: object) -> bool:
    """Tell whether calling this gives a coroutine; also an object may be called so."""
    return iscoroutinefunction(fn) or iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004  is it one?


def needs_database(row: StepRow | None) -> bool:
    """Tell whether a stored result stands for a row of the database."""
    return row is not None and row.output is not None and f'"{MODEL}"' in row.output


async def call_async(execution: Execution, arguments: Sequence[Any]) -> Any:
    """Call an async workflow's function for one slice.

    Raises:
        Suspend: the workflow waits for something.
    """
    traffic = Traffic(execution)
    step = AsyncDurableStep(execution, traffic=traffic)
    main = asyncio.ensure_future(execution.workflow.function(*arguments, step))
    await traffic.conduct(main)
    traffic.is_over, has_returned = True, main.done()
    await _cancel_tasks()
    if has_returned:
        return main.result()
    raise Suspend


async def _cancel_tasks() -> None:
    """End what is left of the slice: `finally` blocks run now, and again in the next slice."""
    this = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not this]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
