"""The test kit: time, crashes, stand-ins, async tests."""

from datetime import timedelta
from typing import Any

import pytest

from tests.support.forms import both_forms, declare
from tests.support.journal import Journal
from workflows import Cron, Event, StepError
from workflows.clock import VirtualTime, clock
from workflows.models import Worker
from workflows.testing import Workflows


@both_forms
def test_crashes_add_up_and_drain_returns_normally(workflows: Workflows, form: str) -> None:
    async def code(event: Event[Any], step: Any) -> Any:
        return await step.run("a", lambda: 1)

    declare(form, code)
    workflows.crash_at("before_body")
    workflows.crash_at("before_body")
    workflows.send("go")
    for _ in range(2):
        workflows.drain()
        assert workflows.runs()[0].status == "running"
        workflows.advance("31s")

    assert workflows.runs()[0].status == "completed"


def test_there_are_only_the_crash_points_that_there_are(workflows: Workflows) -> None:
    with pytest.raises(ValueError, match="before_body, after_body"):
        workflows.crash_at("sometimes")


@both_forms
def test_a_dead_workers_run_goes_on_when_its_lease_ends(workflows: Workflows, form: str) -> None:
    tries: list[Any] = []

    async def code(event: Event[Any], step: Any) -> None:
        await step.run("a", lambda: tries.append(workflows.now()))

    declare(form, code)
    begin = workflows.now()
    workflows.crash_at("before_body")
    workflows.send("go")
    workflows.advance("1h")

    assert tries == [begin + timedelta(seconds=30)]
    assert workflows.now() == begin + timedelta(hours=1)


@both_forms
@pytest.mark.parametrize("how", ["by the clock", "by advance"])
@pytest.mark.parametrize("tool", ["run", "transaction"])
def test_a_body_that_moves_the_clock_past_the_lease_keeps_its_worker(
    workflows: Workflows, form: str, how: str, tool: str
) -> None:
    journal = Journal()

    def move() -> None:
        journal.note("moves")
        if how == "by advance":
            workflows.advance("1h")
        else:
            assert isinstance(clock.source, VirtualTime)
            clock.source.move_to(workflows.now() + timedelta(hours=1))

    async def code(event: Event[Any], step: Any) -> str:
        await getattr(step, tool)("a", move)
        await step.run("b", journal.note, "b")
        return "done"

    async def other(event: Event[Any], step: Any) -> None:
        await step.run("c", journal.note, "c")

    declare(form, code, retries=0)
    declare(form, other, id="other", trigger="later")
    workflows.send("go")
    workflows.drain()
    workflows.send("later")
    workflows.drain()

    assert [run.status for run in workflows.runs()] == ["completed", "completed"]
    assert journal == ["moves", "b", "c"]


def test_a_worker_that_was_given_up_is_replaced(workflows: Workflows) -> None:
    async def code(event: Event[Any], step: Any) -> int:
        return int(await step.run("a", lambda: 7))

    declare("sync", code)
    workflows.drain()
    Worker.objects.all().delete()
    workflows.send("go")
    workflows.drain()

    assert workflows.runs()[0].output == 7


MOCKED: dict[str, Any] = {
    "run": lambda step: step.run("it", lambda: 1 / 0),
    "transaction": lambda step: step.transaction("it", lambda: 1 / 0),
    "send_event": lambda step: step.send_event("it", Event("told", {})),
    "sleep": lambda step: step.sleep("it", "1d"),
    "wait_for_event": lambda step: step.wait_for_event("it", event="paid", timeout="1d"),
    "wait_for_signal": lambda step: step.wait_for_signal("it", signal="ok", timeout="1d"),
    "invoke": lambda step: step.invoke("it", "nobody"),
}


@pytest.mark.parametrize("tool", MOCKED)
@both_forms
def test_a_stand_in_takes_the_place_of_any_tool(workflows: Workflows, form: str, tool: str) -> None:
    answers = {"sleep": None, "send_event": ["id"], "wait_for_event": Event("paid", {"n": 1})}

    async def code(event: Event[Any], step: Any) -> Any:
        answer = await MOCKED[tool](step)
        return answer.data["n"] if isinstance(answer, Event) else answer

    it = declare(form, code, retries=0)
    workflows.mock_step(it, "it", returns=answers.get(tool, 7))
    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs("it")
    expected = {"sleep": None, "send_event": ["id"], "wait_for_event": 1}
    assert (run.status, run.output) == ("completed", expected.get(tool, 7))


@pytest.mark.parametrize("tool", MOCKED)
@both_forms
def test_a_stand_in_that_raises_fails_any_tool(workflows: Workflows, form: str, tool: str) -> None:
    async def code(event: Event[Any], step: Any) -> Any:
        try:
            await MOCKED[tool](step)
        except StepError as error:
            return error.message

    declare(form, code, retries=0)
    workflows.mock_step("it", "it", raises=ValueError("on purpose"))
    workflows.send("go")
    workflows.drain()

    assert workflows.runs("it")[0].output == "on purpose"


@both_forms
def test_runs_of_one_moment_are_in_the_order_of_sending(workflows: Workflows, form: str) -> None:
    seen = Journal()

    async def code(event: Event[Any], step: Any) -> None:
        await step.run("a", seen.note, event.data["n"])

    declare(form, code)
    ids = [workflows.send("go", {"n": n})[0] for n in range(20)]
    workflows.drain()

    assert [run.event_ids[0] for run in workflows.runs()] == ids
    assert seen == list(range(20))
    assert [run.id for run in workflows.runs(event_id=ids[3])] == [workflows.runs()[3].id]


async def test_everything_can_be_asked_in_an_async_test(workflows: Workflows) -> None:
    async def code(event: Event[Any], step: Any) -> int:
        await step.sleep("nap", "1h")
        return 7

    it = declare("async", code)
    [event_id] = await workflows.asend("go")
    await workflows.adrain()
    [run] = workflows.runs(it)
    assert (run.status, workflows.run(run.id).event_ids) == ("sleeping", [event_id])
    await workflows.aadvance("1h")

    assert workflows.runs()[0].output == 7


@both_forms
@pytest.mark.parametrize("jitter", [None, "5m"])
def test_no_firing_of_a_cron_is_lost_or_doubled(
    workflows: Workflows, form: str, jitter: str | None
) -> None:
    fired = Journal()

    async def code(event: Event[Any], step: Any) -> None:
        fired.note((event.name, event.data["cron"], event.data["scheduledAt"]))

    declare(form, code, trigger=Cron("* * * * *", jitter=jitter))
    workflows.drain()
    workflows.advance("30m")

    moments = [at for _, _, at in fired]
    assert 29 - (5 if jitter else 0) <= len(moments) <= 31
    assert moments == sorted(set(moments))
    assert {(name, cron) for name, cron, _ in fired} == {("workflows/cron.fired", "* * * * *")}


@both_forms
def test_a_cron_fires_at_its_times(workflows: Workflows, form: str) -> None:
    fired = Journal()

    async def code(event: Event[Any], step: Any) -> None:
        fired.note(event.data["scheduledAt"])

    declare(form, code, trigger=Cron("0 3 * * *"))
    workflows.drain()
    workflows.advance("3d")

    assert len(fired) == 3
    assert all(moment.endswith("T03:00:00+00:00") for moment in fired)
