"""The writer is one for all runs of its process: nothing that one of them submits may end it."""

from typing import Any

import pytest

from tests.workers.support import failing_write, taken_run, write_of
from workflows.errors import LeaseLost, StepResultNotStorable
from workflows.models import Run, Step
from workflows.workers.writer import Writer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def settled() -> list[str]:
    return []


@pytest.fixture
def writer(settled: list[str]) -> Any:
    writer = Writer(
        may_go_on=lambda: True,
        on_settled=lambda run: settled.append(run.id),
        before_store=lambda: None,
    )
    writer.start()
    yield writer
    writer.stop(timeout=10)


def test_a_write_that_no_driver_can_send_fails_alone(writer: Writer) -> None:
    poison, neighbour = taken_run(), taken_run()

    bad = writer.submit(failing_write(poison))
    good = writer.submit(write_of(neighbour))

    with pytest.raises(StepResultNotStorable, match="will not store this"):
        bad.wait()
    good.wait()
    assert list(Step.objects.values_list("run_id", flat=True)) == [neighbour.id]


def test_the_writer_goes_on_after_a_write_that_nobody_can_store(writer: Writer) -> None:
    run = taken_run()
    with pytest.raises(StepResultNotStorable):
        writer.submit(failing_write(run)).wait()

    writer.submit(write_of(run)).wait()

    assert Step.objects.count() == 1


def test_a_write_under_an_old_fence_is_refused_and_changes_nothing(writer: Writer) -> None:
    run = taken_run()
    Run.objects.filter(pk=run.id).update(fence=run.fence + 1)

    receipt = writer.submit(write_of(run))

    with pytest.raises(LeaseLost):
        receipt.wait()
    assert not Step.objects.exists()
