"""Hours are summed from their minutes, once each, and readers know up to when."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from workflows import Event, Step, workflow
from workflows.engine.hours import hour_of, summed_up_to
from workflows.engine.roll_up import roll_up
from workflows.models import HourBacklog, HourCount, HourDuration
from workflows.testing import Workflows


def begin_an_hour(workflows: Workflows) -> None:
    @workflow(id="hourly", trigger="go", retries=0)
    def hourly(event: Event[Any], step: Step) -> None:
        if event.data.get("fail"):
            raise ValueError

    now = workflows.now()
    workflows.advance(hour_of(now) + timedelta(hours=1, minutes=5) - now)


def roll_up_all() -> None:
    while roll_up():
        pass


def test_an_hour_is_summed_when_a_minute_of_the_next_one_is_rolled_up(
    workflows: Workflows,
) -> None:
    begin_an_hour(workflows)
    hour = hour_of(workflows.now())
    for fails in (False, False, True):
        workflows.send("go", {"fail": fails})
        workflows.advance("10m")
    roll_up_all()
    assert not HourCount.objects.filter(hour=hour).exists()

    workflows.advance("40m")
    roll_up_all()

    counted = HourCount.objects.filter(hour=hour).order_by("workflow", "result")
    assert list(counted.values_list("workflow", "result", "count")) == [
        ("", "completed", 2),
        ("", "failed", 1),
        ("hourly", "completed", 2),
        ("hourly", "failed", 1),
    ]
    durations = HourDuration.objects.filter(hour=hour, workflow="", measure="run")
    assert sum(durations.values_list("count", flat=True)) == 3
    assert summed_up_to() == hour + timedelta(hours=1)


def test_an_hour_is_summed_once_however_often_workers_look(workflows: Workflows) -> None:
    begin_an_hour(workflows)
    hour = hour_of(workflows.now())
    workflows.send("go")
    workflows.advance("1h")

    for _ in range(3):
        roll_up_all()
        workflows.advance("1m")

    [row] = HourCount.objects.filter(hour=hour, workflow="hourly")
    assert row.count == 1


@pytest.mark.parametrize(
    "row",
    [
        lambda at: HourCount(hour=at, workflow="", result="failed", count=1),
        lambda at: HourDuration(hour=at, workflow="", measure="run", bucket=1, count=1),
        lambda at: HourBacklog(hour=at, workflow="", queued=1),
    ],
)
def test_the_database_refuses_a_second_sum_of_an_hour(workflows: Workflows, row: Any) -> None:
    hour = hour_of(workflows.now())
    row(hour).save()

    with pytest.raises(IntegrityError), transaction.atomic():
        row(hour).save()
