"""The timeline of a run: when each step was at work, each failed attempt, what is waited for."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from workflows.admin.display import duration
from workflows.clock import clock
from workflows.models import Attempt, Run, Step, StepStatus, Wait
from workflows.models.run import ENDED

NARROWEST = 0.4  # percent: what is shorter could not be seen
MOST_LINES = 200  # steps that a page shows unless it is asked for all


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time, in percent of the run's."""

    left: float
    width: float
    kind: str


@dataclass(frozen=True, slots=True)
class Line:
    """One step on the timeline."""

    name: str
    branch: str
    op: str
    status: str
    label: str
    bars: list[Bar]
    attempts: list[Attempt]
    output: Any
    error: Any
    has_output: bool
    waits_for: list[str]
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """A run's steps against its time."""

    ticks: list[str]
    queued: Bar
    queued_for: str
    lines: list[Line]
    left_out: int
    code_attempts: list[Attempt]


def timeline_of(run: Run, *, shows_all: bool = False) -> Timeline:
    """Return the timeline of a run: four queries, however many steps."""
    steps = list(run.steps.order_by("started_at", "sequence"))
    shown = steps if shows_all else steps[-MOST_LINES:]
    attempts = _attempts_of(run)
    waits = _waits_of(run)
    scale = Scale(run.created_at, run.ended_at or clock.now())
    begin = run.started_at or scale.end
    return Timeline(
        ticks=scale.ticks(),
        queued=scale.bar(run.created_at, begin, "queued"),
        queued_for=duration(begin - run.created_at),
        lines=[_line(step, attempts[step.key], waits[step.key], scale, run=run) for step in shown],
        left_out=len(steps) - len(shown),
        code_attempts=attempts[None],
    )


def step_name(step: Step) -> str:
    """Return a step's id, and which repetition it is where it is repeated."""
    return step.step_id if step.occurrence == 0 else f"{step.step_id}:{step.occurrence}"


class Scale:
    """Turns moments into percent of a run's time."""

    def __init__(self, begin: datetime, end: datetime) -> None:
        self.begin = begin
        self.end = max(end, begin + timedelta(milliseconds=1))
        self._span = (self.end - begin).total_seconds()

    def bar(self, begin: datetime, end: datetime, kind: str) -> Bar:
        """Return the stretch between two moments."""
        left = min(100 - NARROWEST, max(0.0, self._percent(begin)))
        width = max(NARROWEST, self._percent(end) - left)
        return Bar(round(left, 2), round(min(width, 100 - left), 2), kind)

    def ticks(self) -> list[str]:
        """Return what stands at the quarters of the scale."""
        return [duration(timedelta(seconds=self._span * part / 4)) for part in range(5)]

    def _percent(self, moment: datetime) -> float:
        return 100 * (moment - self.begin).total_seconds() / self._span


def _attempts_of(run: Run) -> dict[str | None, list[Attempt]]:
    attempts: dict[str | None, list[Attempt]] = defaultdict(list)
    for attempt in Attempt.objects.filter(run_id=run.pk).order_by("id"):
        attempts[attempt.step_key].append(attempt)
    return attempts


def _waits_of(run: Run) -> dict[str | None, list[str]]:
    """Return what the steps of a run that goes on wait for, in words."""
    waits: dict[str | None, list[str]] = defaultdict(list)
    if run.status not in ENDED:
        for wait in Wait.objects.filter(run=run).order_by("id"):
            waits[wait.step_key].append(wait_in_words(wait))
    return waits


def wait_in_words(wait: Wait) -> str:
    """Say what a wait is for."""
    if wait.signal:
        return f"signal {wait.signal}"
    condition = f" if {wait.condition}" if wait.condition else ""
    return f"event {wait.event_name}{condition}"


def _line(step: Step, attempts: list[Attempt], waits: list[str], scale: Scale, *, run: Run) -> Line:
    is_stopped = step.ended_at is None and run.ended_at is not None
    end = step.ended_at or scale.end
    status = "stopped" if is_stopped else str(step.status)
    return Line(
        name=step_name(step),
        branch=step.branch,
        op=str(step.op),
        status=status,
        label=f"{status.capitalize()}, {duration(end - step.started_at)}",
        bars=list(_bars(step, attempts, end, scale)),
        attempts=attempts,
        output=step.output,
        error=step.error,
        has_output=step.status == StepStatus.COMPLETED,
        waits_for=waits,
        until=None if is_stopped or step.ended_at else step.due_at,
    )


def _bars(step: Step, attempts: list[Attempt], end: datetime, scale: Scale) -> Iterable[Bar]:
    """Draw failed attempts with the waits between them, then what came last."""
    for attempt in attempts:
        yield scale.bar(attempt.started_at, attempt.ended_at, "failed")
    for before, after in pairwise(attempts):
        yield scale.bar(before.ended_at, after.started_at, "pause")
    if step.status != StepStatus.FAILED or not attempts:
        begin = attempts[-1].ended_at if attempts else step.started_at
        yield scale.bar(begin, end, str(step.status))
