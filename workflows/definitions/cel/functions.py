"""The functions that an expression may call; a method's target is its first argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import re2  # type: ignore[import-untyped]

from workflows.definitions.cel.values import EvaluationFailed, checked, is_number
from workflows.definitions.durations import format_duration, parse_duration
from workflows.errors import InvalidDuration

LONGEST_PATTERN = 1000


@dataclass(frozen=True, slots=True)
class Function:
    """A function with the numbers of arguments that it takes, a method's target included."""

    call: Callable[..., Any]
    fewest: int = 1
    most: int = 1


def size(value: Any) -> int:
    """Count characters, items or keys."""
    return len(_require(value, str, list, dict))


def to_text(value: Any) -> str:
    """Write a scalar as text: 1.0 as "1", as JSON does not keep it apart from 1."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return format_duration(value)
    if type(value) is float and value.is_integer():
        return str(int(value))
    return str(_require(value, str, int, float))


def to_int(value: Any) -> Any:
    """Read an int from text, a float (cut towards zero), or a moment (seconds since 1970)."""
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, bool):
        raise EvaluationFailed
    return checked(_read(int, _require(value, int, float, str)))


def to_double(value: Any) -> Any:
    """Read a float from text or a number."""
    if isinstance(value, bool):
        raise EvaluationFailed
    return checked(_read(float, _require(value, int, float, str)))


def to_bool(value: Any) -> bool:
    """Read true or false from text."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise EvaluationFailed


def to_timestamp(value: Any) -> datetime:
    """Read a moment from ISO 8601 text with an offset, or from seconds since 1970."""
    if isinstance(value, datetime):
        return value
    if is_number(value):
        value = _read(lambda seconds: datetime.fromtimestamp(seconds, UTC).isoformat(), value)
    moment: datetime = _read(datetime.fromisoformat, _require(value, str))
    if moment.tzinfo is None:
        raise EvaluationFailed
    return moment.astimezone(UTC)


def to_duration(value: Any) -> timedelta:
    """Read a duration from text such as "1h30m"."""
    if isinstance(value, timedelta):
        return value
    try:
        return parse_duration(_require(value, str))
    except InvalidDuration as error:
        raise EvaluationFailed from error


def type_of(value: Any) -> str:
    """Name the type of a value."""
    names = {
        type(None): "null_type",
        bool: "bool",
        int: "int",
        float: "double",
        str: "string",
        list: "list",
        dict: "map",
        datetime: "google.protobuf.Timestamp",
        timedelta: "google.protobuf.Duration",
    }
    return names[type(value)]


def matches(text: Any, pattern: Any) -> bool:
    """Search the text for an RE2 pattern, in time linear in the text."""
    found = _compiled(_require(pattern, str)).search(_require(text, str))
    return found is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    if len(pattern) > LONGEST_PATTERN:
        raise EvaluationFailed
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise EvaluationFailed from error


def _of_texts(method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*texts: Any) -> Any:
        return method(*(_require(text, str) for text in texts))

    return call


def _replace(text: str, old: str, new: str) -> str:
    if len(text) * (len(new) + 1) > LONGEST_RESULT:
        raise EvaluationFailed
    return text.replace(old, new)


LONGEST_RESULT = 2**20


def _part_of_time(read: Callable[[datetime], int]) -> Function:
    def call(value: Any, zone: Any = "UTC") -> int:
        moment: datetime = _require(value, datetime)
        try:
            return read(moment.astimezone(ZoneInfo(_require(zone, str))))
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise EvaluationFailed from error

    return Function(call, 1, 2)


def _require(value: Any, *types: type) -> Any:
    if not isinstance(value, types):
        raise EvaluationFailed
    return value


def _read(read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except (ValueError, OverflowError, OSError) as error:
        raise EvaluationFailed from error


FUNCTIONS: dict[str, Function] = {
    "size": Function(size),
    "string": Function(to_text),
    "int": Function(to_int),
    "double": Function(to_double),
    "bool": Function(to_bool),
    "timestamp": Function(to_timestamp),
    "duration": Function(to_duration),
    "type": Function(type_of),
    "matches": Function(matches, 2, 2),
    "contains": Function(_of_texts(lambda text, part: part in text), 2, 2),
    "startsWith": Function(_of_texts(str.startswith), 2, 2),
    "endsWith": Function(_of_texts(str.endswith), 2, 2),
    "lowerAscii": Function(_of_texts(str.lower)),
    "upperAscii": Function(_of_texts(str.upper)),
    "trim": Function(_of_texts(str.strip)),
    "replace": Function(_of_texts(_replace), 3, 3),
    "getFullYear": _part_of_time(lambda moment: moment.year),
    "getMonth": _part_of_time(lambda moment: moment.month - 1),
    "getDate": _part_of_time(lambda moment: moment.day),
    "getDayOfMonth": _part_of_time(lambda moment: moment.day - 1),
    "getDayOfWeek": _part_of_time(lambda moment: moment.isoweekday() % 7),
    "getDayOfYear": _part_of_time(lambda moment: moment.timetuple().tm_yday - 1),
    "getHours": _part_of_time(lambda moment: moment.hour),
    "getMinutes": _part_of_time(lambda moment: moment.minute),
    "getSeconds": _part_of_time(lambda moment: moment.second),
}
