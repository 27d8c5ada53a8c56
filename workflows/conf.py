"""The engine's settings: `WORKFLOWS` in Django's settings, every key with a default.

Nothing is read at import. What differs between hosts comes from the environment through the
settings WORKFLOWS_QUEUES, WORKFLOWS_WORKERS and WORKFLOWS_THREADS.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from django.conf import settings

from workflows.definitions.durations import positive_duration
from workflows.errors import InvalidDuration

KIB = 1024
MIB = 1024 * KIB
SECRETS = (
    *("password", "passwd", "passphrase", "pin", "secret", "client_secret", "private_key"),
    *("token", "access_token", "refresh_token", "id_token", "api_key", "authorization"),
    *("cookie", "set_cookie", "credentials", "card_number", "cvc", "cvv"),
)


@dataclass(frozen=True, slots=True)
class Configuration:
    """All settings, checked.

    Attributes:
        lease: how long a worker that is not heard of keeps what it holds.
        max_worker_losses: deaths of its worker, while it ran alone, that end a run.
        max_steps: steps that a run may have.
        max_invocation_depth: runs that may lie above a run that `step.invoke` starts.
        max_event_bytes: of one event, as compact JSON.
        max_request_bytes: of one request to the event API.
        max_events_per_request: in one request to the event API.
        max_result_bytes: of a step's result or a run's output, as JSON.
        retention: how long ended runs and spent events are kept; None: for ever.
        stop_grace: how long a stopping worker waits for bodies.
        redact_keys: names whose values operators' screens mask for all but superusers, whatever
            their case, and with or without `-` and `_`.
        queues: the queues that this host serves; None: all.
        threads: runs at once in a worker process.
    """

    lease: timedelta = timedelta(seconds=30)
    max_worker_losses: int = 3
    max_steps: int = 1000
    max_invocation_depth: int = 100
    max_event_bytes: int = MIB
    max_request_bytes: int = 16 * MIB
    max_events_per_request: int = 5000
    max_result_bytes: int = 4 * MIB
    retention: timedelta | None = timedelta(days=30)
    stop_grace: timedelta = timedelta(seconds=10)
    redact_keys: tuple[str, ...] = SECRETS
    queues: tuple[str, ...] | None = None
    threads: int = 64


OF_THE_HOST = ("queues", "threads")
KEYS = tuple(field.name.upper() for field in fields(Configuration) if field.name not in OF_THE_HOST)


class WrongSetting(ValueError):  # noqa: N818  says what is wrong: the setting
    """A key or a value of `WORKFLOWS` that cannot be used; the message names it."""


_read: tuple[object, Configuration] | None = None


def configuration() -> Configuration:
    """Return the settings; read anew when Django's were replaced, as tests do.

    Raises:
        WrongSetting: a key or a value is wrong. `manage.py check` names all that are.
    """
    global _read  # noqa: PLW0603  a process has one
    given = (
        getattr(settings, "WORKFLOWS", None),
        getattr(settings, "WORKFLOWS_QUEUES", None),
        getattr(settings, "WORKFLOWS_THREADS", None),
    )
    if _read is None or not _is_same(_read[0], given):
        _read = (given, _configuration(*given))
    return _read[1]


def _is_same(before: object, now: tuple[object, ...]) -> bool:
    """Compare by identity, which is cheap: settings are replaced, not changed."""
    return isinstance(before, tuple) and all(a is b for a, b in zip(before, now, strict=True))


def faults(given: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with `WORKFLOWS`, a sentence for each key."""
    found = []
    for key, value in given.items():
        try:
            _value(key, value)
        except WrongSetting as error:
            found.append(str(error))
    return found


def _configuration(given: Any, queues: Any, threads: Any) -> Configuration:
    values = {key.lower(): _value(key, value) for key, value in (given or {}).items()}
    values["queues"] = tuple(queues) if queues else None
    if threads:
        values["threads"] = threads
    return Configuration(**values)


def _value(key: str, value: object) -> Any:
    if key not in KEYS:
        close = get_close_matches(str(key), KEYS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(KEYS)}."
        message = f"WORKFLOWS has no key {key!r}: {hint}"
        raise WrongSetting(message)
    return _CHECKS[key](key, value)


def _duration(key: str, value: object) -> timedelta:
    try:
        return positive_duration(value, argument=key)  # type: ignore[arg-type]  # it checks
    except InvalidDuration as error:
        message = f"WORKFLOWS[{key!r}] cannot be {value!r}: {error}"
        raise WrongSetting(message) from error


def _optional_duration(key: str, value: object) -> timedelta | None:
    return None if value is None else _duration(key, value)


def _count(key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        message = f"WORKFLOWS[{key!r}] cannot be {value!r}: it must be a whole number from 1."
        raise WrongSetting(message)
    return value


def _names(key: str, value: object) -> tuple[str, ...]:
    is_list = isinstance(value, list | tuple | set | frozenset)
    if not is_list or not all(isinstance(name, str) and name.strip() for name in value):  # type: ignore[attr-defined]  # a list of what
        message = f"WORKFLOWS[{key!r}] cannot be {value!r}: it must be a list of names."
        raise WrongSetting(message)
    return tuple(value)  # type: ignore[arg-type]  # it is a list


_CHECKS: dict[str, Callable[[str, object], Any]] = {
    key: _count if key.startswith("MAX_") else _duration for key in KEYS
} | {"RETENTION": _optional_duration, "REDACT_KEYS": _names}
