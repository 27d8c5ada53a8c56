"""Values of certain keys are masked for all but superusers, and survive editing."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.checks import run_checks
from django.test import Client

from tests.admin.conftest import Operator
from workflows import Event, Step, client, workflow
from workflows.admin.redaction import MisplacedMaskError, masked, unmasked
from workflows.models import Event as StoredEvent
from workflows.models import Run, Schedule
from workflows.testing import Workflows

ADMIN = "/admin/workflows"
SECRET = "s3cr3t-w0rd"
DATA = {"customer": "4711", "login": [{"Password": SECRET, "apiKey": SECRET, "hint": "a dog"}]}


@pytest.fixture
def superuser(db: None) -> Client:
    browser = Client()
    browser.force_login(User.objects.create_superuser("root"))
    return browser


@pytest.fixture
def run(workflows: Workflows) -> Run:
    """A run that has a secret in its event, in a step's result and in its output."""

    @workflow(id="log-in", trigger="account/entered")
    def log_in(event: Event[Any], step: Step) -> dict[str, Any]:
        return step.run("ask", lambda: {"token": SECRET, "kept": "a cat"})

    [event_id] = workflows.send("account/entered", DATA)
    workflows.drain()
    return Run.objects.get(event_id=event_id)


def pages_of(run: Run) -> list[str]:
    tabs = ("input", "output", "raw")
    return [
        *[f"{ADMIN}/run/{run.pk}/change/?tab={tab}" for tab in tabs],
        f"{ADMIN}/run/{run.pk}/live/",
        f"{ADMIN}/run/{run.pk}/replay/",
        f"{ADMIN}/event/{run.event_id}/change/",
        f"{ADMIN}/event/{run.event_id}/edit/",
    ]


def test_only_superusers_see_what_the_keys_name(
    run: Run, operator: Operator, superuser: Client
) -> None:
    admin = operator("Admin")

    for path in pages_of(run):
        shown = admin.get(path).content.decode()
        assert SECRET not in shown, path
        assert "[redacted]" in shown, path
        assert "a dog" in shown or "a cat" in shown, path
        assert SECRET in superuser.get(path).content.decode(), path


def test_who_sees_no_payload_sees_no_part_of_it_either(run: Run, operator: Operator) -> None:
    viewer = operator("Viewer")

    for path in pages_of(run)[:4]:
        shown = viewer.get(path).content.decode()
        assert SECRET not in shown, path
        assert "a dog" not in shown, path


def test_an_event_that_is_edited_keeps_what_was_masked(run: Run, operator: Operator) -> None:
    edited = masked(DATA) | {"customer": "4712"}

    answer = operator("Operator").post(
        f"{ADMIN}/event/{run.event_id}/edit/", {"event_data": json.dumps(edited), "reason": ""}
    )

    assert answer.status_code == 302
    assert StoredEvent.objects.order_by("-id")[0].data == {**DATA, "customer": "4712"}


def test_a_mask_that_hides_nothing_is_refused(run: Run, operator: Operator) -> None:
    before = StoredEvent.objects.count()

    answer = operator("Operator").post(
        f"{ADMIN}/event/{run.event_id}/edit/", {"event_data": '{"password": "[redacted]"}'}
    )

    assert answer.status_code == 200
    assert "there was no value of it here" in answer.content.decode()
    assert StoredEvent.objects.count() == before


def test_a_replay_on_untouched_data_is_one_on_the_events_own(
    run: Run, operator: Operator, workflows: Workflows
) -> None:
    operator("Operator").post(
        f"{ADMIN}/run/{run.pk}/replay/",
        {"from_step": "", "event_data": json.dumps(masked(DATA)), "reason": ""},
    )

    assert Run.objects.get(replay_of=run.pk).event_id == run.event_id


def test_a_schedule_that_is_edited_keeps_what_was_masked(
    workflows: Workflows, operator: Operator
) -> None:
    schedule = client.create_schedule(
        name="remind", cron="0 9 * * *", tz="UTC", event_name="shop/due", event_data=DATA
    )
    admin = operator("Admin")
    page = admin.get(f"{ADMIN}/schedule/{schedule.pk}/edit/").content.decode()
    form = {"name": "later", "cron": "0 10 * * *", "tz": "UTC", "event_name": "shop/due"}

    answer = admin.post(
        f"{ADMIN}/schedule/{schedule.pk}/edit/", {**form, "event_data": json.dumps(masked(DATA))}
    )

    assert answer.status_code == 302
    kept = Schedule.objects.get()
    assert (kept.name, kept.event_data) == ("later", DATA)
    assert SECRET not in page
    assert SECRET not in admin.get(f"{ADMIN}/schedule/{schedule.pk}/change/").content.decode()


def test_keys_are_compared_whole_and_whatever_their_case_or_dashes() -> None:
    given = {"API-KEY": 1, "apikey": 2, "Api_Key": 3, "api_keys": 4, "password": None}

    assert masked(given) == {
        "API-KEY": "[redacted]",
        "apikey": "[redacted]",
        "Api_Key": "[redacted]",
        "api_keys": 4,
        "password": None,
    }


def test_the_keys_can_be_set(settings: Any) -> None:
    settings.WORKFLOWS = {"REDACT_KEYS": ["iban"]}
    assert masked({"IBAN": "DE1", "token": "t"}) == {"IBAN": "[redacted]", "token": "t"}

    settings.WORKFLOWS = {"REDACT_KEYS": []}
    assert masked({"IBAN": "DE1", "token": "t"}) == {"IBAN": "DE1", "token": "t"}


@pytest.mark.parametrize("value", ["password", [""], [1], None, {"password": True}])
def test_keys_that_are_no_list_of_names_are_found_by_check(settings: Any, value: Any) -> None:
    settings.WORKFLOWS = {"REDACT_KEYS": value}

    found = [fault for fault in run_checks(tags=["workflows"]) if fault.id == "workflows.E002"]

    assert len(found) == 1
    assert "REDACT_KEYS" in found[0].msg


def test_a_mask_elsewhere_is_an_ordinary_text() -> None:
    assert unmasked({"note": "[redacted]"}, {}) == {"note": "[redacted]"}
    with pytest.raises(MisplacedMaskError, match="token"):
        unmasked({"deep": [{"token": "[redacted]"}]}, {"deep": []})
