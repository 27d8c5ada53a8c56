"""Each tool has a sync and an async form: tests write a workflow's code once, and run it as both.

The code is a coroutine function. As a sync workflow it is given tools that never have to be
waited for, so that the coroutine runs through at once, on the workflow's own thread.
"""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from workflows import Event, Workflow, workflow

Code = Callable[[Event[Any], Any], Coroutine[Any, Any, Any]]

both_forms = pytest.mark.parametrize("form", ["sync", "async"])
CRASH_POINTS = ("before_body", "after_body", "after_store", "before_finish")


def declare(form: str, code: Code, *, id: str = "it", **options: Any) -> Workflow[..., Any]:
    """Declare a workflow, triggered by `go` unless it says otherwise, in one of the forms."""
    options.setdefault("trigger", "go")

    async def async_code(event: Event[Any], step: Any) -> Any:
        return await code(event, step)

    def sync_code(event: Event[Any], step: Any) -> Any:
        return through(code(event, Awaitable(step)))

    # In each form all have one place, so that a test can declare a workflow again, otherwise.
    return workflow(id=id, **options)(async_code if form == "async" else sync_code)


def through(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    message = "the coroutine waits for something"
    raise AssertionError(message)


class Awaitable:
    """Sync tools that can be awaited."""

    def __init__(self, step: Any) -> None:
        self._step = step

    def with_options(self, **options: Any) -> "Awaitable":
        return Awaitable(self._step.with_options(**options))

    async def parallel(self, *branches: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return self._step.parallel(*(_as_sync(branch) for branch in branches))

    def __getattr__(self, tool: str) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            return getattr(self._step, tool)(*args, **kwargs)

        return call


def _as_sync(branch: Callable[[], Coroutine[Any, Any, Any]]) -> Callable[[], Any]:
    return lambda: through(branch())
