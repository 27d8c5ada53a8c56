"""Operators' schedules: when they fire, what they refuse, and what is noted of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from workflows import Event, InvalidEvent, Step, client, workflow
from workflows.clock import VirtualTime, clock
from workflows.engine.schedule import fire_schedules
from workflows.errors import InvalidSchedule
from workflows.models import Event as StoredEvent
from workflows.models import OperatorAction, Schedule
from workflows.testing import Workflows

NINE = datetime(2030, 5, 6, 9, 0, tzinfo=UTC)


def move_to(moment: datetime) -> None:
    assert isinstance(clock.source, VirtualTime)
    clock.source.move_to(moment)


def declare_report() -> list[Any]:
    seen: list[Any] = []

    @workflow(id="report", trigger="report/due")
    def report(event: Event[Any], step: Step) -> None:
        seen.append((event.data, event.ts))

    return seen


def plan(**fields: Any) -> Schedule:
    given = {"name": "reports", "event_name": "report/due", "event_data": {"kind": "daily"}}
    return client.create_schedule(**{**given, **fields})


def test_a_cron_line_sends_its_event_at_each_of_its_times(workflows: Workflows) -> None:
    move_to(NINE)
    seen = declare_report()
    plan(cron="30 9 * * *", tz="Europe/London")

    workflows.advance("24h")

    half_past_nine_in_london = datetime(2030, 5, 7, 8, 30, tzinfo=UTC)
    assert seen == [({"kind": "daily"}, half_past_nine_in_london)]


def test_a_moment_sends_its_event_once_and_is_over(workflows: Workflows) -> None:
    move_to(NINE)
    seen = declare_report()
    schedule = plan(at=NINE + timedelta(hours=1))

    workflows.advance("3h")

    assert seen == [({"kind": "daily"}, NINE + timedelta(hours=1))]
    schedule.refresh_from_db()
    assert (schedule.enabled, schedule.due_at) == (True, None)
    assert schedule.last_event_id == StoredEvent.objects.get().pk


def test_a_moment_without_a_zone_is_meant_in_the_schedules(workflows: Workflows) -> None:
    move_to(NINE)

    schedule = plan(at=datetime(2030, 5, 6, 12, 0), tz="Asia/Tokyo", enabled=False)  # noqa: DTZ001

    assert schedule.at == datetime(2030, 5, 6, 3, 0, tzinfo=UTC)


def test_after_downtime_the_last_missed_firing_is_made_up_once(workflows: Workflows) -> None:
    move_to(NINE)
    plan(cron="0 * * * *")

    move_to(NINE + timedelta(hours=5, minutes=30))
    fired = [fire_schedules(), fire_schedules()]

    assert fired == [1, 0]
    assert StoredEvent.objects.get().ts == NINE + timedelta(hours=5)
    assert Schedule.objects.get().due_at == NINE + timedelta(hours=6)


def test_what_was_missed_while_switched_off_is_not_made_up(workflows: Workflows) -> None:
    move_to(NINE)
    schedule = plan(cron="0 * * * *")

    client.change_schedule(schedule.pk, enabled=False)
    workflows.advance("3h30m")
    client.change_schedule(schedule.pk, enabled=True)
    workflows.drain()
    assert not StoredEvent.objects.exists()
    workflows.advance("30m")

    assert StoredEvent.objects.get().ts == NINE + timedelta(hours=4)


def test_run_now_sends_the_event_and_leaves_the_plan(workflows: Workflows) -> None:
    move_to(NINE)
    seen = declare_report()
    schedule = plan(cron="0 12 * * *", enabled=False)

    event_id = client.run_schedule(schedule.pk, reason="the auditors ask")
    workflows.drain()

    assert seen == [({"kind": "daily"}, NINE)]
    schedule.refresh_from_db()
    assert (schedule.last_event_id, schedule.due_at) == (event_id, None)
    action = OperatorAction.objects.get(action="run_schedule")
    assert (action.reason, action.details) == ("the auditors ask", {"event": event_id})


def test_the_next_firings_are_told_also_of_what_is_not_saved(workflows: Workflows) -> None:
    move_to(NINE)

    hourly = client.next_firings(Schedule(cron="15 * * * *", tz="UTC"), 2)
    once = client.next_firings(Schedule(at=NINE + timedelta(days=1), tz="UTC"), 3)
    over = client.next_firings(Schedule(at=NINE - timedelta(days=1), tz="UTC"), 3)

    assert hourly == [NINE + timedelta(minutes=15), NINE + timedelta(minutes=75)]
    assert (once, over) == ([NINE + timedelta(days=1)], [])


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"cron": "61 * * * *"}, InvalidSchedule, "no cron line"),
        ({"cron": "0 0 30 2 *"}, InvalidSchedule, "bad day-of-month"),
        ({"cron": "0 * * * *", "tz": "Europe/Lodnon"}, InvalidSchedule, "Europe/London"),
        ({}, InvalidSchedule, "either a cron line or a moment"),
        ({"cron": "0 * * * *", "at": NINE}, InvalidSchedule, "either a cron line or a moment"),
        ({"at": NINE - timedelta(seconds=1)}, InvalidSchedule, "is over"),
        ({"cron": "0 * * * *", "name": " "}, InvalidSchedule, "name has 1 to 200"),
        ({"cron": "0 * * * *", "event_name": "workflows/x"}, InvalidEvent, "reserved"),
        ({"cron": "0 * * * *", "event_data": [1]}, InvalidEvent, "is an object"),
        ({"cron": "0 * * * *", "event_data": {"n": 2**70}}, InvalidEvent, "64 bits"),
    ],
)
def test_a_wrong_schedule_is_refused_by_a_message_that_says_why(
    workflows: Workflows, fields: dict[str, Any], error: type[Exception], says: str
) -> None:
    move_to(NINE)

    with pytest.raises(error, match=says):
        plan(**fields)

    assert not Schedule.objects.exists()
    assert not OperatorAction.objects.exists()


def test_a_wrong_change_is_refused_and_changes_nothing(workflows: Workflows) -> None:
    move_to(NINE)
    schedule = plan(cron="0 * * * *")

    with pytest.raises(InvalidSchedule, match="no cron line"):
        client.change_schedule(schedule.pk, name="other", cron="hourly")
    with pytest.raises(InvalidSchedule, match="'owner'"):
        client.change_schedule(schedule.pk, owner="ana")

    schedule.refresh_from_db()
    assert (schedule.name, schedule.cron) == ("reports", "0 * * * *")


def test_a_moment_takes_the_place_of_a_cron_line(workflows: Workflows) -> None:
    move_to(NINE)
    schedule = plan(cron="0 * * * *")

    changed = client.change_schedule(schedule.pk, at=NINE + timedelta(days=2))

    assert (changed.cron, changed.due_at) == (None, NINE + timedelta(days=2))
    action = OperatorAction.objects.get(action="change_schedule")
    assert action.details == {
        "cron": ["0 * * * *", None],
        "at": [None, "2030-05-08T09:00:00+00:00"],
    }


def test_a_deleted_schedule_fires_no_more_and_is_remembered_in_the_audit_log(
    workflows: Workflows,
) -> None:
    move_to(NINE)
    schedule = plan(cron="0 * * * *")

    client.delete_schedule(schedule.pk, reason="no longer needed")
    workflows.advance("2h")

    assert not StoredEvent.objects.exists()
    action = OperatorAction.objects.get(action="delete_schedule")
    assert (action.reason, action.details["cron"]) == ("no longer needed", "0 * * * *")


@pytest.mark.parametrize(
    "impossible",
    [{"cron": None}, {"at": NINE}, {"enabled": False}],
    ids=["no plan", "two plans", "due though switched off"],
)
def test_the_database_refuses_an_impossible_schedule(
    workflows: Workflows, impossible: dict[str, Any]
) -> None:
    move_to(NINE)
    schedule = plan(cron="0 * * * *")

    with pytest.raises(IntegrityError), transaction.atomic():
        Schedule.objects.filter(pk=schedule.pk).update(**impossible)
