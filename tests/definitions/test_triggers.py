"""Triggers: names, patterns, conditions, and what a workflow's `trigger` may be."""

from datetime import timedelta
from typing import Any

import pytest

from workflows.definitions.events import EventData
from workflows.definitions.triggers import (
    Cron,
    EventTrigger,
    checked_triggers,
    event_name,
    name_matches,
    require_exact_name,
)
from workflows.errors import InvalidDuration, InvalidExpression, InvalidWorkflow


class Placed(EventData, name="test.order.placed"):
    """An order exists."""

    order_id: str


class Nameless(EventData):
    """A base of others."""


@pytest.mark.parametrize(
    ("pattern", "name", "matched"),
    [
        ("order.placed", "order.placed", True),
        ("order.placed", "order.placed.late", False),
        ("order.*", "order.placed", True),
        ("order.*", "order.placed.late", True),
        ("order.*", "order.", False),
        ("order.*", "orders", False),
        ("shop/*", "shop/order.placed", True),
        ("shop/*", "shop", False),
        ("workflows/*", "workflows/run.failed", True),
    ],
)
def test_a_trailing_star_matches_what_follows(pattern: str, name: str, matched: bool) -> None:
    assert name_matches(pattern, name) is matched
    assert EventTrigger(pattern).matches(name) is matched


@pytest.mark.parametrize(
    ("trigger", "meaning"),
    [
        (None, ()),
        ([], ()),
        ("order.placed", (EventTrigger("order.placed"),)),
        (Placed, (EventTrigger("test.order.placed"),)),
        (
            EventTrigger(Placed, if_="event.data.orderId != null"),
            (EventTrigger("test.order.placed", if_="event.data.orderId != null"),),
        ),
        (Cron("0  9 * * *"), (Cron("0 9 * * *"),)),
        (
            [Placed, "shop/*", Cron("* * * * *", jitter="5s")],
            (
                EventTrigger("test.order.placed"),
                EventTrigger("shop/*"),
                Cron("* * * * *", jitter=timedelta(seconds=5)),
            ),
        ),
        (("workflows/run.failed",), (EventTrigger("workflows/run.failed"),)),
    ],
)
def test_a_trigger_means_a_tuple_of_triggers(trigger: Any, meaning: Any) -> None:
    assert checked_triggers(trigger) == meaning


@pytest.mark.parametrize(
    ("trigger", "fault"),
    [
        (7, "7 is no trigger"),
        ([["a"]], "is no trigger"),
        (dict, "neither an event's name nor an EventData class"),
        (Nameless, "Nameless bears no event's name"),
        ("", "1 to 256 characters"),
        ("*", "is no pattern"),
        ("order*", "is no pattern"),
        ("a.*.b", "is no pattern"),
        ("a.*.*", "is no pattern"),
        ("workflows/run.fail", "did you mean 'workflows/run.failed'?"),
        ("inngest/function.failed", "no system event"),
        ([Placed, "test.order.placed"], "stands there twice"),
        ([Cron("0 9 * * *"), Cron("0  9 * * *")], "stands there twice"),
        ([f"e{n}" for n in range(11)], "11 are too many: 10 are allowed"),
        (Cron("0 9 * *"), "is no cron line"),
    ],
)
def test_a_wrong_trigger_is_refused_with_its_fault(trigger: Any, fault: str) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        checked_triggers(trigger)

    assert fault in str(caught.value)


def test_a_wrong_condition_is_refused() -> None:
    with pytest.raises(InvalidExpression, match="'evnt' is no variable"):
        checked_triggers(EventTrigger("a", if_="evnt.data.x"))


def test_a_wrong_jitter_is_refused() -> None:
    with pytest.raises(InvalidDuration, match="jitter: "):
        checked_triggers(Cron("* * * * *", jitter="0s"))


def test_triggers_are_declared_as_stored() -> None:
    event, cron = checked_triggers(
        [EventTrigger("shop/*", if_="true"), Cron("0 9 * * *", tz="Europe/London", jitter="1m")]
    )

    assert event.declaration() == {"kind": "event", "event": "shop/*", "if": "true"}
    assert cron.declaration() == {
        "kind": "cron",
        "cron": "0 9 * * *",
        "tz": "Europe/London",
        "jitter_ms": 60_000,
    }


def test_an_event_is_named_by_its_class_or_its_name() -> None:
    assert (event_name(Placed), event_name("x")) == ("test.order.placed", "x")


def test_a_pattern_is_refused_where_one_event_is_named() -> None:
    with pytest.raises(InvalidWorkflow, match="name one event"):
        require_exact_name("order.*")


def test_a_trigger_knows_whether_it_is_a_pattern() -> None:
    assert (EventTrigger("a.*").is_pattern, EventTrigger(Placed).is_pattern) == (True, False)
