"""What follows from the ends of runs: `on_failure`, system events, callers."""

from typing import Any

import pytest

from tests.support.forms import CRASH_POINTS, both_forms, declare
from tests.support.journal import Journal
from workflows import Event
from workflows.testing import Workflows


@pytest.mark.parametrize("point", [None, *CRASH_POINTS])
@both_forms
def test_on_failure_runs_once_with_the_runs_own_event_and_error(
    workflows: Workflows, form: str, point: str | None
) -> None:
    told = Journal()

    def tell(event: Event[Any], error: Any, step: Any) -> None:
        step.run("tell", told.note, (event.name, event.data, error.name, error.message))

    async def code(event: Event[Any], step: Any) -> None:
        await step.run("a", Journal().fail, "a", ValueError("broken"))

    declare(form, code, retries=0, on_failure=tell)
    if point:
        workflows.crash_at(point)
    workflows.send("go", {"n": 1})
    workflows.advance("2m")

    # After its own body, the handler's worker dies before the result is stored.
    times = 2 if point == "after_body" else 1
    assert told == [("go", {"n": 1}, "ValueError", "broken")] * times
    assert [run.status for run in workflows.runs("it/on-failure")] == ["completed"]
    assert [run.status for run in workflows.runs("it")] == ["failed"]


@both_forms
def test_on_failure_does_not_run_for_a_cancelled_run(workflows: Workflows, form: str) -> None:
    def tell(event: Event[Any], error: Any, step: Any) -> None:
        raise AssertionError

    async def code(event: Event[Any], step: Any) -> None:
        await step.sleep("nap", "1h")

    declare(form, code, on_failure=tell)
    workflows.send("go")
    workflows.drain()
    workflows.cancel(workflows.runs()[0].id)
    workflows.advance("2h")

    assert workflows.runs("it/on-failure") == []


@both_forms
def test_a_run_that_a_system_event_started_emits_none_but_has_its_on_failure(
    workflows: Workflows, form: str
) -> None:
    told = Journal()

    def tell(event: Event[Any], error: Any, step: Any) -> None:
        told.note((event.name, error.name))

    async def fails(event: Event[Any], step: Any) -> None:
        raise ValueError("broken")

    async def watches(event: Event[Any], step: Any) -> None:
        told.note(event.data["workflow"])

    declare(form, fails, id="fails", retries=0)
    declare(form, fails, id="it", trigger="workflows/run.failed", retries=0, on_failure=tell)
    declare(form, watches, id="watches", trigger="workflows/run.finished")
    workflows.send("go")
    workflows.advance("1h")

    assert sorted(told, key=str) == [("workflows/run.failed", "ValueError"), "fails"]


@both_forms
def test_system_events_say_how_a_run_ended(workflows: Workflows, form: str) -> None:
    told = Journal()

    async def watches(event: Event[Any], step: Any) -> None:
        data = event.data
        told.note((event.name, data["status"], data["output"], data["event"]["data"]["n"]))
        assert set(data) == {"runId", "workflow", "status", "output", "error", "event"}

    async def code(event: Event[Any], step: Any) -> int:
        if event.data["n"] == 1:
            raise ValueError("broken")
        if event.data["n"] == 2:
            await step.sleep("nap", "1h")
        return 7

    declare(form, watches, id="watches", trigger="workflows/*")
    declare(form, code, retries=0)
    for n in range(3):
        workflows.send("go", {"n": n})
    workflows.drain()
    workflows.cancel(workflows.runs("it")[2].id)
    workflows.drain()

    assert sorted(told, key=str) == [
        ("workflows/run.cancelled", "cancelled", None, 2),
        ("workflows/run.failed", "failed", None, 1),
        ("workflows/run.finished", "cancelled", None, 2),
        ("workflows/run.finished", "completed", 7, 0),
        ("workflows/run.finished", "failed", None, 1),
    ]
