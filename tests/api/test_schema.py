"""The OpenAPI description is exact: generated requests, right and wrong, never contradict it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import Permission
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from django.test import Client, override_settings
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from rest_framework.authtoken.models import Token
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from workflows import Event, Step, workflow
from workflows.engine.keys import create_event_key
from workflows.models import Schedule
from workflows.testing import Workflows

Operator = Callable[[str], Client]

EXAMPLES = 10  # a call and mode; more by hand find more

OPERATION_IDS = (
    *("send_events", "send_events_as_sdks_do", "list_events", "get_event", "list_runs_of_event"),
    *("list_runs", "get_run", "cancel_run", "retry_run", "replay_run"),
    *("list_workflows", "get_workflow", "override_workflow", "pause_workflow", "resume_workflow"),
    *("invoke_workflow", "list_schedules", "create_schedule", "get_schedule", "change_schedule"),
    *("delete_schedule", "run_schedule", "send_signal", "request_organisation"),
    *("metrics", "health", "readiness"),
)
# Calls of which no request can be wrong: every text is an id, of something or of nothing.
TAKE_NOTHING = (
    *("get_event", "get_run", "get_workflow", "get_schedule", "delete_schedule"),
    *("metrics", "health", "readiness"),
)

# How a wrong request is refused; a generated list of events may be too large before it is wrong.
REFUSALS = schemathesis.Config.from_dict(
    {"checks": {"negative_data_rejection": {"expected-statuses": [400, 401, 404, 409, 413, 415]}}}
)


@pytest.fixture(scope="module")
def operations() -> Iterator[dict[str, Any]]:
    """Give the described calls, by their operation ids."""
    with override_settings(ALLOWED_HOSTS=["localhost", "testserver"]):
        with connections_stay_open():
            schema = schemathesis.openapi.from_wsgi(
                "/api/schema", get_wsgi_application(), config=REFUSALS
            )
        described = [result.ok() for result in schema.get_all_operations()]  # type: ignore[union-attr]
        yield {operation.definition.raw["operationId"]: operation for operation in described}


@contextmanager
def connections_stay_open() -> Iterator[None]:
    """Let requests keep the test's connection, in whose transaction they happen.

    Only while no test client is at work, which would have them closed again.
    """
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def places(workflows: Workflows, operator: Operator) -> dict[str, str]:
    """Give ids of what there is, an admin's token, and a usable event key."""

    @workflow(id="greet", trigger="go", retries=0)
    def greet(event: Event[Any], step: Step) -> Any:
        return step.run("greeting", lambda: 1 / 0)

    workflows.send("go", {"who": "Ada"})
    workflows.drain()
    [run] = workflows.runs("greet")
    schedule = {"name": "s", "cron": "0 2 * * *", "event": {"name": "e"}}
    operator("Admin").post("/api/v1/schedules", schedule, "application/json")
    token = Token.objects.get()
    token.user.user_permissions.add(Permission.objects.get(codename="add_organisation"))
    return {
        "event_id": run.event_ids[0],
        "run_id": run.id,
        "workflow_id": "greet",
        "schedule_id": Schedule.objects.get().pk,
        "event_key": create_event_key("schema").secret,
        "token": token.key,
    }


def test_every_call_is_tried(operations: dict[str, Any]) -> None:
    assert sorted(operations) == sorted(OPERATION_IDS)


# Calls whose bodies hold data or plans under rules that a schema cannot say: no NUL character in
# any text, no integer beyond 64 bits, a cron line that exists.
UNDER_FURTHER_RULES = (
    *("send_events", "send_events_as_sdks_do", "invoke_workflow", "replay_run", "send_signal"),
    *("create_schedule", "change_schedule", "override_workflow"),
)

CASES = [
    *((GenerationMode.POSITIVE, operation_id) for operation_id in OPERATION_IDS),
    *((GenerationMode.NEGATIVE, each) for each in OPERATION_IDS if each not in TAKE_NOTHING),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("mode", "operation_id"), CASES)
def test_no_answer_contradicts_the_description(
    operations: dict[str, Any], places: dict[str, str], mode: GenerationMode, operation_id: str
) -> None:
    operation = operations[operation_id]
    known = {
        parameter.name: places[parameter.name]
        for parameter in operation.path_parameters
        if parameter.name in places
    }
    is_by_key = operation_id == "send_events"
    secret = f"Bearer {places['event_key']}" if is_by_key else f"Token {places['token']}"

    excluded_checks: list[Any] = (
        [positive_data_acceptance] if operation_id in UNDER_FURTHER_RULES else []
    )

    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode, path_parameters=known or None))
    def tried(case: Case[Any]) -> None:
        with transaction.atomic():
            case.call_and_validate(
                headers={"Authorization": secret}, excluded_checks=excluded_checks
            )
            transaction.set_rollback(True)

    with connections_stay_open():
        tried()
