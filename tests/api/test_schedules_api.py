"""Operators' schedules over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from workflows.models import Event, OperatorAction, Schedule
from workflows.testing import Workflows

Operator = Callable[[str], Client]

JSON = "application/json"
NIGHTLY = {
    "name": "Nightly report",
    "cron": "0 2 * * *",
    "tz": "Europe/London",
    "event": {"name": "report.due", "data": {"kind": "full"}},
}


def test_a_schedule_is_added_listed_changed_run_and_deleted(
    workflows: Workflows, operator: Operator
) -> None:
    client = operator("Admin")

    added = client.post("/api/v1/schedules", NIGHTLY, JSON)
    address = f"/api/v1/schedules/{added.json()['id']}"
    listed = client.get("/api/v1/schedules").json()
    changed = client.patch(address, {"enabled": False, "event": {"data": {"kind": "short"}}}, JSON)
    fired = client.post(f"{address}/run")
    deleted = client.delete(address)

    assert added.status_code == 201
    assert added.json().items() >= {**NIGHTLY, "at": None, "enabled": True}.items()
    assert listed == {"data": [added.json()], "next": None}
    assert (changed.json()["enabled"], changed.json()["next_firings"]) == (False, [])
    assert changed.json()["event"] == {"name": "report.due", "data": {"kind": "short"}}
    event = Event.objects.get()
    assert (fired.json(), event.data) == ({"event": event.pk}, {"kind": "short"})
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert client.get(address).status_code == 404
    assert [action.action for action in OperatorAction.objects.order_by("pk")] == [
        *("create_schedule", "change_schedule", "run_schedule", "delete_schedule"),
    ]


def test_a_moment_may_take_the_place_of_a_cron_line(
    workflows: Workflows, operator: Operator
) -> None:
    client = operator("Admin")
    added = client.post("/api/v1/schedules", NIGHTLY, JSON).json()

    changed = client.patch(f"/api/v1/schedules/{added['id']}", {"at": "2099-01-01T12:00:00"}, JSON)

    assert (changed.json()["cron"], changed.json()["at"]) == (None, "2099-01-01T12:00:00Z")


WRONG = {
    "no plan": {"cron": None},
    "two plans": {"at": "2099-01-01T12:00:00Z"},
    "a wrong line": {"cron": "61 * * * *"},
    "a wrong zone": {"tz": "Europe/Nowhere"},
    "a moment that is none": {"cron": None, "at": "tomorrow"},
    "a moment that is over": {"cron": None, "at": "2001-01-01T12:00:00Z"},
    "a reserved event": {"event": {"name": "workflows/run.failed"}},
    "no event": {"event": None},
    "data that its class refuses": {"event": {"name": "organisation.created", "data": {}}},
    "data that is none": {"event": {"name": "a", "data": []}},
    "a word for a switch": {"enabled": "yes"},
    "a field that is none": {"corn": "* * * * *"},
    "a number for a name": {"name": 5},
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_schedule_is_refused(workflows: Workflows, operator: Operator, fault: str) -> None:
    body: dict[str, Any] = {**NIGHTLY, **WRONG[fault]}  # type: ignore[dict-item]

    answer = operator("Admin").post("/api/v1/schedules", body, JSON)

    assert answer.status_code == 400
    assert Schedule.objects.count() == 0


def test_who_may_not_see_payloads_does_not_see_the_events_data(
    workflows: Workflows, operator: Operator
) -> None:
    operator("Admin").post("/api/v1/schedules", NIGHTLY, JSON)

    [shown] = operator("Viewer").get("/api/v1/schedules").json()["data"]

    assert shown["event"] == {"name": "report.due", "data": {}}
