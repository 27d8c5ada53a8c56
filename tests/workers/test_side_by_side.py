"""Steps side by side on a real worker: its threads, its connections, its writer, its clock."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.forms import both_forms, declare
from tests.support.journal import Journal
from tests.workers.own_worker import OwnWorker, own_worker
from workflows import Event, StepError, client
from workflows.models import Run, Step

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 1000
# Several times what it takes where nothing else is at work.
SECONDS_FOR_MANY = 40


@pytest.fixture
def worker() -> Iterator[OwnWorker]:
    with own_worker() as worker:
        yield worker


def the_run(workflow: str = "it") -> Run:
    return Run.objects.get(workflow=workflow)


def test_gathered_steps_are_done_at_the_same_time(worker: OwnWorker) -> None:
    threads = threading.Barrier(2, timeout=10)
    tasks: list[asyncio.Event] = []
    passes = Journal()

    def meet_on_threads(name: str) -> str:
        threads.wait()
        return name

    async def meet_on_the_loop(name: str) -> str:
        tasks.append(asyncio.Event())
        if len(tasks) == 2:
            for task in tasks:
                task.set()
        await asyncio.wait_for(tasks[-1].wait(), 10)
        return name

    async def code(event: Event[Any], step: Any) -> Any:
        results = await asyncio.gather(
            step.run("a", meet_on_threads, "a"),
            step.run("b", meet_on_the_loop, "b"),
            step.run("c", meet_on_threads, "c"),
            step.run("d", meet_on_the_loop, "d"),
            step.transaction("e", lambda: "e"),
        )
        passes.note(results)
        await step.sleep("nap", "20ms")
        return results

    declare("async", code, retries=0)
    client.send("go")
    worker.work_until_all_has_ended()

    assert (the_run().status, the_run().output) == ("completed", ["a", "b", "c", "d", "e"])
    assert passes == [["a", "b", "c", "d", "e"]] * 2
    assert set(Step.objects.values_list("status", "attempts")) == {
        ("completed", 0),
        ("completed", 1),
    }


@pytest.mark.parametrize("kind", ["on a thread", "on the loop"])
def test_a_task_group_that_fails_lets_a_body_that_has_begun_come_to_its_end(
    worker: OwnWorker, kind: str
) -> None:
    journal = Journal()
    has_begun, has_failed = threading.Event(), threading.Event()

    def on_a_thread() -> str:
        has_begun.set()
        assert has_failed.wait(10)
        return journal.note("long", returns="long")  # type: ignore[no-any-return]

    async def on_the_loop() -> str:
        has_begun.set()
        while not has_failed.is_set():
            await asyncio.sleep(0.001)
        return journal.note("long", returns="long")  # type: ignore[no-any-return]

    def bad() -> None:
        assert has_begun.wait(10)
        raise ValueError("no")

    async def code(event: Event[Any], step: Any) -> str:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(
                    step.run("long", on_a_thread if kind == "on a thread" else on_the_loop)
                )
                group.create_task(step.run("bad", bad))
        except* StepError:
            journal.note("caught")
            has_failed.set()
        await step.sleep("nap", "20ms")
        return "done"

    declare("async", code, retries=0)
    client.send("go")
    worker.work_until_all_has_ended()

    assert (the_run().status, the_run().output) == ("completed", "done")
    assert sorted(journal) == ["caught", "caught", "long"]
    assert dict(Step.objects.values_list("step_id", "status")) == {
        "long": "completed",
        "bad": "failed",
        "nap": "completed",
    }


def test_the_first_completed_is_the_same_on_every_pass(worker: OwnWorker) -> None:
    winners, bodies = Journal(), Journal()
    is_decided = threading.Event()

    def slow() -> str:
        assert is_decided.wait(10)
        return bodies.note("slow", returns="slow")  # type: ignore[no-any-return]

    async def code(event: Event[Any], step: Any) -> Any:
        racers = {
            asyncio.ensure_future(step.run("slow", slow)): "slow",
            asyncio.ensure_future(step.run("fast", bodies.note, "fast")): "fast",
        }
        done, _ = await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
        winners.note([racers[each] for each in done])
        is_decided.set()
        await asyncio.wait(racers)
        for number in range(3):
            await step.sleep("nap", "10ms")
            await step.run("note", bodies.note, number)
        return winners[-1]

    declare("async", code)
    client.send("go")
    worker.work_until_all_has_ended()

    assert (the_run().status, the_run().output) == ("completed", ["fast"])
    assert winners == [["fast"]] * len(winners)
    assert len(winners) == 4
    assert bodies == ["fast", "slow", 0, 1, 2]


async def wait_for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def work_for_ever() -> None:
    while True:
        sum(range(100))


@pytest.mark.parametrize("body", [wait_for_ever, work_for_ever])
def test_an_async_step_that_outlives_its_timeout_holds_nobody_up(
    worker: OwnWorker, body: Any
) -> None:
    async def code(event: Event[Any], step: Any) -> Any:
        async def limited() -> str:
            try:
                await step.with_options(timeout="100ms", retries=1, backoff="10ms").run("it", body)
            except StepError as error:
                return error.name
            return "no error"

        return list(await asyncio.gather(limited(), step.run("beside", lambda: "beside")))

    async def other(event: Event[Any], step: Any) -> Any:
        return await step.run("a", lambda: 7)

    declare("async", code)
    declare("async", other, id="other")
    client.send("go")
    worker.work_until_all_has_ended()
    client.send("go")
    worker.work_until_all_has_ended()

    outputs = sorted(Run.objects.values_list("workflow", "output"))
    assert outputs == [("it", ["StepTimeout", "beside"])] * 2 + [("other", 7)] * 2
    assert set(Step.objects.filter(step_id="it").values_list("status", "attempts")) == {
        ("failed", 2)
    }


@both_forms
def test_a_thousand_steps_side_by_side(worker: OwnWorker, form: str) -> None:
    journal = Journal()

    async def code(event: Event[Any], step: Any) -> int:
        async def one(number: int) -> int:
            result = await step.run(f"step {number}", journal.note, number, returns=number)
            return int(result)

        if form == "async":
            return sum(await asyncio.gather(*(one(number) for number in range(MANY))))
        branches = [lambda number=number: one(number) for number in range(MANY)]
        return sum(await step.parallel(*branches))

    declare(form, code)
    client.send("go")
    took = worker.work_until_all_has_ended(within=SECONDS_FOR_MANY)

    assert (the_run().status, the_run().output) == ("completed", sum(range(MANY))), f"{took:.1f} s"
    assert sorted(journal) == list(range(MANY))
    assert Step.objects.filter(status="completed", attempts=1).count() == MANY
