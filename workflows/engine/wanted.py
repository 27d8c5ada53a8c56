"""What `step.wait_for_event` and `step.wait_for_signal` wait for, and what they give."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from workflows.clock import milliseconds, moment_of
from workflows.definitions.durations import Duration, positive_duration
from workflows.definitions.events import Event, EventData, build_event
from workflows.definitions.flow_control import joined_condition
from workflows.definitions.triggers import require_exact_name
from workflows.engine.failure import storable
from workflows.errors import NonRetriableError

LONGEST_SIGNAL = 256  # characters

EventNames = str | type[EventData] | Sequence[str | type[EventData]]


@dataclass(frozen=True, slots=True)
class WantedEvent:
    """Events that end a wait."""

    names: tuple[str, ...]
    condition: str | None
    timeout: timedelta
    looks_back: bool


def wanted_event(
    event: EventNames, *, match: str | None, if_: str | None, timeout: Duration, lookback: bool
) -> WantedEvent:
    """Check what the author wrote; a wait that is wrong fails at once."""
    given = [event] if isinstance(event, str | type) else list(event)
    if not given:
        message = "wait_for_event needs the name of an event, or several: the list is empty."
        raise NonRetriableError(message)
    return WantedEvent(
        names=tuple(dict.fromkeys(require_exact_name(each) for each in given)),
        condition=joined_condition(match=match, if_=if_),
        timeout=positive_duration(timeout, argument="timeout"),
        looks_back=lookback,
    )


@dataclass(frozen=True, slots=True)
class WantedSignal:
    """The signal that ends a wait."""

    name: str
    timeout: timedelta


def wanted_signal(signal: str, *, timeout: Duration) -> WantedSignal:
    """Check what the author wrote; a wait that is wrong fails at once."""
    return WantedSignal(
        name=require_signal(signal), timeout=positive_duration(timeout, argument="timeout")
    )


def require_signal(signal: object) -> str:
    """Give back the name of a signal.

    Raises:
        NonRetriableError: it is no text, or too long, or no database can store it.
    """
    if (
        not isinstance(signal, str)
        or not 1 <= len(signal) <= LONGEST_SIGNAL
        or storable(signal) != signal
    ):
        message = f"A signal's name is a text of 1 to {LONGEST_SIGNAL} characters, not {signal!r}."
        raise NonRetriableError(message)
    return signal


def awaited_event(stored: dict[str, Any] | None) -> Event[Any] | None:
    """Return the event that ended a wait as a workflow receives it; None after the timeout."""
    if stored is None:
        return None
    return build_event(**{**stored, "ts": moment_of(stored["ts"])})


def wire_form(answer: object) -> object:
    """Return an event that a test gives as the answer of a wait as it would be stored."""
    if isinstance(answer, EventData):
        answer = Event(name=type(answer).event_name, data=answer)
    if not isinstance(answer, Event):
        return answer
    data = answer.data.to_wire() if isinstance(answer.data, EventData) else answer.data
    ts = milliseconds(answer.ts) if answer.ts else 0
    return {
        "id": answer.id,
        "name": answer.name,
        "data": data,
        "ts": ts,
        "user": answer.user,
        "v": answer.v,
    }
