"""Waits for events: what ends them, what does not, and when they are over."""

from datetime import timedelta
from typing import Any

from workflows import CancelOn, Cron, Event, Step, StepError, Timeouts, send_signal, workflow
from workflows.testing import Workflows


def declare_waiter(**options: Any) -> list[Any]:
    seen: list[Any] = []

    @workflow(id="waiter", trigger="order/placed")
    def waiter(event: Event[Any], step: Step) -> Any:
        paid = step.wait_for_event("paid", event="order/paid", timeout="1h", **options)
        seen.append(paid)
        return paid.data if paid else None

    return seen


def test_a_matching_event_ends_the_wait(workflows: Workflows) -> None:
    declare_waiter(match="data.id")
    workflows.send("order/placed", {"id": 1})
    workflows.drain()

    workflows.send("order/paid", {"id": 2})
    workflows.drain()
    assert workflows.runs("waiter")[0].status == "waiting"
    workflows.send("order/paid", {"id": 1, "by": "card"})
    workflows.drain()

    [run] = workflows.runs("waiter")
    assert (run.status, run.output) == ("completed", {"id": 1, "by": "card"})


def test_a_wait_that_nothing_ends_gives_none_after_its_timeout(workflows: Workflows) -> None:
    seen = declare_waiter()
    workflows.send("order/placed", {})

    workflows.advance("59m")
    assert workflows.runs("waiter")[0].status == "waiting"
    workflows.advance("1m")

    assert (workflows.runs("waiter")[0].status, seen) == ("completed", [None])


def test_an_event_from_before_the_wait_counts_by_look_back(workflows: Workflows) -> None:
    @workflow(id="late", trigger="order/placed")
    def late(event: Event[Any], step: Step) -> Any:
        step.sleep("first", "10m")
        paid = step.wait_for_event("paid", event="order/paid", match="data.id", timeout="1h")
        return paid.data["n"] if paid else None

    workflows.send("order/paid", {"id": 1, "n": 0})
    workflows.send("order/placed", {"id": 1})
    workflows.send("order/paid", {"id": 1, "n": 1})
    workflows.send("order/paid", {"id": 1, "n": 2})
    workflows.advance("10m")

    assert workflows.runs("late")[0].output == 1


def test_without_look_back_an_earlier_event_does_not_count(workflows: Workflows) -> None:
    @workflow(id="late", trigger="order/placed")
    def late(event: Event[Any], step: Step) -> Any:
        step.sleep("first", "10m")
        paid = step.wait_for_event("paid", event="order/paid", timeout="1h", lookback=False)
        return paid.data["n"] if paid else None

    workflows.send("order/placed", {})
    workflows.send("order/paid", {"n": 1})
    workflows.advance("10m")
    assert workflows.runs("late")[0].status == "waiting"
    workflows.send("order/paid", {"n": 2})
    workflows.drain()

    assert workflows.runs("late")[0].output == 2


def test_any_of_several_events_ends_a_wait(workflows: Workflows) -> None:
    @workflow(id="either", trigger="order/placed")
    def either(event: Event[Any], step: Step) -> Any:
        answer = step.wait_for_event("answer", event=["order/paid", "order/dropped"], timeout="1h")
        return answer and answer.name

    workflows.send("order/placed", {})
    workflows.drain()
    workflows.send("order/dropped", {})
    workflows.drain()

    assert workflows.runs("either")[0].output == "order/dropped"


def test_an_event_ends_any_number_of_runs_but_one_wait_of_each(workflows: Workflows) -> None:
    @workflow(id="twice", trigger="order/placed")
    def twice(event: Event[Any], step: Step) -> Any:
        first = step.wait_for_event("one", event="tick", timeout="1h")
        second = step.wait_for_event("two", event="tick", timeout="1h")
        return [first and first.data["n"], second and second.data["n"]]

    workflows.send("order/placed", {})
    workflows.send("order/placed", {})
    workflows.drain()
    workflows.send("tick", {"n": 1})
    workflows.drain()
    assert [run.status for run in workflows.runs("twice")] == ["waiting", "waiting"]
    workflows.send("tick", {"n": 2})
    workflows.drain()

    assert [run.output for run in workflows.runs("twice")] == [[1, 2], [1, 2]]


def test_a_wrong_expression_fails_the_wait_at_once(workflows: Workflows) -> None:
    declare_waiter(if_="async.data.id ==")
    workflows.send("order/placed", {})
    workflows.drain()

    [run] = workflows.runs("waiter")
    assert (run.status, run.error["name"]) == ("failed", "InvalidExpression")


def test_a_branch_that_wakes_while_another_runs_is_not_lost(workflows: Workflows) -> None:
    @workflow(id="branches", trigger="order/placed")
    def branches(event: Event[Any], step: Step) -> Any:
        def wait() -> Any:
            paid = step.wait_for_event("paid", event="order/paid", timeout="1d")
            return paid and paid.data["n"]

        return step.parallel(wait, lambda: step.sleep("nap", "1h"))

    workflows.send("order/placed", {})
    workflows.drain()
    workflows.send("order/paid", {"n": 7})
    workflows.advance("1h")

    assert workflows.runs("branches")[0].output == [7, None]


def test_a_signal_resumes_its_one_waiter(workflows: Workflows) -> None:
    @workflow(id="signalled", trigger="go")
    def signalled(event: Event[Any], step: Step) -> Any:
        return step.wait_for_signal("ok", signal="approve", timeout="1h")

    assert not send_signal("approve", {})
    workflows.send("go")
    workflows.send("go")
    workflows.drain()
    assert [run.status for run in workflows.runs()] == ["waiting", "failed"]
    assert workflows.runs()[1].error["name"] == "SignalTaken"
    assert send_signal("approve", {"by": "ana"})
    workflows.drain()

    assert workflows.runs()[0].output == {"by": "ana"}
    assert not send_signal("approve", {})


def test_invoke_gives_the_output_or_raises_the_error(workflows: Workflows) -> None:
    @workflow(id="callee", retries=0)
    def callee(event: Event[Any], step: Step) -> Any:
        if event.data["n"] < 0:
            raise ValueError("negative")
        return event.data["n"] * 2

    @workflow(id="caller", trigger="go", retries=0)
    def caller(event: Event[Any], step: Step) -> Any:
        double = step.invoke("good", callee, {"n": 4})
        try:
            step.invoke("bad", "callee", {"n": -1})
        except StepError as error:
            return [double, error.name, error.message]

    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs("caller")
    assert run.output == [8, "ValueError", "negative"]
    assert [child.parent for child in workflows.runs("callee")] == [run.id, run.id]


def test_invoke_times_out_and_the_callee_goes_on(workflows: Workflows) -> None:
    @workflow(id="slow")
    def slow(event: Event[Any], step: Step) -> str:
        step.sleep("long", "2h")
        return "done"

    @workflow(id="caller", trigger="go", retries=0)
    def caller(event: Event[Any], step: Step) -> Any:
        return step.invoke("call", slow, timeout="1h")

    workflows.send("go")
    workflows.advance("1h")
    assert workflows.runs("caller")[0].error["name"] == "InvokeTimeout"
    workflows.advance("1h")

    assert workflows.runs("slow")[0].output == "done"
    assert workflows.runs("caller")[0].status == "failed"


def test_invoking_what_nobody_knows_fails_the_step(workflows: Workflows) -> None:
    @workflow(id="caller", trigger="go")
    def caller(event: Event[Any], step: Step) -> Any:
        return step.invoke("call", "nobody")

    workflows.send("go")
    workflows.drain()

    assert workflows.runs("caller")[0].error["name"] == "UnknownWorkflow"


def test_a_cancelled_callee_is_told_to_its_caller(workflows: Workflows) -> None:
    @workflow(id="slow")
    def slow(event: Event[Any], step: Step) -> None:
        step.sleep("long", "2h")

    @workflow(id="caller", trigger="go")
    def caller(event: Event[Any], step: Step) -> Any:
        return step.invoke("call", slow)

    workflows.send("go")
    workflows.drain()
    workflows.cancel(workflows.runs("slow")[0].id)
    workflows.drain()

    assert workflows.runs("caller")[0].error["name"] == "RunCancelled"


def test_on_failure_runs_once_with_the_runs_own_event_and_error(workflows: Workflows) -> None:
    told: list[Any] = []

    def tell(event: Event[Any], error: Any, step: Step) -> None:
        step.run("tell", lambda: told.append((event.name, event.data, error.name, error.message)))

    @workflow(id="fails", trigger="go", retries=0, on_failure=tell)
    def fails(event: Event[Any], step: Step) -> None:
        raise ValueError("broken")

    workflows.send("go", {"n": 1})
    workflows.drain()

    assert told == [("go", {"n": 1}, "ValueError", "broken")]
    assert [run.status for run in workflows.runs("fails/on-failure")] == ["completed"]


def test_system_events_tell_of_ends_and_start_no_chain(workflows: Workflows) -> None:
    told: list[Any] = []

    @workflow(id="watch", trigger="workflows/run.finished")
    def watch(event: Event[Any], step: Step) -> None:
        told.append((event.data["workflow"], event.data["status"], event.data["output"]))

    @workflow(id="work", trigger="go")
    def work(event: Event[Any], step: Step) -> int:
        return 5

    workflows.send("go")
    workflows.advance("1h")

    assert told == [("work", "completed", 5)]


def test_an_event_cancels_the_runs_that_its_rule_matches(workflows: Workflows) -> None:
    @workflow(
        id="order", trigger="order/placed", cancel_on=CancelOn("order/dropped", match="data.id")
    )
    def order(event: Event[Any], step: Step) -> None:
        step.sleep("long", "1d")

    workflows.send("order/dropped", {"id": 1})
    workflows.send("order/placed", {"id": 1})
    workflows.send("order/placed", {"id": 2})
    workflows.drain()
    workflows.send("order/dropped", {"id": 2})
    workflows.drain()

    assert [run.status for run in workflows.runs("order")] == ["sleeping", "cancelled"]


def test_a_run_that_takes_too_long_is_cancelled(workflows: Workflows) -> None:
    @workflow(id="slow", trigger="go", timeouts=Timeouts(finish="1h"))
    def slow(event: Event[Any], step: Step) -> None:
        step.sleep("long", "1d")

    workflows.send("go")
    workflows.advance("59m")
    assert workflows.runs()[0].status == "sleeping"
    workflows.advance("1m")

    [run] = workflows.runs()
    assert (run.status, run.reason) == ("cancelled", "timeouts.finish is over")


def test_a_cron_fires_at_its_times_and_makes_up_one_missed_firing(workflows: Workflows) -> None:
    fired: list[str] = []

    @workflow(id="nightly", trigger=Cron("0 3 * * *"))
    def nightly(event: Event[Any], step: Step) -> None:
        fired.append(event.data["scheduledAt"])

    workflows.drain()
    begin = workflows.now()
    workflows.advance("3d")

    assert len(fired) == 3
    assert all(moment.endswith("T03:00:00+00:00") for moment in fired)
    assert workflows.now() - begin == timedelta(days=3)


def test_a_replay_is_a_new_run_from_a_step_on(workflows: Workflows) -> None:
    done: list[str] = []

    @workflow(id="steps", trigger="go")
    def steps(event: Event[Any], step: Step) -> Any:
        step.run("a", lambda: done.append("a"))
        step.run("b", lambda: done.append("b"))
        return event.data["n"]

    workflows.send("go", {"n": 1})
    workflows.drain()
    [original] = workflows.runs()
    replay = workflows.replay(original.id, from_step="b", data={"n": 2})
    workflows.drain()

    replayed = workflows.run(replay.id)
    assert done == ["a", "b", "b"]
    assert (replayed.status, replayed.output, replayed.replay_of) == ("completed", 2, original.id)
    assert workflows.run(original.id).output == 1


async def test_async_workflows_wait_and_invoke_too(workflows: Workflows) -> None:
    @workflow(id="callee")
    async def callee(event: Event[Any], step: Step) -> Any:
        return event.data["n"] + 1

    @workflow(id="caller", trigger="go")
    async def caller(event: Event[Any], step: Any) -> Any:
        n = await step.invoke("call", callee, {"n": 1})
        paid = await step.wait_for_event("paid", event="order/paid", timeout="1h")
        return [n, paid and paid.data["n"]]

    await workflows.asend("go")
    await workflows.adrain()
    await workflows.asend("order/paid", {"n": 5})
    await workflows.aadvance("1m")

    runs = await workflows._in_a_thread(workflows.runs, "caller")
    assert runs[0].output == [2, 5]


def test_a_caller_hears_that_the_run_it_invoked_killed_its_workers(workflows: Workflows) -> None:
    @workflow(id="poison")
    def poison(event: Event[Any], step: Step) -> None:
        step.run("kill", lambda: None)

    @workflow(id="caller", trigger="go")
    def caller(event: Event[Any], step: Step) -> str:
        try:
            step.invoke("call", "poison")
        except StepError as error:
            return error.name
        return "no error"

    workflows.send("go")
    workflows.crash_at("before_body", times=5)
    for _ in range(8):
        workflows.advance("1m")

    assert workflows.runs("poison")[0].error["name"] == "WorkerLost"
    assert workflows.runs("caller")[0].output == "WorkerLost"
