"""The timeline of a run: when each step was at work, each failed attempt, what is waited for."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from workflows.admin.display import duration
from workflows.clock import clock
from workflows.models import Attempt, Run, Step, StepStatus, Wait

NARROWEST = 0.4  # percent: what is shorter could not be seen


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
    op: str
    status: str
    took: str
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
    lines: list[Line]
    code_attempts: list[Attempt]


def timeline_of(run: Run) -> Timeline:
    """Return the timeline of a run: four queries, however many steps."""
    steps = list(run.steps.order_by("started_at", "sequence"))
    attempts: dict[str | None, list[Attempt]] = defaultdict(list)
    for attempt in Attempt.objects.filter(run_id=run.pk).order_by("id"):
        attempts[attempt.step_key].append(attempt)
    waits: dict[str | None, list[str]] = defaultdict(list)
    for wait in Wait.objects.filter(run=run):
        waits[wait.step_key].append(wait.event_name or f"signal {wait.signal}")
    scale = Scale(run.created_at, run.ended_at or clock.now())
    return Timeline(
        ticks=scale.ticks(),
        queued=scale.bar(run.created_at, run.started_at or scale.end, "queued"),
        lines=[_line(step, attempts[step.key], waits[step.key], scale) for step in steps],
        code_attempts=attempts[None],
    )


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


def _line(step: Step, attempts: list[Attempt], waits: list[str], scale: Scale) -> Line:
    end = step.ended_at or scale.end
    bars = [scale.bar(one.started_at, one.ended_at, "failed") for one in attempts]
    if step.status != StepStatus.FAILED or not attempts:
        begin = attempts[-1].ended_at if attempts else step.started_at
        bars.append(scale.bar(begin, end, str(step.status)))
    took = duration(end - step.started_at)
    return Line(
        name=step.step_id if step.occurrence == 0 else f"{step.step_id}:{step.occurrence}",
        op=str(step.op),
        status=str(step.status),
        took=took,
        label=f"{step.get_status_display()}, {took}",
        bars=bars,
        attempts=attempts,
        output=step.output,
        error=step.error,
        has_output=step.status == StepStatus.COMPLETED,
        waits_for=waits,
        until=step.due_at,
    )
