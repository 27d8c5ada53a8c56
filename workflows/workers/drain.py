"""The drain: what a worker process does each time django-q2 gives it the one constant task."""

import logging
import time

from django.db import DatabaseError, InterfaceError, connection

from workflows.engine.bulk import carry_out_operations
from workflows.engine.cancel import expire_runs
from workflows.engine.route import look, route_events
from workflows.engine.schedule import fire_schedules
from workflows.engine.wake import wake_runs
from workflows.workers.process import WorkerProcess, this_process

DRAIN_SECONDS = 5.0
LOOK_AT_THE_CLOCK_EVERY = 0.2  # seconds
LOOK_WITHOUT_ROOM_EVERY = 0.2  # seconds
LET_ROOM_GATHER = 0.01  # seconds at most
LET_BODIES_BEGIN = 0.001  # seconds; a round would keep Python's lock from them for longer
PAUSE_WHILE_LEAVING = 0.2  # seconds
PAUSE_AFTER_ERROR = 0.2  # seconds

logger = logging.getLogger("workflows.drain")


def drain() -> None:
    """Route, wake, take and begin to execute, until nothing is due or some seconds have passed.

    Bodies may still be at work on the process's threads when it returns. Never raises: where the
    database fails, the broker asks again later.
    """
    process = this_process()
    if process is None:
        return
    if process.is_closing:
        time.sleep(PAUSE_WHILE_LEAVING)  # the other processes have more use of this drain
        return
    try:
        Drain(process).work()
    except (DatabaseError, InterfaceError) as error:
        logger.warning("drain.failed error=%s", error)
        _recover()
    except Exception:  # django-q2 would store what it says, and nobody would look there
        logger.exception("drain.failed")
        _recover()
    finally:
        process.core.unshare()


def _recover() -> None:
    connection.close()
    time.sleep(PAUSE_AFTER_ERROR)


class Drain:
    """One drain of a worker process."""

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process
        self._ends = time.monotonic() + DRAIN_SECONDS

    def work(self) -> None:
        """Do rounds until one finds nothing, or the time is over."""
        while not self._process.is_stopping and time.monotonic() < self._ends:
            if not self._round():
                return

    def _round(self) -> bool:
        """Do what can be done now; return whether there was anything, or may be soon."""
        seen = look(self._process.route_start)
        routed = route_events(seen)
        woken = wake_runs() if seen.pulse.has_due_runs else 0
        taken = self._take()
        if taken + routed + woken + self._look_at_the_clock():
            return True
        return self._wait_for_room()

    def _take(self) -> int:
        """Take what there is room for; where that fills it, let some gather before the next take.

        A round for each thread that gets free would cost more than what the threads do.
        """
        bodies = self._process.bodies
        taken = self._process.take() if bodies.room else 0
        if taken and not bodies.room:
            self._process.core.share()
            bodies.wait_for_room(wanted=bodies.some, timeout=LET_ROOM_GATHER)
        elif taken:
            time.sleep(LET_BODIES_BEGIN)
        return taken

    def _wait_for_room(self) -> bool:
        """Where all threads are busy, wait a moment; return False where they are not.

        Not for longer, though bodies may take hours: events are routed and timeouts end meanwhile.
        """
        if self._process.bodies.room:
            return False
        self._process.bodies.wait_for_room(wanted=1, timeout=LOOK_WITHOUT_ROOM_EVERY)
        return True

    def _look_at_the_clock(self) -> int:
        """Do what operators and the calendar ask, a few times a second; return how much it was."""
        if time.monotonic() < self._process.next_look_at_the_clock:
            return 0
        self._process.next_look_at_the_clock = time.monotonic() + LOOK_AT_THE_CLOCK_EVERY
        carried_out = carry_out_operations()
        if carried_out:
            self._process.next_look_at_the_clock = 0.0  # there may be more at once
        return fire_schedules() + expire_runs() + carried_out
