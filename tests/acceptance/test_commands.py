"""What the contract says of the command line, a test a sentence."""

import json
import re
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from workflows import Event, Step, workflow
from workflows.testing import Workflows


def output_of(*args: str, **options: Any) -> str:
    """Give what a command prints."""
    out = StringIO()
    call_command(*args, stdout=out, **options)
    return out.getvalue()


def the_line(text: str, name: str) -> str:
    """Give the value on the one line `name: value`."""
    [value] = re.findall(rf"^{name}: (\S+)$", text, re.MULTILINE)
    return str(value)


@pytest.fixture
def failing(workflows: Workflows) -> list[str]:
    """Have a workflow that fails until it is mended; give the list that mends it."""
    mended: list[str] = []

    @workflow(id="fails", trigger="go", retries=0, tags={"customer": "event.data.customer"})
    def fails(event: Event[Any], step: Step) -> Any:
        step.run("a", lambda: 1)

        def body() -> str:
            if not mended:
                raise LookupError("out of stock")
            return "fine"

        return step.run("b", body)

    for customer in (1, 2, 2):
        workflows.send("go", {"customer": customer})
    workflows.drain()
    return mended


def test_create_operator_prints_password_and_token(db: None) -> None:
    text = output_of("create_operator", "olga")
    user = User.objects.get(username="olga")

    assert user.check_password(the_line(text, "password"))
    assert [group.name for group in user.groups.all()] == ["Admin"]
    assert not user.is_superuser
    client = Client(headers={"Authorization": f"Token {the_line(text, 'token')}"})
    assert client.get("/api/v1/runs").status_code == 200
    browser = Client()
    assert browser.login(username="olga", password=the_line(text, "password"))
    assert browser.get("/admin/").status_code == 200


@pytest.mark.parametrize("group", ["Viewer", "Support", "Operator", "Admin"])
def test_create_operator_takes_a_group(db: None, group: str) -> None:
    output_of("create_operator", "olga", "--group", group)

    assert User.objects.get(username="olga").groups.get().name == group


def test_create_operator_makes_a_superuser_and_refuses_a_name_twice(db: None) -> None:
    output_of("create_operator", "olga", "--superuser")

    assert User.objects.get(username="olga").is_superuser
    with pytest.raises(CommandError, match="olga"):
        output_of("create_operator", "olga")
    with pytest.raises(CommandError):
        output_of("create_operator", "otto", "--group", "Owner")


def test_event_keys_are_made_once_scoped_and_revoked(db: None) -> None:
    key = the_line(output_of("create_event_key", "shop", "--events", "shop/*"), "key")

    def post(name: str) -> int:
        return (
            Client()
            .post(f"/e/{key}", json.dumps({"name": name}), content_type="application/json")
            .status_code
        )

    assert post("shop/order") == 200
    assert post("other") in (400, 401, 403)
    with pytest.raises(CommandError, match="shop"):
        output_of("create_event_key", "shop")
    output_of("revoke_event_key", "shop")
    assert post("shop/order") == 401
    with pytest.raises(CommandError, match="nobody"):
        output_of("revoke_event_key", "nobody")
    with pytest.raises(CommandError, match="30"):
        output_of("create_event_key", "other", "--expires", "30")


def test_send_event_sends(workflows: Workflows) -> None:
    @workflow(id="it", trigger="go")
    def it(event: Event[Any], step: Step) -> Any:
        return event.data

    output_of("send_event", "go", "--data", '{"a": 1}', "--id", "own")
    output_of("send_event", "go", "--data", '{"a": 1}', "--id", "own")
    workflows.drain()

    assert [run.output for run in workflows.runs()] == [{"a": 1}]
    for wrong in (("go", "--data", "["), ("go", "--data", "[]"), ("workflows/x", "--data", "{}")):
        with pytest.raises(CommandError):
            output_of("send_event", *wrong)


def test_runs_are_listed_shown_cancelled_and_retried(
    workflows: Workflows, failing: list[str]
) -> None:
    ids = [run.id for run in workflows.runs()]

    assert ids[0] in output_of("runs", "list")
    listed = json.loads(output_of("runs", "list", "--json"))
    assert [run["id"] for run in listed] == ids[::-1]
    assert "steps" not in listed[0]
    tagged = json.loads(output_of("runs", "list", "--tag", "customer:2", "--json"))
    assert [run["id"] for run in tagged] == [ids[2], ids[1]]
    shown = json.loads(output_of("runs", "show", ids[0], "--json"))
    assert (shown["id"], shown["steps"][1]["error"]["name"]) == (ids[0], "LookupError")
    assert "out of stock" in output_of("runs", "show", ids[0])
    failing.append("mended")
    output_of("runs", "retry", ids[0])
    with pytest.raises(CommandError, match=ids[1]):
        output_of("runs", "cancel", ids[1])
    output_of("runs", "cancel", ids[0])
    with pytest.raises(CommandError):
        output_of("runs", "show", "nothing")
    output_of("runs", "retry", "--tag", "customer:2")
    workflows.drain()
    assert [run.status for run in workflows.runs()] == ["cancelled", "completed", "completed"]


def test_replay_failures_takes_failed_runs_up_again(
    workflows: Workflows, failing: list[str]
) -> None:
    failing.append("mended")

    assert "3" in output_of("replay_failures", "--dry-run")
    assert {run.status for run in workflows.runs()} == {"failed"}
    output_of("replay_failures", "--error", "nothing of the kind", "--no-input")
    output_of("replay_failures", "--workflow", "other", "--no-input")
    workflows.drain()
    assert {run.status for run in workflows.runs()} == {"failed"}
    output_of("replay_failures", "--limit", "1", "--error", "out of stock", "--no-input")
    workflows.drain()
    assert [run.status for run in workflows.runs()] == ["completed", "failed", "failed"]
    output_of("replay_failures", "--from-start", "--workflow", "fails", "--no-input")
    workflows.drain()
    assert [run.status for run in workflows.runs()] == [
        "completed",
        "failed",
        "failed",
        "completed",
        "completed",
    ]
    assert [run.replay_of for run in workflows.runs()[3:]] == [
        run.id for run in workflows.runs()[1:3]
    ]


def test_replay_failures_refuses_what_it_cannot_read(workflows: Workflows) -> None:
    for wrong in (("--rate", "fast"), ("--since", "yesterday"), ("--limit", "0")):
        with pytest.raises(CommandError):
            output_of("replay_failures", *wrong, "--no-input")


def test_prune_history_deletes_ended_runs_and_spent_events(
    workflows: Workflows, failing: list[str]
) -> None:
    @workflow(id="sleeps", trigger="sleep")
    def sleeps(event: Event[Any], step: Step) -> None:
        step.sleep("nap", "90d")

    workflows.send("sleep")
    workflows.advance("31d")
    output_of("prune_history", "--older-than", "30d")

    assert [run.workflow for run in workflows.runs()] == ["sleeps"]
    with pytest.raises(CommandError, match="30"):
        output_of("prune_history", "--older-than", "30")
