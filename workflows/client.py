"""Everything that acts on the platform: send events, cancel and retry runs.

What an operator can do in the admin, over HTTP or on the command line, code can do here.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, overload

from asgiref.sync import sync_to_async

from workflows.conf import configuration
from workflows.definitions.events import Event, EventData
from workflows.engine.cancel import cancel_run as _cancel_run
from workflows.engine.replay import replay_run as _replay_run
from workflows.engine.retry import retry_run as _retry_run
from workflows.engine.send import as_list, send_events
from workflows.engine.signals import send_signal as _send_signal
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


def cancel_run(run_id: str, *, reason: str | None = None) -> Run:
    """Cancel a run that has not ended, for good.

    Raises:
        Run.DoesNotExist: there is no such run.
        RunStateError: it has ended already.
    """
    return _changed(run_id, _cancel_run(run_id, reason=reason), "cancelled", "have not ended")


def retry_run(run_id: str) -> Run:
    """Take a failed run up again at the step that failed.

    Raises:
        Run.DoesNotExist: there is no such run.
        RunStateError: it has not failed.
    """
    return _changed(run_id, _retry_run(run_id), "retried", "have failed")


def replay_run(
    run_id: str, *, from_step: str | None = None, data: dict[str, Any] | None = None
) -> Run:
    """Start a new run from an ended one's event, from the top or from a step on; return it.

    Args:
        run_id: the run that has ended.
        from_step: a step's id, or `id:n` for its n-th repetition; results before it are kept.
        data: replaces the event's data in the new run.

    Raises:
        Run.DoesNotExist: there is no such run.
        RunStateError: it has not ended, or has no such step.
        InvalidEvent: the data cannot be an event's.
    """
    return Run.objects.get(pk=_replay_run(run_id, from_step=from_step, data=data))


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


def _changed(run_id: str, is_changed: bool, action: str, state: str) -> Run:  # noqa: FBT001
    run = Run.objects.get(pk=run_id)
    if not is_changed:
        message = (
            f"Run {run_id} is {run.status}, and cannot be {action}: only runs that {state} can be."
        )
        raise RunStateError(message)
    return run
