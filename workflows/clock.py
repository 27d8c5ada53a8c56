"""The time: the only place that reads a clock.

The database's clock is the one that counts, because hosts disagree. Between two readings of
it a process extrapolates with its own monotonic clock, which no adjustment moves.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TimeSource(Protocol):
    """Where a clock gets its time."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""


class DatabaseTime:
    """The database's time, as last read, plus what this host's monotonic clock says has passed."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()  # noqa: TID251  here it is read

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        return datetime.fromtimestamp(time.monotonic() + self._offset, UTC)

    def synchronise(self, database_now: datetime, *, asked_at: float, answered_at: float) -> None:
        """Follow the database's clock, whose answer was under way between two monotonic times."""
        self._offset = database_now.timestamp() - (asked_at + answered_at) / 2


class VirtualTime:
    """Time that stands still until somebody moves it: for tests and the simulator."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        return self._now

    def move_to(self, moment: datetime) -> None:
        """Set the time; it may go back, as clocks do."""
        self._now = moment


class Clock:
    """The process's clock; its source can be replaced."""

    def __init__(self) -> None:
        self.source: TimeSource = DatabaseTime()

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        return self.source.now()

    def use(self, source: TimeSource | None) -> None:
        """Replace the source; None goes back to the database's time."""
        self.source = DatabaseTime() if source is None else source


def milliseconds(moment: datetime) -> int:
    """Return whole milliseconds since 1970."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def moment_of(count: int) -> datetime:
    """Return the moment so many milliseconds after the beginning of 1970."""
    return EPOCH + timedelta(milliseconds=count)


def moment_after(moment: datetime, wait_ms: int | None) -> datetime | None:
    """Return the moment so many milliseconds later; None where there is nothing to wait for."""
    return None if wait_ms is None else moment + timedelta(milliseconds=wait_ms)


clock = Clock()
