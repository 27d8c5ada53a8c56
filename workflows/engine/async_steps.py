"""The tools of async workflows: each is awaitable, so that steps can run side by side.

A slice has an event loop of its own, on a thread beside the run's. What uses the database, and
sync bodies, run on the run's own thread, or on free ones that help.

A suspended step leaves its task waiting for ever. Once no step is in flight and nothing in the
loop moves any more, the slice ends: the tasks are cancelled, and the next slice replays them.
Stored results reach the code one at a time, in the order in which they were stored, so that a
race has the same winner on every pass.
"""

import asyncio
import contextvars
import heapq
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import sync_to_async

from workflows.clock import clock
from workflows.conf import configuration
from workflows.definitions.durations import parse_duration
from workflows.definitions.events import Event
from workflows.definitions.workflow import Workflow
from workflows.engine import context
from workflows.engine.arrival import Arrival, is_ended, recall
from workflows.engine.body import Body, StepOptions
from workflows.engine.execution import Branch, Execution
from workflows.engine.invocation import invocation
from workflows.engine.steps import (
    Tools,
    moment_after,
    moment_given,
    require_no_coroutine_function,
)
from workflows.engine.transactions import crash_point
from workflows.engine.wanted import EventNames, awaited_event, wanted_event
from workflows.errors import Suspend
from workflows.models import StepOp
from workflows.serialisation import return_annotation, round_trip

# Turns of the loop without any step's arrival or end after which nothing moves any more: more
# than the combinations (gather, TaskGroup, wait) that a workflow nests need to pass a result on.
QUIET_TURNS = 25


class Traffic:
    """What goes on between an async workflow's tasks and its steps."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.is_parked = False
        self.is_over = False
        self._moves = 0
        self._order = itertools.count()
        self._turns: list[tuple[Any, int, asyncio.Future[None]]] = []
        self._moved = asyncio.Event()

    def move(self) -> None:
        """Note that a step arrived or ended."""
        self._moves += 1
        self._moved.set()

    async def turn(self, place: tuple[int, Any]) -> None:
        """Wait until the results that are stored before this one have reached the code."""
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._turns, (place, next(self._order), reached))
        self.move()
        await reached

    async def park(self) -> None:
        """Wait for what this slice will not see."""
        self.is_parked = True
        self.move()
        await asyncio.get_running_loop().create_future()

    async def conduct(self, main: "asyncio.Task[Any]") -> None:
        """Let stored results through, one at a time, until the workflow ends or has to wait."""
        main.add_done_callback(lambda _: self.move())
        while not await self._is_over(main):
            self._moved.clear()
            if self._turns:
                heapq.heappop(self._turns)[2].set_result(None)
            else:
                await self._moved.wait()

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
        self,
        execution: Execution,
        *,
        options: StepOptions | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        super().__init__(execution, options=options)
        self._traffic = traffic or Traffic()

    def with_options(self, **options: Any) -> "AsyncDurableStep":
        """Return a `Step` whose next calls have these options."""
        given = super().with_options(**options)
        return AsyncDurableStep(self._execution, options=given.options, traffic=self._traffic)

    async def run(self, step_id: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run `fn`, which may be a coroutine function, once, and store what it returns."""
        arrival = self._arrive_alone(step_id, StepOp.RUN)
        annotation = return_annotation(fn)
        if is_ended(arrival.row):
            return await self._recall(arrival, annotation)
        call = self._call(step_id, fn, args, kwargs)
        if iscoroutinefunction(fn) and not self._substitute(step_id):
            return await self._live(arrival, self._await_body(arrival, call, annotation))
        return await self._live(arrival, self._on_a_thread(self._do_run, arrival, call, annotation))

    async def transaction(
        self, step_id: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        """Run `fn` with its database writes and its stored result in one transaction."""
        arrival = self._arrive_alone(step_id, StepOp.TRANSACTION)
        require_no_coroutine_function(step_id, fn)
        annotation = return_annotation(fn)
        if is_ended(arrival.row):
            return await self._recall(arrival, annotation)
        call = self._call(step_id, fn, args, kwargs)
        work = self._on_a_thread(self._do_transaction, arrival, call, annotation)
        return await self._live(arrival, work)

    async def send_event(self, step_id: str, events: Any) -> list[str]:
        """Send one event or a list, exactly once; give the ids."""
        arrival = self._arrive_alone(step_id, StepOp.SEND_EVENT)
        if is_ended(arrival.row):
            return list(await self._recall(arrival, Any))
        ids: list[str] = await self._live(
            arrival, self._on_a_thread(self._do_send, arrival, events)
        )
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
        if not is_ended(arrival.row):
            wanted = wanted_event(event, match=match, if_=if_, timeout=timeout, lookback=lookback)
            arrival = await self._wait(arrival, self._do_wait_for_event, wanted)
        return awaited_event(await self._recall(arrival, Any))

    async def wait_for_signal(self, step_id: str, *, signal: str, timeout: timedelta | str) -> Any:
        """Suspend this task until the signal is sent; give its data, or None after the timeout."""
        arrival = self._arrive_alone(step_id, StepOp.WAIT_FOR_SIGNAL)
        if not is_ended(arrival.row):
            limit = parse_duration(timeout, argument="timeout")
            arrival = await self._wait(arrival, self._do_wait_for_signal, signal, limit)
        return await self._recall(arrival, Any)

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
        call = invocation(workflow, data, timeout=timeout)
        if not is_ended(arrival.row):
            arrival = await self._wait(arrival, self._do_invoke, call)
        return await self._recall(arrival, call.output_type)

    async def _wait(self, arrival: Arrival, wait: Callable[..., Any], *arguments: Any) -> Arrival:
        """Suspend this task; a test's stand-in answers at once."""
        answered = await self._live(arrival, self._on_a_thread(self._answered, arrival))
        if answered is not None:
            return replace(arrival, row=answered.row)
        waiting: Arrival = await self._live(arrival, self._on_a_thread(wait, arrival, *arguments))
        return waiting

    async def parallel(self, *branches: Callable[[], Awaitable[Any]]) -> tuple[Any, ...]:
        """Run branches side by side; give what each gave, in their order."""
        parent = self._branch_outside_body("parallel")
        prefix = f"{parent.path}{parent.parallels}."
        parent.parallels += 1
        children = [Branch(path=f"{prefix}{number}/") for number in range(len(branches))]
        outcomes = await asyncio.gather(
            *(self._branch(child, code) for child, code in zip(children, branches, strict=True)),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return tuple(outcomes)

    async def _branch(self, branch: Branch, code: Callable[[], Awaitable[Any]]) -> Any:
        context.enter(context.Place(self._execution, branch))
        return await code()

    async def _sleep(self, step_id: str, moment: Callable[[], Callable[[], datetime]]) -> None:
        arrival = self._arrive_alone(step_id, StepOp.SLEEP)
        if is_ended(arrival.row):
            await self._recall(arrival, Any)
            return
        row = arrival.row
        if row is not None and row.due_at is not None and row.due_at <= clock.now():
            await self._traffic.turn((1, row.due_at))
        await self._live(arrival, self._on_a_thread(self._do_sleep, arrival, moment()))

    def _arrive_alone(self, step_id: str, op: StepOp) -> Arrival:
        """Arrive with a branch whose pending writes are this step's alone."""
        if self._traffic.is_over:
            raise asyncio.CancelledError  # a `finally` block: its steps belong to the next slice
        arrival = self._arrive(step_id, op)
        self._traffic.move()
        branch = replace(arrival.branch, pending=[], is_suspended=False)
        return replace(arrival, branch=branch)

    async def _recall(self, arrival: Arrival, annotation: object) -> Any:
        """Give a stored result back when its turn has come."""
        assert arrival.row is not None  # the caller has seen that it is ended
        await self._traffic.turn((0, arrival.row.sequence))
        return await sync_to_async(recall)(arrival.row, annotation)

    async def _live(self, arrival: Arrival, work: Coroutine[Any, Any, Any]) -> Any:
        """Do a step, and go on once its result is durable; park where it has to wait."""
        self._traffic.in_flight += 1
        try:
            try:
                return await work
            finally:
                await sync_to_async(arrival.branch.settle)()
        except Suspend:
            pass
        finally:
            self._traffic.in_flight -= 1
            self._traffic.move()
        return await self._traffic.park()

    async def _await_body(
        self, arrival: Arrival, call: Callable[[], Awaitable[Any]], annotation: object
    ) -> Any:
        """Run a coroutine function's body on the loop, and store what it returned."""
        body = Body(self._execution, arrival, self.options)
        await sync_to_async(body.prepare)()
        token = body.enter()
        try:
            value = await call()
            crash_point("after_body")
            limit = configuration().max_result_bytes
            output, value = round_trip(value, annotation, max_bytes=limit)
        except (Exception, SystemExit) as error:  # noqa: BLE001  the author's code may raise anything
            body.leave(token)
            failure: BaseException = error
        else:
            body.leave(token)
            body.require_not_fatal()
            await sync_to_async(body.submit)(steps=[body.completed(output)])
            crash_point("after_store")
            return value
        return await sync_to_async(body.failed)(failure)

    async def _on_a_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do sync work on a thread that helps, or else on the run's own."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        in_context = contextvars.copy_context()

        def work_elsewhere() -> None:
            try:
                value = in_context.run(work, *arguments)
            except BaseException as error:  # noqa: BLE001  told to the loop
                loop.call_soon_threadsafe(_fail, done, error)
            else:
                loop.call_soon_threadsafe(_succeed, done, value)

        if self._execution.call_helpers(work_elsewhere, 1):
            outcome = await done
            if isinstance(outcome, _Raised):
                raise outcome.error
            return outcome
        return await sync_to_async(work)(*arguments)


class _Raised:
    """What work on another thread raised; a future cannot hold every exception."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _succeed(future: "asyncio.Future[Any]", value: object) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: "asyncio.Future[Any]", error: BaseException) -> None:
    _succeed(future, _Raised(error))


async def call_async(execution: Execution, arguments: Sequence[Any]) -> Any:
    """Call an async workflow's function for one slice.

    Raises:
        Suspend: the workflow waits for something.
    """
    traffic = Traffic()
    step = AsyncDurableStep(execution, traffic=traffic)
    main = asyncio.ensure_future(execution.workflow.function(*arguments, step))
    await traffic.conduct(main)
    if main.done():
        return main.result()
    traffic.is_over = True
    await _cancel_tasks()
    raise Suspend


async def _cancel_tasks() -> None:
    """End all tasks of the slice: their `finally` blocks run now, and again in the next slice."""
    this = asyncio.current_task()
    tasks: Sequence[asyncio.Task[Any]] = [t for t in asyncio.all_tasks() if t is not this]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
