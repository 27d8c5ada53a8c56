"""Worker processes: the real drain, writer, bodies and beat, on threads that take turns."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import Mock, patch

from django.db import DatabaseError

from tests.simulation.cooperation import (
    BEGINNING,
    Killed,
    Process,
    Queues,
    Threading,
    Time,
    World,
)
from workflows.definitions.registry import registry
from workflows.engine import catalogue, execution, parallel, scan_start, transactions, waits
from workflows.engine.due import next_due
from workflows.workers import (
    alone,
    beat,
    bodies,
    drain,
    in_hand,
    process,
    scheduling,
    siblings,
    writer,
)

BEAT = 6.0  # seconds: looks for dead workers more seldom than in production, for speed
LONGEST_WAIT = 6.0  # seconds
GRACE = 10.0  # seconds
PAUSE_AFTER_DRAIN = 0.05  # seconds
CLUSTERS = ("one", "two")


class Cluster:
    """What starts worker processes, and replaces the dead: one for drains, one for suspects."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self._world = world
        self._started = 0

    def start(self, *, alone: bool) -> Process:
        """Start a worker process; `alone`: the one that executes what may have killed others."""
        self._started += 1
        number = 100 * (CLUSTERS.index(self.name) + 1) + self._started
        kind = "-alone" if alone else ""
        started = Process(f"{self.name}-{self._started}{kind}", number, is_alone=alone)
        self._world.spawn(started, lambda: self._main(started))
        return started

    def _main(self, me: Process) -> None:
        me.memory["stopping"] = False
        worker = process.WorkerProcess(
            cluster=self.name,
            declared_at=BEGINNING,
            is_stopping=lambda: me.memory["stopping"],
            leave=lambda: leave(self._world),
        )
        me.memory["worker"] = worker
        if worker.prepare():
            if me.is_alone:
                alone.execute_suspects(worker)
            elif worker.start():
                self._work(me, worker)
        try:
            worker.stop(grace=GRACE)
        except DatabaseError:
            me.memory["left"] = "without giving back"
        leave(self._world)

    def _work(self, me: Process, worker: process.WorkerProcess) -> None:
        while not worker.is_stopping:
            drain.drain()
            self._wait_for_work(me)

    def _wait_for_work(self, me: Process) -> None:
        """Wait as the broker does: for something to be due, for a wake-up, or for a while."""
        try:
            seconds = next_due(queues=None, workflows=frozenset(registry.ids()))
        except DatabaseError:
            seconds = LONGEST_WAIT
        wait = LONGEST_WAIT if seconds is None else max(seconds, PAUSE_AFTER_DRAIN)
        me.memory["woken"] = False
        self._world.wait(
            lambda: me.memory["woken"] or me.memory["stopping"], min(wait, LONGEST_WAIT)
        )


class System:
    """Stands in for what the workers use of the module `os`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def getpid(self) -> int:
        assert self._world.current is not None
        return self._world.current.process.pid

    def _exit(self, _: int) -> NoReturn:
        leave(self._world)


def leave(world: World) -> NoReturn:
    """End the process of the thread that runs."""
    assert world.current is not None
    world.current.process.is_dead = True
    raise Killed


@contextmanager
def simulated_processes(world: World) -> Iterator[None]:
    """Put the world's threads, queues, time and processes in the place of the real ones."""
    stand_ins: list[tuple[Any, str, object]] = [
        *((m, "threading", Threading(world)) for m in (writer, bodies, beat, in_hand, process)),
        *((m, "threading", Threading(world)) for m in (parallel, execution)),
        *((m, "queue", Queues(world)) for m in (writer, bodies)),
        *((m, "time", Time(world)) for m in (writer, process, beat, drain, alone, transactions)),
        (scan_start, "time", Time(world)),
        *((m, "os", System(world)) for m in (process, beat, siblings)),
        *((m, "use_own_connection", _nothing_to_give) for m in (writer, beat)),
        (bodies, "give_connections_back", _nothing_to_give),
        (beat, "replace_broken_connections", _nothing_to_give),
        (beat, "faulthandler", Mock()),
        (process, "keep_house", _keep_no_house),
        (scheduling, "THREAD_STATUS", Path("/no such file")),  # threads run anywhere
        (process, "write_meters", _measure_nothing),
        (beat, "BEAT", BEAT),
        (alone, "LOOK_EVERY", BEAT),
        (siblings, "is_alive", _lives(world)),
        (drain, "this_process", lambda: _worker(world)),
    ]
    with ExitStack() as stack:
        for module, name, stand_in in stand_ins:
            stack.enter_context(patch.object(module, name, stand_in))
        world.on_process_switch = swap_memory
        disabled = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(disabled)
            catalogue.forget_catalogue()
            waits.forget_paths()


def swap_memory(before: Process | None, after: Process) -> None:
    """Give each process its own copy of what modules remember."""
    if before is not None:
        before.memory["catalogue"] = catalogue._cached
        before.memory["paths"] = waits._known_paths
    catalogue._cached = after.memory.get("catalogue")
    waits._known_paths = after.memory.setdefault("paths", set())


def worker_ids(process: Process) -> set[str]:
    """Return the ids that a process has had: it takes a new one where it has lost its lease."""
    ids: set[str] = process.memory.setdefault("worker_ids", set())
    lease = getattr(process.memory.get("worker"), "_lease", None)
    if lease is not None:
        ids.add(lease.worker_id)
    return ids


def wake_all(world: World) -> None:
    """Tell every process that something may have become due."""
    for thread in world.threads:
        thread.process.memory["woken"] = True


def _lives(world: World) -> Callable[[int], bool]:
    return lambda pid: any(thread.process.pid == pid for thread in world.threads)


def _worker(world: World) -> Any:
    assert world.current is not None
    return world.current.process.memory.get("worker")


def _keep_no_house(_: object) -> None:
    """Leave roll-ups and pruning to tests of their own."""


def _measure_nothing() -> None:
    """Write no meters: they hold real durations, which are others each time."""


def _nothing_to_give() -> None:
    """Keep the one connection that there is."""
