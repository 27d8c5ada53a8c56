"""Make ids: ULIDs, 26 characters that sort by the time at which they were made.

Ids are made where a row is made, before it is written, so that a batch can be linked and
written at once. Format: https://github.com/ulid/spec (48 bits of milliseconds, 80 of chance).
"""

import threading

from workflows import randomness
from workflows.clock import clock

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 26
_PAIRS = tuple(high + low for high in ALPHABET for low in ALPHABET)

_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """Return an id that is greater than every one that this process made before."""
    return new_ids(1)[0]


def new_ids(count: int) -> list[str]:
    """Return `count` ascending ids."""
    global _last  # noqa: PLW0603  ids ascend within a process
    milliseconds = int(clock.now().timestamp() * 1000)
    with _lock:
        if milliseconds > _last >> 80:
            _last = (milliseconds << 80) | randomness.bits(79)
        first = _last + 1
        _last += count
    return [_encode(number) for number in range(first, first + count)]


def first_at(milliseconds: int) -> str:
    """Return the smallest id of a moment, in milliseconds since 1970."""
    return _encode(milliseconds << 80)


def forget_last_id() -> None:
    """Let ids begin anew at the clock's time: for tests, whose clock may go back."""
    global _last  # noqa: PLW0603
    with _lock:
        _last = 0


def _encode(number: int) -> str:
    """Write 130 bits as 13 pairs of base-32 digits."""
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)])
