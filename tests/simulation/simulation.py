"""One history: what the seed makes of workers, senders, operators and faults."""

import hashlib
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any
from unittest.mock import patch

from django.test import override_settings

from tests.simulation.cooperation import Process, World
from tests.simulation.databases import fresh_database
from tests.simulation.faults import Faults, Odds
from tests.simulation.invariants import Invariants
from tests.simulation.journal import Broken, Journal
from tests.simulation.moves import Moves
from tests.simulation.processes import CLUSTERS, Cluster, simulated_processes, wake_all, worker_ids
from tests.simulation.snapshots import Snapshot, Tables
from tests.simulation.workflows import declare
from workflows import ids, randomness
from workflows.clock import clock
from workflows.definitions.registry import isolated_registry, registry
from workflows.engine.sql import sqlite
from workflows.engine.store import Write, store
from workflows.engine.transactions import use_crash_hook
from workflows.workers import writer

TURNS = 1500
MOST_MOVES = 45
LONGEST_QUIET = 5_000  # turns after which what still goes on goes on for ever
THREADS = 3
# Where the clock goes back, less can be demanded, so that it does so in few histories.
SEEDS_BETWEEN_JUMPS_BACK = 5
SHOWN = 60  # of the last turns, where a history breaks


@dataclass(frozen=True, slots=True)
class History:
    """What became of one seed."""

    seed: int
    runs: Counter[str]
    happened: Counter[str]
    passed: Counter[str]
    digest: str


class BrokenHistory(AssertionError):  # noqa: N818  as above
    """A promise was broken; the message says how to see it again."""


def simulate(seed: int, *, odds: Odds | None = None, turns: int = TURNS) -> History:
    """Play one history.

    Raises:
        BrokenHistory: a promise does not hold.
    """
    with fresh_database() as database, _world() as world:
        history = Simulation(seed, world, odds or Odds(), database)
        try:
            return history.play(turns)
        except Exception as error:
            message = (
                f"seed {seed}: {type(error).__name__}: {error}\n"
                f"To see it again: make simulate SEEDS={seed}\n"
                f"The last turns:\n{history.last_turns()}"
            )
            raise BrokenHistory(message) from error
        finally:
            use_crash_hook(None)
            world.end()


@contextmanager
def _world() -> Iterator[World]:
    world = World()
    with ExitStack() as stack:
        stack.enter_context(override_settings(WORKFLOWS_THREADS=THREADS, DEBUG=False))
        stack.enter_context(isolated_registry())
        stack.enter_context(simulated_processes(world))
        clock.use(world.clock)
        ids.forget_last_id()
        try:
            yield world
        finally:
            clock.use(None)
            ids.forget_last_id()
            randomness.unseed()


class Simulation:
    """The hub: chooses who goes on, lets things go wrong, and looks after every transaction."""

    def __init__(self, seed: int, world: World, odds: Odds, database: Any) -> None:
        self._seed = seed
        self._world = world
        self._database = database
        self._tables = Tables(database.connection)
        self._random = Random(seed)
        self._journal = Journal()
        self._faults = Faults(world, self._random, self._journal, odds)
        self._moves = Moves(world, self._random, self._journal)
        self._invariants = Invariants(self._journal)
        self._clusters = {name: Cluster(world, name) for name in CLUSTERS}
        self._processes: list[tuple[str, Process]] = []
        self._clients = 0
        self._changes = -1
        self._trace: deque[str] = deque(maxlen=SHOWN)
        self._digest = hashlib.sha256()
        randomness.seed(seed)

    def play(self, turns: int) -> History:
        """Play so many turns with faults, then go on without until nothing is left to do."""
        registry._workflows = {}
        declare(self._journal, self._world)
        use_crash_hook(self._faults.pass_crash_point)
        plain_cursor, plain_store = sqlite.cursor, store
        plain_commit = self._database._commit

        def counting_store(writes: Sequence[Write]) -> list[Write]:
            refused = plain_store(writes)
            if refused:
                self._journal.happened["a write was refused"] += 1
            return refused

        with (
            self._database.execute_wrapper(self._faults.execute),
            patch.object(writer, "store", counting_store),
            patch.object(self._database, "_commit", lambda: self._faults.commit(plain_commit)),
            patch.object(sqlite, "cursor", lambda: FailingCursor(plain_cursor(), self._faults)),
        ):
            for name in CLUSTERS:
                self._start(name, alone=False)
                self._start(name, alone=True)
            for _ in range(turns):
                self._disturb()
                self._turn()
            self._faults.are_over = True
            for process in {thread.process for thread in self._world.threads}:
                process.paused_until = 0.0
            self._settle()
        return self._history()

    def last_turns(self) -> str:
        """Return what happened last."""
        return "\n".join(self._trace)

    def _turn(self) -> None:
        """Let one thread go on; where none can, let time pass."""
        self._replace_dead()
        runnable = self._world.runnable()
        if not runnable:
            self._world.pass_time(self._world.seconds_to_next() or 1.0)
            return
        thread = self._random.choice(runnable)
        self._faults.last_transaction = ""
        self._world.resume(thread)
        self._note(thread.process)
        if self._journal.breaches:
            raise Broken(self._journal.breaches[0])
        self._check(thread.process)

    def _disturb(self) -> None:
        """Let time pass, the clock jump, or somebody outside do something."""
        chance = self._random.random()
        if chance < 0.05:
            self._world.pass_time(self._random.uniform(0, 4))
        elif chance < 0.052:
            self._jump(self._random.uniform(1, 60))
        elif chance < 0.053 and self._seed % SEEDS_BETWEEN_JUMPS_BACK == 0:
            self._jump(-self._random.uniform(1, 60))
        elif chance < 0.054:
            self._stop_one()
        elif chance < 0.09 and self._clients < MOST_MOVES:
            self._clients += 1
            client = Process(f"client-{self._clients}", 10_000 + self._clients)
            self._world.spawn(client, self._moves.one)

    def _jump(self, seconds: float) -> None:
        self._world.jump(seconds)
        self._journal.happened["the clock jumped"] += 1
        if seconds < 0:
            self._journal.clock_went_back = True

    def _stop_one(self) -> None:
        """Stop a worker in good order."""
        _, process = self._random.choice(self._processes)
        process.memory["stopping"] = True
        self._journal.happened["a process was stopped"] += 1

    def _start(self, cluster: str, *, alone: bool) -> None:
        self._processes.append((cluster, self._clusters[cluster].start(alone=alone)))

    def _replace_dead(self) -> None:
        for cluster, process in list(self._processes):
            if process.is_dead:
                self._world.kill(process)
                self._processes.remove((cluster, process))
                self._journal.dead_workers |= worker_ids(process)
                self._start(cluster, alone=process.is_alone)

    def _check(self, process: Process) -> None:
        changes = self._database.connection.total_changes
        if changes == self._changes:
            return
        self._changes = changes
        if self._random.random() < 0.7:  # a wake-up is only speed, and may be lost
            wake_all(self._world)
        self._compare(process)

    def _compare(self, process: Process | None) -> Snapshot:
        now = self._tables.read()
        self._invariants.check(
            now,
            transaction=self._faults.last_transaction,
            worker_ids=worker_ids(process) if process else set(),
            now=clock.now(),
        )
        return now

    def _settle(self) -> None:
        """Go on without faults until nothing is left to do; who still pauses does so before."""
        while self._has_clients():
            self._turn()
        self._world.spawn(Process("client-last", 9_999), self._moves.resume_all)
        for turn in range(LONGEST_QUIET):
            self._turn()
            if turn % 50 == 0 and self._is_quiet():
                break
        self._invariants.check_end(self._compare(None))

    def _is_quiet(self) -> bool:
        """Tell whether all events are routed and all runs have ended; crons go on for ever."""
        now = self._tables.latest
        return (
            not self._has_clients()
            and all(event.position is not None for event in now.events.values())
            and all(run.ended_at is not None and run.worker_id is None for run in now.runs.values())
        )

    def _has_clients(self) -> bool:
        return any(each.process.name.startswith("client") for each in self._world.threads)

    def _note(self, process: Process) -> None:
        line = (
            f"{self._world.elapsed:9.2f} {clock.now():%H:%M:%S} {process.name:<12}"
            f"{self._faults.last_transaction}{' dead' if process.is_dead else ''}"
        )
        self._trace.append(line)
        self._digest.update(line.encode())

    def _history(self) -> History:
        tables = self._tables.latest
        return History(
            seed=self._seed,
            runs=Counter(run.status for run in tables.runs.values()),
            happened=self._journal.happened,
            passed=self._faults.passed,
            digest=self._digest.hexdigest(),
        )


class FailingCursor:
    """The driver's cursor, whose statements fail as Django's do."""

    def __init__(self, cursor: Any, faults: Faults) -> None:
        self._cursor = cursor
        self._faults = faults

    def execute(self, *arguments: Any) -> Any:
        self._faults.before_statement()
        return self._cursor.execute(*arguments)

    def executemany(self, *arguments: Any) -> Any:
        self._faults.before_statement()
        return self._cursor.executemany(*arguments)
