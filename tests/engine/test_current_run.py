"""`current_run()`: what code can ask of the run that it is a part of."""

import logging
from typing import Any

import pytest

from tests.support.forms import both_forms, declare
from tests.support.journal import Journal
from workflows import Event, WorkflowsError, current_run
from workflows.testing import Workflows


@both_forms
def test_code_learns_about_its_run(workflows: Workflows, form: str) -> None:
    seen = Journal()

    def body() -> None:
        me = current_run()
        seen.note((me.workflow_id, me.step_id, me.attempt, me.max_attempts))
        seen.note(me.idempotency_key)
        if len(seen) == 2:
            raise ValueError("again")

    async def code(event: Event[Any], step: Any) -> Any:
        await step.run("look", body)
        await step.run("look", body)
        me = current_run()
        return [me.id, me.workflow_id, me.step_id, me.idempotency_key, me.max_attempts]

    declare(form, code, retries=3)
    workflows.send("go")
    workflows.advance("1h")

    [run] = workflows.runs()
    assert run.output == [run.id, "it", None, None, 4]
    assert seen[0::2] == [("it", "look", 0, 4), ("it", "look", 1, 4), ("it", "look", 0, 4)]
    assert seen[1] == seen[3]
    assert seen[5] not in (None, seen[1])


@both_forms
def test_attempts_between_steps_are_those_of_the_code_there(
    workflows: Workflows, form: str
) -> None:
    attempts = Journal()

    async def code(event: Event[Any], step: Any) -> None:
        attempts.note(current_run().attempt)
        if len(attempts) < 3:
            raise ValueError("again")
        await step.run("a", lambda: None)
        attempts.note(current_run().attempt)

    declare(form, code)
    workflows.send("go")
    workflows.advance("1h")

    assert attempts == [0, 1, 2, 0]


@both_forms
def test_the_logger_says_everything_once(
    workflows: Workflows, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "workflows.run")

    async def code(event: Event[Any], step: Any) -> None:
        async def branch() -> None:
            current_run().logger.info("in branch")
            await step.sleep("nap", "30m")
            current_run().logger.info("branch slept")

        log = current_run().logger
        log.info("begun")
        await step.run("a", lambda: current_run().logger.info("in a"))
        log.info("after a")
        await step.run("b", lambda: None)
        log.info("before nap")
        await step.sleep("nap", "1h")
        log.info("slept")
        await step.wait_for_event("paid", event="paid", timeout="1h")
        log.info("waited")
        await step.parallel(branch, branch)
        log.info("joined")

    declare(form, code)
    workflows.send("go")
    workflows.advance("1h")
    workflows.send("paid")
    workflows.advance("1h")

    [run] = workflows.runs()
    said = [record.getMessage().partition(" run=")[0] for record in caplog.records]
    assert said == [
        *("begun", "in a", "after a", "before nap", "slept", "waited"),
        *("in branch", "in branch", "branch slept", "branch slept", "joined"),
    ]
    assert all(f"run={run.id} workflow=it" in record.getMessage() for record in caplog.records)


@both_forms
def test_the_logger_tells_of_each_attempt_of_the_code_between_steps(
    workflows: Workflows, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "workflows.run")

    async def code(event: Event[Any], step: Any) -> None:
        current_run().logger.info("begun")
        await step.run("a", lambda: None)
        current_run().logger.info("attempt %s", current_run().attempt)
        if current_run().attempt == 0:
            raise ValueError("once")

    declare(form, code)
    workflows.send("go")
    workflows.advance("1h")

    said = [record.getMessage().partition(" run=")[0] for record in caplog.records]
    assert said == ["begun", "attempt 0", "attempt 1"]


@pytest.mark.parametrize("kind", ["sync body", "coroutine body"])
@both_forms
def test_a_body_learns_that_its_run_was_cancelled(
    workflows: Workflows, form: str, kind: str
) -> None:
    seen = Journal()

    def body() -> None:
        seen.note(current_run().cancel_requested)
        workflows.cancel(current_run().id)
        seen.note(current_run().cancel_requested)

    async def coroutine_body() -> None:
        body()

    async def code(event: Event[Any], step: Any) -> None:
        await step.run("a", body if kind == "sync body" else coroutine_body)
        await step.run("b", seen.note, "b")

    declare(form, code)
    workflows.send("go")
    workflows.drain()

    assert (workflows.runs()[0].status, seen) == ("cancelled", [False, True])


def test_outside_a_workflow_there_is_no_current_run() -> None:
    with pytest.raises(WorkflowsError, match="outside a workflow"):
        current_run()
