"""What the contract says of the test kit and of operators' moves through it, a test a sentence."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from workflows import (
    Batch,
    CancelOn,
    Concurrency,
    Debounce,
    Event,
    Idempotency,
    Priority,
    RateLimit,
    RunStateError,
    Singleton,
    Step,
    StepError,
    Throttle,
    Timeouts,
    WorkflowsError,
    workflow,
)
from workflows.testing import Workflows


def sleeper(**options: Any) -> Any:
    """Declare a workflow that sleeps an hour between two steps."""

    @workflow(id="it", **{"trigger": "go", **options})
    def it(event: Event[Any], step: Step) -> Any:
        step.run("a", lambda: 1)
        step.sleep("nap", "1h")
        return step.run("b", lambda: event.data.get("n"))

    return it


def test_the_clock_begins_at_the_real_now_and_is_aware(workflows: Workflows) -> None:
    assert abs(workflows.now() - timezone.now()) < timedelta(minutes=1)  # noqa: TID251  the real one
    before = workflows.now()
    workflows.advance("1h30m")
    workflows.advance(timedelta(minutes=30))

    assert workflows.now() - before == timedelta(hours=2)


def test_runs_are_the_resource_s_fields_as_attributes(workflows: Workflows) -> None:
    it = sleeper(tags={"customer": "event.data.customerId", "none": "event.data.none"})
    [event_id] = workflows.send("go", {"customerId": 4711})
    workflows.drain()

    [run] = workflows.runs(it)
    assert [run.id] == [r.id for r in workflows.runs("it")] == [r.id for r in workflows.runs()]
    assert [run.id] == [r.id for r in workflows.runs(event_id=event_id)]
    assert [run.id] == [r.id for r in workflows.runs(it, event_id)]
    assert workflows.runs("other") == []
    assert (run.workflow, run.status, run.event_ids, run.attempt) == (
        "it",
        "sleeping",
        [event_id],
        0,
    )
    assert (run.output, run.error, run.ended_at, run.reason, run.replay_of, run.parent) == (
        (None,) * 6
    )
    assert run.tags == {"customer": "4711"}
    assert run.due_at == workflows.now() + timedelta(hours=1)
    assert run.started_at is not None
    assert run.created_at <= run.started_at
    step = workflows.run(run.id).steps[1]
    assert (step.id, step.index, step.op, step.status) == ("nap", 0, "sleep", "sleeping")
    assert (step.output, step.error, step.ended_at) == (None, None, None)


def test_cancel_retry_and_replay_give_the_run_or_raise_run_state_error(
    workflows: Workflows,
) -> None:
    it = sleeper()
    [event_id] = workflows.send("go", {"n": 1})
    workflows.drain()
    [run] = workflows.runs(it)

    with pytest.raises(RunStateError, match=run.id):
        workflows.retry(run.id)
    with pytest.raises(RunStateError):
        workflows.replay(run.id)
    cancelled = workflows.cancel(run.id)
    assert (cancelled.id, cancelled.status) == (run.id, "cancelled")
    assert cancelled.ended_at is not None
    with pytest.raises(RunStateError):
        workflows.cancel(run.id)
    with pytest.raises(RunStateError):
        workflows.retry(run.id)

    again = workflows.replay(run.id)
    assert (again.replay_of, again.status, again.event_ids) == (run.id, "queued", [event_id])
    workflows.advance("2h")
    assert workflows.run(again.id).output == 1
    assert workflows.run(run.id).status == "cancelled"
    assert issubclass(RunStateError, WorkflowsError)


def test_replay_takes_other_data_and_a_step_s_repetition(workflows: Workflows) -> None:
    done: list[Any] = []

    @workflow(id="it", trigger="go", tags={"n": "event.data.n"})
    def it(event: Event[Any], step: Step) -> Any:
        for n in range(3):
            step.run("a", done.append, (n, event.data["n"]))
        return event.data["n"]

    workflows.send("go", {"n": 1})
    workflows.drain()
    [run] = workflows.runs(it)
    done.clear()

    again = workflows.replay(run.id, from_step="a:1", data={"n": 2})
    workflows.drain()

    assert done == [(1, 2), (2, 2)]
    assert workflows.run(again.id).output == 2
    assert workflows.run(again.id).event_ids != run.event_ids
    assert workflows.run(again.id).tags == {"n": "2"}
    with pytest.raises(RunStateError):
        workflows.replay(run.id, from_step="nowhere")


def test_a_retry_takes_a_failed_run_up_again_at_the_step_that_failed(workflows: Workflows) -> None:
    done: list[str] = []

    @workflow(id="it", trigger="go", retries=0)
    def it(event: Event[Any], step: Step) -> str:
        step.run("a", lambda: done.append("a"))

        def b() -> str:
            done.append("b")
            if done.count("b") == 1:
                raise OSError
            return "fine"

        return step.run("b", b)

    workflows.send("go")
    workflows.drain()
    [run] = workflows.runs(it)
    retried = workflows.retry(run.id)
    workflows.drain()

    assert (retried.id, retried.status, retried.error, retried.ended_at) == (
        run.id,
        "queued",
        None,
        None,
    )
    assert (workflows.run(run.id).status, workflows.run(run.id).output) == ("completed", "fine")
    assert done == ["a", "b", "b"]


def test_mocked_steps_return_or_raise(workflows: Workflows) -> None:
    @workflow(id="it", trigger="go", retries=0)
    def it(event: Event[Any], step: Step) -> Any:
        first = step.run("first", lambda: 1 // 0)
        try:
            step.transaction("second", lambda: None)
        except StepError as error:
            return [first, error.name]

    workflows.mock_step(it, "first", returns={"a": 1})
    workflows.mock_step("it", "second", raises=LookupError("x"))
    workflows.send("go")
    workflows.drain()

    assert workflows.runs(it)[0].output == [{"a": 1}, "LookupError"]


@pytest.mark.parametrize("point", ["before_body", "after_body", "after_store", "before_finish"])
def test_the_worker_dies_there_and_the_next_advance_past_the_lease_goes_on(
    workflows: Workflows, point: str
) -> None:
    done: list[int] = []

    @workflow(id="it", trigger="go", retries=0)
    def it(event: Event[Any], step: Step) -> str:
        step.run("a", lambda: done.append(1))
        return "done"

    workflows.crash_at(point, times=2)
    workflows.send("go")
    workflows.drain()
    assert workflows.runs()[0].status == "running"
    workflows.advance("29s")
    assert workflows.runs()[0].status == "running"
    workflows.advance("2m")

    [run] = workflows.runs()
    assert (run.status, run.output, run.attempt) == ("completed", "done", 0)
    assert len(done) == {"before_body": 1, "after_body": 3}.get(point, 1)


def test_a_run_whose_own_step_kills_its_worker_again_and_again_is_worker_lost(
    workflows: Workflows,
) -> None:
    @workflow(id="it", trigger="go", retries=0)
    def it(event: Event[Any], step: Step) -> None:
        step.run("a", lambda: None)

    workflows.crash_at("after_body", times=50)
    workflows.send("go")
    workflows.advance("1h")

    [run] = workflows.runs()
    assert (run.status, run.error["name"]) == ("failed", "WorkerLost")


def test_a_paused_workflow_s_new_runs_are_queued_with_the_reason(workflows: Workflows) -> None:
    it = sleeper()
    workflows.send("go", {"n": 1})
    workflows.drain()
    workflows.pause(it)
    workflows.send("go", {"n": 2})
    workflows.advance("3h")

    first, second = workflows.runs()
    assert first.status in ("queued", "sleeping")
    assert next(s.status for s in workflows.run(first.id).steps) == "completed"
    assert (second.status, second.steps) == ("queued", [])
    assert "pause" in (second.reason or "")
    workflows.resume("it")
    workflows.advance("3h")
    assert [r.output for r in workflows.runs()] == [1, 2]


def test_the_excess_of_a_concurrency_waits_and_says_for_what(workflows: Workflows) -> None:
    it = sleeper(concurrency=Concurrency(limit=1, key="event.data.k", counts="active"))
    for n, k in ((1, "a"), (2, "a"), (3, "b")):
        workflows.send("go", {"n": n, "k": k})
    workflows.drain()

    assert [r.status for r in workflows.runs(it)] == ["sleeping", "queued", "sleeping"]
    assert "concurrency" in (workflows.runs(it)[1].reason or "")
    workflows.advance("1h")
    assert [r.status for r in workflows.runs(it)] == ["completed", "sleeping", "completed"]


def test_limit_plus_burst_start_at_once_and_the_excess_in_order(workflows: Workflows) -> None:
    started: list[Any] = []

    @workflow(id="it", trigger="go", throttle=Throttle(limit=2, period="1m", burst=1))
    def it(event: Event[Any], step: Step) -> None:
        started.append((event.data["n"], workflows.now()))

    begin = workflows.now()
    for n in range(6):
        workflows.send("go", {"n": n})
    workflows.drain()
    assert [n for n, _ in started] == [0, 1, 2]
    assert "throttle" in (workflows.runs(it)[3].reason or "")
    workflows.advance("5m")

    assert [n for n, _ in started] == list(range(6))
    assert [round((at - begin).total_seconds()) for _, at in started[3:]] == [30, 60, 90]


def test_the_excess_of_a_rate_limit_is_skipped_with_its_reason(workflows: Workflows) -> None:
    sleeper(rate_limit=RateLimit(limit=1, period="1h", key="event.data.k"))
    for k in ("a", "a", "b"):
        workflows.send("go", {"k": k})
    workflows.drain()

    runs = workflows.runs()
    assert [r.status for r in runs] == ["sleeping", "skipped", "sleeping"]
    assert "rate" in (runs[1].reason or "")
    assert runs[1].ended_at is not None
    assert runs[1].started_at is None


def test_a_debounce_makes_one_run_with_the_latest_event_by_ts(workflows: Workflows) -> None:
    seen: list[Any] = []

    @workflow(id="it", trigger="go", debounce=Debounce(period="1m", key="event.data.k"))
    def it(event: Event[Any], step: Step) -> Any:
        seen.append(event.data["n"])

    now = workflows.now()
    ids = [
        workflows.send("go", {"n": n, "k": "a"}, ts=now - timedelta(seconds=n))[0] for n in range(3)
    ]
    workflows.advance("59s")
    assert seen == []
    workflows.advance("2s")

    assert seen == [0]
    [run] = workflows.runs()
    assert run.event_ids == [ids[0]]


def test_a_batch_takes_events_and_an_event_for_which_if_is_false_runs_singly(
    workflows: Workflows,
) -> None:
    seen: list[Any] = []

    @workflow(id="it", trigger="go", batch=Batch(max_size=3, timeout="1m", if_="event.data.n < 10"))
    def it(events: list[Event[Any]], step: Step) -> Any:
        seen.append([event.data["n"] for event in events])
        return len(events)

    ids = [workflows.send("go", {"n": n})[0] for n in (1, 2, 10, 3, 4)]
    workflows.drain()
    assert sorted(seen) == [[1, 2, 3], [10]]
    workflows.advance("1m")

    assert sorted(seen) == [[1, 2, 3], [4], [10]]
    assert sorted(r.event_ids for r in workflows.runs()) == [
        [ids[0], ids[1], ids[3]],
        [ids[2]],
        [ids[4]],
    ]
    for id_ in ids:
        assert [id_ in run.event_ids for run in workflows.runs(event_id=id_)] == [True]


def test_a_singleton_skips_the_second_or_cancels_the_first(workflows: Workflows) -> None:
    sleeper(singleton=Singleton(key="event.data.k"))

    @workflow(id="cancels", trigger="go", singleton=Singleton(mode="cancel"))
    def cancels(event: Event[Any], step: Step) -> None:
        step.sleep("nap", "1h")

    workflows.send("go", {"k": 1})
    workflows.drain()
    workflows.send("go", {"k": 1})
    workflows.drain()

    assert [r.status for r in workflows.runs("it")] == ["sleeping", "skipped"]
    assert [r.status for r in workflows.runs("cancels")] == ["cancelled", "sleeping"]
    assert "singleton" in (workflows.runs("it")[1].reason or "")
    assert "singleton" in (workflows.runs("cancels")[0].reason or "")


@pytest.mark.parametrize("rule", ["event.data.n", Idempotency("event.data.n", period="24h")])
def test_idempotency_makes_one_run_for_each_value(workflows: Workflows, rule: Any) -> None:
    sleeper(idempotency=rule)
    for n in (1, 1, 2):
        workflows.send("go", {"n": n})
    workflows.advance("24h1s")
    workflows.send("go", {"n": 1})
    workflows.drain()

    runs = workflows.runs()
    assert [r.status for r in runs] == ["completed", "skipped", "completed", "sleeping"]
    assert "idempotency" in (runs[1].reason or "")


def test_priority_orders_what_waits(workflows: Workflows) -> None:
    order: list[int] = []

    @workflow(
        id="it",
        trigger="go",
        concurrency=Concurrency(limit=1),
        priority=Priority(run="event.data.vip ? 120 : 0"),
    )
    def it(event: Event[Any], step: Step) -> None:
        step.run("a", lambda: order.append(event.data["n"]))
        if event.data["n"] == 0:
            step.sleep("nap", "1m")

    for n, vip in ((1, False), (2, False), (3, True)):
        workflows.send("go", {"n": n, "vip": vip})
    workflows.drain()

    assert order == [3, 1, 2]


def test_cancel_on_matches_the_arriving_event(workflows: Workflows) -> None:
    sleeper(cancel_on=[CancelOn("stop", match="data.id"), CancelOn("halt", if_="async.data.all")])
    for n in (1, 2):
        workflows.send("go", {"id": n})
    workflows.drain()
    workflows.send("stop", {"id": 2})
    workflows.drain()
    assert [r.status for r in workflows.runs()] == ["sleeping", "cancelled"]
    workflows.send("halt", {"all": False})
    workflows.send("halt", {"all": True})
    workflows.drain()

    assert [r.status for r in workflows.runs()] == ["cancelled", "cancelled"]
    assert "stop" in (workflows.runs()[1].reason or "")


def test_timeouts_cancel(workflows: Workflows) -> None:
    sleeper(timeouts=Timeouts(finish="10m"))

    @workflow(
        id="late",
        trigger="go",
        timeouts=Timeouts(start="5m"),
        concurrency=Concurrency(limit=1, counts="active"),
    )
    def late(event: Event[Any], step: Step) -> None:
        step.sleep("nap", "1h")

    workflows.send("go")
    workflows.send("go")
    workflows.advance("4m")
    assert [r.status for r in workflows.runs("late")] == ["sleeping", "queued"]
    workflows.advance("7m")

    assert [r.status for r in workflows.runs("late")] == ["sleeping", "cancelled"]
    assert [r.status for r in workflows.runs("it")] == ["cancelled", "cancelled"]
    assert all("timeout" in (r.reason or "") for r in workflows.runs("it"))


def test_unknown_ids_are_named(workflows: Workflows) -> None:
    sleeper()
    with pytest.raises(Exception, match="nobody"):
        workflows.pause("nobody")
    with pytest.raises(ValueError, match="before_body"):
        workflows.crash_at("nowhere")


@pytest.mark.parametrize("data", [None, {"n": 2}])
def test_a_replay_is_found_by_its_tags(
    workflows: Workflows, admin_client: Client, data: dict[str, int] | None
) -> None:
    it = sleeper(tags={"n": "event.data.n"})
    workflows.send("go", {"n": 1})
    workflows.advance("2h")
    again = workflows.replay(workflows.runs(it)[0].id, data=data)

    found = admin_client.get("/api/v1/runs", {"tag": f"n:{2 if data else 1}"}).json()["data"]

    assert again.id in [run["id"] for run in found]


async def test_every_move_works_in_an_async_test(workflows: Workflows) -> None:
    it = sleeper()
    await workflows.asend("go", {"n": 1})
    await workflows.adrain()
    [run] = workflows.runs(it)
    workflows.cancel(run.id)
    again = workflows.replay(run.id)
    await workflows.aadvance("1h")

    assert workflows.run(again.id).output == 1


def test_a_workflow_that_is_only_invoked_needs_no_trigger(workflows: Workflows) -> None:
    @workflow(id="callee")
    def callee(event: Event[Any], step: Step) -> Any:
        return [event.name, event.data]

    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> Any:
        return [step.invoke("one", callee), step.invoke("two", callee, {"n": 1})]

    workflows.send("go")
    workflows.drain()

    assert workflows.runs("it")[0].output == [
        ["workflows/run.invoked", {}],
        ["workflows/run.invoked", {"n": 1}],
    ]
