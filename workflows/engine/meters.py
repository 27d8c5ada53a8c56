"""Meters: what is counted and timed, and the totals of it that all processes share.

A worker adds up in memory and writes at its beat, because a write for each step would cost as much
as the step. So a killed worker takes a beat's worth of step times along; the ends of runs, which
the roll-up counts from their rows, are exact.
"""

import functools
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, ParamSpec, TypeVar

from django.db.models import F

from workflows.engine.rows import StepRow
from workflows.engine.transactions import transaction
from workflows.models import MetricTotal, StepOp
from workflows.models.metric_total import NO_BUCKET

RUNS = "runs"
RUN_SECONDS = "run_seconds"
START_DELAY = "start_delay"
STEP_SECONDS = "step_seconds"
ADMISSION_SECONDS = "admission_seconds"

WITH_A_BODY = (StepOp.RUN, StepOp.TRANSACTION)

# Upper edges, in seconds, of all histograms; the last bucket has none.
EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 86400)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Meter(NamedTuple):
    """What a number is about."""

    metric: str
    workflow: str = ""
    label: str = ""
    bucket: int = NO_BUCKET


@dataclass(slots=True)
class Amount:
    """How many, and how long all of them took together."""

    count: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Tally:
    """Numbers that are not written yet."""

    amounts: dict[Meter, Amount] = field(default_factory=dict)

    def count(self, meter: Meter, *, by: int = 1, seconds: float = 0.0) -> None:
        """Add to a number."""
        amount = self.amounts.get(meter)
        if amount is None:
            amount = self.amounts[meter] = Amount()
        amount.count += by
        amount.seconds += seconds

    def time(self, metric: str, duration: float, *, workflow: str = "", label: str = "") -> None:
        """Add a duration, in seconds, to a histogram."""
        self.count(Meter(metric, workflow, label, bucket_of(duration)), seconds=max(0.0, duration))


_tally = Tally()
_lock = threading.Lock()


def time_steps(rows: Iterable[tuple[str, StepRow]]) -> None:
    """Note how long the bodies of steps took that have ended; each row with its workflow."""
    with _lock:
        for workflow, row in rows:
            if row.ended_at is not None and row.op in WITH_A_BODY:
                seconds = (row.ended_at - row.started_at).total_seconds()
                _tally.time(STEP_SECONDS, seconds, workflow=workflow, label=row.op)


def times_admission(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Note how long each turn of admission takes."""

    @functools.wraps(function)
    def timed(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        began_at = time.monotonic()
        try:
            return function(*args, **kwargs)
        finally:
            with _lock:
                _tally.time(ADMISSION_SECONDS, time.monotonic() - began_at)

    return timed


def write_meters() -> None:
    """Add what this process has noted to the totals."""
    global _tally
    with _lock:
        taken, _tally = _tally, Tally()
    if not taken.amounts:
        return
    try:
        with transaction("write meters"):
            add_to_totals(taken.amounts)
    except BaseException:
        with _lock:
            for meter, amount in taken.amounts.items():
                _tally.count(meter, by=amount.count, seconds=amount.seconds)
        raise


def add_to_totals(amounts: Mapping[Meter, Amount]) -> None:
    """Add to the totals in the caller's transaction; locks rows in one order, as all do."""
    meters = sorted(amounts)
    MetricTotal.objects.bulk_create(
        [MetricTotal(**meter._asdict()) for meter in meters], ignore_conflicts=True
    )
    for meter in meters:
        amount = amounts[meter]
        MetricTotal.objects.filter(**meter._asdict()).update(
            count=F("count") + amount.count,
            total_ms=F("total_ms") + round(amount.seconds * 1000),
        )


def bucket_of(duration: float) -> int:
    """Return the place of the bucket in which a duration, in seconds, is counted."""
    return bisect_left(EDGES, duration)
