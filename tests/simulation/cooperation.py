"""Threads that take turns: exactly one runs at any time, and the hub decides which is next.

They are greenlets, and so share one thread of the operating system, one connection, and nothing
else: each has context variables of its own, as threads do. A thread gives its turn away only
where it waits, sleeps, or passes a crash point outside a transaction, so that each transaction
is one indivisible move, as it is on SQLite.

`Threading`, `Queues` and `Time` stand in for the modules that the workers' code imports.
"""

import queue
from collections import deque
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import greenlet
from django.db import connection

from workflows.clock import VirtualTime

BEGINNING = datetime(2031, 1, 1, tzinfo=UTC)


class Killed(BaseException):
    """The process dies here, as if by kill -9: nobody can handle it."""


@dataclass(eq=False)
class Process:
    """Some threads that die together, and the memory that they share."""

    name: str
    pid: int
    is_alone: bool = False
    is_dead: bool = False
    paused_until: float = 0.0
    statements_to_error: int | None = None
    memory: dict[str, Any] = field(default_factory=dict)


class Thread:
    """One thread of a process."""

    def __init__(self, world: "World", process: Process, work: Callable[[], object]) -> None:
        self.process = process
        self.is_over: Callable[[], bool] = _at_once
        self.wakes_at: float | None = None
        self.transaction = ""  # the name of the last one that it began
        self._world = world
        self._work = work
        self.greenlet = greenlet.greenlet(self._main, parent=world.hub)
        self.greenlet.gr_context = Context()

    def is_runnable(self) -> bool:
        """Tell whether the thread could go on now."""
        elapsed = self._world.elapsed
        if self.process.paused_until > elapsed:
            return False
        return (self.wakes_at is not None and self.wakes_at <= elapsed) or self.is_over()

    def _main(self) -> None:
        try:
            self._work()
        except (Killed, greenlet.GreenletExit):
            pass
        except BaseException as error:  # noqa: BLE001  the hub raises it
            self._world.escaped.append(error)


class World:
    """All processes of one history, and its time."""

    def __init__(self) -> None:
        self.elapsed = 0.0  # seconds, as monotonic clocks count them: they never go back
        self.clock = VirtualTime(BEGINNING)
        self.threads: list[Thread] = []
        self.current: Thread | None = None
        self.escaped: list[BaseException] = []
        self.on_process_switch: Callable[[Process | None, Process], None] = _ignore
        self.hub = greenlet.getcurrent()
        self._last_process: Process | None = None

    def spawn(self, process: Process, work: Callable[[], object]) -> Thread:
        """Add a thread to a process."""
        thread = Thread(self, process, work)
        self.threads.append(thread)
        return thread

    def runnable(self) -> list[Thread]:
        """Return the threads that could go on now, in the order in which they were added."""
        return [thread for thread in self.threads if thread.is_runnable()]

    def resume(self, thread: Thread) -> None:
        """Let a thread run until it gives its turn away; raise what escaped from it."""
        self._switch_to(thread, thread.greenlet.switch)
        self._bury()

    def kill(self, process: Process) -> None:
        """End a process and all of its threads at once."""
        process.is_dead = True
        self._bury()

    def wait(self, is_over: Callable[[], bool], timeout: float | None = None) -> bool:
        """Give the turn away until something is so, or the time is over; return whether it is."""
        thread = self._require_alive()
        if connection.in_atomic_block:
            assert is_over(), "a thread would wait inside a transaction, which is one move"
            return True
        thread.is_over = is_over
        thread.wakes_at = None if timeout is None else self.elapsed + timeout
        self.hub.switch()
        self._require_alive()
        return is_over()

    def pass_time(self, seconds: float) -> None:
        """Let time go by, for every clock."""
        self.elapsed += seconds
        self.jump(seconds)

    def jump(self, seconds: float) -> None:
        """Move the database's clock, which may go back, and no monotonic one."""
        self.clock.move_to(self.clock.now() + timedelta(seconds=seconds))

    def seconds_to_next(self) -> float | None:
        """Return after how many seconds some thread will be runnable."""
        moments = [
            max(thread.process.paused_until, thread.wakes_at or 0.0)
            for thread in self.threads
            if thread.wakes_at is not None or thread.process.paused_until > self.elapsed
        ]
        return max(0.0, min(moments) - self.elapsed) if moments else None

    def end(self) -> None:
        """Unwind all threads that are left."""
        for thread in self.threads:
            thread.process.is_dead = True
        self._bury()

    def _require_alive(self) -> Thread:
        assert self.current is not None, "the hub cannot wait"
        if self.current.process.is_dead:
            raise Killed
        return self.current

    def _bury(self) -> None:
        """Unwind the threads of dead processes; forget those that have ended."""
        for thread in [thread for thread in self.threads if thread.process.is_dead]:
            if thread.greenlet:
                self._switch_to(thread, thread.greenlet.throw, Killed)
        self.threads = [
            thread
            for thread in self.threads
            if not thread.greenlet.dead and not thread.process.is_dead
        ]
        if self.escaped:
            raise self.escaped.pop()

    def _switch_to(self, thread: Thread, switch: Callable[..., object], *arguments: Any) -> None:
        if thread.process is not self._last_process:
            self.on_process_switch(self._last_process, thread.process)
            self._last_process = thread.process
        self.current = thread
        try:
            switch(*arguments)
        finally:
            self.current = None


def _at_once() -> bool:
    return True


def _ignore(_: Process | None, __: Process) -> None:
    return


class PlainLock:
    """Stands in for `threading.Lock` and, because no thread takes it twice, for `RLock`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._is_locked = False

    def acquire(self, *, blocking: bool = True) -> bool:
        if self._is_locked:
            if not blocking:
                return False
            self._world.wait(lambda: not self._is_locked)
        self._is_locked = True
        return True

    def release(self) -> None:
        self._is_locked = False

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Condition(PlainLock):
    """Stands in for `threading.Condition`: the hub itself sees when the condition holds."""

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        if predicate():
            return True
        self.release()
        try:
            return self._world.wait(predicate, timeout)
        finally:
            self.acquire()

    def notify_all(self) -> None:
        """Do nothing: see above."""


class Event:
    """Stands in for `threading.Event`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        return self._is_set or self._world.wait(self.is_set, timeout)


class Semaphore:
    """Stands in for `threading.Semaphore`."""

    def __init__(self, world: World, value: int) -> None:
        self._world = world
        self._value = value

    def acquire(self) -> bool:
        if self._value == 0:
            self._world.wait(lambda: self._value > 0)
        self._value -= 1
        return True

    def release(self) -> None:
        self._value += 1


class StartableThread:
    """Stands in for `threading.Thread`; it belongs to the process that starts it."""

    def __init__(self, world: World, work: Callable[[], object]) -> None:
        self._world = world
        self._work = work
        self._thread: Thread | None = None

    @property
    def ident(self) -> int | None:
        return None if self._thread is None else id(self._thread)

    def start(self) -> None:
        assert self._world.current is not None
        self._thread = self._world.spawn(self._world.current.process, self._work)

    def join(self, timeout: float | None = None) -> None:
        thread = self._thread
        if thread is not None:
            self._world.wait(lambda: thread.greenlet.dead, timeout)


class Threading:
    """Stands in for the module `threading`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def Lock(self) -> PlainLock:  # noqa: N802  these names are the module's
        return PlainLock(self._world)

    def RLock(self) -> PlainLock:  # noqa: N802
        return PlainLock(self._world)

    def Condition(self) -> Condition:  # noqa: N802
        return Condition(self._world)

    def Event(self) -> Event:  # noqa: N802
        return Event(self._world)

    def Semaphore(self, value: int = 1) -> Semaphore:  # noqa: N802
        return Semaphore(self._world, value)

    def Thread(self, *, target: Callable[[], object], **_: object) -> StartableThread:  # noqa: N802
        return StartableThread(self._world, target)


class SimpleQueue:
    """Stands in for `queue.SimpleQueue`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._items: deque[Any] = deque()

    def __class_getitem__(cls, _: object) -> type["SimpleQueue"]:
        return cls

    def put(self, item: object) -> None:
        self._items.append(item)

    def get(self) -> Any:
        if not self._items:
            self._world.wait(lambda: bool(self._items))
        return self._items.popleft()

    def get_nowait(self) -> Any:
        if not self._items:
            raise queue.Empty
        return self._items.popleft()


class Queues:
    """Stands in for the module `queue`."""

    Empty = queue.Empty

    def __init__(self, world: World) -> None:
        self._world = world

    def SimpleQueue(self) -> SimpleQueue:  # noqa: N802  the name is the module's
        return SimpleQueue(self._world)


class Time:
    """Stands in for the module `time`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def monotonic(self) -> float:
        return self._world.elapsed

    def sleep(self, seconds: float) -> None:
        self._world.wait(lambda: False, seconds)
