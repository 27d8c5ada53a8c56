"""The drain: what a worker process does each time django-q2 gives it the one constant task."""

import logging
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import TypedDict

from django.db import DatabaseError, InterfaceError, connection

from workflows.engine.cancel import expire_runs
from workflows.engine.catalogue import Catalogue, latest_catalogue
from workflows.engine.route import route_events
from workflows.engine.schedule import fire_schedules
from workflows.engine.take import suspect_waits, take_runs, take_suspect
from workflows.engine.wake import wake_runs
from workflows.workers.process import WorkerProcess, this_process

DRAIN_SECONDS = 5.0
LOOK_FOR_SUSPECTS_EVERY = 0.5  # seconds
LOOK_AT_THE_CLOCK_EVERY = 0.2  # seconds
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
    try:
        Drain(process).work()
    except (DatabaseError, InterfaceError) as error:
        logger.warning("drain.failed error=%s", error)
        connection.close()
        time.sleep(PAUSE_AFTER_ERROR)


class Takeable(TypedDict):
    """Which runs a worker may take."""

    queues: Sequence[str]
    unknown: Sequence[str]


@lru_cache(maxsize=1)
def takeable(catalogue: Catalogue, process: WorkerProcess) -> Takeable:
    """Return which runs a worker may take by a catalogue: the same until that changes."""
    return Takeable(
        queues=catalogue.queues if process.queues is None else process.queues,
        unknown=catalogue.unknown_to(process.workflows),
    )


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
        """Do what can be done now; return whether there was anything."""
        if self._process.executes_a_suspect and not self._wait_until_empty():
            return False
        if self._suspect_waits() and self._execute_suspect_alone():
            return True
        if not self._process.bodies.wait_for_room(wanted=1, timeout=self._time_left()):
            return False
        routed = route_events()
        taken = self._take(self._process.bodies.room)
        return bool(taken + routed + wake_runs() + self._look_at_the_clock())

    def _look_at_the_clock(self) -> int:
        """Fire crons and end timeouts, a few times a second; return how many there were."""
        if time.monotonic() < self._process.next_look_at_the_clock:
            return 0
        self._process.next_look_at_the_clock = time.monotonic() + LOOK_AT_THE_CLOCK_EVERY
        return fire_schedules() + expire_runs()

    def _take(self, limit: int) -> int:
        process = self._process
        runs = take_runs(process.worker_id, **self._takeable(), limit=limit)
        process.bodies.begin(runs)
        return len(runs)

    def _takeable(self) -> Takeable:
        """Return which runs this worker may take, by the catalogue as routing last saw it."""
        return takeable(latest_catalogue(), self._process)

    def _suspect_waits(self) -> bool:
        if time.monotonic() < self._process.next_look_for_suspects:
            return False
        self._process.next_look_for_suspects = time.monotonic() + LOOK_FOR_SUSPECTS_EVERY
        return suspect_waits()

    def _execute_suspect_alone(self) -> bool:
        """Empty the process, then execute the run that may be what kills workers."""
        if not self._wait_until_empty():
            return False
        process = self._process
        run = take_suspect(process.worker_id, **self._takeable())
        if run is not None:
            process.executes_a_suspect = True
            process.bodies.begin([run])
        return run is not None

    def _wait_until_empty(self) -> bool:
        is_empty = self._process.bodies.wait_until_empty(timeout=self._time_left())
        if is_empty:
            self._process.executes_a_suspect = False
        return is_empty

    def _time_left(self) -> float:
        return max(0.0, self._ends - time.monotonic())
