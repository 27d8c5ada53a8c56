"""What bodies, workflows and senders saw themselves: the engine's tables know nothing of it."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from workflows.clock import clock
from workflows.engine import context

NO_RESULT = object()


class Broken(AssertionError):  # noqa: N818  says what is broken: a promise
    """A promise does not hold."""


def require(is_so: bool, message: str) -> None:
    """Raise `Broken` where something is not so."""
    if not is_so:
        raise Broken(message)


@dataclass
class Journal:
    """The record of one history."""

    values: int = 0
    bodies: Counter[tuple[str, str]] = field(default_factory=Counter)
    bodies_after_cancel: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    seen: dict[tuple[str, int], dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    numbers: dict[str, list[int]] = field(default_factory=dict)  # of the events that runs had
    sent: set[int] = field(default_factory=set)
    rolled_back: set[int] = field(default_factory=set)
    signalled: dict[int, str] = field(default_factory=dict)
    dead_workers: set[str] = field(default_factory=set)
    happened: Counter[str] = field(default_factory=Counter)
    clock_went_back: bool = False
    breaches: list[str] = field(default_factory=list)

    def new_value(self) -> int:
        """Return a number that nothing else in this history has."""
        self.values += 1
        return self.values

    def body_begins(self) -> str:
        """Note that a step's body begins, and see that it may; return the step's key."""
        place = context.current_place()
        assert place is not None
        assert place.key is not None
        run = place.execution.run
        self.bodies[run.id, place.key] += 1
        if self.bodies[run.id, place.key] > 1:
            self.happened["a body was repeated"] += 1
        status, fence, worker = _row(
            "SELECT status, fence, worker_id FROM workflows_run WHERE id = %s", run.id
        )
        if (status, fence, worker) == ("running", run.fence, run.worker_id):
            self._require_new_step(run.id, place.key)
        elif status == "cancelled":
            self._count_after_cancel(run.id, run.fence, place.branch.path)
        elif not self.clock_went_back:
            self.breach(f"a worker that has lost run {run.id} began the body of {place.step_id}")
        return place.key

    def _require_new_step(self, run_id: str, key: str) -> None:
        """A holder repeats no step whose result is stored, and no attempt before its time."""
        statement = "SELECT status, due_at FROM workflows_step WHERE run_id = %s AND key = %s"
        step = _row(statement, run_id, key)
        if step is None:
            return
        if step[0] in ("completed", "failed"):
            self.breach(f"the body of a step of run {run_id} began though its result was stored")
        is_early = step[0] == "retrying" and step[1] > clock.now().replace(tzinfo=None)
        if is_early and not self.clock_went_back:  # between the wake-up and the take
            self.breach(f"a step of run {run_id} was tried again before its time")

    def _count_after_cancel(self, run_id: str, fence: int, branch: str) -> None:
        """A worker learns of a cancel when it stores: so at most one body in each branch begins."""
        self.happened["a body began after its run was cancelled"] += 1
        self.bodies_after_cancel[run_id, fence, branch] += 1
        if self.bodies_after_cancel[run_id, fence, branch] > 1:
            self.breach(f"a second body of the cancelled run {run_id} began")

    def breach(self, message: str) -> None:
        """Note that a promise is broken: raised here, it would be a step's failure."""
        self.breaches.append(message)

    def gave(self, name: str, value: Any) -> Any:
        """Note what a tool gave to a workflow's code in the slice at work."""
        place = context.current_place()
        assert place is not None
        run = place.execution.run
        self.seen[run.id, run.fence][name] = value
        return value


def _row(statement: str, *parameters: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchone()
