"""How long a failed attempt waits before the next one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from workflows.definitions.durations import Duration, parse_duration
from workflows.errors import InvalidDuration

DEFAULT_WAITS = tuple(
    timedelta(seconds=seconds) for seconds in (15, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200)
)
LONGEST_JITTER = timedelta(seconds=30)

Backoff = Duration | Sequence[Duration] | Callable[[int], timedelta]


def wait_before_next_attempt(
    failed_attempts: int, *, backoff: Backoff | None = None, jitter: Callable[[], float]
) -> timedelta:
    """Give the wait after so many failed attempts; the last of several waits repeats.

    Args:
        failed_attempts: the failed attempts so far, from 1.
        backoff: an author's own waits, to which nothing is added: a duration, a list of them, or
            a callable from the failed attempts so far. None means the default waits, each plus
            up to 30 seconds at random, so that what failed together does not come back together.
        jitter: gives a random number from 0 up to 1.

    Raises:
        InvalidDuration: the backoff is none, or gave something that is none.
    """
    if backoff is None:
        return _nth(DEFAULT_WAITS, failed_attempts) + jitter() * LONGEST_JITTER
    if callable(backoff):
        return _wait(backoff(failed_attempts))
    return _nth(require_backoff(backoff), failed_attempts)


def require_backoff(backoff: Duration | Sequence[Duration]) -> tuple[timedelta, ...]:
    """Give the waits that a duration, or a list of them, means.

    Raises:
        InvalidDuration: one is no duration or is negative, or the list is empty.
    """
    if isinstance(backoff, str | timedelta) or not isinstance(backoff, Sequence):
        return (_wait(backoff),)
    if not backoff:
        raise InvalidDuration("backoff: the list is empty.")
    return tuple(_wait(wait) for wait in backoff)


def _wait(value: Duration) -> timedelta:
    wait = parse_duration(value, argument="backoff")
    if wait < timedelta():
        raise InvalidDuration(f"backoff: {value!r} is negative.")
    return wait


def _nth(waits: Sequence[timedelta], count: int) -> timedelta:
    return waits[min(count, len(waits)) - 1]
