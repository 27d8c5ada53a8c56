"""Send events: each becomes a row, unrouted, in the sender's own transaction."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from workflows.clock import clock
from workflows.conf import configuration
from workflows.definitions.events import Event, EventData, validate_event_name, wire_data
from workflows.engine.rows import EventRow
from workflows.engine.sql import sql
from workflows.engine.transactions import transaction
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.errors import InvalidEvent
from workflows.ids import new_ids
from workflows.serialisation import require_storable_event_data

EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
MAX_EXTERNAL_ID = 256  # characters

Sendable = EventData | Event[Any]


def send_events(events: Sequence[Sendable], *, allow_reserved: bool = False) -> list[str]:
    """Write events in the caller's transaction, all or none; return their ids in order.

    Raises:
        InvalidEvent: one of them cannot be an event; names its place in the list.
    """
    rows = event_rows(events, allow_reserved=allow_reserved)
    with transaction("send"):
        sql().insert_events(rows)
        wake_workers_after_commit()
    return [row.id for row in rows]


def event_rows(events: Sequence[Sendable], *, allow_reserved: bool = False) -> list[EventRow]:
    """Check events and return them as rows, with their new ids."""
    if not events:
        message = "There is no event to send: the list is empty."
        raise InvalidEvent(message)
    now = clock.now()
    ids = new_ids(len(events))
    rows = []
    for place, (id_, event) in enumerate(zip(ids, events, strict=True)):
        try:
            rows.append(_row(id_, event, now, allow_reserved))
        except InvalidEvent as error:
            if len(events) == 1:
                raise
            message = f"event {place}: {error}"
            raise type(error)(message) from error
    return rows


def as_list(events: Sendable | Sequence[Sendable]) -> Sequence[Sendable]:
    """Return one event, or several, as a list."""
    return [events] if isinstance(events, EventData | Event) else events


def _row(id_: str, given: Sendable, now: datetime, allow_reserved: bool) -> EventRow:  # noqa: FBT001
    event = _enveloped(given)
    validate_event_name(event.name, allow_reserved=allow_reserved)
    ts = _require_ts(event.ts) or now
    return EventRow(
        id=id_,
        name=event.name,
        data=_data_text(event),
        external_id=_require_text(event.id, "id", MAX_EXTERNAL_ID),
        ts=ts,
        received_at=now,
        due_at=max(ts, now),
        user=_user_text(event.user),
        v=_require_text(event.v, "v", MAX_EXTERNAL_ID),
        cause=None,
    )


def _enveloped(given: object) -> Event[Any]:
    if isinstance(given, EventData):
        return Event(name=type(given).event_name, data=given)
    if isinstance(given, Event):
        return given
    message = f"An event is an EventData or an Event, not {type(given).__name__}."
    raise InvalidEvent(message)


def _data_text(event: Event[Any]) -> str:
    """Return the wire form as JSON: of typed data its class's, of a dict its own."""
    data = event.data
    if isinstance(data, EventData):
        wire = data.to_wire()
    else:
        wire = wire_data(event.name, {} if data is None else data)
    return require_storable_event_data(wire, max_bytes=configuration().max_event_bytes)


def _user_text(user: object) -> str | None:
    if user is None:
        return None
    return require_storable_event_data(user, max_bytes=configuration().max_event_bytes, what="user")


def _require_ts(ts: object) -> datetime | None:
    if ts is None:
        return None
    if not isinstance(ts, datetime) or ts.tzinfo is None:
        message = f"An event's ts is an aware datetime, not {ts!r:.100}."
        raise InvalidEvent(message)
    if not EARLIEST <= ts < LATEST:
        message = f"An event's ts lies from 1980 up to 2100; {ts.isoformat()} does not."
        raise InvalidEvent(message)
    return ts.astimezone(UTC)


def _require_text(value: object, what: str, longest: int) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > longest or "\0" in value:
        message = (
            f"An event's {what} is a text of at most {longest} characters without NUL, "
            f"not {value!r:.100}."
        )
        raise InvalidEvent(message)
    if any("\ud800" <= character <= "\udfff" for character in value):
        message = f"An event's {what} has a lone surrogate, which is not text."
        raise InvalidEvent(message)
    return value
