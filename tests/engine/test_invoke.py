"""Invocations: a step is answered by the run that it waits for, and by no other."""

from typing import Any

import pytest

from tests.support.forms import both_forms, declare
from workflows import Event, NonRetriableError, send_signal
from workflows.testing import Workflows


async def slow(event: Event[Any], step: Any) -> Any:
    """The first one that is invoked takes two hours, the second one three."""
    number = await step.run("number", lambda: current["number"])
    await step.sleep("nap", f"{2 + number}h")
    return number


current: dict[str, int] = {}


@pytest.fixture(autouse=True)
def _first() -> None:
    current["number"] = 0


@both_forms
def test_a_retried_step_is_not_answered_by_what_it_invoked_before(
    workflows: Workflows, form: str
) -> None:
    async def code(event: Event[Any], step: Any) -> Any:
        return await step.invoke("call", "callee", timeout="150m" if current["number"] else "1h")

    declare("sync", slow, id="callee", trigger=None)
    declare(form, code, id="caller", retries=0)
    workflows.send("go")
    workflows.advance("1h")
    [caller] = workflows.runs("caller")
    assert (caller.status, caller.error["name"]) == ("failed", "InvokeTimeout")
    current["number"] = 1
    workflows.retry(caller.id)
    workflows.advance("1h")
    assert [run.output for run in workflows.runs("callee")] == [0, None]
    assert workflows.run(caller.id).status == "waiting"
    workflows.advance("90m")

    assert workflows.run(caller.id).error["name"] == "InvokeTimeout"


@both_forms
def test_a_retried_step_is_answered_by_what_it_invoked_anew(
    workflows: Workflows, form: str
) -> None:
    async def code(event: Event[Any], step: Any) -> Any:
        return await step.invoke("call", "callee", timeout="4h" if current["number"] else "1h")

    declare("sync", slow, id="callee", trigger=None)
    declare(form, code, id="caller", retries=0)
    workflows.send("go")
    workflows.advance("1h")
    current["number"] = 1
    [caller] = workflows.runs("caller")
    workflows.retry(caller.id)
    workflows.advance("3h")

    assert workflows.run(caller.id).output == 1


@both_forms
def test_a_callee_that_is_retried_answers_nobody_who_has_invoked_another(
    workflows: Workflows, form: str
) -> None:
    async def failing(event: Event[Any], step: Any) -> str:
        if not current["number"]:
            raise NonRetriableError("no")
        await step.sleep("nap", event.data["nap"])
        return str(event.data["nap"])

    async def code(event: Event[Any], step: Any) -> Any:
        nap = "2h" if current["number"] else "1h"
        return await step.invoke("call", "callee", {"nap": nap})

    declare("sync", failing, id="callee", trigger=None)
    declare(form, code, id="caller", retries=0)
    workflows.send("go")
    workflows.drain()
    [caller], [callee] = workflows.runs("caller"), workflows.runs("callee")
    current["number"] = 1
    workflows.retry(caller.id)
    workflows.drain()
    workflows.retry(callee.id)
    workflows.advance("2h")

    assert [run.output for run in workflows.runs("callee")] == ["1h", "2h"]
    assert workflows.run(caller.id).output == "2h"


@both_forms
def test_a_step_that_has_become_another_is_not_answered_by_what_it_invoked(
    workflows: Workflows, form: str
) -> None:
    async def before(event: Event[Any], step: Any) -> Any:
        await step.parallel(
            lambda: step.sleep("short", "1h"),
            lambda: step.invoke("it", "callee"),
        )

    async def after(event: Event[Any], step: Any) -> Any:
        _, told = await step.parallel(
            lambda: step.sleep("short", "1h"),
            lambda: step.wait_for_event("it", event="told", timeout="1d"),
        )
        return told.data if told else None

    declare("sync", slow, id="callee", trigger=None)
    declare(form, before, id="caller")
    workflows.send("go")
    workflows.drain()
    declare(form, after, id="caller")
    workflows.advance("3h")
    [caller] = workflows.runs("caller")
    assert (caller.status, workflows.runs("callee")[0].output) == ("waiting", 0)
    workflows.send("told", {"n": 1})
    workflows.drain()

    assert workflows.run(caller.id).output == {"n": 1}


@both_forms
@pytest.mark.parametrize("ends", ["while it has failed", "after its retry"])
def test_a_run_that_fails_while_it_waits_is_answered_all_the_same(
    workflows: Workflows, form: str, ends: str
) -> None:
    async def code(event: Event[Any], step: Any) -> Any:
        async def nested() -> Any:
            return None if current["number"] else await step.run("inner", lambda: None)

        number, _ = await step.parallel(
            lambda: step.invoke("call", "callee"), lambda: step.run("outer", nested)
        )
        return number

    declare("sync", slow, id="callee", trigger=None)
    declare(form, code, id="caller", retries=0)
    workflows.send("go")
    workflows.drain()
    [caller] = workflows.runs("caller")
    assert (caller.status, caller.steps[0].status) == ("failed", "waiting")
    current["number"] = 1
    if ends == "while it has failed":
        workflows.advance("2h")
    workflows.retry(caller.id)
    workflows.advance("3h")

    assert (workflows.run(caller.id).status, workflows.run(caller.id).output) == ("completed", 0)
    assert len(workflows.runs("callee")) == 1


@both_forms
@pytest.mark.parametrize("comes", ["while it has failed", "after its retry"])
def test_a_run_that_fails_while_it_waits_still_gets_its_event_and_its_signal(
    workflows: Workflows, form: str, comes: str
) -> None:
    async def code(event: Event[Any], step: Any) -> Any:
        async def nested() -> Any:
            return None if current["number"] else await step.run("inner", lambda: None)

        told, signalled, _ = await step.parallel(
            lambda: step.wait_for_event("told", event="told", timeout="1h"),
            lambda: step.wait_for_signal("ok", signal="ok", timeout="1h"),
            lambda: step.run("outer", nested),
        )
        return [told and told.data, signalled]

    declare(form, code, id="it", retries=0)
    workflows.send("go")
    workflows.drain()
    [run] = workflows.runs("it")
    assert (run.status, [step.status for step in run.steps]) == ("failed", ["waiting"] * 2)
    assert not send_signal("ok", 1)
    current["number"] = 1
    if comes == "while it has failed":
        workflows.send("told", {"n": 1})
        workflows.advance("2h")
    workflows.retry(run.id)
    workflows.drain()
    if comes == "after its retry":
        workflows.send("told", {"n": 1})
    assert send_signal("ok", 2)
    workflows.drain()

    assert (workflows.run(run.id).status, workflows.run(run.id).output) == (
        "completed",
        [{"n": 1}, 2],
    )
