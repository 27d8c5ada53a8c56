"""The time that a step's body may take: once it is over, an exception is raised in its thread.

Python cannot stop a thread, and an exception reaches it only between two of its own
instructions: a body that waits in C code, or that catches everything, goes on all the same.
Where it still does after a while, the process is told, and sees to its own replacement.
"""

import asyncio
import ctypes
import heapq
import itertools
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from workflows.definitions.durations import format_duration
from workflows.errors import LeaseLost, StepTimeout, TimeIsUp

OVERTIME = 2.0  # seconds after its end in which a body can still heed the exception

Result = TypeVar("Result")


class TimeLimit:
    """The time of one body. Who takes a token decides: the body that ends, or the watchdog."""

    def __init__(self, time: timedelta, *, overran: Callable[[StepTimeout], None] | None) -> None:
        """Make a limit.

        Args:
            time: how long the body may take.
            overran: called, on any thread, where the body goes on all the same; None: that is let
                be.
        """
        self._time = time
        self._overran = overran
        self._to_interrupt, self._to_give_up = [None], [None]
        self._has_interrupted = threading.Event()
        self._thread = 0

    def call(self, body: Callable[[], Result]) -> Result:
        """Call a body on this thread.

        Raises:
            StepTimeout: its time was over before it ended.
            LeaseLost: so it was, and somebody else has recorded that already.
        """
        self._thread = threading.get_ident()
        _watchdog.call_in(self._time.total_seconds(), self._interrupt)
        try:
            try:
                return body()
            finally:
                self._end()
        except TimeIsUp as interrupt:
            self._require_not_given_up()
            raise self._error() from interrupt

    async def await_(self, body: Callable[[], Awaitable[Result]]) -> Result:
        """Await a body on this thread's event loop; raises as `call` does."""
        seconds = self._time.total_seconds()
        _watchdog.call_in(seconds + OVERTIME, self._give_up)
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                value = await body()
        except BaseException as error:
            self._require_not_given_up()
            if limit.expired():
                raise self._error() from error
            raise
        self._require_not_given_up()
        if limit.expired():
            raise self._error()  # the body has swallowed its cancellation
        return value

    def _error(self) -> StepTimeout:
        return StepTimeout(f"The body was not done within {format_duration(self._time)}.")

    def _interrupt(self) -> None:
        """Raise an exception in the body's thread, unless it has ended."""
        if not _take(self._to_interrupt):
            return
        _raise_in_thread(self._thread, TimeIsUp)
        self._has_interrupted.set()
        _watchdog.call_in(OVERTIME, self._give_up)

    def _end(self) -> None:
        """Let no exception be raised later; one that is under way is raised now."""
        if _take(self._to_interrupt):
            return
        self._has_interrupted.wait()
        _raise_in_thread(self._thread, None)
        raise TimeIsUp

    def _give_up(self) -> None:
        """Record that the body goes on, unless it has ended."""
        if self._overran is not None and _take(self._to_give_up):
            self._overran(self._error())

    def _require_not_given_up(self) -> None:
        if not _take(self._to_give_up):
            raise LeaseLost


class Watchdog:
    """The one thread of a process that does what is due after a time: begun when it is needed."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def call_in(self, seconds: float, action: Callable[[], None]) -> None:
        """Have something done after a time; it must take next to none itself."""
        entry = (time.monotonic() + seconds, next(self._order), action)
        with self._changed:
            heapq.heappush(self._due, entry)
            if self._due[0] is entry:
                self._changed.notify()
            if self._thread is None or not self._thread.is_alive():  # after a fork it is not
                self._thread = threading.Thread(
                    target=self._watch, name="workflows-watchdog", daemon=True
                )
                self._thread.start()

    def _watch(self) -> None:
        while True:
            self._wait_for_one()()

    def _wait_for_one(self) -> Callable[[], None]:
        with self._changed:
            while True:
                now = time.monotonic()
                if self._due and self._due[0][0] <= now:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(self._due[0][0] - now if self._due else None)


_watchdog = Watchdog()


def _take(tokens: list[None]) -> bool:
    """Take the one token; return whether nobody else had. Python does this in one step."""
    try:
        tokens.pop()
    except IndexError:
        return False
    return True


def _raise_in_thread(thread: int, interrupt: type[BaseException] | None) -> None:
    """Have an exception raised in a thread before its next instruction; None takes that back."""
    exception = None if interrupt is None else ctypes.py_object(interrupt)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), exception)
