"""The operators' calls: who may make them, what they show, how lists page, what is refused."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from workflows import Event, Step, workflow
from workflows.models import Run
from workflows.testing import Workflows

Operator = Callable[[str], Client]


def failed_run(workflows: Workflows) -> str:
    @workflow(id="fails", trigger="go", retries=0, tags={"customer": "event.data.customer"})
    def fails(event: Event[Any], step: Step) -> None:
        step.run("charge", lambda: 1 / 0)

    workflows.send("go", {"customer": 4711})
    workflows.drain()
    return workflows.runs()[0].id


def test_a_run_is_shown_with_its_steps(workflows: Workflows, operator: Operator) -> None:
    run_id = failed_run(workflows)

    answer = operator("Support").get(f"/api/v1/runs/{run_id}").json()

    assert (answer["id"], answer["workflow"], answer["status"]) == (run_id, "fails", "failed")
    assert set(answer) == {
        *("id", "workflow", "status", "event_ids", "attempt", "output", "error", "created_at"),
        *("started_at", "ended_at", "due_at", "reason", "replay_of", "parent", "tags", "steps"),
    }
    [step] = answer["steps"]
    assert (step["id"], step["index"], step["op"], step["status"]) == ("charge", 0, "run", "failed")
    assert answer["error"]["name"] == step["error"]["name"] == "ZeroDivisionError"


def test_who_may_not_see_payloads_sees_no_message(workflows: Workflows, operator: Operator) -> None:
    run_id = failed_run(workflows)

    answer = operator("Viewer").get(f"/api/v1/runs/{run_id}").json()

    assert answer["error"] == {"name": "ZeroDivisionError", "message": "", "traceback": ""}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/api/v1/runs"),
        ("get", "/api/v1/events"),
        ("get", "/api/v1/runs/{id}"),
        ("post", "/api/v1/runs/{id}/cancel"),
        ("post", "/api/v1/runs/{id}/retry"),
        ("post", "/api/v1/runs/{id}/replay"),
        ("post", "/api/v1/signals"),
    ],
)
def test_nobody_acts_without_signing_in(
    workflows: Workflows, client: Client, method: str, path: str
) -> None:
    run_id = failed_run(workflows)

    answer = getattr(client, method)(path.format(id=run_id))

    assert answer.status_code == 401
    assert Run.objects.get().status == "failed"


@pytest.mark.parametrize(
    ("group", "action", "status"),
    [
        ("Viewer", "retry", 403),
        ("Support", "retry", 200),
        ("Support", "cancel", 403),
        ("Support", "replay", 403),
        ("Operator", "replay", 201),
        ("Operator", "cancel", 409),
    ],
)
def test_actions_follow_permission_and_state(
    workflows: Workflows, operator: Operator, group: str, action: str, status: int
) -> None:
    run_id = failed_run(workflows)

    answer = operator(group).post(f"/api/v1/runs/{run_id}/{action}", "{}", "application/json")

    assert answer.status_code == status


def test_runs_are_found_by_tag_status_and_workflow(
    workflows: Workflows, operator: Operator
) -> None:
    run_id = failed_run(workflows)
    client = operator("Viewer")

    def found(query: str) -> list[str]:
        return [run["id"] for run in client.get(f"/api/v1/runs?{query}").json()["data"]]

    assert (
        found("tag=customer:4711") == found("status=failed") == found("workflow=fails") == [run_id]
    )
    assert found("tag=customer:1") == found("status=completed") == found("workflow=x") == []


def test_pages_neither_skip_nor_repeat_while_runs_arrive(
    workflows: Workflows, operator: Operator
) -> None:
    @workflow(id="many", trigger="go")
    def many(event: Event[Any], step: Step) -> None:
        return None

    client = operator("Viewer")
    workflows.send([Event(name="go", data={"n": n}) for n in range(5)])
    workflows.drain()
    before = [run.id for run in workflows.runs()]

    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.get(f"/api/v1/runs?limit=2{cursor and '&cursor=' + cursor}").json()
        seen += [run["id"] for run in page["data"]]
        cursor = page["next"]
        workflows.send("go")
        workflows.drain()

    assert seen == before[::-1]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "cursor=x", "since=yesterday", "status=lost", "tag=x"],
)
def test_what_cannot_be_read_is_answered_with_400(operator: Operator, query: str) -> None:
    assert operator("Viewer").get(f"/api/v1/runs?{query}").status_code == 400


def test_an_event_is_shown_with_what_became_of_it(workflows: Workflows, operator: Operator) -> None:
    run_id = failed_run(workflows)
    event_id = workflows.run(run_id).event_ids[0]
    client = operator("Support")

    event = client.get(f"/api/v1/events/{event_id}").json()
    runs = client.get(f"/api/v1/events/{event_id}/runs").json()

    assert (event["name"], event["data"], event["duplicate_of"]) == ("go", {"customer": 4711}, None)
    assert [run["id"] for run in runs["data"]] == [run_id]
    assert "steps" not in runs["data"][0]


def test_readiness_asks_for_a_live_worker(workflows: Workflows, client: Client) -> None:
    before = client.get("/readyz")
    workflows.drain()
    after = client.get("/readyz")

    assert (before.status_code, after.status_code) == (503, 200)
    assert "workers" in before.json()["missing"][0]
    assert client.get("/healthz").status_code == 200
