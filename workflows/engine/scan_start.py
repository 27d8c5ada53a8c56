"""Where a scan for work begins: where the last one found its first row.

A snapshot held open elsewhere in the database keeps the rows that a queue has used up; they lie
before those that are still to be done, and every scan from the beginning reads them all. A start is
a hint of one process: rows may come to lie before it (a run that goes on keeps its early place, a
slow sender commits late), so a scan begins at the beginning every so often, and whenever it finds
nothing.
"""

import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Row = TypeVar("Row")
Key = TypeVar("Key")
FROM_THE_BEGINNING_EVERY = 0.5  # seconds


class ScanStart(Generic[Row, Key]):
    """The start of one kind of scan, of rows that come in the order of a key."""

    def __init__(
        self, *, key: Callable[[Row], Key], every: float = FROM_THE_BEGINNING_EVERY
    ) -> None:
        """Begin without a hint.

        Args:
            key: gives from which key on a scan finds a row, and those after it.
            every: after so many seconds a scan begins at the beginning, whatever is found.
        """
        self._key = key
        self._every = every
        self._start: Key | None = None
        self._is_good_until = 0.0

    def scan(self, rows_from: Callable[..., Sequence[Row]]) -> Sequence[Row]:
        """Return the rows that `rows_from(start=...)` finds; None is the beginning."""
        is_good = time.monotonic() < self._is_good_until
        rows = rows_from(start=self._start) if self._start is not None and is_good else ()
        if not rows:
            rows = rows_from(start=None)
            self._is_good_until = time.monotonic() + self._every
        self._start = self._key(rows[0]) if rows else None
        return rows
