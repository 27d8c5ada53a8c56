"""The audit log: every action is noted in the transaction that carries it out."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User

from workflows import Event, RunStateError, Step, client, workflow
from workflows.engine.audit import Actor
from workflows.models import ActorKind, OperatorAction, Run
from workflows.testing import Workflows


def start_sleeper(workflows: Workflows) -> str:
    @workflow(id="sleeper", trigger="go")
    def sleeper(event: Event[Any], step: Step) -> None:
        step.sleep("night", "8h")

    workflows.send("go")
    workflows.drain()
    return workflows.runs()[0].id


def test_who_did_what_and_why_is_noted_and_mirrored_to_the_log_of_the_admin(
    workflows: Workflows,
) -> None:
    run_id = start_sleeper(workflows)
    user = User.objects.create_user("olga")

    actor = Actor(ActorKind.USER, "olga", user.pk)
    client.cancel_run(run_id, reason="wrong order", actor=actor)

    [action] = OperatorAction.objects.all()
    assert (action.actor, action.user_id, action.action) == ("olga", user.pk, "cancel_run")
    assert (action.object_type, action.object_id) == ("run", run_id)
    assert (action.reason, action.result, action.at) == ("wrong order", "done", workflows.now())
    assert LogEntry.objects.get().change_message == "cancel_run: wrong order"


def test_what_was_refused_is_not_noted(workflows: Workflows) -> None:
    run_id = start_sleeper(workflows)

    with pytest.raises(RunStateError, match="only runs that have failed can be"):
        client.retry_run(run_id)

    assert not OperatorAction.objects.exists()
    assert Run.objects.get().status == "sleeping"


def test_what_code_does_is_noted_as_code(workflows: Workflows) -> None:
    run_id = start_sleeper(workflows)

    workflows.cancel(run_id)
    new = workflows.replay(run_id)

    assert [
        (action.actor_kind, action.action, action.details)
        for action in OperatorAction.objects.order_by("id")
    ] == [
        ("code", "cancel_run", {}),
        (
            "code",
            "replay_run",
            {"new_run": new.id, "from_step": None, "with_other_data": False},
        ),
    ]
