"""Note what operators do, in the transaction that carries it out: the audit log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType

from workflows.clock import clock
from workflows.ids import new_id, new_ids
from workflows.models import OperatorAction
from workflows.models.operator_action import LONGEST_NAME, ActorKind

DONE = "done"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts.

    Attributes:
        kind: how: signed in, by a token, on the command line, or from the project's own code.
        name: by which people know them.
        user_id: their account's, where they have one.
    """

    kind: ActorKind
    name: str
    user_id: int | None = None


CODE = Actor(ActorKind.CODE, "code")


def note_action(  # noqa: PLR0913  an action has as many sides
    action: str,
    object_type: str,
    object_id: str,
    *,
    actor: Actor | None = None,
    reason: str | None = None,
    details: Mapping[str, Any] | None = None,
    result: str = DONE,
) -> None:
    """Note an action in the caller's transaction, so that it is noted exactly when it was done.

    What a user did is mirrored to Django's own log of the admin.

    Args:
        action: what was done, as the function of `workflows.client` is called.
        object_type: the kind of the thing: run, workflow, schedule, event, event_key, ...
        object_id: its id.
        actor: who; None: the project's own code.
        reason: why, in their own words.
        details: what it changed, as JSON.
        result: what came of it.
    """
    actor = actor or CODE
    OperatorAction.objects.create(
        id=new_id(),
        at=clock.now(),
        actor_kind=actor.kind,
        actor=actor.name[:LONGEST_NAME],
        user_id=actor.user_id,
        action=action,
        object_type=object_type,
        object_id=object_id,
        reason=reason or "",
        details=dict(details or {}),
        result=result[:LONGEST_NAME],
    )
    if actor.user_id is not None:
        LogEntry.objects.create(
            user_id=actor.user_id,
            content_type=ContentType.objects.get_for_model(OperatorAction),
            object_id=object_id,
            object_repr=f"{object_type} {object_id}"[:LONGEST_NAME],
            action_flag=CHANGE,
            change_message=f"{action}: {reason}" if reason else action,
        )


def note_each(
    action: str,
    object_type: str,
    object_ids: Sequence[str],
    *,
    actor: Actor,
    reason: str,
    details: Mapping[str, Any],
) -> None:
    """Note what a bulk operation did to each of several things, in the caller's transaction.

    Django's own log has the operation alone.
    """
    now = clock.now()
    OperatorAction.objects.bulk_create(
        OperatorAction(
            id=id_,
            at=now,
            actor_kind=actor.kind,
            actor=actor.name,
            user_id=actor.user_id,
            action=action,
            object_type=object_type,
            object_id=object_id,
            reason=reason,
            details=dict(details),
            result=DONE,
        )
        for id_, object_id in zip(new_ids(len(object_ids)), object_ids, strict=True)
    )
