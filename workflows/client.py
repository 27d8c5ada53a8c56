"""Everything that acts on the platform: send events, cancel and retry runs, pause workflows.

What an operator can do in the admin, over HTTP or on the command line, code can do here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, overload

from workflows.conf import configuration
from workflows.definitions.events import Event, EventData
from workflows.engine import keys
from workflows.engine.audit import CODE, Actor, note_action
from workflows.engine.bulk import (
    MatchingGroup,
    abort_bulk_operation,
    carry_out_chunk,
    count_matching,
    outline_matching,
    start_bulk_operation,
)
from workflows.engine.cancel import cancel_in_transaction
from workflows.engine.invoke import invoke_in_transaction
from workflows.engine.keys import NewEventKey
from workflows.engine.operator_schedules import (
    change_schedule,
    create_schedule,
    delete_schedule,
    next_firings,
    run_schedule,
)
from workflows.engine.pause import (
    override_in_transaction,
    pause_in_transaction,
    resume_in_transaction,
)
from workflows.engine.prune import Pruned, Pruning
from workflows.engine.replay import replay_in_transaction
from workflows.engine.retry import retry_in_transaction
from workflows.engine.send import as_list, send_events
from workflows.engine.signals import send_signal as _send_signal
from workflows.engine.transactions import transaction
from workflows.errors import InvalidEvent, RunStateError, UnknownWorkflow, WorkflowStateError
from workflows.models import Event as StoredEvent
from workflows.models import EventKey, RegisteredWorkflow, Run
from workflows.off_the_loop import off_the_loop
from workflows.serialisation import decode, encode

__all__ = [
    "MatchingGroup",
    "Pruned",
    "abort_bulk_operation",
    "asend",
    "cancel_run",
    "carry_out_chunk",
    "change_schedule",
    "count_matching",
    "create_event_key",
    "create_schedule",
    "delete_schedule",
    "invoke_workflow",
    "next_firings",
    "outline_matching",
    "override_workflow",
    "pause_workflow",
    "prune_history",
    "replay_run",
    "resend_event",
    "resume_workflow",
    "retry_run",
    "revoke_event_key",
    "run_schedule",
    "send",
    "send_by_hand",
    "send_signal",
    "signalled_run",
    "start_bulk_operation",
]

Sendable = EventData | Event[Any]


@overload
def send(events: Sendable | Sequence[Sendable]) -> list[str]: ...
@overload
def send(
    events: str,
    data: Mapping[str, Any] | None = None,
    *,
    id: str | None = None,
    ts: datetime | None = None,
) -> list[str]: ...


def send(
    events: Sendable | Sequence[Sendable] | str,
    data: Mapping[str, Any] | None = None,
    *,
    id: str | None = None,
    ts: datetime | None = None,
) -> list[str]:
    """Send one event or several, in the caller's own transaction: a rollback takes them along.

    Args:
        events: an `EventData`, an `Event`, a list of these, or an event's name.
        data: with a name: the event's data.
        id: with a name: the sender's own id, which deduplicates for 24 hours.
        ts: with a name: an aware datetime; one in the future takes effect then.

    Returns:
        The platform's ids, in the order of the events.

    Raises:
        InvalidEvent: one of them cannot be an event; none is sent.
    """
    if isinstance(events, str):
        return send_events([Event(name=events, data=dict(data or {}), id=id, ts=ts)])
    if data is not None or id is not None or ts is not None:
        message = "data, id and ts go with an event's name; an Event bears its own."
        raise InvalidEvent(message)
    return send_events(as_list(events))


async def asend(
    events: Sendable | Sequence[Sendable] | str,
    data: Mapping[str, Any] | None = None,
    *,
    id: str | None = None,
    ts: datetime | None = None,
) -> list[str]:
    """Send events from async code, in a transaction of their own; see `send`."""
    send_now: Callable[..., list[str]] = send
    return await off_the_loop(partial(send_now, events, data, id=id, ts=ts))


def cancel_run(run_id: str, *, reason: str | None = None, actor: Actor | None = None) -> Run:
    """Cancel a run that has not ended, for good.

    Args:
        run_id: the run.
        reason: why; shown with the run.
        actor: who asks, for the audit log; None: the project's own code.

    Raises:
        Run.DoesNotExist: there is no such run.
        RunStateError: it has ended already.
    """
    with transaction("cancel"):
        if not cancel_in_transaction(run_id, reason=reason):
            raise _wrong_state(run_id, "cancelled", "have not ended")
        note_action("cancel_run", "run", run_id, actor=actor, reason=reason)
    return Run.objects.get(pk=run_id)


def retry_run(run_id: str, *, reason: str | None = None, actor: Actor | None = None) -> Run:
    """Take a failed run up again at the step that failed.

    Args:
        run_id: the run.
        reason: why, for the audit log.
        actor: who asks, for the audit log; None: the project's own code.

    Raises:
        Run.DoesNotExist: there is no such run.
        RunStateError: it has not failed.
    """
    with transaction("retry"):
        if not retry_in_transaction(run_id):
            raise _wrong_state(run_id, "retried", "have failed")
        note_action("retry_run", "run", run_id, actor=actor, reason=reason)
    return Run.objects.get(pk=run_id)


def replay_run(
    run_id: str,
    *,
    from_step: str | None = None,
    data: dict[str, Any] | None = None,
    reason: str | None = None,
    actor: Actor | None = None,
) -> Run:
    """Start a new run from an ended one's event, from the top or from a step on; return it.

    Args:
        run_id: the run that has ended.
        from_step: a step's id, or `id:n` for its n-th repetition; results before it are kept.
        data: replaces the event's data in the new run.
        reason: why, for the audit log.
        actor: who asks, for the audit log; None: the project's own code.

    Raises:
        Run.DoesNotExist: there is no such run.
        RunStateError: it has not ended, or has no such step.
        InvalidEvent: the data cannot be an event's.
    """
    with transaction("replay"):
        new_id = replay_in_transaction(run_id, from_step=from_step, data=data)
        details = {"new_run": new_id, "from_step": from_step, "with_other_data": data is not None}
        note_action("replay_run", "run", run_id, actor=actor, reason=reason, details=details)
    return Run.objects.get(pk=new_id)


def pause_workflow(
    workflow_id: str, *, actor: Actor | None = None, reason: str | None = None
) -> RegisteredWorkflow:
    """Let no run of a workflow start; those at work go on to their next suspension.

    Args:
        workflow_id: the workflow.
        actor: who asks, for the audit log; None: the project's own code.
        reason: why; shown with the runs that wait.

    Raises:
        UnknownWorkflow: no worker has registered such a workflow.
        WorkflowStateError: it is paused already.
    """
    with transaction("pause"):
        _require_registered(workflow_id)
        if not pause_in_transaction(workflow_id, by=(actor or CODE).name, reason=reason):
            raise WorkflowStateError(f"Workflow {workflow_id!r} is paused already.")
        note_action("pause_workflow", "workflow", workflow_id, actor=actor, reason=reason)
    return RegisteredWorkflow.objects.get(pk=workflow_id)


def resume_workflow(
    workflow_id: str, *, actor: Actor | None = None, reason: str | None = None
) -> RegisteredWorkflow:
    """Let a paused workflow's runs start and go on again.

    Args:
        workflow_id: the workflow.
        actor: who asks, for the audit log; None: the project's own code.
        reason: why, for the audit log.

    Raises:
        UnknownWorkflow: no worker has registered such a workflow.
        WorkflowStateError: it is not paused.
    """
    with transaction("resume"):
        _require_registered(workflow_id)
        if not resume_in_transaction(workflow_id):
            raise WorkflowStateError(f"Workflow {workflow_id!r} is not paused.")
        note_action("resume_workflow", "workflow", workflow_id, actor=actor, reason=reason)
    return RegisteredWorkflow.objects.get(pk=workflow_id)


def override_workflow(
    workflow_id: str,
    overrides: Mapping[str, Any],
    *,
    actor: Actor | None = None,
    reason: str | None = None,
) -> RegisteredWorkflow:
    """Put limits in the place of those that a workflow's code declares, at once on every host.

    Args:
        workflow_id: the workflow.
        overrides: `concurrency`, `throttle` and `retries`, as JSON; None for none at all; what
            is absent is the code's own, so that `{}` takes all overrides back.
        actor: who asks, for the audit log; None: the project's own code.
        reason: why, for the audit log.

    Raises:
        UnknownWorkflow: no worker has registered such a workflow.
        InvalidWorkflow: an override could not be declared; the message says what is wrong.
    """
    with transaction("override"):
        _require_registered(workflow_id)
        before = override_in_transaction(workflow_id, overrides)
        details = {"before": before, "after": dict(overrides)}
        note_action(
            "override_workflow",
            "workflow",
            workflow_id,
            actor=actor,
            reason=reason,
            details=details,
        )
    return RegisteredWorkflow.objects.get(pk=workflow_id)


def invoke_workflow(
    workflow_id: str,
    data: dict[str, Any] | None = None,
    *,
    actor: Actor | None = None,
    reason: str | None = None,
) -> Run:
    """Start a run of a workflow with the given data; return it. Its limits and a pause hold.

    A debounce or batch gathers the event as it does every other: then it is the run that waits for
    more of them.

    Args:
        workflow_id: the workflow.
        data: the data of its event, `workflows/run.invoked`.
        actor: who asks, for the audit log; None: the project's own code.
        reason: why, for the audit log.

    Raises:
        UnknownWorkflow: no worker has registered such a workflow.
        InvalidEvent: the data cannot be an event's.
    """
    with transaction("invoke"):
        run_id = invoke_in_transaction(workflow_id, data)
        note_action(
            "invoke_workflow",
            "workflow",
            workflow_id,
            actor=actor,
            reason=reason,
            details={"run": run_id},
        )
    return Run.objects.get(pk=run_id)


def send_by_hand(
    name: str,
    data: Mapping[str, Any] | None = None,
    *,
    id: str | None = None,
    reason: str | None = None,
    actor: Actor | None = None,
) -> str:
    """Send an event as an operator does, which is noted; return its id.

    Args:
        name: the event's.
        data: its data, in the wire form.
        id: the sender's own id, which deduplicates for 24 hours.
        reason: why, for the audit log.
        actor: who asks, for the audit log; None: the project's own code.

    Raises:
        InvalidEvent: it cannot be an event.
    """
    with transaction("send by hand"):
        [event_id] = send_events([Event(name=name, data=dict(data or {}), id=id)])
        details = {"name": name}
        note_action("send_event", "event", event_id, actor=actor, reason=reason, details=details)
    return event_id


def resend_event(
    event_id: str,
    *,
    data: Mapping[str, Any] | None = None,
    reason: str | None = None,
    actor: Actor | None = None,
) -> str:
    """Send a stored event again, as a new one that happens now; return the new one's id.

    Its own id is left behind, so that it is no duplicate.

    Args:
        event_id: the stored event.
        data: takes the place of its data.
        reason: why, for the audit log.
        actor: who asks, for the audit log; None: the project's own code.

    Raises:
        StoredEvent.DoesNotExist: there is no such event.
        InvalidEvent: the data is wrong, or only the platform itself sends events of this name.
    """
    with transaction("resend"):
        old = StoredEvent.objects.get(pk=event_id)
        again = old.data if data is None else dict(data)
        [new_id] = send_events([Event(name=old.name, data=again, user=old.user, v=old.v)])
        details = {"again": event_id, "with_other_data": data is not None}
        note_action("resend_event", "event", new_id, actor=actor, reason=reason, details=details)
    return new_id


def create_event_key(
    name: str,
    *,
    events: Sequence[str] = (),
    expires_at: datetime | None = None,
    rate_limit: int | None = None,
    reason: str | None = None,
    actor: Actor | None = None,
) -> NewEventKey:
    """Make an event key, whose secret is known this once; see `engine.keys`.

    Args:
        name: 1 to 100 characters that no other key has.
        events: names or patterns (`shop/*`) of what it may send; none: everything.
        expires_at: an aware datetime in the future.
        rate_limit: requests a minute.
        reason: why, for the audit log.
        actor: who asks, for the audit log; None: the project's own code.

    Raises:
        EventKeyError: one of these cannot be; nothing is made.
    """
    with transaction("create event key"):
        made = keys.create_event_key(
            name, events=events, expires_at=expires_at, rate_limit=rate_limit
        )
        details = {"events": list(events), "expires_at": expires_at and expires_at.isoformat()}
        note_action(
            "create_event_key", "event_key", name, actor=actor, reason=reason, details=details
        )
    return made


def revoke_event_key(
    name: str, *, reason: str | None = None, actor: Actor | None = None
) -> EventKey:
    """End an event key at once and for good.

    Args:
        name: the key's.
        reason: why, for the audit log.
        actor: who asks, for the audit log; None: the project's own code.

    Raises:
        EventKeyError: there is no such key, or it is revoked already.
    """
    with transaction("revoke event key"):
        revoked = keys.revoke_event_key(name)
        note_action("revoke_event_key", "event_key", name, actor=actor, reason=reason)
    return revoked


def prune_history(
    before: datetime, *, reason: str | None = None, actor: Actor | None = None
) -> Iterator[Pruned]:
    """Delete ended runs and spent events, a batch at each turn; give what each has deleted.

    Args:
        before: deletes runs that ended, and events that took effect, before then.
        reason: why, for the audit log.
        actor: who asks, for the audit log; None: the project's own code.
    """
    with transaction("prune by hand"):
        note_action("prune_history", "history", before.isoformat(), actor=actor, reason=reason)
    pruning = Pruning(before)
    while batch := pruning.delete_batch():
        yield batch


def send_signal(signal: str, data: Any = None) -> bool:
    """Give a signal's data to the run that waits for it, in the caller's own transaction.

    Returns:
        Whether somebody waited.
    """
    return signalled_run(signal, data) is not None


def signalled_run(signal: str, data: Any = None, *, actor: Actor | None = None) -> str | None:
    """Give a signal's data to the run that waits for it; return the run's id, or None.

    Args:
        signal: its name.
        data: what the wait gives.
        actor: the operator who sends it, for the audit log; None: the project's own code, whose
            signals are its work and not noted.
    """
    with transaction("signal"):
        run_id = _send_signal(signal, json_value(data))
        if run_id is not None and actor is not None:
            note_action("send_signal", "run", run_id, actor=actor, details={"signal": signal})
    return run_id


def json_value(data: Any) -> Any:
    """Return data as it looks after a trip through the database."""
    return decode(encode(data, max_bytes=configuration().max_result_bytes))


def _require_registered(workflow_id: str) -> None:
    if not RegisteredWorkflow.objects.filter(pk=workflow_id).exists():
        raise UnknownWorkflow(f"No worker has registered a workflow {workflow_id!r}.")


def _wrong_state(run_id: str, action: str, state: str) -> RunStateError:
    run = Run.objects.get(pk=run_id)
    return RunStateError(
        f"Run {run_id} is {run.status}, and cannot be {action}: only runs that {state} can be."
    )
