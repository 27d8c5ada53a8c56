"""What the database itself refuses."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from workflows import Concurrency, Event, Step, workflow
from workflows.clock import clock
from workflows.models import Admission, Lane, Run
from workflows.testing import Workflows


@pytest.fixture
def waiting(workflows: Workflows) -> Run:
    """A run that waits in a lane."""

    @workflow(id="job", trigger="go", concurrency=Concurrency(1, counts="active"))
    def job(event: Event[Any], step: Step) -> None:
        step.sleep("nap", "1h")

    workflows.send("go", {})
    workflows.send("go", {})
    workflows.drain()
    return Run.objects.in_line().get()


@pytest.mark.parametrize(
    ("news", "constraint"),
    [
        ({"status": "running", "worker_id": "w"}, "run_is_in_line_only_while_it_waits_in_a_lane"),
        ({"admitted": True}, "run_is_in_line_only_while_it_waits_in_a_lane"),
        ({"is_in_line": False, "lane_id": None}, "run_takes_slots_only_by_its_lane"),
    ],
)
def test_a_run_is_in_line_only_in_a_lane_and_queued(
    waiting: Run, news: dict[str, Any], constraint: str
) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Run.objects.filter(pk=waiting.pk).update(**news)

    assert Run.objects.in_line().get() == waiting


@pytest.mark.parametrize(
    ("news", "constraint"),
    [
        ({"blocked_on": None}, "lane_is_blocked_on_something_or_not_at_all"),
        ({"state": "active"}, "lane_is_blocked_on_something_or_not_at_all"),
        ({"idle_since": "now"}, "lane_is_idle_since_some_time_or_not_at_all"),
        ({"state": "idle", "blocked_on": None}, "lane_is_idle_since_some_time_or_not_at_all"),
    ],
)
def test_a_lane_says_what_it_is_blocked_on_and_since_when_it_is_idle(
    waiting: Run, news: dict[str, Any], constraint: str
) -> None:
    if "idle_since" in news:
        news = {"idle_since": clock.now()}

    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Lane.objects.filter(pk=waiting.lane_id).update(**news)

    assert Lane.objects.get(pk=waiting.lane_id).state == "blocked"


def test_admission_keeps_its_notes_in_one_row(waiting: Run) -> None:
    with (
        pytest.raises(IntegrityError, match="admission_is_one_row"),
        transaction.atomic(),
    ):
        Admission.objects.create(id=2, looked_at=clock.now())

    assert Admission.objects.count() == 1
