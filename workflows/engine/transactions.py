"""Every transaction of the engine has a name, and a crash point before and after it.

In production the crash points do nothing. A test installs a hook that kills, pauses or fails
there, or that loses the answer of a commit.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from django.db import OperationalError, connection
from django.db import transaction as django_transaction

CrashHook = Callable[[str], None]

# SQLite has one write lock, and its busy handler is unfair. Within a process the engine's
# threads queue here instead, so that only other processes are met at the database's own lock.
_sqlite_turn = threading.RLock()
BUSY_PAUSE = (0.001, 0.010)  # seconds
BUSY_PATIENCE = 20.0  # seconds

_hook: CrashHook | None = None


@contextmanager
def transaction(name: str, *, is_one_statement: bool = False) -> Iterator[None]:
    """Make one transaction of the block; inside a caller's transaction, a part of that.

    Args:
        name: of the crash points.
        is_one_statement: no other is in the block, and one alone is a transaction already: on
            PostgreSQL that saves two round trips.
    """
    crash_point(f"before {name}")
    if is_one_statement and connection.vendor == "postgresql" and _commits_each_statement():
        yield
    else:
        with _turn(), _begun():
            yield
    crash_point(f"after {name}")


def _commits_each_statement() -> bool:
    return not connection.in_atomic_block and connection.get_autocommit()


def crash_point(name: str) -> None:
    """Give a test the chance to let this worker die, or wait, here."""
    if _hook is not None:
        _hook(name)


def use_crash_hook(hook: CrashHook | None) -> None:
    """Call `hook` with the name of each crash point that is passed; None: nothing."""
    global _hook  # noqa: PLW0603  a process has one
    _hook = hook


def _turn() -> AbstractContextManager[object]:
    return _sqlite_turn if connection.vendor == "sqlite" else nullcontext()


@contextmanager
def _begun() -> Iterator[None]:
    """Open a transaction; on SQLite, retry BEGIN IMMEDIATE after short random pauses."""
    atomic = django_transaction.atomic()
    with _impatience():
        _enter(atomic)
    try:
        yield
    except BaseException as error:
        atomic.__exit__(type(error), error, error.__traceback__)
        raise
    else:
        atomic.__exit__(None, None, None)


def _enter(atomic: django_transaction.Atomic) -> None:
    patience_ends = time.monotonic() + BUSY_PATIENCE
    while True:
        try:
            atomic.__enter__()
        except OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > patience_ends:
                raise
            time.sleep(random.uniform(*BUSY_PAUSE))  # noqa: S311  no secret
        else:
            return


@contextmanager
def _impatience() -> Iterator[None]:
    """Have SQLite say at once that its lock is taken: its own pauses grow to a tenth of a second.

    Beside a process that writes all the time they would hardly ever end at a good moment.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    connection.ensure_connection()
    database = connection.connection
    patience = connection.settings_dict["OPTIONS"].get("timeout", 5)  # seconds, as the driver's
    database.execute("PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        database.execute(f"PRAGMA busy_timeout = {round(1000 * patience)}")
