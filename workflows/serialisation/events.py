"""Events' data: read from outside, or given by code, under the rules of the event API."""

import json
import re
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from workflows.errors import EventTooLarge, InvalidEvent

DEEPEST = 64  # levels, counted from the event object
INTEGERS = range(-(2**63), 2**63)

# What a text may hold that needs a closer look: an escape, a long number, or a constant.
SUSPICIOUS = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])|\d{19}|NaN|Infinity")


def strict_json_loads(data: bytes | str) -> Any:
    """Read JSON; of several equal keys the last counts.

    Raises:
        InvalidEvent: it is malformed, nested too deep to be read, or holds NaN or a lone
            surrogate. What else no event may hold `require_storable_event_data` finds.
    """
    raw = data.encode(errors="surrogatepass") if isinstance(data, str) else data
    try:
        return from_json(raw, allow_inf_nan=False)
    except (ValueError, RecursionError) as error:
        raise InvalidEvent(f"The body is not JSON that an event can hold: {error}.") from error


def require_storable_event_data(data: Any, *, max_bytes: int, what: str = "data") -> str:
    """Return an event's data as the JSON text that is stored.

    Args:
        data: an object of JSON's types, or of types that pydantic writes as these.
        max_bytes: how long the text may be.
        what: the part of the event, for messages.

    Raises:
        InvalidEvent: it is no object, or holds what no event may.
    """
    if not isinstance(data, dict):
        raise InvalidEvent(f"An event's {what} is an object, not {type(data).__name__}.")
    try:
        written = to_json(data, inf_nan_mode="constants")
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise InvalidEvent(f"An event's {what} cannot be written as JSON: {error}.") from error
    if len(written) > max_bytes:
        raise EventTooLarge(
            f"An event's {what} has {len(written):,} bytes; {max_bytes:,} are allowed."
        )
    if _is_deep(written) or SUSPICIOUS.search(written):
        require_plain(json.loads(written), what)
    return written.decode()


def _is_deep(written: bytes) -> bool:
    """Tell whether the text could be nested deeper than is allowed."""
    return written.count(b"{") + written.count(b"[") >= DEEPEST - 1


def require_plain(value: Any, place: str, *, depth: int = 2) -> None:
    """Refuse what no event may hold, wherever it stands.

    Args:
        value: plain JSON.
        place: where it stands, for messages.
        depth: its level, where the event object is the first.

    Raises:
        InvalidEvent: it holds something of the kind.
    """
    if isinstance(value, dict | list):
        if depth > DEEPEST:
            raise InvalidEvent(f"{place} is nested deeper than {DEEPEST} levels.")
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if isinstance(key, str):
                _require_text(key, f"a key of {place}")
            require_plain(
                item,
                f"{place}.{key}" if isinstance(key, str) else f"{place}[{key}]",
                depth=depth + 1,
            )
    elif isinstance(value, str):
        _require_text(value, place)
    elif isinstance(value, float):
        _require_finite(value, place)
    elif isinstance(value, int) and value not in INTEGERS:
        raise InvalidEvent(f"{place} is an integer beyond 64 bits.")


def _require_finite(value: float, place: str) -> None:
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124  NaN is not itself
        raise InvalidEvent(f"{place} is NaN or infinite, which JSON does not have.")


def _require_text(text: str, place: str) -> None:
    if "\0" in text:
        raise InvalidEvent(f"{place} holds a NUL character.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidEvent(f"{place} holds a lone surrogate, which is not text.")
