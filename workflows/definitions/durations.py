"""Durations as people write them: `"500ms"`, `"30s"`, `"1h30m"`, `"1d"`, or a `timedelta`."""

from __future__ import annotations

import re
from datetime import timedelta

from workflows.errors import InvalidDuration

Duration = timedelta | str

UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}

# A unit stands at most once, larger ones first; digits are bounded so that nothing overflows.
_DURATION = re.compile(
    "".join(rf"(?:(?P<{unit}>[0-9]{{1,15}}){unit})?" for unit in UNITS), re.ASCII
)
_NUMBER = re.compile(r"\s*[+-]?[0-9.]+\s*", re.ASCII)


def parse_duration(value: Duration, *, argument: str = "duration") -> timedelta:
    """Give the `timedelta` that `value` means; zero and negative `timedelta`s pass.

    Args:
        value: a `timedelta`, or text: whole numbers of w, d, h, m, s and ms, larger units first.
        argument: what the value is called in the message.

    Raises:
        InvalidDuration: the value is something else, a bare number above all.
    """
    if isinstance(value, timedelta):
        return value
    return _parse_text(value, argument)


def positive_duration(value: Duration, *, argument: str = "duration") -> timedelta:
    """Give the `timedelta` that `value` means, of a millisecond at least.

    Raises:
        InvalidDuration: the value is no duration, or is zero, negative or below a millisecond.
    """
    duration = parse_duration(value, argument=argument)
    if duration < UNITS["ms"]:
        raise InvalidDuration(f"{argument}: {value!r} must be at least 1ms.")
    return duration


def format_duration(duration: timedelta) -> str:
    """Write a duration as `parse_duration` reads it, to the millisecond: `"1h30m"`, `"0s"`."""
    if duration < timedelta():
        return "-" + format_duration(-duration)
    parts = []
    for unit, length in UNITS.items():
        count, duration = divmod(duration, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def milliseconds(duration: timedelta) -> int:
    """Give a duration as whole milliseconds, as it is stored."""
    return duration // UNITS["ms"]


def _parse_text(text: object, argument: str) -> timedelta:
    if not isinstance(text, str) or _NUMBER.fullmatch(text):
        raise _not_a_duration(text, argument)
    match = _DURATION.fullmatch(text.strip())
    if match is None or not match.group():
        raise InvalidDuration(
            f"{argument}: {text!r} is no duration. Write whole numbers with units, larger units "
            f'first: "500ms", "30s", "5m", "1h30m", "1d", "1w".'
        )
    try:
        return sum(
            (UNITS[unit] * int(count) for unit, count in match.groupdict().items() if count),
            timedelta(),
        )
    except OverflowError as error:
        raise InvalidDuration(f"{argument}: {text!r} is too long.") from error


def _not_a_duration(value: object, argument: str) -> InvalidDuration:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return InvalidDuration(
            f'{argument}: {value!r} is no duration. Write a timedelta or text such as "30s".'
        )
    return InvalidDuration(
        f"{argument}: the bare number {value!r} is refused, because some tools mean milliseconds "
        f'by it and Python means seconds. Write "{str(value).strip()}s", '
        f'"{str(value).strip()}ms" or a timedelta.'
    )
