"""The beat of a worker process: each second it renews what it holds and rescues what others lost.

Beside it stands a watch that needs no database. A process that cannot renew its lease begins no
further body, but nothing can stop the bodies that are at work; once others must have taken over
its runs, the watch ends the process, so that no body of a zombie goes on for long.
"""

import faulthandler
import logging
import os
import threading
import time
from datetime import timedelta
from typing import Protocol

from django.db import DatabaseError, InterfaceError, connection

from workflows.clock import DatabaseTime, clock
from workflows.conf import configuration
from workflows.engine.catalogue import current_catalogue
from workflows.engine.rescue import rescue_expired
from workflows.engine.route import look_again
from workflows.engine.sql import sql
from workflows.workers.own_connection import replace_broken_connections, use_own_connection

BEAT = 1.0  # seconds
BEATS_IN_A_LEASE = 4
LOOK_AGAIN_AFTER = timedelta(seconds=0.9)  # since admission last looked at blocked lanes
LAST_BEAT = 2.0  # seconds that a stopping process waits for a beat that is under way

logger = logging.getLogger("workflows.beat")


class Beating(Protocol):
    """What a beat needs of its process."""

    def renew(self) -> None:
        """Move the lease's end on; where it has been lost, go on accordingly."""

    def give_back_forgotten(self) -> None:
        """Give back the runs that bear this worker's name though it does not have them in hand."""

    def show_bodies(self) -> None:
        """Let operators see what has been at work for a while."""

    def is_zombie(self) -> bool:
        """Tell whether bodies are at work though the lease has been over for long."""


class Beat:
    """Two daemon threads: the beat, and the watch."""

    def __init__(self, process: Beating) -> None:
        self._process = process
        self._period = configuration().lease.total_seconds() / BEATS_IN_A_LEASE
        self._next_renewal = time.monotonic() + self._period
        self._has_failed = False
        self._asked = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="workflows-beat", daemon=True)
        self._watch_thread = threading.Thread(
            target=self._watch, name="workflows-watch", daemon=True
        )

    @property
    def has_stopped(self) -> bool:
        """Whether nothing is renewed any more."""
        return self._stopped.is_set()

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._watch_thread.start()

    def ask(self) -> None:
        """Have the next beat come at once."""
        self._asked.set()

    def stop(self) -> None:
        """End after the beat that is under way, if the database lets it."""
        self._stopped.set()
        self._asked.set()
        self._thread.join(LAST_BEAT)

    def _beat(self) -> None:
        use_own_connection()
        while not self._stopped.is_set():
            self._asked.wait(min(BEAT, self._period))
            self._asked.clear()
            if not self._stopped.is_set():
                self._beat_once()
        _hang_up()

    def _beat_once(self) -> None:
        """Do a beat's work; without beats the worker would hold its runs and do nothing."""
        try:
            self._work()
            self._mend_pool()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("worker.beat_failed error=%s", error)
            self._has_failed = True
            _hang_up()
        except Exception:
            logger.exception("worker.beat_failed")
            _hang_up()

    def _work(self) -> None:
        if time.monotonic() >= self._next_renewal:
            self._process.renew()
            self._next_renewal = time.monotonic() + self._period
        self._process.give_back_forgotten()
        rescue_expired()
        look_again(after=LOOK_AGAIN_AFTER)
        current_catalogue()  # so that the writer knows who listens to ends of runs
        self._process.show_bodies()

    def _mend_pool(self) -> None:
        """Once the database answers again, bodies need not find out what it has hung up on."""
        if self._has_failed:
            self._has_failed = False
            replace_broken_connections()

    def _watch(self) -> None:
        while not self._stopped.wait(BEAT):
            if self._process.is_zombie():
                logger.critical("worker.ends_itself reason=its_lease_is_long_over")
                faulthandler.dump_traceback()
                os._exit(1)


def _hang_up() -> None:
    """Close the thread's connection; a broken one may refuse."""
    try:
        connection.close()
    except (DatabaseError, InterfaceError) as error:
        logger.debug("worker.hang_up_failed error=%s", error)


def synchronise_clock() -> None:
    """Set the process's clock by the database's."""
    source = clock.source
    if not isinstance(source, DatabaseTime):
        return
    asked_at = time.monotonic()
    now = sql().database_now()
    if now is not None:
        source.synchronise(now, asked_at=asked_at, answered_at=time.monotonic())
