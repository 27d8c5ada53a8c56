"""What goes wrong: at crash points, in statements, in time. The seed decides."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from django.db import OperationalError, connection

from tests.simulation.cooperation import Killed, Process, World
from tests.simulation.journal import Journal

# Inside a slice, and with no pause between the look at the lease and the body: after a look,
# a real process can be paused too, but then nothing could be demanded of it.
NOT_A_PLACE_TO_WAIT = ("before_body",)


@dataclass(frozen=True, slots=True)
class Odds:
    """How often, of a thousand occasions, each fault happens."""

    kill: float = 3
    pause: float = 4
    lost_answer: float = 4
    statement_error: float = 4


class Faults:
    """The crash hook, and the wrapper round statements."""

    def __init__(self, world: World, random: Random, journal: Journal, odds: Odds) -> None:
        self._world = world
        self._random = random
        self._journal = journal
        self._odds = odds
        self.are_over = False
        self.passed: Counter[str] = Counter()
        self.last_transaction = ""

    def pass_crash_point(self, name: str) -> None:
        """Let a thread die, fail or wait where it passes a crash point."""
        thread = self._world.current
        if thread is None:
            return
        if thread.process.is_dead:
            raise Killed
        self.passed[name] += 1
        if name.startswith("before "):
            thread.transaction = name.removeprefix("before ")
        self._maybe_kill(thread.process, name)
        if connection.in_atomic_block:
            return
        if name not in NOT_A_PLACE_TO_WAIT:
            self._maybe_pause(thread.process)
            self._world.wait(lambda: True)

    def commit(self, commit: Callable[[], None]) -> None:
        """Commit, and perhaps lose the answer: whoever asked for it cannot know."""
        commit()
        thread = self._world.current
        if thread is None:
            return
        self.last_transaction = thread.transaction
        if self._happens(self._odds.lost_answer):
            self._journal.happened["the answer of a commit was lost"] += 1
            message = "the connection was cut after the commit"
            raise OperationalError(message)

    def execute(
        self, execute: Callable[..., Any], statement: str, parameters: Any, many: bool, context: Any
    ) -> Any:
        """Execute a statement through Django's cursor, or let it fail."""
        self.before_statement()
        return execute(statement, parameters, many, context)

    def before_statement(self) -> None:
        """Let the n-th statement of a process fail."""
        thread = self._world.current
        if thread is None:
            return
        process = thread.process
        if process.is_dead:
            raise Killed
        if process.statements_to_error is None:
            if self._happens(self._odds.statement_error):
                process.statements_to_error = self._random.randrange(12)
            return
        process.statements_to_error -= 1
        if process.statements_to_error < 0:
            process.statements_to_error = None
            if not self.are_over:
                self._journal.happened["a statement failed"] += 1
                message = "server closed the connection unexpectedly"
                raise OperationalError(message)

    def _maybe_kill(self, process: Process, name: str) -> None:
        if self._happens(self._odds.kill):
            self._journal.happened["a process was killed"] += 1
            self._journal.happened[f"killed {name}"] += 1
            process.is_dead = True
            raise Killed

    def _maybe_pause(self, process: Process) -> None:
        if self._happens(self._odds.pause):
            self._journal.happened["a process was paused"] += 1
            process.paused_until = self._world.elapsed + self._random.uniform(1, 60)

    def _happens(self, odds: float) -> bool:
        return not self.are_over and self._random.random() * 1000 < odds
