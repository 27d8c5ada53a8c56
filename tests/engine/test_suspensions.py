"""Every tool that suspends or sends: at each crash point, and where it is called wrongly."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.forms import CRASH_POINTS, both_forms, declare
from workflows import Event, StepError, send_signal
from workflows.testing import Workflows

Answer = Any
TOOLS = ["sleep", "sleep_until", "send_event", "wait_for_event", "wait_for_signal", "invoke"]


def use(tool: str, step: Any, moment: datetime) -> Any:
    """Call one tool; each waits at most an hour."""
    calls = {
        "sleep": lambda: step.sleep("it", "10m"),
        "sleep_until": lambda: step.sleep_until("it", moment),
        "send_event": lambda: step.send_event("it", Event("told", {"n": 1})),
        "wait_for_event": lambda: step.wait_for_event("it", event="paid", timeout="1h"),
        "wait_for_signal": lambda: step.wait_for_signal("it", signal="ok", timeout="1h"),
        "invoke": lambda: step.invoke("it", "callee", {"n": 1}, timeout="1h"),
    }
    return calls[tool]()


@pytest.mark.parametrize("point", CRASH_POINTS)
@pytest.mark.parametrize("tool", TOOLS)
@both_forms
def test_each_tool_does_its_work_once_though_the_worker_dies(
    workflows: Workflows, form: str, tool: str, point: str
) -> None:
    begin = workflows.now()

    async def callee(event: Event[Any], step: Any) -> int:
        return int(event.data["n"]) + 1

    async def told(event: Event[Any], step: Any) -> None:
        return None

    async def code(event: Event[Any], step: Any) -> Any:
        answer = await use(tool, step, begin + timedelta(minutes=10))
        return answer.data["n"] if isinstance(answer, Event) else answer

    declare("sync", callee, id="callee", trigger=None)
    declare("sync", told, id="told", trigger="told")
    declare(form, code, retries=0)
    workflows.crash_at(point)
    workflows.send("go")
    workflows.advance("1m")
    workflows.send("paid", {"n": 5})
    if tool == "wait_for_signal":
        assert send_signal("ok", 6)
    workflows.advance("20m")

    [run] = workflows.runs("it")
    expected = {"wait_for_event": 5, "wait_for_signal": 6, "invoke": 2}
    assert (run.status, run.attempt) == ("completed", 0)
    assert len(run.steps) == 1
    if tool == "send_event":
        assert [told.event_ids for told in workflows.runs("told")] == [run.output]
    else:
        assert run.output == expected.get(tool)
    assert len(workflows.runs("callee")) == (1 if tool == "invoke" else 0)


@both_forms
def test_a_sleeper_wakes_once_and_not_early(workflows: Workflows, form: str) -> None:
    woken: list[datetime] = []

    async def code(event: Event[Any], step: Any) -> None:
        await step.sleep("nap", timedelta(hours=1))
        await step.run("note", lambda: woken.append(workflows.now()))

    declare(form, code)
    begin = workflows.now()
    workflows.send("go")
    workflows.advance("59m59s")
    [run] = workflows.runs()
    assert (run.status, run.due_at, run.steps[0].status) == (
        "sleeping",
        begin + timedelta(hours=1),
        "sleeping",
    )
    workflows.advance("2d")

    assert woken == [begin + timedelta(hours=1)]


@both_forms
def test_a_sleep_until_the_past_goes_on_at_once(workflows: Workflows, form: str) -> None:
    async def code(event: Event[Any], step: Any) -> None:
        await step.sleep_until("nap", workflows.now() - timedelta(days=1))
        await step.sleep("no time", "0s")

    declare(form, code)
    workflows.send("go")
    workflows.drain()

    assert [step.status for step in workflows.runs()[0].steps] == ["completed", "completed"]


WRONG: dict[str, Any] = {
    "bare number": lambda step: step.sleep("it", 5),
    "too long": lambda step: step.sleep("it", timedelta(days=999_999_999)),
    "naive": lambda step: step.sleep_until("it", datetime(2030, 1, 1)),  # noqa: DTZ001
    "no date": lambda step: step.sleep_until("it", "tomorrow"),
    "no event": lambda step: step.wait_for_event("it", event=[], timeout="1h"),
    "pattern": lambda step: step.wait_for_event("it", event="a/*", timeout="1h"),
    "no timeout": lambda step: step.wait_for_event("it", event="a", timeout=None),
    "zero timeout": lambda step: step.wait_for_event("it", event="a", timeout="0s"),
    "expression": lambda step: step.wait_for_event("it", event="a", if_="async.", timeout="1h"),
    "match": lambda step: step.wait_for_event("it", event="a", match="data.", timeout="1h"),
    "signal": lambda step: step.wait_for_signal("it", signal="", timeout="1h"),
    "signal timeout": lambda step: step.wait_for_signal("it", signal="a", timeout=5),
    "data": lambda step: step.invoke("it", "other", [1]),
    "large data": lambda step: step.invoke("it", "other", {"a": "x" * 2_000_000}),
    "stored data": lambda step: step.invoke("it", "other", {"a": object()}),
    "reserved": lambda step: step.send_event("it", Event("workflows/run.failed", {})),
    "no events": lambda step: step.send_event("it", []),
    "an event of text": lambda step: step.send_event("it", ["go"]),
}


@pytest.mark.parametrize("wrong", WRONG)
@both_forms
def test_wrong_arguments_fail_the_step_at_once(workflows: Workflows, form: str, wrong: str) -> None:
    async def code(event: Event[Any], step: Any) -> str:
        try:
            await WRONG[wrong](step)
        except StepError as error:
            return error.step_id
        return "no error"

    declare(form, code)
    workflows.send("go")
    workflows.advance("1h")

    [run] = workflows.runs("it")
    assert (run.status, run.output) == ("completed", "it")
    assert [(step.status, step.attempts) for step in run.steps] == [("failed", 1)]


@both_forms
def test_a_second_waiter_for_a_signal_fails_at_once_and_the_name_is_free_later(
    workflows: Workflows, form: str
) -> None:
    async def code(event: Event[Any], step: Any) -> Any:
        return await step.wait_for_signal("ok", signal="approve", timeout="1h")

    declare(form, code)
    assert not send_signal("approve", {})
    for _ in range(2):
        workflows.send("go")
    workflows.drain()
    assert [run.status for run in workflows.runs()] == ["waiting", "failed"]
    assert workflows.runs()[1].error["name"] == "SignalTaken"
    workflows.advance("1h")
    workflows.send("go")
    workflows.drain()
    assert send_signal("approve", {"by": "ana"})
    workflows.drain()

    runs = workflows.runs()
    assert [run.status for run in runs] == ["completed", "failed", "completed"]
    assert [run.output for run in runs] == [None, None, {"by": "ana"}]
    assert not send_signal("approve", {})
