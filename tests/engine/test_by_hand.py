"""What operators send and hand out by hand: events, events again, event keys."""

from typing import Any

import pytest

from workflows import Event, InvalidEvent, Step, client, workflow
from workflows.engine.keys import EventKeyError, KeyRefusedError, require_key
from workflows.models import Event as StoredEvent
from workflows.models import EventKey, OperatorAction
from workflows.testing import Workflows


def test_an_event_that_is_sent_again_is_no_duplicate_of_itself(workflows: Workflows) -> None:
    @workflow(id="order", trigger="go")
    def order(event: Event[Any], step: Step) -> Any:
        return event.data

    [event_id] = client.send("go", {"n": 1}, id="order-1")
    workflows.advance("1h")

    again = client.resend_event(event_id, reason="lost on their side")
    edited = client.resend_event(event_id, data={"n": 2})
    workflows.drain()

    assert [run.output for run in workflows.runs("order")] == [{"n": 1}, {"n": 1}, {"n": 2}]
    assert StoredEvent.objects.get(pk=again).ts == workflows.now()
    noted = OperatorAction.objects.order_by("id").values_list("object_id", "details")
    assert list(noted) == [
        (again, {"again": event_id, "with_other_data": False}),
        (edited, {"again": event_id, "with_other_data": True}),
    ]


def test_what_only_the_platform_sends_is_not_sent_again(workflows: Workflows) -> None:
    @workflow(id="watch", trigger="workflows/run.failed")
    def watch(event: Event[Any], step: Step) -> None: ...

    @workflow(id="fails", trigger="go", retries=0)
    def fails(event: Event[Any], step: Step) -> None:
        raise ValueError

    workflows.send("go")
    workflows.drain()
    told = StoredEvent.objects.get(name="workflows/run.failed")

    with pytest.raises(InvalidEvent, match="reserved"):
        client.resend_event(told.pk)

    assert StoredEvent.objects.filter(name="workflows/run.failed").count() == 1
    assert not OperatorAction.objects.exists()


def test_making_and_revoking_a_key_is_noted_without_its_secret(db: None) -> None:
    made = client.create_event_key("shop", events=["shop/*"], reason="new shop")
    assert require_key(made.secret) == made.key
    client.revoke_event_key("shop")

    with pytest.raises(KeyRefusedError):
        require_key(made.secret)
    noted = list(OperatorAction.objects.order_by("id").values_list("action", "object_id"))
    assert noted == [("create_event_key", "shop"), ("revoke_event_key", "shop")]
    first = OperatorAction.objects.order_by("id")[0]
    assert first.details == {"events": ["shop/*"], "expires_at": None}


def test_a_key_that_cannot_be_made_is_not_noted(db: None) -> None:
    client.create_event_key("shop")

    with pytest.raises(EventKeyError, match="already"):
        client.create_event_key("shop")

    assert (EventKey.objects.count(), OperatorAction.objects.count()) == (1, 1)
