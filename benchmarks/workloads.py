"""The workloads: each sends events to a running cluster and waits until their runs have ended."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db.models import Max

from workflows import Event, send
from workflows.models import Run, RunStatus, Step

SEND_AT_ONCE = 100  # events
POLL = 0.01  # seconds
PATIENCE = 120.0  # seconds


@dataclass(frozen=True, slots=True)
class Workload:
    """One line of the benchmark's table."""

    name: str
    work: Callable[[], int]


def send_many(name: str, count: int) -> int:
    """Send `count` events in batches and wait for their runs; return how many runs there were."""
    mark = _last_run()
    for start in range(0, count, SEND_AT_ONCE):
        size = min(SEND_AT_ONCE, count - start)
        send([Event(name=name, data={"number": start + number}) for number in range(size)])
    wait_for_runs(count, after=mark)
    return count


def fan_out() -> int:
    """Send one event that starts 1,000 runs."""
    mark = _last_run()
    send("bench/fan-out", {})
    wait_for_runs(1000, after=mark)
    return 1000


def latencies(count: int = 100) -> tuple[float, float]:
    """Send single events to an idle cluster; return p50 and p95 until the body begins, in ms."""
    mark = _last_run()
    for number in range(count):
        send("bench/latency", {"sentAt": time.time()})  # noqa: TID251  see seconds_since
        wait_for_runs(number + 1, after=mark)
        time.sleep(0.03)  # lets the cluster become idle
    outputs = Step.objects.filter(run_id__gt=mark, run__workflow="bench-latency")
    measured = sorted(1000 * step.output for step in outputs)
    return statistics.median(measured), measured[int(len(measured) * 0.95)]


def wait_for_runs(count: int, *, after: str) -> None:
    """Wait until so many runs that are newer than a run have completed."""
    patience_ends = time.monotonic() + PATIENCE
    completed = Run.objects.filter(status=RunStatus.COMPLETED, id__gt=after)
    while completed.count() < count:
        if time.monotonic() > patience_ends:
            message = f"Only {completed.count()} of {count} runs completed within {PATIENCE} s."
            raise TimeoutError(message)
        time.sleep(POLL)


def _last_run() -> str:
    return Run.objects.aggregate(last=Max("id"))["last"] or ""


WORKLOADS = (
    Workload("noop, 2,000 runs of one step", lambda: send_many("bench/noop", 2000)),
    Workload("three-step, 2,000 runs", lambda: send_many("bench/three-step", 2000)),
    Workload("three-step, limits that do not bind", lambda: send_many("bench/limited", 2000)),
    Workload("wide I/O, 500 runs of 100 ms", lambda: send_many("bench/wide", 500)),
    Workload("fan-out, one event, 1,000 runs", fan_out),
)
