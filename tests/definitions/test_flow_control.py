"""Flow control: what each declaration takes, refuses and is stored as."""

from datetime import timedelta
from typing import Any

import pytest

from workflows.definitions.events import EventData
from workflows.definitions.expressions import EVENT_AND_ASYNC, compile_expression
from workflows.definitions.flow_control import (
    Batch,
    CancelOn,
    Concurrency,
    Debounce,
    Idempotency,
    Priority,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
    joined_condition,
)
from workflows.errors import WorkflowsError

KEY = "event.data.customerId"


class Closed(EventData, name="test.order.closed"):
    """An order is over."""


@pytest.mark.parametrize(
    ("declared", "stored"),
    [
        (
            Concurrency(5),
            {"limit": 5, "key": None, "scope": "workflow", "counts": "executing"},
        ),
        (
            Concurrency(1, key=KEY, scope="platform", counts="active"),
            {"limit": 1, "key": KEY, "scope": "platform", "counts": "active"},
        ),
        (
            Throttle(10, "1m", burst=2, key=KEY),
            {"limit": 10, "period_ms": 60_000, "burst": 2, "key": KEY},
        ),
        (RateLimit(1, timedelta(hours=1)), {"limit": 1, "period_ms": 3_600_000, "key": None}),
        (Debounce("5s"), {"period_ms": 5000, "key": None, "timeout_ms": None}),
        (
            Debounce("5s", key=KEY, timeout="1m"),
            {"period_ms": 5000, "key": KEY, "timeout_ms": 60_000},
        ),
        (Priority("event.data.vip ? 120 : 0"), {"run": "event.data.vip ? 120 : 0"}),
        (
            Batch(100, "500ms", if_="event.data.small"),
            {"max_size": 100, "timeout_ms": 500, "key": None, "if": "event.data.small"},
        ),
        (Singleton(), {"key": None, "mode": "skip"}),
        (Singleton(key=KEY, mode="cancel"), {"key": KEY, "mode": "cancel"}),
        (Idempotency(KEY), {"key": KEY, "period_ms": 86_400_000}),
        (CancelOn("a"), {"event": "a", "if": None, "timeout_ms": None}),
        (
            CancelOn(Closed, if_="async.data.id == event.data.id", timeout="1d"),
            {
                "event": "test.order.closed",
                "if": "async.data.id == event.data.id",
                "timeout_ms": 86_400_000,
            },
        ),
        (Timeouts(start="1m"), {"start_ms": 60_000, "finish_ms": None}),
    ],
)
def test_a_right_declaration_is_stored_so(declared: Any, stored: dict[str, Any]) -> None:
    assert declared.checked().declaration() == stored


def test_durations_are_timedeltas_once_checked() -> None:
    checked = Throttle(1, "1m").checked()

    assert checked.period == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        (Concurrency(0), "limit must be a whole number of at least 1, not 0"),
        (Concurrency(True), "limit must be a whole number"),
        (Concurrency("5"), "limit must be a whole number"),  # type: ignore[arg-type]
        (Concurrency(1, key="evnt.x"), "key: The expression 'evnt.x' is wrong"),
        (Concurrency(1, scope="platform"), 'scope="platform" needs a key'),
        (Concurrency(1, scope="env"), 'scope must be "workflow" or "platform", not \'env\''),  # type: ignore[arg-type]
        (Concurrency(1, counts="all"), 'counts must be "executing" or "active"'),  # type: ignore[arg-type]
        (Throttle(1, 60), "period: the bare number 60 is refused"),  # type: ignore[arg-type]
        (Throttle(1, "1m", burst=-1), "burst must be a whole number of at least 0"),
        (Throttle(1, "0s"), "period: '0s' must be at least 1ms"),
        (RateLimit(0, "1m"), "limit must be"),
        (RateLimit(1, "1m", key="("), "key: The expression"),
        (RateLimit(1, ""), "period: '' is no duration"),
        (Debounce("x"), "period: 'x' is no duration"),
        (Debounce("5s", timeout="x"), "timeout: 'x' is no duration"),
        (Priority("async.data.x"), "run: The expression"),
        (Priority(5), "run: 5 is no expression"),  # type: ignore[arg-type]
        (Batch(0, "1s"), "max_size must be"),
        (Batch(2, 5), "timeout: the bare number"),  # type: ignore[arg-type]
        (Batch(2, "1s", if_=")"), "if_: The expression"),
        (Batch(2, "1s", key=")"), "key: The expression"),
        (Singleton(mode="replace"), 'mode must be "skip" or "cancel"'),  # type: ignore[arg-type]
        (Singleton(key=")"), "key: The expression"),
        (Idempotency("("), "key: The expression"),
        (Idempotency(KEY, period=24), "period: the bare number"),  # type: ignore[arg-type]
        (CancelOn("order.*"), "name one event"),
        (CancelOn(7), "neither an event's name"),  # type: ignore[arg-type]
        (CancelOn("a", match="event.data.x"), "is no path for match"),
        (CancelOn("a", if_="other.data.x"), "if_: The expression"),
        (CancelOn("a", timeout="0s"), "timeout: '0s' must be"),
        (Timeouts(start=5), "start: the bare number"),  # type: ignore[arg-type]
        (Timeouts(finish="0s"), "finish: '0s' must be"),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_fault(declared: Any, fault: str) -> None:
    with pytest.raises(WorkflowsError) as caught:
        declared.checked()

    assert fault in str(caught.value)


def test_match_and_condition_must_both_hold() -> None:
    text = joined_condition(match="data.id", if_="async.data.a || async.data.b")
    condition = compile_expression(text or "", variables=EVENT_AND_ASYNC)

    truths = [
        condition.truth(event={"data": {"id": 1}}, async_={"data": {"id": n, "b": b}})
        for n, b in ((1, True), (2, True), (1, False))
    ]

    assert truths == [True, False, False]


def test_a_comment_in_a_condition_hides_nothing() -> None:
    text = joined_condition(match="data.id", if_="async.data.b // because")

    compile_expression(text or "", variables=EVENT_AND_ASYNC)
