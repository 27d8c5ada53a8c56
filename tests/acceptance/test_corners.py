"""What happens where several sentences of the contract meet."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group

from workflows import (
    Batch,
    CancelOn,
    Concurrency,
    Cron,
    Event,
    EventData,
    RetryAfterError,
    RunStateError,
    Step,
    StepError,
    Throttle,
    Timeouts,
    WorkflowsError,
    asend,
    send,
    workflow,
)
from workflows.testing import Workflows


def waiting(**options: Any) -> Any:
    """Declare a workflow that waits a day for `paid`."""

    @workflow(id="it", **{"trigger": "go", **options})
    def it(event: Event[Any], step: Step) -> Any:
        got = step.wait_for_event("wait", event="paid", timeout="1d")
        return got and got.data.get("n")

    return it


def test_a_future_event_ends_a_wait_when_it_is_due(workflows: Workflows) -> None:
    it = waiting()
    workflows.send("go")
    workflows.send("paid", {"n": 1}, ts=workflows.now() + timedelta(hours=2))
    workflows.advance("1h59m")
    assert workflows.runs(it)[0].status == "waiting"
    workflows.advance("1m")

    assert workflows.runs(it)[0].output == 1


def test_a_future_event_cancels_when_it_is_due(workflows: Workflows) -> None:
    it = waiting(cancel_on=CancelOn("stop"))
    workflows.send("go")
    workflows.send("stop", ts=workflows.now() + timedelta(hours=2))
    workflows.advance("1h59m")
    assert workflows.runs(it)[0].status == "waiting"
    workflows.advance("1m")

    assert workflows.runs(it)[0].status == "cancelled"


def test_a_repeat_ends_no_wait_and_cancels_nothing(workflows: Workflows) -> None:
    it = waiting(cancel_on=CancelOn("stop"))
    workflows.send("paid", id="p")
    workflows.send("stop", id="s")
    workflows.drain()
    workflows.send("go")
    workflows.drain()
    workflows.send("paid", id="p")
    workflows.send("stop", id="s")
    workflows.drain()

    assert workflows.runs(it)[0].status == "waiting"


def test_a_run_is_not_cancelled_by_its_own_event(workflows: Workflows) -> None:
    it = waiting(cancel_on=CancelOn("go"))
    workflows.send("go")
    workflows.drain()
    assert [r.status for r in workflows.runs(it)] == ["waiting"]
    workflows.send("go")
    workflows.drain()

    assert [r.status for r in workflows.runs(it)] == ["cancelled", "waiting"]


def test_a_wait_that_ends_while_paused_goes_on_at_resume(workflows: Workflows) -> None:
    it = waiting()
    workflows.send("go")
    workflows.drain()
    workflows.pause(it)
    workflows.send("paid", {"n": 4})
    workflows.advance("1h")
    [run] = workflows.runs(it)
    assert run.status == "queued"
    assert "paused" in (run.reason or "")
    workflows.resume(it)
    workflows.drain()

    assert workflows.runs(it)[0].output == 4


def test_a_paused_run_can_be_cancelled(workflows: Workflows) -> None:
    it = waiting()
    workflows.pause(it)
    workflows.send("go")
    workflows.drain()

    assert workflows.cancel(workflows.runs(it)[0].id).status == "cancelled"


def test_a_skipped_run_can_be_replayed_and_not_retried(workflows: Workflows) -> None:
    it = waiting(idempotency="'one'")
    workflows.send("go")
    workflows.send("go")
    workflows.drain()
    skipped = workflows.runs(it)[1]
    assert skipped.status == "skipped"
    with pytest.raises(RunStateError):
        workflows.retry(skipped.id)
    with pytest.raises(RunStateError):
        workflows.cancel(skipped.id)
    again = workflows.replay(skipped.id)
    workflows.drain()

    assert workflows.run(again.id).status == "waiting"


def test_a_failing_transaction_takes_its_events_and_writes_along(workflows: Workflows) -> None:
    tries: list[int] = []

    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> None:
        def body() -> None:
            tries.append(1)
            Group.objects.create(name=f"g{len(tries)}")
            send("told", {"n": len(tries)})
            if len(tries) < 3:
                raise OSError

        step.transaction("a", body)

    @workflow(id="told", trigger="told")
    def told(event: Event[Any], step: Step) -> Any:
        return event.data["n"]

    workflows.send("go")
    workflows.advance("1h")

    assert [run.output for run in workflows.runs(told)] == [3]
    assert set(Group.objects.filter(name__startswith="g").values_list("name", flat=True)) == {"g3"}


@pytest.mark.parametrize("point", ["before_body", "after_body", "after_store", "before_finish"])
def test_a_transaction_s_effects_happen_once_wherever_the_worker_dies(
    workflows: Workflows, point: str
) -> None:
    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> Any:
        return step.transaction("a", lambda: Group.objects.create(name="only").name)

    workflows.crash_at(point)
    workflows.send("go")
    workflows.advance("10m")

    assert workflows.runs(it)[0].output == "only"
    assert Group.objects.filter(name="only").count() == 1


def test_a_platform_limit_is_shared_among_all_that_name_its_key(workflows: Workflows) -> None:
    for id_ in ("one", "two"):

        @workflow(
            id=id_,
            trigger="go",
            concurrency=Concurrency(
                limit=1, key="event.data.customer", scope="platform", counts="active"
            ),
        )
        def code(event: Event[Any], step: Step, id_: str = id_) -> None:
            step.sleep(f"nap-{id_}", "1h")

    workflows.send("go", {"customer": "a"})
    workflows.drain()
    assert sorted(run.status for run in workflows.runs()) == ["queued", "sleeping"]
    workflows.advance("2h")

    assert {run.status for run in workflows.runs()} == {"completed"}


def test_a_failed_batch_has_its_on_failure_too(workflows: Workflows) -> None:
    seen: list[Any] = []

    def clean_up(event: Any, error: Any, step: Step) -> None:
        seen.append(error.name)

    @workflow(
        id="it",
        trigger="go",
        retries=0,
        batch=Batch(max_size=2, timeout="1m"),
        on_failure=clean_up,
    )
    def it(events: list[Event[Any]], step: Step) -> None:
        raise LookupError

    workflows.send("go")
    workflows.send("go")
    workflows.drain()

    assert seen == ["LookupError"]


async def test_an_async_on_failure_in_an_async_test(workflows: Workflows) -> None:
    seen: list[Any] = []

    async def clean_up(event: Any, error: Any, step: Any) -> None:
        seen.append(await step.run("a", lambda: error.message))

    @workflow(id="it", trigger="go", retries=0, on_failure=clean_up)
    async def it(event: Event[Any], step: Any) -> None:
        await asyncio.gather(step.run("b", lambda: 1), step.run("c", {"here": 1}.__getitem__, "x"))

    await asend("go")
    await workflows.adrain()

    assert seen == ["'x'"]
    assert workflows.runs("it/on-failure")[0].status == "completed"


@pytest.mark.parametrize("wrong", [5, "5", "soon", None])
def test_a_bare_number_is_no_time_to_sleep(workflows: Workflows, wrong: Any) -> None:
    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Any) -> None:
        step.sleep("nap", wrong)

    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs(it)
    assert run.status == "failed"


@pytest.mark.parametrize("after", ["90s", timedelta(seconds=90)])
def test_retry_after_between_steps(workflows: Workflows, after: Any) -> None:
    tries: list[Any] = []

    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> None:
        tries.append(workflows.now())
        if len(tries) == 1:
            raise RetryAfterError("busy", after)

    workflows.send("go")
    workflows.advance("1h")

    assert tries[1] - tries[0] == timedelta(seconds=90)


def test_a_wildcard_may_listen_to_system_events(workflows: Workflows) -> None:
    seen: list[str] = []

    @workflow(id="watch", trigger="workflows/run.*")
    def watch(event: Event[Any], step: Step) -> None:
        seen.append(event.name)

    @workflow(id="it", trigger="go", retries=0)
    def it(event: Event[Any], step: Step) -> None:
        raise OSError

    workflows.send("go")
    workflows.drain()

    assert sorted(seen) == ["workflows/run.failed", "workflows/run.finished"]


def test_a_cron_s_event(workflows: Workflows) -> None:
    seen: list[Any] = []

    @workflow(id="it", trigger=Cron("0 * * * *"))
    def it(event: Event[Any], step: Step) -> None:
        seen.append((event.name, set(event.data), event.data["cron"]))

    workflows.drain()
    workflows.advance("1h")

    assert seen == [("workflows/cron.fired", {"cron", "scheduledAt"}, "0 * * * *")]


def test_a_paused_cron_does_not_fire_all_it_missed(workflows: Workflows) -> None:
    @workflow(id="it", trigger=Cron("0 * * * *"))
    def it(event: Event[Any], step: Step) -> None: ...

    workflows.drain()
    workflows.pause(it)
    workflows.advance("10h")
    workflows.resume(it)
    workflows.drain()

    assert len(workflows.runs(it)) <= 1


def test_a_mocked_step_may_raise_a_class(workflows: Workflows) -> None:
    @workflow(id="it", trigger="go", retries=0)
    def it(event: Event[Any], step: Step) -> Any:
        try:
            step.run("a", lambda: 1)
        except StepError as error:
            return error.name

    workflows.mock_step(it, "a", raises=LookupError)
    workflows.send("go")
    workflows.drain()

    assert workflows.runs(it)[0].output == "LookupError"


def test_a_run_that_keeps_an_event_as_its_output_is_fine(workflows: Workflows) -> None:
    class Shown(EventData, name="acceptance.shown"):
        account_id: str

    @workflow(id="it", trigger=Shown)
    def it(event: Event[Shown], step: Step) -> Any:
        step.run("a", lambda: event.data)
        return {"data": event.data}

    workflows.send(Shown(account_id="a"))
    workflows.drain()

    [run] = workflows.runs(it)
    assert run.status == "completed", run.error


def test_an_invoked_workflow_takes_an_event_data(workflows: Workflows) -> None:
    class Asked(EventData, name="acceptance.asked"):
        account_id: str

    @workflow(id="callee", trigger=Asked)
    def callee(event: Event[Any], step: Step) -> Any:
        return event.data["accountId"]

    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> Any:
        return step.invoke("call", callee, Asked(account_id="a"))

    workflows.send("go")
    workflows.drain()

    assert workflows.runs(it)[0].output == "a"


def test_a_cancelled_caller_leaves_its_callee_alone_and_a_replay_invokes_anew(
    workflows: Workflows,
) -> None:
    @workflow(id="callee")
    def callee(event: Event[Any], step: Step) -> int:
        step.sleep("nap", "1h")
        return 1

    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> Any:
        return step.invoke("call", callee)

    workflows.send("go")
    workflows.drain()
    [run] = workflows.runs(it)
    workflows.cancel(run.id)
    workflows.advance("2h")
    assert [r.status for r in workflows.runs(callee)] == ["completed"]
    again = workflows.replay(run.id)
    workflows.advance("2h")

    assert workflows.run(again.id).output == 1
    assert len(workflows.runs(callee)) == 2


def test_the_start_timeout_holds_for_a_replay_and_stands_still_while_paused(
    workflows: Workflows,
) -> None:
    @workflow(
        id="it",
        trigger="go",
        timeouts=Timeouts(start="10m"),
        throttle=Throttle(limit=1, period="1h"),
    )
    def it(event: Event[Any], step: Step) -> None: ...

    workflows.send("go")
    workflows.drain()
    [run] = workflows.runs(it)
    held = workflows.replay(run.id)
    workflows.advance("9m")
    assert workflows.run(held.id).status == "queued"
    workflows.advance("2m")
    assert workflows.run(held.id).status == "cancelled"

    workflows.pause(it)
    paused = workflows.replay(run.id)
    workflows.advance("2h")
    assert workflows.run(paused.id).status == "queued"
    workflows.resume(it)
    workflows.drain()
    assert workflows.run(paused.id).status == "completed"


def test_the_clock_does_not_go_back(workflows: Workflows) -> None:
    before = workflows.now()

    with pytest.raises(WorkflowsError, match="forward"):
        workflows.advance(timedelta(seconds=-1))

    assert workflows.now() == before


def test_tags_show_values_as_the_sender_wrote_them(workflows: Workflows) -> None:
    @workflow(
        id="it",
        trigger="go",
        tags={name: f"event.data.{name}" for name in ("text", "number", "yes", "list", "nothing")},
    )
    def it(event: Event[Any], step: Step) -> None: ...

    workflows.send("go", {"text": "é x", "number": 4711, "yes": True, "list": ["é"]})
    workflows.drain()

    assert workflows.runs(it)[0].tags == {
        "text": "é x",
        "number": "4711",
        "yes": "true",
        "list": '["é"]',
    }
