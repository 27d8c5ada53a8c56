"""Steps side by side: `step.parallel` in both forms, and asyncio's own combinations."""

import asyncio
import threading
from typing import Any

import pytest

from tests.support.forms import CRASH_POINTS, both_forms, declare
from tests.support.journal import Journal
from workflows import Event, StepError, send_signal
from workflows.testing import Workflows


@both_forms
@pytest.mark.parametrize("point", CRASH_POINTS)
def test_branches_of_every_kind_are_done_once_though_the_worker_dies(
    workflows: Workflows, form: str, point: str
) -> None:
    journal = Journal()

    async def callee(event: Event[Any], step: Any) -> str:
        return "called"

    async def code(event: Event[Any], step: Any) -> Any:
        async def steps() -> Any:
            await step.run("a", journal.note, "a")
            return await step.run("b", journal.note, "b", returns="ran")

        async def sleeps() -> Any:
            await step.sleep("nap", "10m")
            return await step.run("slept", journal.note, "slept", returns="slept")

        async def waits() -> Any:
            paid = await step.wait_for_event("paid", event="paid", timeout="1h")
            return paid and paid.data["n"]

        async def signalled() -> Any:
            return await step.wait_for_signal("ok", signal="ok", timeout="1h")

        async def invokes() -> Any:
            return await step.invoke("call", "callee")

        return list(await step.parallel(steps, sleeps, waits, signalled, invokes))

    declare("sync", callee, id="callee", trigger=None)
    declare(form, code, retries=0)
    workflows.crash_at(point)
    workflows.send("go")
    workflows.advance("1m")
    workflows.send("paid", {"n": 5})
    assert send_signal("ok", 6)
    workflows.advance("1m")
    assert workflows.runs("it")[0].status == "sleeping"
    workflows.advance("20m")

    [run] = workflows.runs("it")
    assert (run.status, run.output) == ("completed", ["ran", "slept", 5, 6, "called"])
    assert len(workflows.runs("callee")) == 1
    repeated = 1 if point == "after_body" else 0
    assert (len(journal), set(journal)) == (3 + repeated, {"a", "b", "slept"})


@both_forms
def test_a_run_waits_where_one_branch_sleeps_and_another_waits(
    workflows: Workflows, form: str
) -> None:
    begin = workflows.now()

    async def code(event: Event[Any], step: Any) -> None:
        async def waits() -> None:
            await step.wait_for_event("paid", event="paid", timeout="2h")

        async def sleeps() -> None:
            await step.sleep("nap", "1h")

        await step.parallel(waits, sleeps)

    declare(form, code)
    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, (run.due_at - begin).total_seconds()) == ("waiting", 3600)  # type: ignore[operator]


@both_forms
def test_branches_share_ids_without_sharing_results(workflows: Workflows, form: str) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> Any:
        def branch(number: int) -> Any:
            async def in_branch() -> Any:
                await step.run("same", journal.note, number)
                await step.sleep("nap", f"{number}h")
                return await step.run("same", journal.note, 10 * number, returns=number)

            return in_branch

        first = await step.parallel(branch(1), branch(2))
        second = await step.parallel(branch(3), branch(4))
        return [*first, *second]

    declare(form, code)
    workflows.send("go")
    workflows.advance("1d")

    assert workflows.runs()[0].output == [1, 2, 3, 4]
    assert sorted(journal) == [1, 2, 3, 4, 10, 20, 30, 40]


@both_forms
def test_when_branches_fail_the_others_finish_first_and_the_first_error_is_raised(
    workflows: Workflows, form: str
) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> str:
        async def good() -> None:
            await step.sleep("nap", "1h")
            await step.run("good", journal.note, "good")

        async def slowly_bad() -> None:
            await step.sleep("nap", "30m")
            await step.run("slowly bad", journal.fail, "slowly bad", KeyError("slow"))

        async def bad() -> None:
            await step.run("bad", journal.fail, "bad", ValueError("fast"))

        try:
            await step.parallel(good, slowly_bad, bad)
        except StepError as error:
            return error.step_id
        return "no error"

    declare(form, code, retries=0)
    workflows.send("go")
    workflows.drain()
    assert workflows.runs()[0].status == "sleeping"
    workflows.advance("1h")

    [run] = workflows.runs()
    assert (run.status, run.output) == ("completed", "slowly bad")
    assert journal == ["bad", "slowly bad", "good"]


@both_forms
def test_a_branchs_uncaught_error_fails_the_run_with_its_own_name(
    workflows: Workflows, form: str
) -> None:
    async def code(event: Event[Any], step: Any) -> None:
        await step.parallel(
            lambda: step.run("bad", Journal().fail, "bad", ValueError("no")),
            lambda: step.sleep("nap", "1h"),
        )

    declare(form, code, retries=0)
    workflows.send("go")
    workflows.advance("1h")

    [run] = workflows.runs()
    assert (run.status, run.error["name"], run.error["message"]) == ("failed", "ValueError", "no")


@both_forms
def test_a_branch_that_is_tried_again_does_not_hold_up_the_others(
    workflows: Workflows, form: str
) -> None:
    journal = Journal()

    def flaky() -> None:
        journal.note("flaky")
        if journal.count("flaky") == 1:
            raise ValueError("once")

    async def code(event: Event[Any], step: Any) -> None:
        async def first() -> None:
            await step.with_options(backoff="1h").run("flaky", flaky)

        async def second() -> None:
            await step.run("a", journal.note, "a")
            await step.sleep("nap", "30m")
            await step.run("b", journal.note, "b")

        await step.parallel(first, second)

    declare(form, code)
    workflows.send("go")
    workflows.drain()
    [run] = workflows.runs()
    assert (run.status, run.attempt, journal) == ("sleeping", 1, ["flaky", "a"])
    workflows.advance("30m")
    assert journal == ["flaky", "a", "b"]
    workflows.advance("30m")

    assert workflows.runs()[0].status == "completed"
    assert journal == ["flaky", "a", "b", "flaky"]


@both_forms
def test_a_thousand_steps_side_by_side_and_not_one_more(workflows: Workflows, form: str) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> int:
        def branch(number: int) -> Any:
            async def in_branch() -> Any:
                return await step.run("one", journal.note, number, returns=number)

            return in_branch

        return sum(await step.parallel(*(branch(n) for n in range(event.data["count"]))))

    declare(form, code)
    workflows.send("go", {"count": 1000})
    workflows.send("go", {"count": 1001})
    workflows.drain()

    fits, does_not = workflows.runs()
    assert (fits.status, fits.output) == ("completed", sum(range(1000)))
    assert (does_not.status, does_not.error["name"]) == ("failed", "TooManySteps")
    assert len(does_not.steps) <= 1000


@both_forms
def test_no_branches_give_nothing(workflows: Workflows, form: str) -> None:
    async def code(event: Event[Any], step: Any) -> Any:
        return list(await step.parallel())

    declare(form, code)
    workflows.send("go")
    workflows.drain()

    assert workflows.runs()[0].output == []


def test_gathered_steps_of_the_contract(workflows: Workflows) -> None:
    async def do(value: int) -> int:
        await asyncio.sleep(0)
        return value

    async def code(event: Event[Any], step: Any) -> Any:
        return await asyncio.gather(
            step.run("parallel-1", do, 1), step.run("parallel-2", lambda: 2), step.sleep("s", "1h")
        )

    declare("async", code)
    workflows.send("go")
    workflows.advance("1h")

    assert workflows.runs()[0].output == [1, 2, None]


def test_a_race_has_the_same_winner_on_every_pass(workflows: Workflows) -> None:
    winners = Journal()

    async def code(event: Event[Any], step: Any) -> Any:
        slow = asyncio.ensure_future(step.sleep("slow", "2h"))
        fast = asyncio.ensure_future(step.sleep("fast", "1h"))
        done, _ = await asyncio.wait([slow, fast], return_when=asyncio.FIRST_COMPLETED)
        winners.note("fast" if fast in done else "slow")
        await step.sleep("rest", "3h")
        return winners[-1]

    declare("async", code)
    workflows.send("go")
    workflows.advance("1h")
    workflows.advance("3h")

    assert (workflows.runs()[0].output, set(winners)) == ("fast", {"fast"})


def test_a_run_ends_though_the_loser_of_a_race_still_sleeps(workflows: Workflows) -> None:
    async def code(event: Event[Any], step: Any) -> str:
        long = asyncio.ensure_future(step.sleep("long", "1d"))
        short = asyncio.ensure_future(step.sleep("short", "1h"))
        await asyncio.wait([long, short], return_when=asyncio.FIRST_COMPLETED)
        return "done"

    declare("async", code)
    workflows.send("go")
    workflows.advance("1h")

    assert (workflows.runs()[0].status, workflows.runs()[0].output) == ("completed", "done")


def test_a_wait_that_ends_while_a_body_runs_does_not_win_later_what_it_lost(
    workflows: Workflows,
) -> None:
    winners = Journal()

    async def code(event: Event[Any], step: Any) -> Any:
        signal = asyncio.ensure_future(step.wait_for_signal("ok", signal="ok", timeout="1d"))
        await step.run("before", lambda: None)
        body = asyncio.ensure_future(step.run("body", lambda: send_signal("ok", 1)))
        done, _ = await asyncio.wait([signal, body], return_when=asyncio.FIRST_COMPLETED)
        winners.note("body" if body in done else "signal")
        await step.sleep("rest", "1h")
        return [await signal, await body]

    declare("async", code)
    workflows.send("go")
    workflows.advance("1h")

    [run] = workflows.runs()
    assert (run.output, set(winners)) == ([1, True], {"body"})


def test_a_wait_that_times_out_does_not_win_later_what_it_lost(workflows: Workflows) -> None:
    winners = Journal()

    async def code(event: Event[Any], step: Any) -> Any:
        wait = asyncio.ensure_future(step.wait_for_event("paid", event="paid", timeout="2h"))
        nap = asyncio.ensure_future(step.sleep("nap", "1h"))
        done, _ = await asyncio.wait([wait, nap], return_when=asyncio.FIRST_COMPLETED)
        winners.note("nap" if nap in done else "wait")
        await step.sleep("rest", "3h")
        return winners[-1]

    declare("async", code)
    workflows.send("go")
    workflows.advance("1h")
    workflows.advance("1h")
    workflows.advance("3h")

    assert (workflows.runs()[0].output, set(winners)) == ("nap", {"nap"})


def test_as_completed_gives_the_same_order_on_every_pass(workflows: Workflows) -> None:
    orders = Journal()

    async def code(event: Event[Any], step: Any) -> Any:
        async def nap(hours: int) -> int:
            await step.sleep(f"nap {hours}", f"{hours}h")
            return hours

        order = [await each for each in asyncio.as_completed([nap(3), nap(1), nap(2)])]
        orders.note(order)
        await step.sleep("rest", "1h")
        return order

    declare("async", code)
    workflows.send("go")
    workflows.advance("1d")

    assert (workflows.runs()[0].output, orders) == ([1, 2, 3], [[1, 2, 3]] * 2)


def test_a_task_group_that_cancels_a_task_lets_its_step_go_to_its_end(
    workflows: Workflows,
) -> None:
    journal = Journal()

    async def long() -> str:
        journal.note("begins")
        for _ in range(200):
            await asyncio.sleep(0)
        journal.note("ends")
        return "long"

    async def code(event: Event[Any], step: Any) -> str:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(step.run("long", long))
                group.create_task(step.run("bad", journal.fail, "bad", ValueError("no")))
        except* StepError:
            journal.note("caught")
        await step.sleep("rest", "1h")
        return "done"

    declare("async", code, retries=0)
    workflows.send("go")
    workflows.advance("1h")

    [run] = workflows.runs()
    assert (run.status, run.output) == ("completed", "done")
    assert (journal.count("begins"), journal.count("ends"), journal.count("caught")) == (1, 1, 2)
    assert {step.id: step.status for step in run.steps} == {
        "bad": "failed",
        "long": "completed",
        "rest": "completed",
    }


def test_a_task_groups_failed_step_fails_the_run_with_its_own_error(workflows: Workflows) -> None:
    async def code(event: Event[Any], step: Any) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(step.run("bad", Journal().fail, "bad", ValueError("no")))
            group.create_task(step.sleep("nap", "1h"))

    declare("async", code, retries=0)
    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, run.error["name"], run.error["message"]) == ("failed", "ValueError", "no")


def test_two_tasks_with_the_same_ids_get_their_own_results_on_every_pass(
    workflows: Workflows,
) -> None:
    passes = Journal()

    async def code(event: Event[Any], step: Any) -> Any:
        async def chain(number: int) -> Any:
            await step.sleep("nap", f"{3 - number}h")
            return await step.run("same", lambda: number)

        results = await asyncio.gather(chain(0), chain(1), chain(2))
        passes.note(results)
        await step.sleep("rest", "1h")
        return results

    declare("async", code)
    workflows.send("go")
    workflows.advance("1d")

    assert (workflows.runs()[0].output, passes) == ([0, 1, 2], [[0, 1, 2]] * 2)


def test_nested_combinations(workflows: Workflows) -> None:
    async def code(event: Event[Any], step: Any) -> Any:
        async def pair(name: str) -> Any:
            return list(await asyncio.gather(step.run(name, lambda: name), step.sleep("n", "1m")))

        async def branch() -> Any:
            return await asyncio.gather(pair("a"), pair("b"))

        return list(await step.parallel(branch, branch))

    declare("async", code)
    workflows.send("go")
    workflows.advance("1h")

    assert workflows.runs()[0].output == [[["a", None], ["b", None]]] * 2


def test_what_a_task_does_while_it_is_suspended_is_not_the_runs_end(workflows: Workflows) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> str:
        try:
            await step.sleep("nap", "1h")
        except asyncio.CancelledError:
            return "swallowed"
        finally:
            journal.note("finally")
        return "slept"

    declare("async", code)
    workflows.send("go")
    workflows.drain()
    assert workflows.runs()[0].status == "sleeping"
    workflows.advance("1h")

    assert (workflows.runs()[0].output, journal) == ("slept", ["finally", "finally"])


def test_a_step_on_a_thread_of_a_body_is_nested(workflows: Workflows) -> None:
    async def code(event: Event[Any], step: Any) -> None:
        def body() -> None:
            thread = threading.Thread(target=lambda: _swallowed(step))
            thread.start()
            thread.join()

        await step.run("outer", body)

    def _swallowed(step: Any) -> None:
        try:
            step._step.run("inner", lambda: None)
        except BaseException:  # noqa: BLE001  what a careless author writes
            return

    declare("sync", code)
    workflows.send("go")
    workflows.drain()

    assert workflows.runs()[0].error["name"] == "NestedStepError"
