"""Wake-ups: how a process learns within milliseconds that another has made something due.

They are only speed: whoever waits also looks again after a while. On PostgreSQL a sender's
process sends one NOTIFY after its commit, and then at most one in 20 ms: inside the sender's
transaction NOTIFY would make all commits of the server queue up. On SQLite nothing is sent: SQLite
counts the commits of others, and asking for the count is cheap.
"""

import logging
import os
import sqlite3
import threading
import time
from typing import Any, Protocol

import psycopg
from django.db import connection

CHANNEL = "workflows"
PAUSE_BETWEEN_NOTIFICATIONS = 0.020  # seconds
SQLITE_POLL = 0.002  # seconds; an idle host spends 2.4 % of a core, with 0.005 it would be 1.9 %
POLL_WITHOUT_LISTENING = 0.250  # seconds
RECONNECT_AFTER = 1.0  # seconds
HANG_UP_AFTER = 1.0  # seconds without anything to notify of

logger = logging.getLogger("workflows.wake")


class WakeUps(Protocol):
    """What tells that something may have become due."""

    def wait(self, timeout: float) -> bool:
        """Wait for a wake-up, at most `timeout` seconds; return whether one said: there is work."""


def wake_ups() -> WakeUps:
    """Return what wakes this process, for the database in use."""
    return PostgreSQLWakeUps() if connection.vendor == "postgresql" else SQLiteWakeUps()


class PostgreSQLWakeUps:
    """Listens on a connection of its own; where that fails, the wait is a short poll."""

    def __init__(self) -> None:
        self._listening: psycopg.Connection[Any] | None = None
        self._next_try = 0.0

    def wait(self, timeout: float) -> bool:
        """Wait for a notification, at most `timeout` seconds; return whether there was one."""
        try:
            listening = self._connected()
            if listening is None:
                time.sleep(min(timeout, POLL_WITHOUT_LISTENING))
                return False
            return any(True for _ in listening.notifies(timeout=timeout, stop_after=1))
        except psycopg.Error as error:
            logger.debug("wake.listening_failed error=%s", error)
            self._listening = None
            self._next_try = time.monotonic() + RECONNECT_AFTER
            return False

    def _connected(self) -> "psycopg.Connection[Any] | None":
        if self._listening is None and time.monotonic() >= self._next_try:
            self._listening = own_connection()
            self._listening.execute(f"LISTEN {CHANNEL}")
        return self._listening


class SQLiteWakeUps:
    """Asks, on a connection that stays open, whether any other connection has committed."""

    def __init__(self) -> None:
        path = connection.settings_dict["NAME"]
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._seen = self._version()

    def wait(self, timeout: float) -> bool:
        """Wait for another connection's commit, at most `timeout` seconds: it may be any."""
        ends = time.monotonic() + timeout
        while (version := self._version()) == self._seen:
            left = ends - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, SQLITE_POLL))
        self._seen = version
        return False

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])


class Notifier:
    """Sends notifications, never more than one in 20 ms.

    Where none was sent for so long, on the caller's own connection, which has just committed.
    Else from a thread, once the time is over, whose connection is there only while it is used: a
    site has many more web processes than senders at any moment, and a test's database can be
    dropped only when nobody is connected.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._next = 0.0

    def notify(self) -> None:
        """Send a notification, or have one sent; returns at once and never raises."""
        if not (self._has_turn() and notify_on(connection.connection)):
            self._ask()

    def _has_turn(self) -> bool:
        with self._lock:
            is_time = time.monotonic() >= self._next
            if is_time:
                self._next = time.monotonic() + PAUSE_BETWEEN_NOTIFICATIONS
            return is_time

    def _ask(self) -> None:
        self._asked.set()
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._work, name="workflows-notifier", daemon=True
                    )
                    self._thread.start()

    def _work(self) -> None:
        sending: psycopg.Connection[Any] | None = None
        while True:
            if sending is not None and not self._asked.wait(HANG_UP_AFTER):
                sending.close()
                sending = None
            self._asked.wait()
            while not self._has_turn():
                time.sleep(PAUSE_BETWEEN_NOTIFICATIONS / 2)
            self._asked.clear()
            try:
                sending = sending or own_connection()
            except psycopg.Error as error:
                logger.debug("wake.notification_failed error=%s", error)
            else:
                sending = sending if notify_on(sending) else None


def notify_on(connected: "psycopg.Connection[Any] | None") -> bool:
    """Send a notification on a connection between its transactions; return whether it could be."""
    if connected is None:
        return False
    try:
        psycopg.Cursor(connected).execute(f"NOTIFY {CHANNEL}")
    except psycopg.Error as error:
        logger.debug("wake.notification_failed error=%s", error)
        return False
    return True


_notifier = Notifier()


def notify_workers() -> None:
    """Wake the workers of all hosts: on SQLite the commit itself does that."""
    if connection.vendor == "postgresql":
        _notifier.notify()


def own_connection() -> "psycopg.Connection[Any]":
    """Open a connection beside Django's, in autocommit, to the same database."""
    parameters = connection.get_connection_params()
    return psycopg.connect(**{**parameters, "autocommit": True})


def _forget_thread() -> None:
    """Let a forked process start a notifier of its own: threads do not survive the fork."""
    global _notifier  # noqa: PLW0603  a process has one
    _notifier = Notifier()


os.register_at_fork(after_in_child=_forget_thread)
