"""One slice of a run, from the moment it is taken until it suspends or ends.

An execution knows what is stored, hands over what is to be stored, and tells whether the run
may still be written to. The steps' tools share it.
"""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from django.db import connection

from workflows.clock import clock
from workflows.conf import Configuration, configuration
from workflows.definitions.workflow import Workflow
from workflows.engine.rows import StepRow, TakenRun
from workflows.engine.store import Receipt, Store, Write
from workflows.errors import LeaseLost
from workflows.models import StepStatus

ENDED = (StepStatus.COMPLETED, StepStatus.FAILED)


class Lease(Protocol):
    """The right of this process to go on with the runs that it took."""

    def require(self) -> None:
        """Raise `LeaseLost` unless the process still has time."""


class Helpers(Protocol):
    """Free threads of the process."""

    def __call__(self, work: Callable[[], None], most: int, /) -> int:
        """Have up to `most` threads that are free now do the same work; return how many do."""


def do_nothing() -> None:
    """Leave the thread as it is before and after a body."""


def no_helpers(work: Callable[[], None], most: int, /) -> int:  # noqa: ARG001  as above
    """Leave the work to the run's own thread."""
    return 0


class BodyAtWork(Protocol):
    """A step's body that is being executed."""

    started_at: datetime
    is_shown: bool

    def running_row(self) -> StepRow:
        """Return the step as operators see it meanwhile."""


Substitutes = Mapping[tuple[str, str], Callable[..., object]]


@dataclass(slots=True)
class Progress:
    """How much of what a branch does an earlier slice has done already."""

    to_come: int  # results that an earlier slice has passed on, and this one not yet
    is_new: bool  # whether no earlier slice has been here
    is_done_again: bool  # whether the code after the last of these results failed then

    def pass_result(self) -> None:
        """Note that a result reaches the code."""
        if self.to_come:
            self.to_come -= 1
            self.is_new = self.is_new or (self.to_come == 0 and self.is_done_again)
        else:
            self.is_new = True


@dataclass(slots=True)
class Branch:
    """The workflow's main line, or one of its parallel branches: each counts its own steps."""

    path: str
    progress: Progress
    is_suspended: bool = False
    occurrences: Counter[str] = field(default_factory=Counter)
    parallels: int = 0
    pending: list[Receipt] = field(default_factory=list)

    def settle(self) -> None:
        """Wait until all that was handed over is durable, as it must be before a body begins."""
        pending, self.pending = self.pending, []
        for receipt in pending:
            receipt.wait()


@dataclass(slots=True, eq=False)
class Execution:
    """What is shared by all that happens in one slice of a run."""

    run: TakenRun
    workflow: Workflow
    store: Store
    lease: Lease
    substitutes: Substitutes = field(default_factory=dict)
    call_helpers: Helpers = no_helpers
    abandon: Callable[[], None] | None = None  # a body cannot be stopped: the process must go
    before_body: Callable[[], None] = do_nothing  # called on the body's thread
    after_body: Callable[[], None] = do_nothing  # as above
    fatal: BaseException | None = None  # ends the run, whatever the author's code catches
    suspended: list[StepRow] = field(default_factory=list)  # the steps that wait in this slice
    configuration: Configuration = field(default_factory=configuration)
    bodies: dict[str, BodyAtWork] = field(default_factory=dict)  # by their steps' keys
    announced: dict[str, int] = field(default_factory=dict)  # sequences of steps that end just now
    main: Branch = field(init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _known: set[str] = field(init=False)
    _ended: int = field(init=False)
    _old_results: Counter[str] = field(init=False)
    _sequence: "itertools.count[int]" = field(init=False)
    _atomic_depth: int = field(init=False)

    def __post_init__(self) -> None:
        """Go on counting where the stored steps end."""
        ended = sorted(
            (row for row in self.run.steps.values() if row.status in ENDED),
            key=lambda row: row.sequence,
        )
        last = max((row.sequence for row in self.run.steps.values()), default=0)
        self._sequence = itertools.count(last + 1)
        self._known = set(self.run.steps)
        self._ended = len(ended)
        self._old_results = Counter(row.branch for row in ended[: self.run.attempt_sequence])
        self._atomic_depth = len(connection.atomic_blocks)
        self.main = Branch("", self._progress("", is_new=self.run.fence == 1))

    def branch(self, parent: Branch, path: str) -> Branch:
        """Return a parallel branch that begins now."""
        return Branch(path, self._progress(path, is_new=parent.progress.is_new))

    def _progress(self, path: str, *, is_new: bool) -> Progress:
        to_come = self._old_results[path]
        is_done_again = self.failed_attempts() > 0
        return Progress(to_come, is_new or (to_come == 0 and is_done_again), is_done_again)

    def stored(self, key: str) -> StepRow | None:
        """Return what is known of a step."""
        return self.run.steps.get(key)

    def rows(self) -> list[StepRow]:
        """Return all that is known of the run's steps: a copy, because branches add to it."""
        return list(self.run.steps.values())

    def is_room_for(self, key: str) -> bool:
        """Count a step that the code has reached; return False where it is one too many."""
        with self._lock:
            if key not in self._known and len(self._known) >= self.configuration.max_steps:
                return False
            self._known.add(key)
            return True

    def steps_ended(self) -> int:
        """Return how many of the run's steps have reached their end."""
        return self._ended

    def failed_attempts(self) -> int:
        """Return how often the code between the steps where the run stands has failed so far."""
        run = self.run
        is_same_code = run.attempt_step is None and run.attempt_sequence == self._ended
        return run.attempt if is_same_code else 0

    def next_sequence(self, *, ending: str | None = None) -> int:
        """Return the next place in the order in which results reach the run.

        Args:
            ending: the key of the step whose result it is, if it has come to its end.
        """
        with self._lock:
            sequence = next(self._sequence)
            if ending is not None:
                self.announced[ending] = sequence
            return sequence

    def is_inside_atomic(self) -> bool:
        """Tell whether the workflow itself has opened a transaction."""
        return len(connection.atomic_blocks) > self._atomic_depth

    def remember(self, row: StepRow) -> None:
        """Let the rest of this slice see a step as it now is."""
        with self._lock:
            before = self.run.steps.get(row.key)
            if row.status in ENDED and (before is None or before.status not in ENDED):
                self._ended += 1
            self.run.steps[row.key] = row

    def submit(self, write: Write, *, branch: Branch) -> None:
        """Hand over what a branch has to store; its code goes on meanwhile."""
        for row in write.steps:
            self.remember(row)
        branch.pending.append(self.store.submit(write))

    def begin(self, key: str, body: BodyAtWork) -> None:
        """Note that a step's body is at work."""
        with self._lock:
            self.bodies[key] = body

    def end(self, key: str) -> None:
        """Note that a step's body is at work no longer."""
        with self._lock:
            self.bodies.pop(key, None)

    def show_bodies(self, *, older_than: datetime) -> None:
        """Store, for operators, the steps whose bodies began before a moment: each once.

        Under the lock, so that what becomes of a body is always stored after this.
        """
        with self._lock:
            old = [
                body
                for body in self.bodies.values()
                if body.started_at < older_than and not body.is_shown
            ]
            for body in old:
                body.is_shown = True
            if old:
                self.store.submit(Write(self.run, steps=[body.running_row() for body in old]))

    def require_lease(self) -> None:
        """Raise `LeaseLost` unless the run may go on here."""
        self.lease.require()


@dataclass(slots=True)
class TimedLease:
    """A lease that ends at a time, which its holder moves on."""

    until: datetime
    is_closing: bool = False  # the process leaves: it begins no further body

    def require(self) -> None:
        """Raise `LeaseLost` once the time is over."""
        if self.is_closing or clock.now() >= self.until:
            raise LeaseLost
