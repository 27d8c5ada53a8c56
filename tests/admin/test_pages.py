"""What the pages say, to the word."""

from collections import Counter
from typing import Any

from tests.admin.conftest import Operator
from tests.admin.scene import make_scene
from workflows import Event, Step, workflow
from workflows.admin import figures
from workflows.engine.roll_up import roll_up
from workflows.models import OperatorAction, RegisteredWorkflow, Run, Schedule
from workflows.testing import Workflows

ADMIN = "/admin/workflows"


def test_a_queued_run_says_why_it_has_not_started(workflows: Workflows, operator: Operator) -> None:
    scene = make_scene(workflows, text="moving house")

    page = operator("Viewer").get(f"{ADMIN}/run/{scene.queued}/change/").content.decode()

    assert "Has not started yet: the workflow is paused by code: moving house" in page


def test_a_waiting_run_says_for_what_and_until_when(
    workflows: Workflows, operator: Operator
) -> None:
    scene = make_scene(workflows)
    until = workflows.run(scene.waiting).due_at
    assert until is not None

    page = operator("Viewer").get(f"{ADMIN}/run/{scene.waiting}/change/").content.decode()

    assert "Step wait waits for event scene/came" in page
    assert f"{until:%H:%M:%S} UTC" in page


def test_an_event_shows_which_waits_it_ended(workflows: Workflows, operator: Operator) -> None:
    @workflow(id="waits", trigger="go")
    def waits(event: Event[Any], step: Step) -> None:
        step.wait_for_event("wait", event="come", timeout="1h")

    workflows.send("go")
    workflows.drain()
    [ending] = workflows.send("come")
    workflows.drain()

    page = operator("Viewer").get(f"{ADMIN}/event/{ending}/change/").content.decode()

    assert "Waits that it ended" in page
    assert f"{ADMIN}/run/{workflows.runs('waits')[0].id}/change/" in page


def test_an_id_leads_to_its_page(workflows: Workflows, operator: Operator) -> None:
    scene = make_scene(workflows)

    answer = operator("Viewer").get(f"{ADMIN}/run/", {"q": f" {scene.failed.lower()} "})

    assert (answer.status_code, answer["Location"]) == (
        302,
        f"{ADMIN}/run/{scene.failed}/change/",
    )


def test_the_dashboard_groups_errors_and_warns(workflows: Workflows, operator: Operator) -> None:
    make_scene(workflows, text="no money")
    workflows.advance("5m")
    roll_up()

    page = operator("Support").get("/admin/?period=1h").content.decode()

    assert "ValueError: no money" in page
    assert "scene is paused." in page


def test_a_run_is_counted_once_from_its_end_on(workflows: Workflows) -> None:
    make_scene(workflows)
    _, at_once = figures.results(figures.frame("1h"))
    _, of_scene = figures.results(figures.frame("1h", "scene"))
    _, of_another = figures.results(figures.frame("1h", "another"))

    workflows.advance("5m")
    roll_up()

    _, rolled_up = figures.results(figures.frame("1h"))
    assert sum(at_once.values()) == Run.objects.filter(ended_at__isnull=False).count() > 0
    assert rolled_up == at_once
    assert (of_scene, of_another) == (at_once, Counter())


def test_an_override_that_is_wrong_is_refused_as_at_import(
    workflows: Workflows, operator: Operator
) -> None:
    make_scene(workflows)
    form = {"concurrency": '[{"limit": 0}]', "throttle": "", "retries": "", "reason": "slow"}

    page = operator("Admin").post(f"{ADMIN}/registeredworkflow/scene/override/", form)

    assert "concurrency" in page.content.decode().lower()
    assert page.status_code == 200
    assert RegisteredWorkflow.objects.get(pk="scene").overrides == {}


def test_an_override_is_shown_beside_the_codes_own_and_reset_with_one_click(
    workflows: Workflows, operator: Operator
) -> None:
    make_scene(workflows)
    admin = operator("Admin")
    address = f"{ADMIN}/registeredworkflow/scene"
    form = {"concurrency": '[{"limit": 7}]', "throttle": "", "retries": "4", "reason": "slow"}

    admin.post(f"{address}/override/", form)
    overridden = admin.get(f"{address}/change/").content.decode()
    admin.post(f"{address}/reset/")

    assert "1 per event.data.customer" in overridden
    assert '<span class="wf-badge wf-overridden">overridden</span> 7' in overridden
    assert RegisteredWorkflow.objects.get(pk="scene").overrides == {}
    actions = OperatorAction.objects.filter(action="override_workflow").order_by("id")
    assert [action.actor for action in actions] == ["one-of-Admin", "one-of-Admin"]
    assert actions[0].reason == "slow"


def test_a_schedule_shows_its_next_firings_before_it_is_saved(
    workflows: Workflows, operator: Operator
) -> None:
    form = {
        "name": "reminder",
        "cron": "0 9 * * *",
        "at": "",
        "tz": "Europe/London",
        "event_name": "remind",
        "event_data": '{"who": "ana"}',
        "reason": "",
    }
    admin = operator("Admin")

    preview = admin.post(f"{ADMIN}/schedule/new/", {**form, "preview": "1"})
    assert not Schedule.objects.exists()
    admin.post(f"{ADMIN}/schedule/new/", form)

    assert "It would fire at" in preview.content.decode()
    schedule = Schedule.objects.get()
    assert (schedule.name, schedule.cron, schedule.event_data) == (
        "reminder",
        "0 9 * * *",
        {"who": "ana"},
    )


def test_above_a_thousand_runs_their_number_is_asked_for(
    workflows: Workflows, operator: Operator, monkeypatch: Any
) -> None:
    make_scene(workflows)
    monkeypatch.setattr("workflows.admin.bulk_operations.ASKS_FOR_NUMBER_ABOVE", 0)
    address = f"{ADMIN}/bulkoperation/start/?kind=retry&status=failed"
    form = {"kind": "retry", "filter": '{"status": "failed"}', "reason": "again", "number": "2"}
    browser = operator("Operator")

    refused = browser.post(address, form)
    begun = browser.post(address, {**form, "number": "1"})

    assert "It is about 1 runs." in refused.content.decode()
    assert begun.status_code == 302


def test_an_event_is_sent_again_with_other_data(workflows: Workflows, operator: Operator) -> None:
    scene = make_scene(workflows)
    form = {"name": "other", "event_data": '{"then": "other"}', "reason": "wrong before"}

    answer = operator("Operator").post(f"{ADMIN}/event/{scene.event}/edit/", form)

    page = operator("Operator").get(answer["Location"]).content.decode()
    assert "scene/go" in page
    assert "&quot;then&quot;: &quot;other&quot;" in page
