"""Who may make which call: every call, by everybody there is."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from workflows import Event, Step, workflow
from workflows.engine.keys import create_event_key
from workflows.testing import Workflows

Operator = Callable[[str], Client]

JSON = "application/json"
NOBODY, EVENT_KEY = "nobody", "an event key"
VIEWER, SUPPORT, OPERATOR, ADMIN = "Viewer", "Support", "Operator", "Admin"
CALLERS = (NOBODY, EVENT_KEY, VIEWER, SUPPORT, OPERATOR, ADMIN)

ALL = (VIEWER, SUPPORT, OPERATOR, ADMIN)
ABOVE_VIEWER = (SUPPORT, OPERATOR, ADMIN)
OPERATORS = (OPERATOR, ADMIN)

# Each call with who may make it; its body stands in the place of {} where it needs one.
CALLS: dict[str, tuple[str, ...]] = {
    "GET /api/v1/events": ALL,
    "GET /api/v1/events/{event}": ALL,
    "GET /api/v1/events/{event}/runs": ALL,
    "GET /api/v1/runs": ALL,
    "GET /api/v1/runs/{run}": ALL,
    "POST /api/v1/runs/{run}/cancel": OPERATORS,
    "POST /api/v1/runs/{run}/retry": ABOVE_VIEWER,
    "POST /api/v1/runs/{run}/replay": OPERATORS,
    "GET /api/v1/workflows": ALL,
    "GET /api/v1/workflows/fails": ALL,
    "PATCH /api/v1/workflows/fails": (ADMIN,),
    "POST /api/v1/workflows/fails/pause": OPERATORS,
    "POST /api/v1/workflows/fails/resume": OPERATORS,
    "POST /api/v1/workflows/fails/invoke": OPERATORS,
    "GET /api/v1/schedules": ALL,
    "POST /api/v1/schedules": (ADMIN,),
    "GET /api/v1/schedules/{run}": ALL,
    "PATCH /api/v1/schedules/{run}": (ADMIN,),
    "DELETE /api/v1/schedules/{run}": (ADMIN,),
    "POST /api/v1/schedules/{run}/run": (ADMIN,),
    "POST /api/v1/signals": OPERATORS,
    "POST /api/v1/organisations": (),
    "GET /metrics": ALL,
}
OPEN = ("GET /healthz", "GET /readyz", "GET /api/schema", "GET /api/docs")


@pytest.fixture
def call(workflows: Workflows, operator: Operator, client: Client) -> Callable[[str, str], int]:
    """Give a function that makes a call as somebody, and gives the answer's status."""

    @workflow(id="fails", trigger="go", retries=0)
    def fails(event: Event[Any], step: Step) -> None:
        step.run("charge", lambda: 1 / 0)

    [event] = workflows.send("go")
    workflows.drain()
    run = workflows.runs("fails")[0].id

    def made(call: str, caller: str) -> int:
        method, _, path = call.partition(" ")
        answer = client_of(caller).generic(
            method, path.format(event=event, run=run), "{}", content_type=JSON
        )
        return answer.status_code

    def client_of(caller: str) -> Client:
        if caller == NOBODY:
            return client
        if caller == EVENT_KEY:
            secret = create_event_key("tests").secret
            return Client(headers={"Authorization": f"Token {secret}"})
        return operator(caller)

    return made


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_made_by_whoever_may_and_by_nobody_else(
    call: Callable[[str, str], int], name: str, caller: str
) -> None:
    status = call(name, caller)

    if caller in (NOBODY, EVENT_KEY):
        assert status == 401
    elif caller in CALLS[name]:
        assert status not in (401, 403)
    else:
        assert status == 403


@pytest.mark.parametrize("name", OPEN)
def test_health_and_the_description_are_open_to_all(
    call: Callable[[str, str], int], name: str
) -> None:
    assert call(name, NOBODY) == 200


def test_an_event_key_in_a_bearer_header_reads_nothing(db: None, client: Client) -> None:
    secret = create_event_key("tests").secret

    answer = client.get("/api/v1/events", headers={"Authorization": f"Bearer {secret}"})

    assert answer.status_code == 401


def test_every_call_of_the_description_is_in_this_matrix(client: Client) -> None:
    schema = client.get("/api/schema").json()
    described = {
        f"{method.upper()} {path}" for path, calls in schema["paths"].items() for method in calls
    }

    def shape(call: str) -> str:
        method, _, path = call.partition(" ")
        parts = [
            "*" if part.startswith("{") or part == "fails" else part for part in path.split("/")
        ]
        return f"{method} {'/'.join(parts)}"

    matrix = {shape(call) for call in (*CALLS, *OPEN)}
    sending = {"POST /e/*", "POST /api/v1/events"}
    assert {shape(call) for call in described} == (matrix | sending) - {
        *("GET /api/schema", "GET /api/docs"),
    }
