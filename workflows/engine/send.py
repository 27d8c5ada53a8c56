"""Send events: each becomes a row, unrouted, in the sender's own transaction."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

from pydantic_core import to_json

from workflows.clock import clock
from workflows.conf import configuration
from workflows.definitions.events import Event, EventData, validate_event_name, wire_data
from workflows.engine.rows import EventRow
from workflows.engine.sql import sql
from workflows.engine.transactions import transaction
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.errors import EventTooLarge, InvalidEvent
from workflows.ids import new_ids
from workflows.serialisation import require_storable_event_data

EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
MAX_EXTERNAL_ID = 256  # characters
LONGEST_TEXT = 256 + 64  # characters of a name or an id, with what stands round it
MOST_BYTES_A_CHARACTER = 6  # an escaped one

Sendable = EventData | Event[Any]


def send_events(events: Sequence[Sendable], *, allow_reserved: bool = False) -> list[str]:
    """Write events in the caller's transaction, all or none; return their ids in order.

    Raises:
        InvalidEvent: one of them cannot be an event; names its place in the list.
    """
    rows = event_rows(events, allow_reserved=allow_reserved)
    with transaction("send", is_one_statement=True):
        sql().insert_events(rows)
        wake_workers_after_commit()
    return [row.id for row in rows]


def event_rows(
    events: Sequence[Sendable], *, allow_reserved: bool = False, are_listed: bool = False
) -> list[EventRow]:
    """Check events and return them as rows, with their new ids.

    Args:
        events: at least one.
        allow_reserved: also take names that only the platform itself gives.
        are_listed: name the place of a wrong event also where it is the only one.

    Raises:
        InvalidEvent: one of them cannot be an event; names its place.
    """
    if not events:
        message = "There is no event to send: the list is empty."
        raise InvalidEvent(message)
    now, most_bytes = clock.now(), configuration().max_event_bytes
    ids = new_ids(len(events))
    rows = []
    for place, (id_, event) in enumerate(zip(ids, events, strict=True)):
        try:
            rows.append(_row(id_, event, now, allow_reserved=allow_reserved, most_bytes=most_bytes))
        except InvalidEvent as error:
            if len(events) == 1 and not are_listed:
                raise
            message = f"event {place}: {error}"
            raise type(error)(message) from error
    return rows


def as_list(events: Sendable | Sequence[Sendable]) -> Sequence[Sendable]:
    """Return one event, or several, as a list; what is neither is refused as an event."""
    return events if isinstance(events, list | tuple) else [cast("Sendable", events)]


def _row(
    id_: str, given: Sendable, now: datetime, *, allow_reserved: bool, most_bytes: int
) -> EventRow:
    event = _enveloped(given)
    validate_event_name(event.name, allow_reserved=allow_reserved)
    ts = _require_ts(event.ts) or now
    row = EventRow(
        id=id_,
        name=event.name,
        data=_data_text(event, most_bytes),
        # The SDKs send an empty id for none; as an id it would make all such events repeats.
        external_id=_require_text(event.id, "id", most=MAX_EXTERNAL_ID) or None,
        ts=ts,
        received_at=now,
        due_at=max(ts, now),
        user=_user_text(event.user, most_bytes),
        v=_require_text(event.v, "v"),
        cause=None,
    )
    _require_size(row, most_bytes)
    return row


def _require_size(row: EventRow, most: int) -> None:
    """Refuse an event that is too large as a whole, as compact JSON."""
    characters = len(row.data) + len(row.user or "") + len(row.v or "") + 2 * LONGEST_TEXT
    if characters * MOST_BYTES_A_CHARACTER <= most:
        return  # as almost always, without writing it all once more
    parts = {"name": row.name, "id": row.external_id, "v": row.v}
    size = len(to_json({name: text for name, text in parts.items() if text is not None}))
    for name, text in (("data", row.data), ("user", row.user)):
        if text is not None:
            size += len(f',"{name}":') + len(text.encode())
    if size > most:
        raise EventTooLarge(f"An event has {size:,} bytes; {most:,} are allowed.")


def _enveloped(given: object) -> Event[Any]:
    if isinstance(given, EventData):
        return Event(name=type(given).event_name, data=given)
    if isinstance(given, Event):
        return given
    message = f"An event is an EventData or an Event, not {type(given).__name__}."
    raise InvalidEvent(message)


def _data_text(event: Event[Any], most_bytes: int) -> str:
    """Return the wire form as JSON: of typed data its class's, of a dict its own."""
    data = event.data
    if isinstance(data, EventData):
        wire = data.to_wire()
    else:
        wire = wire_data(event.name, {} if data is None else data)
    return require_storable_event_data(wire, max_bytes=most_bytes)


def _user_text(user: object, most_bytes: int) -> str | None:
    if user is None:
        return None
    return require_storable_event_data(user, max_bytes=most_bytes, what="user")


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


def _require_text(value: object, what: str, *, most: int | None = None) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidEvent(f"An event's {what} is a text, not {type(value).__name__}.")
    if most is not None and len(value) > most:
        message = f"An event's {what} has at most {most} characters, not {len(value)}."
        raise InvalidEvent(message)
    if "\0" in value:
        raise InvalidEvent(f"An event's {what} holds a NUL character.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        message = f"An event's {what} has a lone surrogate, which is not text."
        raise InvalidEvent(message)
    return value
