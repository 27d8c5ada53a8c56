"""Races, each a sentence: at once on two connections where the database is PostgreSQL.

On SQLite the same threads meet at its one write lock, so that one always comes after the other.
In which order they come is not for the test to say: what is true then is true in both.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction

from workflows import Event, Step, client, workflow
from workflows.clock import clock
from workflows.definitions.registry import isolated_registry, registry
from workflows.engine.catalogue import current_catalogue
from workflows.engine.execute import execute
from workflows.engine.execution import Execution, TimedLease
from workflows.engine.lease import Identity, begin_lease, renew_lease
from workflows.engine.register import register_workflows
from workflows.engine.rescue import rescue_expired, rescue_workers
from workflows.engine.route import route_events
from workflows.engine.rows import TakenRun
from workflows.engine.store import DirectStore
from workflows.engine.take import take_runs
from workflows.errors import RunStateError
from workflows.models import Event as StoredEvent
from workflows.models import Run, Wait, Worker
from workflows.models import Step as StoredStep
from workflows.testing.kit import forget_what_the_database_knew

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]

LEASE = timedelta(minutes=5)
MANY = 5


@pytest.fixture(autouse=True)
def _own_workflows() -> Iterator[None]:
    forget_what_the_database_knew()
    with isolated_registry():
        yield
    forget_what_the_database_knew()


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Do all works at once, each on a connection of its own; return what each gave, or raised."""
    barrier = threading.Barrier(len(works))
    gave: list[Any] = [None] * len(works)

    def do(number: int, work: Callable[[], Any]) -> None:
        connection.ensure_connection()
        barrier.wait()
        try:
            gave[number] = work()
        except Exception as error:  # noqa: BLE001  for the test to look at
            gave[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=do, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return gave


def worker() -> Worker:
    identity = Identity(
        host="here", pid=1, cluster="test", queues=None, workflows=registry.ids(), threads=1
    )
    return begin_lease(identity)


def take(by: Worker) -> list[TakenRun]:
    return take_runs(
        by.pk,
        queues=["default"],
        unknown=[],
        revision=current_catalogue().revision,
        limit=10,
    )


def executed(run: TakenRun) -> None:
    lease = TimedLease(clock.now() + LEASE)
    execute(Execution(run, registry.get(run.workflow), DirectStore(), lease))


def declared(bodies: list[str]) -> None:
    @workflow(id="one-step", trigger="go", retries=0)
    def one_step(event: Event[Any], step: Step) -> int:
        def body() -> int:
            bodies.append("a")
            return len(bodies)

        return step.run("a", body)

    register_workflows(registry, declared_at=clock.now())


def a_queued_run() -> Run:
    client.send("go")
    route_events()
    return Run.objects.get()


def test_the_same_run_is_taken_by_one_of_many_workers() -> None:
    declared([])
    a_queued_run()
    workers = [worker() for _ in range(MANY)]

    taken = at_once(*(lambda each=each: take(each) for each in workers))

    assert sorted(len(runs) for runs in taken) == [0] * (MANY - 1) + [1]
    assert Run.objects.get().fence == 1


def test_a_result_is_not_stored_after_the_lease_is_gone() -> None:
    bodies: list[str] = []
    declared(bodies)
    a_queued_run()
    lost, other = worker(), worker()
    [zombie] = take(lost)

    rescue_workers([lost.pk])
    [run] = take(other)
    gave = at_once(lambda: executed(run), lambda: executed(zombie))

    assert [error for error in gave if isinstance(error, Exception)] == []
    stored = Run.objects.get()
    assert (stored.status, stored.fence, stored.worker_id) == ("completed", run.fence, None)
    assert StoredStep.objects.get().output == stored.output


def test_a_cancel_and_a_finish_end_a_run_once() -> None:
    declared([])
    run_id = a_queued_run().pk
    [run] = take(worker())

    _, cancelled = at_once(lambda: executed(run), lambda: client.cancel_run(run_id))

    status = Run.objects.get().status
    assert status == ("completed" if isinstance(cancelled, RunStateError) else "cancelled")
    before = Run.objects.values().get()
    executed(run)
    assert Run.objects.values().get() == before


def test_of_many_senders_with_one_event_id_the_first_alone_starts_a_run() -> None:
    declared([])
    sends = [lambda: client.send("go", id="mine") for _ in range(MANY)]

    at_once(*sends)
    at_once(*([route_events] * MANY))
    route_events()

    assert Run.objects.count() == 1
    first = Run.objects.get().event_id
    repeats = StoredEvent.objects.exclude(pk=first)
    assert set(repeats.values_list("duplicate_of", flat=True)) == {first}
    assert repeats.count() == MANY - 1


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
def test_an_event_that_is_committed_late_with_a_smaller_id_is_routed() -> None:
    declared([])
    sent, routed = threading.Event(), threading.Event()

    def send_and_dawdle() -> str:
        with transaction.atomic():
            [event_id] = client.send("go", {"n": 1})
            sent.set()
            routed.wait(10)
        return event_id

    def send_later_and_route() -> str:
        sent.wait(10)
        [event_id] = client.send("go", {"n": 2})
        route_events()
        routed.set()
        return event_id

    late, early = at_once(send_and_dawdle, send_later_and_route)
    route_events()

    assert late < early
    assert set(Run.objects.values_list("event_id", flat=True)) == {late, early}


def test_two_routers_start_each_run_once() -> None:
    declared([])
    client.send([Event(name="go", data={"n": n}) for n in range(20)])

    at_once(*([route_events] * MANY))
    route_events()

    events = list(Run.objects.values_list("event_id", flat=True))
    assert (len(events), len(set(events))) == (20, 20)


@pytest.mark.parametrize("turn", range(3))
def test_a_wait_and_its_event_find_each_other_whichever_is_first(turn: int) -> None:
    @workflow(id="waits", trigger="go", retries=0)
    def waits(event: Event[Any], step: Step) -> Any:
        found = step.wait_for_event("w", event="paid", timeout="1h")
        return found and found.id

    register_workflows(registry, declared_at=clock.now())
    a_queued_run()
    me = worker()
    [run] = take(me)

    _, sent, _ = at_once(lambda: executed(run), lambda: client.send("paid"), route_events)
    route_events()
    route_events()
    for again in take(me):
        executed(again)

    ended = Run.objects.get()
    assert (ended.status, ended.output) == ("completed", sent[0])
    assert not Wait.objects.exists()


def test_of_two_signals_at_once_one_is_taken() -> None:
    @workflow(id="listens", trigger="go", retries=0)
    def listens(event: Event[Any], step: Step) -> Any:
        return step.wait_for_signal("s", signal="ready", timeout="1h")

    register_workflows(registry, declared_at=clock.now())
    a_queued_run()
    [run] = take(worker())
    executed(run)

    taken = at_once(*(lambda n=n: client.send_signal("ready", n) for n in range(MANY)))

    assert sorted(taken) == [False] * (MANY - 1) + [True]
    assert StoredStep.objects.get().output == taken.index(True)


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
def test_two_senders_of_a_signal_and_the_end_of_the_run_that_waits_do_not_block_each_other() -> (
    None
):
    @workflow(id="races", trigger="go", retries=0)
    async def races(event: Event[Any], step: Any) -> Any:
        wait = asyncio.ensure_future(step.wait_for_signal("s", signal="ready", timeout="1h"))
        await step.run("a", lambda: 1)
        return wait.done()

    register_workflows(registry, declared_at=clock.now())
    a_queued_run()
    [run] = take(worker())
    has_its_run = threading.Event()

    def end() -> None:
        with connection.execute_wrapper(before_waits_are_deleted(has_its_run.set, senders=2)):
            executed(run)

    def send(number: int) -> bool:
        assert has_its_run.wait(10)
        return client.send_signal("ready", number)

    gave = at_once(end, lambda: send(1), lambda: send(2))

    assert gave == [None, False, False]
    assert (Run.objects.get().status, Run.objects.get().output) == ("completed", False)
    assert not Wait.objects.exists()


def before_waits_are_deleted(tell: Callable[[], None], *, senders: int) -> Any:
    """Hold a transaction up where it deletes waits, until so many others wait for its locks."""

    def held_up(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith('DELETE FROM "workflows_wait"'):
            tell()
            ends = time.monotonic() + 10
            while others_who_wait_for_locks() < senders:
                assert time.monotonic() < ends
                time.sleep(0.01)
        return execute(sql, params, many, context)

    return held_up


def others_who_wait_for_locks() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN"
            " (SELECT pid FROM pg_stat_activity WHERE datname = current_database())"
        )
        return int(cursor.fetchone()[0])


def test_a_rescue_and_a_renewal_do_not_both_have_a_run() -> None:
    declared([])
    a_queued_run()
    slow = worker()
    [run] = take(slow)
    Worker.objects.filter(pk=slow.pk).update(lease_until=clock.now() + timedelta(milliseconds=5))

    renewed, rescued = at_once(lambda: renew_lease(slow.pk, busy=1), rescue_expired)

    stored = Run.objects.get()
    if rescued:
        assert (renewed, stored.status, stored.fence) == (None, "queued", run.fence + 1)
    elif renewed:
        assert (stored.status, stored.worker_id, stored.fence) == ("running", slow.pk, run.fence)
