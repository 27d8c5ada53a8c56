"""What a worker holds by its rows, and what it knows of, are brought together again."""

import pytest

from tests.workers.support import taken_run
from workflows.clock import clock
from workflows.engine.lease import give_back_forgotten
from workflows.engine.rescue import rescue_workers
from workflows.models import Run, RunStatus, Step, StepOp, StepStatus
from workflows.workers.in_hand import RunsInHand

pytestmark = pytest.mark.django_db


def test_a_run_whose_take_was_committed_but_never_answered_is_queued_again() -> None:
    lost, known = taken_run(), taken_run()

    returned = give_back_forgotten(lost.worker_id, in_hand={known.id})

    assert returned == 1
    assert Run.objects.get(pk=known.id).status == RunStatus.RUNNING
    again = Run.objects.get(pk=lost.id)
    assert (again.status, again.worker_id, again.fence, again.losses) == ("queued", None, 2, 0)


def test_a_cancelled_run_keeps_its_slot_until_its_body_has_ended() -> None:
    run = taken_run()
    Run.objects.filter(pk=run.id).update(status=RunStatus.CANCELLED, ended_at=clock.now())

    give_back_forgotten(run.worker_id, in_hand={run.id})
    during = Run.objects.get(pk=run.id).worker_id
    give_back_forgotten(run.worker_id, in_hand=set())

    assert during == run.worker_id
    assert Run.objects.get(pk=run.id).worker_id is None


def test_a_run_is_in_hand_until_its_release_is_settled() -> None:
    run, in_hand = taken_run(), RunsInHand()

    in_hand.take([run])
    in_hand.hand_over(run)
    is_on_its_way = in_hand.executed(run)
    between = in_hand.ids()
    in_hand.settled(run)

    assert is_on_its_way
    assert between == {run.id}
    assert in_hand.ids() == set()


def test_a_run_that_is_taken_again_is_not_forgotten_with_its_earlier_take() -> None:
    run, in_hand = taken_run(), RunsInHand()
    again = taken_run(of=run.id, fence=2)
    in_hand.take([run])
    in_hand.hand_over(run)
    in_hand.executed(run)
    in_hand.take([again])

    in_hand.settled(run)

    assert in_hand.ids() == {run.id}


def test_deaths_do_not_add_up_over_the_steps_of_a_run_that_gets_on() -> None:
    run = taken_run()
    rescue_workers([run.worker_id])
    hold(run.id, run.worker_id)
    end_step(run.id)

    rescue_workers([run.worker_id])

    row = Run.objects.get(pk=run.id)
    assert (row.status, row.losses, row.lost_after_steps) == ("queued", 1, 1)


def test_deaths_add_up_at_one_step() -> None:
    run = taken_run()
    for _ in range(3):
        hold(run.id, run.worker_id)
        rescue_workers([run.worker_id])

    row = Run.objects.get(pk=run.id)
    assert (row.status, row.losses, row.lonely_losses) == ("queued", 3, 1)


def test_a_death_counts_against_nobody_where_the_worker_held_more_than_one_run() -> None:
    first, second = taken_run(), taken_run()
    Run.objects.update(losses=2)

    rescue_workers([first.worker_id])

    rows = Run.objects.filter(pk__in=[first.id, second.id])
    assert list(rows.values_list("losses", "lonely_losses")) == [(3, 0), (3, 0)]


def hold(run_id: str, worker_id: str) -> None:
    Run.objects.filter(pk=run_id).update(status=RunStatus.RUNNING, worker_id=worker_id)


def end_step(run_id: str) -> None:
    now = clock.now()
    Step.objects.create(
        run_id=run_id,
        key="k",
        sequence=1,
        step_id="k",
        op=StepOp.RUN,
        status=StepStatus.COMPLETED,
        output=1,
        started_at=now,
        ended_at=now,
    )
