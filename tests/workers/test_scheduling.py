"""Where a worker's threads run: together on one core, but for the bodies."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from secrets import token_hex
from typing import Any

import pytest

from tests.workers.own_worker import own_worker
from workflows import Event, Step, send, workflow
from workflows.models import Run
from workflows.workers import scheduling
from workflows.workers.scheduling import SharedCore, claim

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) == 1,
    reason="threads cannot be bound to one core of several here",
)

COUNT_CORES = "import os; print(len(os.sched_getaffinity(0)))"


def cores() -> int:
    return len(os.sched_getaffinity(0))


def cores_of_a_program() -> int:
    return int(subprocess.check_output([sys.executable, "-c", COUNT_CORES]))


@pytest.mark.django_db(transaction=True)
def test_a_body_and_what_it_starts_may_run_on_any_core() -> None:
    with own_worker() as worker:

        @workflow(id="counter", trigger="go")
        def counter(event: Event[Any], step: Step) -> list[int]:
            first = step.run("count", cores)
            between = cores()
            return [first, between, step.run("start a program", cores_of_a_program), cores()]

        send("go", {})
        worker.work_until_all_has_ended()

    assert Run.objects.get().output == [cores(), 1, cores(), 1]


@pytest.mark.django_db(transaction=True)
def test_an_async_workflow_may_run_on_any_core() -> None:
    with own_worker() as worker:

        @workflow(id="counter", trigger="go")
        async def counter(event: Event[Any], step: Any) -> list[int]:
            async def count() -> int:
                return cores()

            return [await step.run("on the loop", count), await step.run("beside it", cores)]

        send("go", {})
        worker.work_until_all_has_ended()

    assert Run.objects.get().output == [cores(), cores()]


@pytest.fixture(autouse=True)
def _claims_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no cluster of another test, which runs beside this one, have the cores."""
    monkeypatch.setattr(scheduling, "CLAIMS", f"\0{token_hex(8)}-")


@pytest.fixture
def core() -> Iterator[SharedCore]:
    shared = SharedCore()
    yield shared
    shared.unshare()


def test_threads_follow_the_one_that_shares_its_core(core: SharedCore) -> None:
    core.share()

    assert cores() == 1
    assert joined(core) == os.sched_getaffinity(0)


def test_threads_run_anywhere_again(core: SharedCore) -> None:
    core.share()
    core.unshare()

    assert cores() > 1
    assert joined(core) == os.sched_getaffinity(0)


def test_two_processes_share_no_core(core: SharedCore) -> None:
    other = SharedCore()
    core.share()
    core.leave()
    mine = joined(core)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(other.share).result()
    try:
        assert not mine & joined(other)
    finally:
        other.unshare()


def test_where_all_cores_are_taken_threads_run_anywhere(core: SharedCore) -> None:
    others = [claim(number) for number in os.sched_getaffinity(0)]
    try:
        core.share()
        assert cores() > 1
    finally:
        for other in others:
            assert other is not None
            other.close()


def test_a_core_that_is_taken_away_is_given_up(
    core: SharedCore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(pid: int, wanted: frozenset[int]) -> None:
        raise OSError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    core.share()
    core.join()

    assert [record.message for record in caplog.records] == ["worker.shares_no_core error="]


def joined(core: SharedCore) -> set[int]:
    """Where a thread may run that joins."""

    def join() -> set[int]:
        core.join()
        return os.sched_getaffinity(0)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(join).result()
