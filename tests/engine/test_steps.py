"""Steps: each is done once, survives crashes, is retried, suspends, and can stand in branches."""

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import transaction

from workflows import (
    Event,
    NonRetriableError,
    RetryAfterError,
    Step,
    StepError,
    WorkflowsError,
    current_run,
    workflow,
)
from workflows.testing import Workflows

REPEATED_BODIES = {"before_body": 1, "after_body": 2, "after_store": 1, "before_finish": 1}


class Journal(list[Any]):
    """What bodies did, in order."""

    def note(self, what: Any, returns: Any = None) -> Any:
        """Note something, and return something else."""
        self.append(what)
        return returns


def test_a_run_goes_through_its_steps_and_ends_with_its_output(workflows: Workflows) -> None:
    journal = Journal()

    @workflow(id="sums", trigger="go")
    def sums(event: Event[Any], step: Step) -> dict[str, int]:
        a = step.run("a", journal.note, "a", returns=1)
        step.sleep("nap", "1h")
        b = step.run("b", journal.note, "b", returns=2)
        return {"sum": a + b}

    [event_id] = workflows.send("go", {"n": 1})
    workflows.drain()
    assert workflows.runs()[0].status == "sleeping"
    workflows.advance("1h")

    [run] = workflows.runs()
    assert (run.status, run.output, run.event_ids) == ("completed", {"sum": 3}, [event_id])
    assert journal == ["a", "b"]
    assert [(one.id, one.op, one.status, one.attempts) for one in run.steps] == [
        ("a", "run", "completed", 1),
        ("nap", "sleep", "completed", 0),
        ("b", "run", "completed", 1),
    ]


def test_a_sleeper_does_not_wake_early(workflows: Workflows) -> None:
    @workflow(id="sleeper", trigger="go")
    def sleeper(event: Event[Any], step: Step) -> None:
        step.sleep("nap", "1h")

    workflows.send("go")
    workflows.advance("59m59s")
    assert workflows.runs()[0].status == "sleeping"
    workflows.advance("1s")

    assert workflows.runs()[0].status == "completed"


@pytest.mark.parametrize("point", REPEATED_BODIES)
def test_a_crash_repeats_only_a_body_whose_result_was_not_stored(
    workflows: Workflows, point: str
) -> None:
    journal = Journal()

    @workflow(id="crashes", trigger="go", retries=0)
    def crashes(event: Event[Any], step: Step) -> int:
        step.run("a", journal.note, "a")
        step.transaction("b", journal.note, "b")
        return 1

    workflows.crash_at(point)
    workflows.send("go")
    workflows.drain()
    assert workflows.runs()[0].status == "running"
    workflows.advance("31s")

    [run] = workflows.runs()
    assert (run.status, run.output, run.attempt) == ("completed", 1, 0)
    assert (journal.count("a"), journal.count("b")) == (REPEATED_BODIES[point], 1)


@pytest.mark.parametrize("point", REPEATED_BODIES)
def test_an_async_workflow_survives_the_same_crashes(workflows: Workflows, point: str) -> None:
    journal = Journal()

    @workflow(id="crashes", trigger="go", retries=0)
    async def crashes(event: Event[Any], step: Any) -> int:
        async def body() -> None:
            journal.note("b")

        await step.run("a", journal.note, "a")
        await step.run("b", body)
        return 1

    workflows.crash_at(point)
    workflows.send("go")
    workflows.drain()
    assert workflows.runs()[0].status == "running"
    workflows.advance("31s")

    assert workflows.runs()[0].status == "completed"
    assert (journal.count("a"), journal.count("b")) == (REPEATED_BODIES[point], 1)


def test_a_run_that_kills_its_workers_ends_as_failed(workflows: Workflows) -> None:
    @workflow(id="poison", trigger="go")
    def poison(event: Event[Any], step: Step) -> None:
        step.run("a", lambda: None)

    workflows.crash_at("before_body", times=100)
    workflows.send("go")
    for _ in range(10):
        workflows.advance("31s")

    [run] = workflows.runs()
    assert (run.status, run.error["name"], run.attempt) == ("failed", "WorkerLost", 0)


def test_a_failing_step_is_retried_then_fails_the_run_and_can_be_retried(
    workflows: Workflows,
) -> None:
    journal = Journal()

    @workflow(id="flaky", trigger="go", retries=2)
    def flaky(event: Event[Any], step: Step) -> Any:
        def body() -> int:
            journal.note("try")
            if len(journal) < 5:
                raise ValueError("not yet")
            return 7

        return step.run("a", body)

    workflows.send("go")
    workflows.drain()
    [run] = workflows.runs()
    assert (run.status, run.attempt, run.steps[0].status) == ("sleeping", 1, "retrying")
    workflows.advance("15s")
    workflows.advance("30s")
    assert len(journal) == 2
    workflows.advance("10m")

    [run] = workflows.runs()
    assert (run.status, run.error["name"], run.error["message"]) == (
        "failed",
        "ValueError",
        "not yet",
    )
    assert (run.attempt, len(journal)) == (3, 3)
    workflows.retry(run.id)
    workflows.advance("10m")
    [run] = workflows.runs()
    assert (run.status, run.output, run.attempt, run.steps[0].attempts) == ("completed", 7, 0, 5)


def test_a_caught_step_error_lets_the_run_go_on(workflows: Workflows) -> None:
    journal = Journal()

    @workflow(id="saga", trigger="go", retries=0)
    def saga(event: Event[Any], step: Step) -> Any:
        def charge() -> None:
            journal.note("charge")
            raise ValueError("declined")

        try:
            step.run("charge", charge)
        except StepError as error:
            step.sleep("pause", "1m")
            reason = f"{error.step_id}: {error.name}: {error.message}"
            return step.run("undo", journal.note, "undo", returns=reason)
        return "charged"

    workflows.send("go")
    workflows.advance("1m")

    [run] = workflows.runs()
    assert (run.status, run.output) == ("completed", "charge: ValueError: declined")
    assert journal == ["charge", "undo"]


def test_the_code_between_steps_has_retries_of_its_own(workflows: Workflows) -> None:
    journal = Journal()

    @workflow(id="between", trigger="go", retries=1)
    def between(event: Event[Any], step: Step) -> str:
        step.run("a", journal.note, "a")
        journal.note("code")
        if journal.count("code") == 1:
            raise ValueError("once")
        return "done"

    workflows.send("go")
    workflows.advance("1m")

    [run] = workflows.runs()
    assert (run.status, run.output, journal) == ("completed", "done", ["a", "code", "code"])


def test_a_non_retriable_error_fails_at_once(workflows: Workflows) -> None:
    @workflow(id="final", trigger="go")
    def final(event: Event[Any], step: Step) -> None:
        def body() -> None:
            raise NonRetriableError("no use")

        step.run("a", body)

    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, run.error["name"], run.steps[0].attempts) == (
        "failed",
        "NonRetriableError",
        1,
    )


def test_retry_after_decides_when(workflows: Workflows) -> None:
    journal = Journal()

    @workflow(id="patient", trigger="go")
    def patient(event: Event[Any], step: Step) -> None:
        def body() -> None:
            journal.note(workflows.now())
            if len(journal) == 1:
                raise RetryAfterError("busy", "2h")

        step.run("a", body)

    workflows.send("go")
    workflows.advance("2h")

    assert (journal[1] - journal[0]).total_seconds() == 7200


def test_a_steps_own_options_decide_its_retries_and_waits(workflows: Workflows) -> None:
    journal = Journal()

    @workflow(id="own", trigger="go", retries=0)
    def own(event: Event[Any], step: Step) -> None:
        def body() -> None:
            journal.note(workflows.now())
            raise ValueError("always")

        step.with_options(retries=2, backoff=["10s", "20s"]).run("a", body)

    workflows.send("go")
    workflows.advance("1h")

    waits = [(after - before).total_seconds() for before, after in pairwise(journal)]
    assert waits == [10, 20]
    assert workflows.runs()[0].status == "failed"


def test_a_nested_step_fails_the_run_whatever_is_caught(workflows: Workflows) -> None:
    @workflow(id="nested", trigger="go")
    def nested(event: Event[Any], step: Step) -> str:
        def body() -> str:
            try:
                step.run("inner", lambda: 1)
            except BaseException:  # noqa: BLE001  what a careless author writes
                return "swallowed"
            return "ran"

        try:
            return step.run("outer", body)
        except BaseException:  # noqa: BLE001  as above
            return "swallowed again"

    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, run.error["name"]) == ("failed", "NestedStepError")


def test_a_step_inside_the_workflows_own_transaction_is_refused(workflows: Workflows) -> None:
    journal = Journal()

    @workflow(id="atomic", trigger="go")
    def in_atomic(event: Event[Any], step: Step) -> None:
        with transaction.atomic():
            step.run("a", journal.note, "a")

    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, run.error["name"], journal) == ("failed", WorkflowsError.__name__, [])


def test_branches_share_ids_without_sharing_results(workflows: Workflows) -> None:
    journal = Journal()

    @workflow(id="branches", trigger="go")
    def branches(event: Event[Any], step: Step) -> Any:
        def branch(number: int) -> Any:
            def code() -> Any:
                step.run("same", journal.note, number)
                step.sleep("nap", f"{number}h")
                return step.run("same", journal.note, 10 * number, returns=number)

            return code

        return list(step.parallel(branch(1), branch(2)))

    workflows.send("go")
    workflows.advance("1h")
    assert journal == [1, 2, 10]
    workflows.advance("1h")

    assert workflows.runs()[0].output == [1, 2]
    assert journal == [1, 2, 10, 20]


def test_when_a_branch_fails_the_others_finish_first(workflows: Workflows) -> None:
    journal = Journal()

    @workflow(id="branches", trigger="go", retries=0)
    def branches(event: Event[Any], step: Step) -> None:
        def bad() -> None:
            step.run("bad", lambda: 1 / 0)

        def good() -> None:
            step.sleep("nap", "1h")
            step.run("good", journal.note, "good")

        step.parallel(bad, good)

    workflows.send("go")
    workflows.drain()
    assert workflows.runs()[0].status == "sleeping"
    workflows.advance("1h")

    [run] = workflows.runs()
    assert (run.status, run.error["name"], journal) == ("failed", "ZeroDivisionError", ["good"])


def test_an_async_race_has_the_same_winner_on_every_pass(workflows: Workflows) -> None:
    winners = Journal()

    @workflow(id="race", trigger="go")
    async def race(event: Event[Any], step: Any) -> Any:
        slow = asyncio.ensure_future(step.sleep("slow", "2h"))
        fast = asyncio.ensure_future(step.sleep("fast", "1h"))
        done, _ = await asyncio.wait([slow, fast], return_when=asyncio.FIRST_COMPLETED)
        winners.note("fast" if fast in done else "slow")
        await step.sleep("rest", "3h")
        return winners[-1]

    workflows.send("go")
    workflows.advance("1h")
    workflows.advance("3h")

    [run] = workflows.runs()
    assert (run.status, run.output, set(winners)) == ("completed", "fast", {"fast"})


def test_a_run_ends_though_the_loser_of_a_race_still_sleeps(workflows: Workflows) -> None:
    @workflow(id="race", trigger="go")
    async def race(event: Event[Any], step: Any) -> Any:
        long = asyncio.ensure_future(step.sleep("long", "1d"))
        short = asyncio.ensure_future(step.sleep("short", "1h"))
        await asyncio.wait([long, short], return_when=asyncio.FIRST_COMPLETED)
        return "done"

    workflows.send("go")
    workflows.advance("1h")

    assert workflows.runs()[0].output == "done"


def test_sent_events_start_their_workflows_once(workflows: Workflows) -> None:
    seen = Journal()

    @workflow(id="parent", trigger="go")
    def parent(event: Event[Any], step: Step) -> list[str]:
        ids = step.send_event("tell", [Event(name="told", data={"n": n}) for n in range(2)])
        step.sleep("nap", "1m")
        return ids

    @workflow(id="child", trigger="told")
    def child(event: Event[Any], step: Step) -> None:
        seen.note(event.data["n"])

    workflows.send("go")
    workflows.advance("1m")

    assert seen == [0, 1]
    assert [run.event_ids[0] for run in workflows.runs("child")] == workflows.runs("parent")[
        0
    ].output


def test_code_learns_about_its_run(workflows: Workflows) -> None:
    seen = Journal()

    @workflow(id="curious", trigger="go", retries=3)
    def curious(event: Event[Any], step: Step) -> str:
        def body() -> None:
            me = current_run()
            seen.note((me.workflow_id, me.step_id, me.attempt, me.max_attempts))
            seen.note(me.idempotency_key)
            if len(seen) == 2:
                raise ValueError("again")

        step.run("look", body)
        return current_run().id

    workflows.send("go")
    workflows.advance("1h")

    [run] = workflows.runs()
    assert run.output == run.id
    assert [seen[0], seen[2]] == [("curious", "look", 0, 4), ("curious", "look", 1, 4)]
    assert seen[1] == seen[3] is not None


def test_a_mocked_step_does_not_run_its_body(workflows: Workflows) -> None:
    journal = Journal()

    @workflow(id="mocked", trigger="go", retries=0)
    def mocked(event: Event[Any], step: Step) -> str:
        one = step.run("one", journal.note, "one")
        try:
            step.run("two", journal.note, "two")
        except StepError as error:
            return f"{one} {error.message}"
        return "no error"

    workflows.mock_step(mocked, "one", returns="stood in")
    workflows.mock_step("mocked", "two", raises=ValueError("on purpose"))
    workflows.send("go")
    workflows.drain()

    assert (workflows.runs()[0].output, journal) == ("stood in on purpose", [])


def test_cancel_is_final(workflows: Workflows) -> None:
    @workflow(id="long", trigger="go")
    def long(event: Event[Any], step: Step) -> None:
        step.sleep("nap", "1h")

    workflows.send("go")
    workflows.drain()
    cancelled = workflows.cancel(workflows.runs()[0].id)
    workflows.advance("2h")

    assert cancelled.status == "cancelled"
    assert workflows.runs()[0].status == "cancelled"


@pytest.mark.parametrize(
    "result",
    [{object()}, float("nan"), "a\0b", object(), (n for n in range(3))],
    ids=["set", "nan", "nul", "object", "generator"],
)
def test_what_cannot_be_stored_fails_its_step_at_once(workflows: Workflows, result: Any) -> None:
    @workflow(id="odd", trigger="go")
    def odd(event: Event[Any], step: Step) -> None:
        step.run("a", lambda: result)

    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, run.error["name"]) == ("failed", "StepResultNotStorable")


def test_a_repeat_of_an_events_own_id_starts_nothing_for_a_day(workflows: Workflows) -> None:
    @workflow(id="once", trigger="go")
    def once(event: Event[Any], step: Step) -> None:
        return None

    [first] = workflows.send("go", {}, id="mine")
    [second] = workflows.send("go", {}, id="mine")
    workflows.drain()
    assert (first == second, len(workflows.runs())) == (False, 1)
    workflows.advance("24h")
    workflows.send("go", {}, id="mine")
    workflows.drain()

    assert len(workflows.runs()) == 2


def test_an_event_with_a_future_ts_takes_effect_then(workflows: Workflows) -> None:
    @workflow(id="later", trigger="go")
    def later(event: Event[Any], step: Step) -> None:
        return None

    workflows.send("go", {}, ts=workflows.now() + timedelta(hours=1))
    workflows.advance("59m")
    assert workflows.runs() == []
    workflows.advance("1m")

    assert workflows.runs()[0].status == "completed"


def test_a_rolled_back_event_never_runs(workflows: Workflows) -> None:
    @workflow(id="never", trigger="go")
    def never(event: Event[Any], step: Step) -> None:
        return None

    with transaction.atomic():
        workflows.send("go")
        transaction.set_rollback(True)
    workflows.drain()

    assert workflows.runs() == []
