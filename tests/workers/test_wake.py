"""Notifications on PostgreSQL: soon after a commit, and not too many."""

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from psycopg.pq import TransactionStatus

from workflows import send
from workflows.workers import wake
from workflows.workers.wake import CHANNEL, Notifier, own_connection

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite counts commits instead"),
]


@pytest.fixture
def listening() -> Iterator[psycopg.Connection[Any]]:
    with own_connection() as listening:
        listening.execute(f"LISTEN {CHANNEL}")
        yield listening


@pytest.fixture
def notifier(monkeypatch: pytest.MonkeyPatch) -> Notifier:
    monkeypatch.setattr(wake, "HANG_UP_AFTER", 0.05)  # so that the database can be dropped
    connection.ensure_connection()
    return Notifier()


def heard(listening: psycopg.Connection[Any], *, within: float = 0.2) -> int:
    """How many notifications come until there is none for a while."""
    return sum(1 for _ in listening.notifies(timeout=within))


def test_the_first_is_sent_by_the_caller_itself(
    notifier: Notifier, listening: psycopg.Connection[Any]
) -> None:
    notifier.notify()

    (notification,) = listening.notifies(timeout=5, stop_after=1)
    assert notification.pid == connection.connection.info.backend_pid


def test_many_become_one_at_once_and_one_later(
    notifier: Notifier, listening: psycopg.Connection[Any]
) -> None:
    began = time.monotonic()
    for _ in range(100):
        notifier.notify()
    took = time.monotonic() - began

    most = 2 + took / wake.PAUSE_BETWEEN_NOTIFICATIONS
    assert 2 <= heard(listening) <= most


def test_a_connection_that_was_cut_costs_the_caller_nothing(
    notifier: Notifier, listening: psycopg.Connection[Any]
) -> None:
    connection.connection.close()

    notifier.notify()

    assert heard(listening) == 1
    connection.close()


def test_a_send_notifies_between_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    statuses: list[TransactionStatus] = []

    def note(connected: psycopg.Connection[Any]) -> bool:
        statuses.append(connected.info.transaction_status)
        return True

    monkeypatch.setattr(wake, "_notifier", Notifier())
    monkeypatch.setattr(wake, "notify_on", note)

    with transaction.atomic():
        send("go", {})
        assert statuses == []

    assert statuses == [TransactionStatus.IDLE]
