"""The engine in a test's hands: one worker, on the test's own thread, connection and clock."""

import asyncio
import functools
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections

from workflows import client, ids, randomness
from workflows.clock import VirtualTime, clock
from workflows.conf import configuration
from workflows.definitions.durations import parse_duration
from workflows.definitions.registry import isolated_registry, registry
from workflows.definitions.workflow import Workflow
from workflows.engine.bulk import carry_out_operations
from workflows.engine.cancel import expire_runs
from workflows.engine.catalogue import current_catalogue, forget_catalogue
from workflows.engine.due import next_due
from workflows.engine.execute import execute
from workflows.engine.execution import Execution, TimedLease
from workflows.engine.lease import Identity, begin_lease
from workflows.engine.overrides import with_retries
from workflows.engine.register import register_workflows
from workflows.engine.rescue import rescue_expired
from workflows.engine.route import look_again, route_events
from workflows.engine.rows import TakenRun
from workflows.engine.schedule import fire_schedules
from workflows.engine.store import DirectStore
from workflows.engine.take import take_runs, take_suspect
from workflows.engine.takeable import takeable
from workflows.engine.transactions import use_crash_hook
from workflows.engine.waits import forget_paths
from workflows.engine.wake import wake_runs
from workflows.engine.wakeup import nobody_to_wake
from workflows.errors import Interrupt, InvalidDuration
from workflows.models import Run, Worker
from workflows.off_the_loop import use_thread
from workflows.resources import RunResource, run_resource

CRASH_POINTS = ("before_body", "after_body", "after_store", "before_finish")
TAKEN_AT_ONCE = 1  # runs; the test's worker executes one after another

Named = Workflow | str
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class WorkerKilled(Interrupt):
    """The test's worker dies here, as if killed: not an error that a workflow could handle."""


@dataclass(slots=True)
class LivingLease(TimedLease):
    """The lease of a worker whose beat goes on, however far a body moves the clock."""

    beat: Callable[[], None] = field(kw_only=True)

    def is_over(self) -> bool:
        """Tell whether the time is over."""
        return clock.now() >= self.until

    def require(self) -> None:
        """Renew the lease where its time is over; raise `LeaseLost` where its worker is dead."""
        if self.is_over():
            self.beat()
        TimedLease.require(self)


def _off_the_loop(
    method: Callable[Concatenate["Workflows", Parameters], Result],
) -> Callable[Concatenate["Workflows", Parameters], Result]:
    """Let an async test call a method that uses the database: its loop stands still meanwhile."""

    @functools.wraps(method)
    def wrapped(
        self: "Workflows", /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        if not _is_on_a_loop():
            return method(self, *args, **kwargs)
        with self._shared_connection(), ThreadPoolExecutor(1) as thread:
            work = functools.partial(method, self, *args, **kwargs)
            result: Result = thread.submit(self._with_connection, work).result()
            return result

    return wrapped


class Workflows:
    """What the fixture `workflows` gives."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time
        self._connection = connections[DEFAULT_DB_ALIAS]
        self._one_at_a_time = threading.Lock()
        self._worker: Worker | None = None
        self._registered: tuple[int, ...] = ()
        self._crashes: dict[str, int] = dict.fromkeys(CRASH_POINTS, 0)
        self._is_dead = False
        self._installed = frozenset(registry.ids())
        self._substitutes: dict[tuple[str, str], Callable[..., object]] = {}

    def now(self) -> datetime:
        """Return the virtual time."""
        return clock.now()

    @_off_the_loop
    def send(self, *args: Any, **kwargs: Any) -> list[str]:
        """Send events, as `workflows.send` does; give their ids."""
        ids_: list[str] = client.send(*args, **kwargs)
        return ids_

    async def asend(self, *args: Any, **kwargs: Any) -> list[str]:
        """Do as `send`, from an async test."""
        ids_: list[str] = await self._in_a_thread(self.send, *args, **kwargs)
        return ids_

    async def adrain(self) -> None:
        """Do as `drain`, from an async test."""
        await self._in_a_thread(self.drain)

    async def aadvance(self, duration: timedelta | str) -> None:
        """Do as `advance`, from an async test."""
        await self._in_a_thread(self.advance, duration)

    async def _in_a_thread(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do sync work off the test's event loop, on the test's own connection."""
        with self._shared_connection():
            return await asyncio.to_thread(self._in_turn, work, *args, **kwargs)

    def _in_turn(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do work on this thread; what a test lets gather waits for its turn."""
        with self._one_at_a_time:
            return self._with_connection(work, *args, **kwargs)

    def _with_connection(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do work on another thread, with the test's connection."""
        connections[DEFAULT_DB_ALIAS] = self._connection
        try:
            return work(*args, **kwargs)
        finally:
            del connections[DEFAULT_DB_ALIAS]

    @contextmanager
    def _shared_connection(self) -> Iterator[None]:
        """Let another thread use the test's connection."""
        self._connection.inc_thread_sharing()
        try:
            yield
        finally:
            self._connection.dec_thread_sharing()

    @_off_the_loop
    def drain(self) -> None:
        """Work until nothing is due at this moment."""
        self._begin_work()
        while not self._is_dead and self._round():
            pass

    @_off_the_loop
    def advance(self, duration: timedelta | str) -> None:
        """Move the clock, and work at every moment at which something becomes due on the way."""
        ends = self.now() + _forward(duration)
        self.drain()
        while (moment := self._next_moment(ends)) is not None:
            self._time.move_to(moment)
            self.drain()
        self._time.move_to(ends)
        self.drain()

    @_off_the_loop
    def runs(self, workflow: Named | None = None, event_id: str | None = None) -> list[RunResource]:
        """Return runs, oldest first: of a workflow, or of an event."""
        found = Run.objects.order_by("id")
        if workflow is not None:
            found = found.filter(workflow=_id_of(workflow))
        if event_id is not None:
            found = found.of_event(event_id)
        return [run_resource(run) for run in found]

    @_off_the_loop
    def run(self, id: str) -> RunResource:
        """Return one run, with its steps."""
        return run_resource(Run.objects.get(pk=id))

    @_off_the_loop
    def cancel(self, id: str) -> RunResource:
        """Cancel a run, as an operator would; raises `RunStateError` where it has ended."""
        return run_resource(client.cancel_run(id))

    @_off_the_loop
    def retry(self, id: str) -> RunResource:
        """Retry a run, as an operator would; raises `RunStateError` where it has not failed."""
        return run_resource(client.retry_run(id))

    @_off_the_loop
    def replay(
        self, id: str, from_step: str | None = None, data: dict[str, Any] | None = None
    ) -> RunResource:
        """Start a new run from an ended one's event; raises `RunStateError` where it has not ended.

        Args:
            id: the run that has ended.
            from_step: a step's id, or `id:n` for its n-th repetition; results before it are kept.
            data: replaces the event's data in the new run.
        """
        return run_resource(client.replay_run(id, from_step=from_step, data=data))

    @_off_the_loop
    def pause(self, workflow: Named) -> None:
        """Pause a workflow, as an operator would: no run of it starts, or goes on."""
        self._begin_work()
        client.pause_workflow(_id_of(workflow))

    @_off_the_loop
    def resume(self, workflow: Named) -> None:
        """Resume a paused workflow, as an operator would."""
        client.resume_workflow(_id_of(workflow))

    def mock_step(
        self,
        workflow: Named,
        step_id: str,
        *,
        returns: object = None,
        raises: BaseException | type[BaseException] | None = None,
    ) -> None:
        """Let a step return, or raise, something instead of executing its body."""

        def stand_in() -> object:
            if raises is not None:
                raise raises
            return returns

        self._substitutes[_id_of(workflow), step_id] = stand_in

    def crash_at(self, point: str, times: int = 1) -> None:
        """Let the worker die, as if killed, the next `times` times that it passes a point.

        Args:
            point: `before_body`, `after_body` (ran, not stored), `after_store` or `before_finish`.
            times: calls add up.
        """
        if point not in CRASH_POINTS:
            message = f"There is no crash point {point!r}: choose one of {', '.join(CRASH_POINTS)}."
            raise ValueError(message)
        self._crashes[point] += times

    def _begin_work(self) -> None:
        """Have a worker that is alive, and that knows the workflows that the test has defined."""
        known = tuple(id(workflow) for workflow in registry)
        if known != self._registered:
            register_workflows(registry, declared_at=self.now(), without_crons=self._installed)
            self._registered = known
        if self._is_dead:
            self._worker, self._is_dead = None, False
        self._beat()

    def _beat(self) -> None:
        """Renew the lease, or take up another where it was given up; who is dead does not."""
        if self._is_dead:
            return
        until = self.now() + configuration().lease
        if self._worker is None or not self._renewed(self._worker, until):
            self._worker = begin_lease(_identity())
            self._lease = LivingLease(until, beat=self._beat)
        self._lease.until = until

    def _renewed(self, worker: Worker, until: datetime) -> bool:
        """Move the lease's end on; return False where the worker was given up."""
        renewed = Worker.objects.filter(pk=worker.pk).update(
            lease_until=until, beat_at=self.now(), workflows=list(registry.ids())
        )
        return bool(renewed)

    def _round(self) -> bool:
        """Do what a worker does in one round; return whether there was anything to do."""
        if self._lease.is_over():
            self._beat()  # a body has moved the clock
        rescue_expired()
        moved = route_events() + look_again() + wake_runs() + fire_schedules() + expire_runs()
        moved += carry_out_operations()
        runs = self._take()
        for run in runs:
            self._execute(run)
        return bool(moved or runs)

    def _take(self) -> Sequence[TakenRun]:
        assert self._worker is not None  # `_begin_work` made one
        catalogue = current_catalogue()
        mine = takeable(catalogue, None, frozenset(registry.ids()))
        suspect = take_suspect(self._worker.pk, **mine, revision=catalogue.revision)
        if suspect is not None:
            return [suspect]
        return take_runs(self._worker.pk, **mine, revision=catalogue.revision, limit=TAKEN_AT_ONCE)

    def _execute(self, run: TakenRun) -> None:
        use_crash_hook(self._pass_crash_point)
        retries = current_catalogue().retries.get(run.workflow)
        workflow = with_retries(registry.get(run.workflow), retries)
        try:
            execute(Execution(run, workflow, DirectStore(), self._lease, self._substitutes))
        except WorkerKilled:
            pass
        finally:
            use_crash_hook(None)

    def _pass_crash_point(self, name: str) -> None:
        if self._is_dead:
            raise WorkerKilled  # the author's code caught the first one
        if self._crashes.get(name, 0) > 0:
            self._crashes[name] -= 1
            self._is_dead = True
            raise WorkerKilled

    def _next_moment(self, ends: datetime) -> datetime | None:
        """Return when something becomes due, up to a moment: also a dead worker's lease."""
        now = self.now()
        seconds = next_due(queues=None, workflows=frozenset(registry.ids()))
        moments = [] if seconds is None else [now + timedelta(seconds=seconds)]
        alive = self._worker.pk if self._worker and not self._is_dead else None
        leases = Worker.objects.exclude(pk=alive)
        moments += leases.values_list("lease_until", flat=True)
        return min((moment for moment in moments if now < moment <= ends), default=None)


def _is_on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _forward(duration: timedelta | str) -> timedelta:
    forward = parse_duration(duration, argument="duration")
    if forward < timedelta():
        raise InvalidDuration(f"The clock only goes forward, not by {forward}.")
    return forward


def _identity() -> Identity:
    return Identity(
        host=socket.gethostname(),
        pid=0,
        cluster="test",
        queues=None,
        workflows=list(registry.ids()),
        threads=1,
    )


def _id_of(workflow: Named) -> str:
    return workflow if isinstance(workflow, str) else workflow.id


@contextmanager
def running_workflows() -> Iterator[Workflows]:
    """Give a kit whose clock, workflows and crash points end with the block."""
    time = VirtualTime(clock.now())
    clock.use(time)
    forget_what_the_database_knew()
    try:
        with isolated_registry(), nobody_to_wake():
            kit = Workflows(time)
            use_thread(kit._in_a_thread)  # noqa: SLF001  the kit's own
            yield kit
    finally:
        use_thread(None)
        use_crash_hook(None)
        clock.use(None)
        ids.forget_last_id()
        randomness.unseed()
        forget_what_the_database_knew()


def forget_what_the_database_knew() -> None:
    """Read everything anew: a test's database goes back to where it was."""
    forget_catalogue()
    forget_paths()
