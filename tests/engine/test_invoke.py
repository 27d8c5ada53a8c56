"""`step.invoke`: answered by the run that it waits for, whatever becomes of it, and by no other."""

from typing import Any

import pytest

from tests.support.forms import both_forms, declare
from tests.support.journal import Journal
from workflows import Event, NonRetriableError, StepError, Workflow
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


def declare_caller(form: str, callee: Workflow[..., Any] | str, **options: Any) -> None:
    async def code(event: Event[Any], step: Any) -> Any:
        try:
            return await step.invoke("call", callee, **options)
        except StepError as error:
            return [error.name, error.step_id]

    declare(form, code, id="caller", retries=0)


@both_forms
def test_it_gives_the_output_or_raises_the_error(workflows: Workflows, form: str) -> None:
    async def doubles(event: Event[Any], step: Any) -> Any:
        if event.data["n"] < 0:
            raise ValueError("negative")
        return event.data["n"] * 2

    callee = declare("sync", doubles, id="callee", trigger=None, retries=0)

    async def code(event: Event[Any], step: Any) -> Any:
        double = await step.invoke("good", callee, {"n": 4})
        try:
            await step.invoke("bad", "callee", {"n": -1})
        except StepError as error:
            return [double, type(error).__name__, error.name, error.message]

    declare(form, code, id="caller", retries=0)
    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs("caller")
    assert run.output == [8, "StepError", "ValueError", "negative"]
    assert [child.parent for child in workflows.runs("callee")] == [run.id, run.id]


@both_forms
def test_it_times_out_and_the_callee_goes_on(workflows: Workflows, form: str) -> None:
    declare("sync", slow, id="callee", trigger=None)
    declare_caller(form, "callee", timeout="1h")
    workflows.send("go")
    workflows.advance("59m")
    assert workflows.runs("caller")[0].status == "waiting"
    workflows.advance("1m")
    assert workflows.runs("caller")[0].output == ["InvokeTimeout", "call"]
    workflows.advance("1h")

    assert workflows.runs("callee")[0].output == 0


@both_forms
def test_what_nobody_knows_fails_the_step(workflows: Workflows, form: str) -> None:
    declare_caller(form, "nobody")
    workflows.send("go")
    workflows.drain()

    assert workflows.runs("caller")[0].output == ["UnknownWorkflow", "call"]


@both_forms
def test_a_cancelled_callee_is_told_to_its_caller(workflows: Workflows, form: str) -> None:
    declare("sync", slow, id="callee", trigger=None)
    declare_caller(form, "callee")
    workflows.send("go")
    workflows.drain()
    workflows.cancel(workflows.runs("callee")[0].id)
    workflows.drain()

    assert workflows.runs("caller")[0].output == ["RunCancelled", "call"]


@both_forms
def test_a_caller_hears_that_the_run_it_invoked_killed_its_workers(
    workflows: Workflows, form: str
) -> None:
    async def poison(event: Event[Any], step: Any) -> None:
        await step.run("kill", lambda: None)

    declare("sync", poison, id="callee", trigger=None)
    declare_caller(form, "callee")
    workflows.send("go")
    workflows.crash_at("before_body", times=5)
    for _ in range(8):
        workflows.advance("1m")

    assert workflows.runs("callee")[0].error["name"] == "WorkerLost"
    assert workflows.runs("caller")[0].output == ["WorkerLost", "call"]


@both_forms
def test_a_retry_invokes_anew_what_had_failed(workflows: Workflows, form: str) -> None:
    journal = Journal()

    async def failing(event: Event[Any], step: Any) -> int:
        journal.note(event.data)
        if len(journal) == 1:
            raise ValueError("no")
        return 7

    async def code(event: Event[Any], step: Any) -> Any:
        return await step.invoke("call", "callee", {"n": 1})

    declare(form, failing, id="callee", trigger=None, retries=0)
    declare(form, code, id="caller", retries=0)
    workflows.send("go")
    workflows.drain()
    [caller] = workflows.runs("caller")
    assert (caller.status, caller.error["name"]) == ("failed", "ValueError")
    workflows.retry(caller.id)
    workflows.drain()

    assert (workflows.run(caller.id).output, journal) == (7, [{"n": 1}, {"n": 1}])
    assert [run.parent for run in workflows.runs("callee")] == [caller.id, caller.id]


@both_forms
def test_a_cancelled_caller_leaves_its_callee_alone(workflows: Workflows, form: str) -> None:
    async def slow(event: Event[Any], step: Any) -> str:
        await step.sleep("nap", "1h")
        return "done"

    declare(form, slow, id="callee", trigger=None)
    declare_caller(form, "callee")
    workflows.send("go")
    workflows.drain()
    workflows.cancel(workflows.runs("caller")[0].id)
    workflows.advance("1h")

    [caller] = workflows.runs("caller")
    assert (caller.status, caller.steps[0].status) == ("cancelled", "waiting")
    assert workflows.runs("callee")[0].output == "done"


@both_forms
def test_an_endless_recursion_of_invocations_ends(
    workflows: Workflows, form: str, settings: Any
) -> None:
    async def recursive(event: Event[Any], step: Any) -> Any:
        return await step.invoke("again", "it", {})

    settings.WORKFLOWS = {**settings.WORKFLOWS, "MAX_INVOCATION_DEPTH": 5}
    declare(form, recursive)
    workflows.send("go")
    workflows.drain()

    runs = workflows.runs()
    assert [run.status for run in runs] == ["failed"] * 6
    assert {run.error["name"] for run in runs} == {"InvocationTooDeep"}


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
