"""Tell the workers that there is something to do; polling finds it all the same, a little later."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import transaction

_wakers: list[Callable[[], None]] = []


def wake_workers_after_commit() -> None:
    """Wake the workers once the caller's transaction, if there is one, has been committed."""
    if _wakers:
        transaction.on_commit(_wake)


def add_waker(waker: Callable[[], None]) -> None:
    """Have `waker` called when something has become due. It must return at once and never raise."""
    if waker not in _wakers:
        _wakers.append(waker)


@contextmanager
def nobody_to_wake() -> Iterator[None]:
    """Wake nobody: a test is its own worker, and its database is dropped when it is idle."""
    wakers = _wakers.copy()
    _wakers.clear()
    try:
        yield
    finally:
        _wakers.extend(wakers)


def _wake() -> None:
    for waker in _wakers:
        waker()
