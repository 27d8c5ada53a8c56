"""Where a worker's threads run: together on one core, but for the bodies."""

import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from tests.workers.own_worker import own_worker
from workflows import Event, Step, send, workflow
from workflows.models import Run
from workflows.workers.scheduling import SharedCore

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


def test_threads_follow_the_one_that_chooses() -> None:
    core = SharedCore()
    core.choose()
    try:
        chosen = os.sched_getaffinity(0)
        joined: list[set[int]] = []

        def join() -> None:
            core.join()
            joined.append(os.sched_getaffinity(0))

        thread = threading.Thread(target=join)
        thread.start()
        thread.join()
    finally:
        core.leave()

    assert len(chosen) == 1
    assert joined == [chosen]
    assert cores() > 1


def test_a_core_that_is_taken_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    core = SharedCore()
    bound: list[object] = []

    def refuse(pid: int, wanted: Any) -> None:
        bound.append(wanted)
        if len(wanted) == 1:
            raise OSError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    core.choose()
    core.choose()

    assert len([wanted for wanted in bound if len(wanted) == 1]) == 1  # type: ignore[arg-type]
