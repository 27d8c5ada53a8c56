"""The workflows that the benchmarks run."""

import time
from typing import Any

from workflows import Concurrency, Event, Step, Throttle, workflow

HUNDRED_BYTES = "x" * 92


@workflow(id="bench-noop", trigger="bench/noop")
def noop(event: Event[Any], step: Step) -> None:
    """Run one step that does nothing."""
    step.run("nothing", do_nothing)


@workflow(id="bench-three-step", trigger="bench/three-step")
def three_step(event: Event[Any], step: Step) -> None:
    """Run three steps, one after another, that return about 100 bytes each."""
    step.run("first", return_hundred_bytes)
    step.run("second", return_hundred_bytes)
    step.run("third", return_hundred_bytes)


@workflow(
    id="bench-limited",
    trigger="bench/limited",
    concurrency=Concurrency(1000, key="event.data.number"),
    throttle=Throttle(1_000_000, "1s"),
)
def limited(event: Event[Any], step: Step) -> None:
    """Do as three-step, under limits that do not bind."""
    step.run("first", return_hundred_bytes)
    step.run("second", return_hundred_bytes)
    step.run("third", return_hundred_bytes)


@workflow(
    id="bench-hot-key", trigger="bench/hot-key", concurrency=Concurrency(5, key="event.data.key")
)
def hot_key(event: Event[Any], step: Step) -> None:
    """Run one step of 20 ms, at most five at once for each key."""
    step.run("work", time.sleep, 0.02)


@workflow(id="bench-latency", trigger="bench/latency")
def latency(event: Event[Any], step: Step) -> None:
    """Tell how long ago the event was sent."""
    step.run("measure", seconds_since, event.data["sentAt"])


@workflow(id="bench-wide", trigger="bench/wide")
def wide(event: Event[Any], step: Step) -> None:
    """Run one step that waits for 100 ms, as one that calls a service does."""
    step.run("wait", time.sleep, 0.1)


def do_nothing() -> None:
    """Do nothing."""


def return_hundred_bytes() -> dict[str, str]:
    """Return about 100 bytes of JSON."""
    return {"a": HUNDRED_BYTES}


def seconds_since(moment: float) -> float:
    """Return how long ago a moment of this host's clock was."""
    return time.time() - moment  # noqa: TID251  both ends of one measurement on one host


def fan_out_workflows() -> None:
    """Declare the 1,000 workflows that one event starts."""
    for number in range(1000):
        workflow(id=f"bench-fan-out-{number}", trigger="bench/fan-out")(noop.function)


fan_out_workflows()
