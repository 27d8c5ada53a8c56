"""The writer: what it stores, what it gives up, and what must not come after that."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError

from workflows import Event, Step, workflow
from workflows.clock import clock
from workflows.definitions.registry import registry
from workflows.engine.catalogue import current_catalogue
from workflows.engine.execute import execute
from workflows.engine.execution import Execution, TimedLease
from workflows.engine.route import route_events
from workflows.engine.rows import TakenRun
from workflows.engine.store import Receipt, Write
from workflows.engine.take import take_runs
from workflows.engine.transactions import use_crash_hook
from workflows.models import Run
from workflows.models import Step as StoredStep
from workflows.testing import Workflows
from workflows.workers import writer as writer_module
from workflows.workers.writer import PendingReceipt, Writer


class StoreForLater:
    """Keeps writes with their receipts, as the writer's queue does."""

    def __init__(self) -> None:
        self.submissions: list[tuple[Write, PendingReceipt]] = []

    def submit(self, write: Write) -> Receipt:
        receipt = PendingReceipt()
        self.submissions.append((write, receipt))
        return receipt


@pytest.mark.django_db(transaction=True)  # the writer hangs up
def test_what_comes_after_a_write_that_was_given_up_is_not_stored(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    @workflow(id="one-step", trigger="go")
    def one_step(event: Event[Any], step: Step) -> int:
        return step.run("a", lambda: 7)

    run = taken_run(workflows)
    later = StoreForLater()
    lease = TimedLease(clock.now() + timedelta(seconds=30))
    execute(Execution(run, registry.get(run.workflow), later, lease))
    step, end = later.submissions
    writer = Writer(may_go_on=lambda: False, on_settled=lambda run: None, before_store=lambda: None)
    monkeypatch.setattr(writer_module, "RECONNECT_PAUSE", 0)

    use_crash_hook(fail_before_the_store)
    writer._store([step])
    use_crash_hook(None)
    writer._store([end])

    assert Run.objects.get().status == "running"
    assert not StoredStep.objects.exists()


def taken_run(workflows: Workflows) -> TakenRun:
    workflows._begin_work()
    workflows.send("go")
    route_events()
    assert workflows._worker is not None
    revision = current_catalogue().revision
    [run] = take_runs(
        workflows._worker.pk, queues=["default"], unknown=[], revision=revision, limit=1
    )
    return run


def fail_before_the_store(point: str) -> None:
    if point == "before store":
        message = "the connection was cut"
        raise OperationalError(message)
