"""Code that is changed under running runs: stored results are found by the steps' ids."""

from datetime import timedelta
from typing import Any

import pytest

from tests.support.forms import both_forms, declare
from tests.support.journal import Journal
from workflows import Event, send_signal
from workflows.definitions.registry import registry
from workflows.testing import Workflows

Code = Any


def run_changed(workflows: Workflows, form: str, before: Code, after: Code) -> None:
    """Let a run suspend for an hour in the old code, and go on in the new."""
    declare(form, before)
    workflows.send("go")
    workflows.drain()
    declare(form, after)
    workflows.advance("1h")


@both_forms
def test_added_removed_and_reordered_steps(workflows: Workflows, form: str) -> None:
    journal = Journal()

    async def before(event: Event[Any], step: Any) -> None:
        for name in ("a", "b", "c"):
            await step.run(name, journal.note, name, returns=name)
        await step.sleep("nap", "1h")

    async def after(event: Event[Any], step: Any) -> Any:
        c = await step.run("c", journal.note, "c again")
        added = await step.run("added", journal.note, "added", returns="added")
        a = await step.run("a", journal.note, "a again")
        await step.sleep("nap", "1h")
        return [c, added, a]

    run_changed(workflows, form, before, after)

    [run] = workflows.runs()
    assert (run.status, run.output) == ("completed", ["c", "added", "a"])
    assert journal == ["a", "b", "c", "added"]


@both_forms
def test_a_renamed_step_is_done_anew(workflows: Workflows, form: str) -> None:
    journal = Journal()

    async def before(event: Event[Any], step: Any) -> None:
        await step.run("old", journal.note, "old")
        await step.sleep("nap", "1h")

    async def after(event: Event[Any], step: Any) -> None:
        await step.run("new", journal.note, "new")
        await step.sleep("nap", "1h")

    run_changed(workflows, form, before, after)

    assert workflows.runs()[0].status == "completed"
    assert journal == ["old", "new"]


@both_forms
@pytest.mark.parametrize("tool", ["run", "wait_for_event", "wait_for_signal", "invoke", "sleep"])
@pytest.mark.parametrize("was", ["sleep", "wait_for_event", "wait_for_signal", "retrying"])
def test_a_suspended_step_may_become_any_other(
    workflows: Workflows, form: str, was: str, tool: str
) -> None:
    async def callee(event: Event[Any], step: Any) -> int:
        return 1

    def tools(step: Any) -> dict[str, Any]:
        return {
            "run": lambda: step.run("it", lambda: 1),
            "sleep": lambda: step.sleep("it", "1h"),
            "wait_for_event": lambda: step.wait_for_event("it", event="paid", timeout="1h"),
            "wait_for_signal": lambda: step.wait_for_signal("it", signal="ok", timeout="1h"),
            "invoke": lambda: step.invoke("it", "callee"),
            "retrying": lambda: step.with_options(backoff="1h").run("it", lambda: 1 / 0),
        }

    async def before(event: Event[Any], step: Any) -> None:
        await tools(step)[was]()

    async def after(event: Event[Any], step: Any) -> str:
        await tools(step)[tool]()
        return "done"

    declare("sync", callee, id="callee", trigger=None)
    run_changed(workflows, form, before, after)
    workflows.advance("2h")

    [run] = workflows.runs("it")
    assert (run.status, run.output, len(run.steps)) == ("completed", "done", 1)
    assert not send_signal("ok", 1)


@both_forms
@pytest.mark.parametrize("tool", ["run", "transaction"])
def test_what_a_step_waited_for_is_free_once_its_code_has_become_another(
    workflows: Workflows, form: str, tool: str
) -> None:
    async def before(event: Event[Any], step: Any) -> None:
        await step.parallel(
            lambda: step.wait_for_signal("it", signal="ok", timeout="2d"),
            lambda: step.sleep("nap", "1h"),
        )

    async def after(event: Event[Any], step: Any) -> Any:
        await step.parallel(
            lambda: getattr(step, tool)("it", lambda: 1), lambda: step.sleep("nap", "1h")
        )
        return await step.wait_for_signal("again", signal="ok", timeout="2d")

    run_changed(workflows, form, before, after)
    assert send_signal("ok", 2)
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, run.output) == ("completed", 2)


@both_forms
def test_a_step_that_nobody_waits_for_any_more_does_not_wake_the_run(
    workflows: Workflows, form: str
) -> None:
    async def before(event: Event[Any], step: Any) -> None:
        await step.sleep("short", "1h")

    async def after(event: Event[Any], step: Any) -> None:
        await step.sleep("long", "1d")

    run_changed(workflows, form, before, after)
    workflows.advance("2h")

    [run] = workflows.runs()
    assert (run.status, run.due_at) == ("sleeping", run.steps[1].started_at + timedelta(days=1))


def test_a_workflow_that_no_worker_knows_leaves_its_runs_queued_visibly(
    workflows: Workflows,
) -> None:
    async def other(event: Event[Any], step: Any) -> None:
        return None

    async def forgotten(event: Event[Any], step: Any) -> None:
        await step.sleep("nap", "1h")

    with registry.scoped():
        declare("sync", forgotten, id="forgotten")
        workflows.send("go")
        workflows.drain()
    declare("sync", other, id="other")
    workflows.advance("2h")

    assert [run.status for run in workflows.runs("other")] == []
    [run] = workflows.runs("forgotten")
    assert run.status == "queued"
    assert run.reason == (
        "waits for a worker that knows the workflow 'forgotten': none that is alive does"
    )
