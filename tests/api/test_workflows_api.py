"""Workflows over HTTP: what is listed, and what pausing, overriding and invoking do."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from workflows import Batch, Concurrency, Debounce, Event, Step, workflow
from workflows.models import ActorKind, OperatorAction, Run
from workflows.models import Event as EventModel
from workflows.testing import Workflows

Operator = Callable[[str], Client]

JSON = "application/json"


def register(workflows: Workflows, **options: Any) -> None:
    @workflow(id="greet", trigger="go", retries=2, **options)
    def greet(event: Event[Any], step: Step) -> Any:
        return event.data

    workflows.drain()


def test_workflows_are_listed_with_what_operators_set(
    workflows: Workflows, operator: Operator
) -> None:
    register(workflows)

    answer = operator("Viewer").get("/api/v1/workflows?limit=200").json()

    [greet] = [each for each in answer["data"] if each["id"] == "greet"]
    assert answer["next"] is None
    assert (greet["name"], greet["paused"], greet["overrides"]) == ("greet", False, {})
    assert greet["triggers"] == [{"kind": "event", "event": "go", "if": None}]


def test_pages_of_workflows_have_each_once(workflows: Workflows, operator: Operator) -> None:
    register(workflows)
    client = operator("Viewer")
    all_at_once = [each["id"] for each in client.get("/api/v1/workflows").json()["data"]]

    seen: list[str] = []
    query = ""
    while True:
        page = client.get(f"/api/v1/workflows?limit=1{query}").json()
        seen += [each["id"] for each in page["data"]]
        if page["next"] is None:
            break
        query = f"&cursor={page['next']}"

    assert seen == all_at_once == sorted(all_at_once)


def test_a_paused_workflow_starts_nothing_until_it_is_resumed(
    workflows: Workflows, operator: Operator
) -> None:
    register(workflows)
    client = operator("Operator")

    paused = client.post("/api/v1/workflows/greet/pause", {"reason": "broken"}, JSON)
    again = client.post("/api/v1/workflows/greet/pause")
    workflows.send("go")
    workflows.drain()
    meanwhile = workflows.runs("greet")[0].status
    resumed = client.post("/api/v1/workflows/greet/resume")
    workflows.drain()

    assert (paused.status_code, again.status_code, resumed.status_code) == (200, 409, 200)
    assert (paused.json()["paused"], paused.json()["pause_reason"]) == (True, "broken")
    assert resumed.json()["paused"] is False
    assert (meanwhile, workflows.runs("greet")[0].status) == ("queued", "completed")


def test_an_override_holds_in_the_place_of_the_codes_own_value(
    workflows: Workflows, operator: Operator
) -> None:
    register(workflows, concurrency=Concurrency(limit=3))
    client = operator("Admin")

    def patch(overrides: Any) -> Any:
        return client.patch("/api/v1/workflows/greet", {"overrides": overrides}, JSON)

    set_ = patch({"concurrency": [{"limit": 5}], "throttle": None, "retries": 1})
    wrong = patch({"concurrency": [{"limit": 0}]})
    reset = patch({})

    assert set_.json()["overrides"] == {
        "concurrency": [{"limit": 5}],
        "throttle": None,
        "retries": 1,
    }
    assert wrong.status_code == 400
    assert "greet" in wrong.json()["detail"]
    assert (reset.status_code, reset.json()["overrides"]) == (200, {})


def test_an_invoked_run_exists_at_once_and_runs_with_its_data(
    workflows: Workflows, operator: Operator
) -> None:
    register(workflows)

    answer = operator("Operator").post(
        "/api/v1/workflows/greet/invoke", {"data": {"who": "Ada"}}, JSON
    )
    at_first = answer.json()
    workflows.drain()

    assert answer.status_code == 201
    assert (at_first["workflow"], at_first["status"]) == ("greet", "queued")
    event = EventModel.objects.get(pk=at_first["event_ids"][0])
    assert (event.name, event.data) == ("workflows/run.invoked", {"who": "Ada"})
    assert [run.id for run in workflows.runs("greet")] == [at_first["id"]]
    assert workflows.run(at_first["id"]).output == {"who": "Ada"}


def test_an_invoked_run_obeys_a_pause_and_the_limits(
    workflows: Workflows, operator: Operator
) -> None:
    @workflow(id="sleeps", concurrency=Concurrency(limit=1, counts="active"))
    def sleeps(event: Event[Any], step: Step) -> None:
        step.sleep("a-while", "1h")

    workflows.drain()
    client = operator("Operator")
    for _ in range(2):
        client.post("/api/v1/workflows/sleeps/invoke")
    workflows.drain()
    statuses = sorted(run.status for run in workflows.runs("sleeps"))
    client.post("/api/v1/workflows/sleeps/pause")
    third = client.post("/api/v1/workflows/sleeps/invoke").json()["id"]
    workflows.advance("3h")

    assert statuses == ["queued", "sleeping"]
    assert workflows.run(third).status == "queued"


@pytest.mark.parametrize("gathering", ["debounce", "batch"])
def test_invoking_a_workflow_that_gathers_gives_the_queued_run_that_its_event_is_in(
    workflows: Workflows, operator: Operator, gathering: str
) -> None:
    options: dict[str, Any] = {
        "debounce": {"debounce": Debounce(period="10s")},
        "batch": {"batch": Batch(max_size=5, timeout="10s")},
    }

    @workflow(id="gathers", trigger="go", **options[gathering])
    def gathers(event: Any, step: Step) -> int:
        return len(event) if isinstance(event, list) else 1

    workflows.drain()
    client = operator("Operator")

    answer = client.post("/api/v1/workflows/gathers/invoke", {"data": {"n": 1}}, JSON)
    workflows.drain()
    meanwhile = workflows.runs("gathers")[0].status
    workflows.advance("11s")

    at_first = answer.json()
    assert (answer.status_code, at_first["workflow"], at_first["status"]) == (
        201,
        "gathers",
        "queued",
    )
    assert EventModel.objects.get(pk=at_first["event_ids"][0]).data == {"n": 1}
    assert meanwhile == "queued"
    [run] = workflows.runs("gathers")
    assert (run.id, run.status) == (at_first["id"], "completed")


def test_on_failure_workflows_are_invoked_by_their_id_with_its_slash(
    workflows: Workflows, operator: Operator
) -> None:
    @workflow(id="billing/charge")
    def charge(event: Event[Any], step: Step) -> str:
        return "charged"

    workflows.drain()

    answer = operator("Operator").post("/api/v1/workflows/billing/charge/invoke")
    workflows.drain()

    assert workflows.run(answer.json()["id"]).output == "charged"


@pytest.mark.parametrize("action", ["pause", "resume", "invoke"])
def test_an_unknown_workflow_is_answered_with_404(
    workflows: Workflows, operator: Operator, action: str
) -> None:
    answer = operator("Operator").post(f"/api/v1/workflows/nobody/{action}")

    assert answer.status_code == 404
    assert Run.objects.count() == EventModel.objects.count() == 0


@pytest.mark.parametrize(
    "body", [{"data": [1]}, {"data": {"x": "\0"}}, {"data": {"x": 2**70}}, {"dta": {}}, [], "x"]
)
def test_what_cannot_be_an_events_data_invokes_nothing(
    workflows: Workflows, operator: Operator, body: Any
) -> None:
    register(workflows)

    answer = operator("Operator").post("/api/v1/workflows/greet/invoke", body, JSON)

    assert answer.status_code == 400
    assert Run.objects.count() == EventModel.objects.count() == 0


def test_what_is_done_by_a_token_is_noted_as_such(workflows: Workflows, operator: Operator) -> None:
    register(workflows)

    operator("Operator").post("/api/v1/workflows/greet/invoke", {"reason": "to see"}, JSON)

    [action] = OperatorAction.objects.all()
    assert (action.actor_kind, action.actor) == (ActorKind.TOKEN, "one-of-Operator")
    assert (action.action, action.object_id, action.reason) == (
        *("invoke_workflow", "greet", "to see"),
    )


def test_what_is_done_by_a_session_is_noted_as_such_and_needs_its_csrf_token(
    workflows: Workflows, django_user_model: type[User]
) -> None:
    register(workflows)
    user = django_user_model.objects.create_user("ada")
    user.user_permissions.add(Permission.objects.get(codename="pause_workflow"))
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)

    without = client.post("/api/v1/workflows/greet/pause")
    client.cookies["csrftoken"] = "a" * 32
    with_it = client.post("/api/v1/workflows/greet/pause", headers={"X-CSRFToken": "a" * 32})

    assert (without.status_code, with_it.status_code) == (403, 200)
    [action] = OperatorAction.objects.all()
    assert (action.actor_kind, action.actor, action.user_id) == (ActorKind.USER, "ada", user.pk)
