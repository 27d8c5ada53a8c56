"""Everything that acts on the platform: send events, cancel and retry runs.

What an operator can do in the admin, over HTTP or on the command line, code can do here.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, overload

from asgiref.sync import sync_to_async

from workflows.conf import configuration
from workflows.definitions.events import Event, EventData
from workflows.engine.audit import Actor, note_action
from workflows.engine.cancel import cancel_in_transaction
from workflows.engine.replay import replay_in_transaction
from workflows.engine.retry import retry_in_transaction
from workflows.engine.send import as_list, send_events
from workflows.engine.signals import send_signal as _send_signal
from workflows.engine.transactions import transaction
from workflows.errors import InvalidEvent, RunStateError
from workflows.models import Run
from workflows.serialisation import decode, encode

Sendable = EventData | Event[Any]


@overload
def send(events: Sendable | Sequence[Sendable], /) -> list[str]: ...
@overload
def send(
    name: str,
    data: Mapping[str, Any] | None = None,
    /,
    *,
    id: str | None = None,
    ts: datetime | None = None,
) -> list[str]: ...


def send(
    events: Sendable | Sequence[Sendable] | str,
    data: Mapping[str, Any] | None = None,
    /,
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
    /,
    *,
    id: str | None = None,
    ts: datetime | None = None,
) -> list[str]:
    """Send events from async code, in a transaction of their own; see `send`."""
    send_now: Callable[..., list[str]] = send
    return await sync_to_async(send_now)(events, data, id=id, ts=ts)


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


def send_signal(signal: str, data: Any = None) -> bool:
    """Give a signal's data to the run that waits for it, in the caller's own transaction.

    Returns:
        Whether somebody waited.
    """
    return signalled_run(signal, data) is not None


def signalled_run(signal: str, data: Any = None) -> str | None:
    """Give a signal's data to the run that waits for it; return the run's id, or None."""
    return _send_signal(signal, json_value(data))


def json_value(data: Any) -> Any:
    """Return data as it looks after a trip through the database."""
    return decode(encode(data, max_bytes=configuration().max_result_bytes))


def _wrong_state(run_id: str, action: str, state: str) -> RunStateError:
    run = Run.objects.get(pk=run_id)
    return RunStateError(
        f"Run {run_id} is {run.status}, and cannot be {action}: only runs that {state} can be."
    )
