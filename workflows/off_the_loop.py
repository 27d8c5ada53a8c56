"""How code on an event loop does what uses the database: on another thread."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from asgiref.sync import AsyncToSync, sync_to_async

Result = TypeVar("Result")
Thread = Callable[[Callable[[], Any]], Awaitable[Any]]

_thread: Thread | None = None


def use_thread(thread: Thread | None) -> None:
    """Do the work on threads of the test kit's, which have the test's connection; None: not so."""
    global _thread  # noqa: PLW0603  a process has one
    _thread = thread


async def off_the_loop(work: Callable[[], Result]) -> Result:
    """Do sync work on the thread that Django gives it."""
    has_own_thread = getattr(AsyncToSync.executors, "current", None) is not None
    if _thread is None or has_own_thread:
        return await sync_to_async(work)()
    result: Result = await _thread(work)
    return result
