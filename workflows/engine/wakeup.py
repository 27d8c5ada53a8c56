"""Tell the workers that there is something to do; polling finds it all the same, a little later."""

from collections.abc import Callable

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


def _wake() -> None:
    for waker in _wakers:
        waker()
