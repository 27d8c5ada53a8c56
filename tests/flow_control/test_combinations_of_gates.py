"""Each pair of options in which a gate is one: in which order they decide, and what comes out.

The table in docs/flow-control/gates.md has a cell for each test here; pairs with more to say have
tests beside their options.
"""

from typing import Any

import pytest

from workflows import (
    Batch,
    CancelOn,
    Concurrency,
    Debounce,
    Event,
    Idempotency,
    Priority,
    RateLimit,
    Singleton,
    Step,
    Throttle,
    Timeouts,
    workflow,
)
from workflows.errors import InvalidWorkflow
from workflows.testing import Workflows

IDEMPOTENCY = Idempotency("event.data.order")
RATE_LIMIT = RateLimit(2, "1h")
DEBOUNCE = Debounce("10s", key="event.data.user")
BATCH = Batch(2, "10s")


def declare(**options: Any) -> None:
    if "batch" in options:

        @workflow(id="job", trigger="go", **options)
        def jobs(events: list[Event[Any]], step: Step) -> Any:
            step.sleep("nap", "1m")
            return [event.data["n"] for event in events]
    else:

        @workflow(id="job", trigger="go", **options)
        def job(event: Event[Any], step: Step) -> Any:
            step.sleep("nap", "1m")
            return event.data["n"]


def send(workflows: Workflows, *orders: str) -> None:
    """Send an event for each order, a user's who is named by it too."""
    for n, order in enumerate(orders):
        workflows.send("go", {"n": n, "order": order, "user": order})


def outcomes(workflows: Workflows) -> list[Any]:
    """Return what the runs gave, or how they stand."""
    return [
        run.output if run.status == "completed" else run.status for run in workflows.runs("job")
    ]


def started_after(workflows: Workflows) -> list[float | None]:
    """Return how many seconds after the first run's creation each has started."""
    runs = workflows.runs("job")
    return [
        (run.started_at - runs[0].created_at).total_seconds() if run.started_at else None
        for run in runs
    ]


def test_idempotency_then_rate_limit(workflows: Workflows) -> None:
    declare(idempotency=IDEMPOTENCY, rate_limit=RATE_LIMIT)
    send(workflows, "A", "A", "B", "C")

    workflows.advance("2m")

    assert outcomes(workflows) == [0, "skipped", 2, "skipped"]


def test_idempotency_then_debounce(workflows: Workflows) -> None:
    declare(idempotency=Idempotency("event.data.n"), debounce=DEBOUNCE)
    for n in (0, 1, 1):
        workflows.send("go", {"n": n, "user": "A"})

    workflows.advance("2m")

    assert outcomes(workflows) == [1, "skipped"]


def test_idempotency_then_batch(workflows: Workflows) -> None:
    declare(idempotency=IDEMPOTENCY, batch=BATCH)
    send(workflows, "A", "A", "B")

    workflows.advance("2m")

    assert outcomes(workflows) == [[0, 2], "skipped"]


def test_idempotency_then_singleton_whose_refusal_uses_no_value_up(workflows: Workflows) -> None:
    declare(idempotency=IDEMPOTENCY, singleton=Singleton())
    send(workflows, "A", "B")
    workflows.advance("2m")
    assert outcomes(workflows) == [0, "skipped"]

    send(workflows, "A", "B")
    workflows.advance("2m")

    assert outcomes(workflows) == [0, "skipped", "skipped", 1]


def test_rate_limit_then_debounce(workflows: Workflows) -> None:
    declare(rate_limit=RATE_LIMIT, debounce=DEBOUNCE)
    send(workflows, "A", "A", "A")

    workflows.advance("2m")

    assert outcomes(workflows) == [1, "skipped"]


def test_rate_limit_then_batch(workflows: Workflows) -> None:
    declare(rate_limit=RATE_LIMIT, batch=BATCH)
    send(workflows, "A", "B", "C")

    workflows.advance("2m")

    assert outcomes(workflows) == [[0, 1], "skipped"]


def test_rate_limit_then_singleton_whose_refusal_has_used_the_limit_up(
    workflows: Workflows,
) -> None:
    declare(rate_limit=RATE_LIMIT, singleton=Singleton())
    send(workflows, "A", "B")
    workflows.advance("2m")
    send(workflows, "C")

    workflows.advance("2m")

    assert outcomes(workflows) == [0, "skipped", "skipped"]
    assert [(run.reason or "").split(":")[0] for run in workflows.runs("job")] == [
        "",
        "singleton",
        "rate limit",
    ]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("skip", [0, "skipped"]), ("cancel", ["cancelled", 1])],
)
def test_debounce_then_singleton(workflows: Workflows, mode: Any, expected: list[Any]) -> None:
    declare(debounce=DEBOUNCE, singleton=Singleton(mode=mode))
    send(workflows, "A", "B")

    workflows.advance("2m")

    assert outcomes(workflows) == expected


@pytest.mark.parametrize(
    "gate",
    [
        {"idempotency": IDEMPOTENCY},
        {"rate_limit": RateLimit(10, "1h")},
        {"debounce": DEBOUNCE},
        {"batch": Batch(1, "10s")},
        {"singleton": Singleton(key="event.data.user")},
    ],
    ids=lambda gate: next(iter(gate)),
)
class TestWhatComesOutOfAGate:
    """Goes to the options that decide what may start, like any run."""

    def test_waits_for_a_slot(self, workflows: Workflows, gate: dict[str, Any]) -> None:
        declare(concurrency=Concurrency(1, counts="active"), **gate)
        send(workflows, "A", "B")
        first = 10 if "debounce" in gate else 0

        workflows.advance("5m")

        assert started_after(workflows) == [first, first + 60]

    def test_waits_for_the_throttle(self, workflows: Workflows, gate: dict[str, Any]) -> None:
        declare(throttle=Throttle(1, "30s"), **gate)
        send(workflows, "A", "B")
        first = 10 if "debounce" in gate else 0

        workflows.advance("5m")

        assert started_after(workflows) == [first, first + 30]

    def test_waits_in_the_order_of_its_priority(
        self, workflows: Workflows, gate: dict[str, Any]
    ) -> None:
        if "batch" in gate:
            with pytest.raises(InvalidWorkflow, match="batch"):
                declare(priority=Priority("event.data.n"), **gate)
            return
        declare(
            priority=Priority("event.data.n"),
            concurrency=Concurrency(1, counts="active"),
            **gate,
        )
        send(workflows, "A", "B", "C")

        workflows.advance("5m")

        order = sorted(workflows.runs("job"), key=lambda run: str(run.started_at))
        assert [run.output for run in order] == [2, 1, 0]

    def test_waits_while_the_workflow_is_paused(
        self, workflows: Workflows, gate: dict[str, Any]
    ) -> None:
        declare(**gate)
        workflows.drain()
        workflows.pause("job")
        send(workflows, "A", "B")
        workflows.advance("5m")
        assert outcomes(workflows) == ["queued", "queued"]

        workflows.resume("job")
        workflows.advance("5m")

        assert [bool(outcome) or outcome == 0 for outcome in outcomes(workflows)] == [True, True]

    def test_is_cancelled_by_its_rules(self, workflows: Workflows, gate: dict[str, Any]) -> None:
        rule = CancelOn("stop", match="data.user")
        if "batch" in gate:
            with pytest.raises(InvalidWorkflow, match="batch"):
                declare(cancel_on=rule, **gate)
            return
        declare(cancel_on=rule, **gate)
        send(workflows, "A", "B")
        workflows.drain()

        workflows.send("stop", {"user": "A"})
        workflows.advance("5m")

        assert outcomes(workflows) == ["cancelled", 1]

    def test_has_its_time_to_start_from_when_it_was_due(
        self, workflows: Workflows, gate: dict[str, Any]
    ) -> None:
        declare(timeouts=Timeouts(start="20s"), concurrency=Concurrency(1, counts="active"), **gate)
        send(workflows, "A", "B")

        workflows.advance("5m")

        first, second = workflows.runs("job")
        due = 10 if "debounce" in gate else 0
        assert (first.status, second.status) == ("completed", "cancelled")
        assert second.ended_at is not None
        assert (second.ended_at - second.created_at).total_seconds() == due + 20


def test_the_end_of_a_skipped_run_is_an_end_that_workflows_may_trigger_on(
    workflows: Workflows,
) -> None:
    declare(idempotency=IDEMPOTENCY)
    told = []

    @workflow(id="listener", trigger="workflows/run.finished")
    def listener(event: Event[Any], step: Step) -> None:
        told.append((event.data["workflow"], event.data["status"]))

    send(workflows, "A", "A")
    workflows.drain()

    assert told == [("job", "skipped")]


def test_a_value_whose_debounced_run_the_singleton_skipped_may_run_later(
    workflows: Workflows,
) -> None:
    declare(idempotency=IDEMPOTENCY, debounce=DEBOUNCE, singleton=Singleton())
    send(workflows, "A", "B")
    workflows.advance("2m")
    assert outcomes(workflows) == [0, "skipped"]

    send(workflows, "A", "B")
    workflows.advance("2m")

    assert outcomes(workflows) == [0, "skipped", "skipped", 1]
