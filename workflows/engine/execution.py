"""One slice of a run, from the moment it is taken until it suspends or ends.

An execution knows what is stored, hands over what is to be stored, and tells whether the run
may still be written to. The steps' tools share it.
"""

import itertools
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


class Lease(Protocol):
    """The right of this process to go on with the runs that it took."""

    def require(self) -> None:
        """Raise `LeaseLost` unless the process still has time."""


class Helpers(Protocol):
    """Free threads of the process."""

    def __call__(self, work: Callable[[], None], most: int, /) -> int:
        """Have up to `most` threads that are free now do the same work; return how many do."""


def no_helpers(work: Callable[[], None], most: int, /) -> int:  # noqa: ARG001  as above
    """Leave the work to the run's own thread."""
    return 0


class BodyAtWork(Protocol):
    """A step's body that is being executed."""

    started_at: datetime

    def running_row(self) -> StepRow:
        """Return the step as operators see it meanwhile."""


Substitutes = Mapping[tuple[str, str], Callable[..., object]]


@dataclass(slots=True)
class Branch:
    """The workflow's main line, or one of its parallel branches: each counts its own steps."""

    path: str = ""
    is_suspended: bool = False
    occurrences: Counter[str] = field(default_factory=Counter)
    parallels: int = 0
    passed_stored_steps: int = 0
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
    fatal: BaseException | None = None  # ends the run, whatever the author's code catches
    suspended_until: list[datetime | None] = field(default_factory=list)
    main: Branch = field(default_factory=Branch)
    configuration: Configuration = field(default_factory=configuration)
    bodies: dict[str, BodyAtWork] = field(default_factory=dict)  # by their steps' keys
    _sequence: "itertools.count[int]" = field(init=False)
    _atomic_depth: int = field(init=False)

    def __post_init__(self) -> None:
        """Go on counting where the stored steps end."""
        last = max((row.sequence for row in self.rows()), default=0)
        self._sequence = itertools.count(last + 1)
        self._atomic_depth = len(connection.atomic_blocks)

    def stored(self, key: str) -> StepRow | None:
        """Return what is known of a step."""
        return self.run.steps.get(key)

    def rows(self) -> list[StepRow]:
        """Return all that is known of the run's steps: a copy, because branches add to it."""
        return list(self.run.steps.values())

    def steps_ended(self) -> int:
        """Return how many of the run's steps have reached their end."""
        ended = (StepStatus.COMPLETED, StepStatus.FAILED)
        return sum(row.status in ended for row in self.rows())

    def next_sequence(self) -> int:
        """Return the next place in the order in which results reach the run."""
        return next(self._sequence)

    def is_inside_atomic(self) -> bool:
        """Tell whether the workflow itself has opened a transaction."""
        return len(connection.atomic_blocks) > self._atomic_depth

    def remember(self, row: StepRow) -> None:
        """Let the rest of this slice see a step as it now is."""
        self.run.steps[row.key] = row

    def submit(self, write: Write, *, branch: Branch) -> None:
        """Hand over what a branch has to store; its code goes on meanwhile."""
        for row in write.steps:
            self.remember(row)
        branch.pending.append(self.store.submit(write))

    def bodies_to_show(self, *, older_than: datetime) -> list[StepRow]:
        """Return the steps whose bodies began before a moment and that nobody has shown yet."""
        old = [
            (key, body) for key, body in list(self.bodies.items()) if body.started_at < older_than
        ]
        for key, _ in old:
            self.bodies.pop(key, None)
        return [body.running_row() for _, body in old]

    def require_lease(self) -> None:
        """Raise `LeaseLost` unless the run may go on here."""
        self.lease.require()


@dataclass(slots=True)
class TimedLease:
    """A lease that ends at a time, which its holder moves on."""

    until: datetime

    def require(self) -> None:
        """Raise `LeaseLost` once the time is over."""
        if clock.now() >= self.until:
            raise LeaseLost
