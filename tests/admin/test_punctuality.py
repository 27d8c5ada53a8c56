"""What the pages say about schedules that fire late, and about what comes in and goes out."""

import re
from datetime import timedelta
from typing import Any

import pytest

from tests.admin.conftest import Operator
from workflows import Cron, Event, Step, client, workflow
from workflows.clock import clock
from workflows.engine.roll_up import roll_up
from workflows.models import CronSchedule, Schedule
from workflows.testing import Workflows

SCHEDULES = "/admin/workflows/schedule/"
HOUR = timedelta(hours=1)


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def define_hourly() -> None:
    @workflow(id="hourly", trigger=Cron("0 * * * *"))
    def hourly(event: Event[Any], step: Step) -> None:
        step.run("work", lambda: None)


def plan_hourly() -> Schedule:
    return client.create_schedule(name="remind", cron="0 * * * *", tz="UTC", event_name="shop/due")


def test_schedules_that_have_fired_in_time_say_so(workflows: Workflows, operator: Operator) -> None:
    define_hourly()
    workflows.drain()
    schedule = plan_hourly()
    workflows.advance("2h")

    page = text_of(operator("Viewer").get(SCHEDULES).content.decode())
    own = text_of(operator("Admin").get(f"{SCHEDULES}{schedule.pk}/change/").content.decode())

    assert page.count("on time") == 2
    assert "late" not in page
    assert "on time" in own


def test_a_firing_that_nobody_makes_is_overdue_with_what_else_was_missed(
    workflows: Workflows, operator: Operator
) -> None:
    define_hourly()
    workflows.drain()
    schedule = plan_hourly()
    hour = clock.now().replace(minute=0, second=0, microsecond=0) + HOUR
    workflows.advance(hour + HOUR / 2 - clock.now())  # the page says hours and their tenths
    since = hour - 3 * HOUR
    CronSchedule.objects.update(scheduled_at=since, fires_at=since)
    Schedule.objects.update(due_at=since)

    page = text_of(operator("Viewer").get(SCHEDULES).content.decode())
    own = text_of(operator("Admin").get(f"{SCHEDULES}{schedule.pk}/change/").content.decode())

    assert page.count("late due 3.5 h ago, 3 more missed") == 2
    assert "late due 3.5 h ago, 3 more missed" in own


def test_a_firing_that_was_made_up_for_says_by_how_much_it_was_late(
    workflows: Workflows, operator: Operator
) -> None:
    planned_at = clock.now().replace(second=0, microsecond=0) - timedelta(minutes=10)
    line = f"{planned_at.minute} * * * *"

    @workflow(id="hourly", trigger=Cron(line))
    def hourly(event: Event[Any], step: Step) -> None:
        step.run("work", lambda: None)

    workflows.drain()
    client.create_schedule(name="remind", cron=line, tz="UTC", event_name="shop/due")
    CronSchedule.objects.update(scheduled_at=planned_at, fires_at=planned_at)
    Schedule.objects.update(due_at=planned_at)
    workflows.advance("5s")

    page = text_of(operator("Viewer").get(SCHEDULES).content.decode())

    assert len(re.findall(r"late by 1[01]\.\d min", page)) == 2


def test_a_paused_workflows_cron_is_not_late(workflows: Workflows, operator: Operator) -> None:
    define_hourly()
    workflows.drain()
    client.pause_workflow("hourly", reason="on purpose")
    since = clock.now() - 3 * HOUR
    CronSchedule.objects.update(scheduled_at=since, fires_at=since)

    page = text_of(operator("Viewer").get(SCHEDULES).content.decode())

    assert "late" not in page
    assert "paused" in page


@pytest.mark.parametrize(("runs", "said"), [(0, "0.0"), (10, "2.0")])
def test_the_queue_shows_what_comes_in_and_goes_out_a_minute(
    workflows: Workflows, operator: Operator, runs: int, said: str
) -> None:
    @workflow(id="quick", trigger="go")
    def quick(event: Event[Any], step: Step) -> None:
        step.run("work", lambda: None)

    workflows.drain()
    for _ in range(runs):
        workflows.send("go")
    workflows.drain()
    workflows.advance("2m")
    roll_up()

    page = text_of(operator("Viewer").get("/admin/workflows/worker/").content.decode())

    assert f"Queued a minute {said} 5 minutes up to" in page
    assert f"Ended a minute {said} 5 minutes up to" in page
    assert "Runs by result" in page
