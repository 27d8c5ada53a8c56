"""Commands: what they print, what they make, and how they refuse."""

import json
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from rest_framework.authtoken.models import Token

from workflows import Event, Step, workflow
from workflows.engine.keys import require_key
from workflows.models import Event as StoredEvent
from workflows.testing import Workflows


def output_of(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def value_of(name: str, output: str) -> str:
    [line] = [line for line in output.splitlines() if line.startswith(f"{name}: ")]
    return line.removeprefix(f"{name}: ")


def test_a_new_event_key_is_printed_once_and_works(db: None) -> None:
    secret = value_of("key", output_of("create_event_key", "shop", "--expires", "30d"))

    assert require_key(secret).name == "shop"
    with pytest.raises(CommandError, match="already"):
        call_command("create_event_key", "shop")


def test_a_revoked_key_works_no_longer(db: None) -> None:
    call_command("create_event_key", "shop", stdout=StringIO())

    assert "shop" in output_of("revoke_event_key", "shop")
    with pytest.raises(CommandError, match="revoked already"):
        call_command("revoke_event_key", "shop")
    with pytest.raises(CommandError, match="no event key"):
        call_command("revoke_event_key", "bank")


def test_an_operator_can_sign_in_and_has_a_token(db: None) -> None:
    output = output_of("create_operator", "ana", "--group", "Support")

    user = User.objects.get(username="ana")
    assert user.check_password(value_of("password", output))
    assert Token.objects.get(key=value_of("token", output)).user == user
    assert user.has_perm("workflows.retry_run")
    assert not user.has_perm("workflows.cancel_run")
    with pytest.raises(CommandError, match="already"):
        call_command("create_operator", "ana")


def test_an_event_is_sent(db: None) -> None:
    id_ = value_of("event", output_of("send_event", "a/b", "--data", '{"n": 1}'))

    assert StoredEvent.objects.get(pk=id_).data == {"n": 1}
    with pytest.raises(CommandError, match="JSON"):
        call_command("send_event", "a/b", "--data", "{")
    with pytest.raises(CommandError, match="reserved"):
        call_command("send_event", "workflows/x")


def test_runs_are_listed_shown_retried_and_cancelled(workflows: Workflows) -> None:
    @workflow(id="fails", trigger="go", retries=0)
    def fails(event: Event[Any], step: Step) -> None:
        step.run("charge", lambda: 1 / 0)

    workflows.send("go")
    workflows.drain()
    run_id = workflows.runs()[0].id

    assert run_id in output_of("runs", "list")
    [listed] = json.loads(output_of("runs", "list", "--json"))
    assert (listed["id"], listed["status"]) == (run_id, "failed")
    shown = output_of("runs", "show", run_id)
    assert "ZeroDivisionError" in shown
    assert "charge" in shown
    assert "queued" in output_of("runs", "retry", run_id)
    assert "cancelled" in output_of("runs", "cancel", run_id)
    with pytest.raises(CommandError, match="cannot be cancelled"):
        call_command("runs", "cancel", run_id)
