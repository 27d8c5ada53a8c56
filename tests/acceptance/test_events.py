"""What the contract says of events and of sending them, a test a sentence."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from workflows import (
    Event,
    EventData,
    EventTrigger,
    InvalidEvent,
    Step,
    WorkflowsError,
    asend,
    send,
    workflow,
)
from workflows.testing import Workflows


class ParcelSent(EventData, name="acceptance.parcel.sent"):
    """A parcel is on its way."""

    parcel_id: str
    weight_in_grams: int = 0


def collect(name: str | type[EventData], **options: Any) -> list[Any]:
    """Have a workflow that notes each event it gets."""
    seen: list[Any] = []

    @workflow(id="collector", trigger=name, **options)
    def collector(event: Event[Any], step: Step) -> None:
        seen.append(event)

    return seen


def test_fields_are_camel_case_on_the_wire_and_snake_case_in_python(workflows: Workflows) -> None:
    seen = collect(EventTrigger(ParcelSent, if_="event.data.parcelId == 'p1'"))  # type: ignore[arg-type]

    workflows.send(ParcelSent(parcel_id="p1"))
    workflows.send(ParcelSent(parcelId="p1", weightInGrams=5))
    workflows.send("acceptance.parcel.sent", {"parcel_id": "p1", "weight_in_grams": 7})
    workflows.send("acceptance.parcel.sent", {"parcelId": "p2"})
    workflows.drain()

    assert [(e.data.parcel_id, e.data.weight_in_grams) for e in seen] == [
        ("p1", 0),
        ("p1", 5),
        ("p1", 7),
    ]
    assert all(isinstance(event.data, ParcelSent) for event in seen)


def test_extra_fields_of_a_typed_event_are_kept_as_sent(workflows: Workflows) -> None:
    seen = collect(EventTrigger(ParcelSent, if_="event.data.snake_case == 1"))  # type: ignore[arg-type]
    extra = {"snake_case": 1, "camelCase": {"in_side": [1, None]}}

    workflows.send("acceptance.parcel.sent", {"parcelId": "p", **extra})
    workflows.send(ParcelSent(parcel_id="p", snake_case=1, camelCase={"in_side": [1, None]}))
    workflows.drain()

    assert [event.data.model_extra for event in seen] == [extra, extra]


def test_the_envelope_has_id_name_data_ts_user_and_v(workflows: Workflows) -> None:
    seen = collect("plain")

    [id_] = workflows.send(Event(name="plain", data={"a": 1}, user={"id": 7}, v="2"))
    workflows.drain()

    [event] = seen
    assert (event.id, event.name, event.data, event.user, event.v) == (
        id_,
        "plain",
        {"a": 1},
        {"id": 7},
        "2",
    )
    assert event.ts.tzinfo is not None
    assert abs(event.ts - workflows.now()) < timedelta(seconds=1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Event(name="plain", data={"n": 1}),
        lambda: Event("plain", {"n": 1}),
        lambda: Event[dict[str, int]](name="plain", data={"n": 1}),
    ],
)
def test_an_event_that_user_code_makes_needs_name_and_data_only(
    workflows: Workflows, make: Any
) -> None:
    seen = collect("plain")

    workflows.send(make())
    workflows.drain()

    assert [event.data for event in seen] == [{"n": 1}]


def test_an_event_may_bear_the_data_of_its_class(workflows: Workflows) -> None:
    seen = collect(ParcelSent)

    workflows.send(Event(name="acceptance.parcel.sent", data=ParcelSent(parcel_id="p")))
    workflows.drain()

    assert seen[0].data == ParcelSent(parcel_id="p")


def test_a_list_mixes_what_can_be_sent_and_answers_in_its_order(workflows: Workflows) -> None:
    seen: list[Any] = []

    @workflow(id="any", trigger=[ParcelSent, "plain"])
    def anything(event: Event[Any], step: Step) -> None:
        seen.append(event.id)

    ids = send([ParcelSent(parcel_id="p"), Event(name="plain", data={})])
    more = send((Event(name="plain", data={}),))
    workflows.drain()

    assert seen == [*ids, *more]


def test_send_by_name_takes_id_and_ts_as_keywords(workflows: Workflows) -> None:
    seen = collect("plain")
    earlier = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)

    send("plain", {"id": "123"}, id="own", ts=earlier)
    send("plain")
    workflows.drain()

    assert seen[0].ts == earlier
    assert seen[0].id != "own"
    assert seen[1].data == {}


def test_the_names_of_the_arguments_may_be_spelled_out(workflows: Workflows) -> None:
    seen = collect("plain")

    send("plain", data={"n": 1})
    send(events=Event(name="plain", data={"n": 2}))
    workflows.send("plain", data={"n": 3})
    workflows.drain()

    assert [event.data["n"] for event in seen] == [1, 2, 3]


def test_a_ts_in_the_future_takes_effect_then(workflows: Workflows) -> None:
    seen = collect("plain")
    when = workflows.now() + timedelta(hours=2)

    workflows.send("plain", ts=when)
    workflows.advance("1h59m")
    assert (seen, workflows.runs()) == ([], [])
    workflows.advance("1m")

    assert [event.ts for event in seen] == [when.replace(microsecond=seen[0].ts.microsecond)]
    [run] = workflows.runs()
    assert run.created_at >= when.replace(microsecond=0)


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        (Event(name="", data={}), "name"),
        (Event(name="x" * 257, data={}), "name"),
        (Event(name="workflows/mine", data={}), "workflows/"),
        (Event(name="inngest/mine", data={}), "inngest/"),
        (Event(name="x", data=[1]), "data"),
        (Event(name="x", data={"a": float("nan")}), "NaN"),
        (Event(name="x", data={"a": float("inf")}), "infinite"),
        (Event(name="x", data={"a": 2**64}), "64"),
        (Event(name="x", data={"a": "\0"}), "NUL"),
        (Event(name="x", data={"a": "\ud800"}), "surrogate"),
        (Event(name="x", data={}, id="i" * 257), "id"),
        (Event(name="x", data={}, ts=datetime(1979, 12, 31, tzinfo=UTC)), "ts"),
        (Event(name="x", data={}, ts=datetime(2100, 1, 1, tzinfo=UTC)), "ts"),
        (Event(name="x", data={}, ts=datetime(2026, 1, 1)), "ts"),  # noqa: DTZ001
        (Event(name="x", data={}, ts=1_700_000_000_000), "ts"),  # type: ignore[arg-type]
        (Event(name="x", data={}, user="me"), "user"),  # type: ignore[arg-type]
        (Event(name="x", data={}, v=3), "v"),  # type: ignore[arg-type]
        (Event(name="x", data={"a": object()}), "object"),
        (Event(name="x", data={"a": "b" * 1024 * 1024}), "bytes"),
        (Event(name="acceptance.parcel.sent", data={}), "parcel"),
    ],
)
def test_send_raises_invalid_event_for_every_fault(
    workflows: Workflows, event: Event[Any], fault: str
) -> None:
    collect("x")

    with pytest.raises(InvalidEvent, match=fault):
        send([Event(name="x", data={}), event])
    workflows.drain()

    assert workflows.runs() == []


def test_data_deeper_than_64_is_refused_and_64_is_taken(workflows: Workflows) -> None:
    def nested(levels: int) -> Any:
        return {"a": nested(levels - 1)} if levels > 1 else {}

    send("x", nested(63))
    with pytest.raises(InvalidEvent, match="64"):
        send("x", nested(64))


def test_an_empty_list_sends_nothing_or_is_refused_with_invalid_event(
    workflows: Workflows,
) -> None:
    with pytest.raises(InvalidEvent):
        send([])


@pytest.mark.parametrize("thing", [None, 3, {"name": "x"}, [None], ["x"], object()])
def test_what_is_no_event_is_refused(workflows: Workflows, thing: Any) -> None:
    with pytest.raises(InvalidEvent):
        send(thing)


def test_invalid_event_is_a_workflows_error() -> None:
    assert issubclass(InvalidEvent, WorkflowsError)


def test_a_rollback_takes_the_events_along(workflows: Workflows) -> None:
    seen = collect("plain")

    def send_and_fail() -> None:
        with transaction.atomic():
            send("plain", {"n": 1})
            raise LookupError

    with pytest.raises(LookupError):
        send_and_fail()
    with transaction.atomic():
        send("plain", {"n": 2})
    workflows.drain()

    assert [event.data["n"] for event in seen] == [2]


def test_an_events_own_id_deduplicates_for_24_hours(workflows: Workflows) -> None:
    seen = collect("plain")

    [first] = send("plain", id="same")
    workflows.advance("23h59m")
    [second] = send("plain", id="same")
    workflows.advance("2m")
    [third] = send("plain", id="same")
    workflows.drain()

    assert len({first, second, third}) == 3
    assert [event.id for event in seen] == [first, third]


def test_deduplication_is_by_the_id_alone_whatever_the_name(workflows: Workflows) -> None:
    seen = collect("plain")

    send("plain", id="same")
    send("plain", id="same")
    workflows.drain()

    assert len(seen) == 1


async def test_asend_takes_what_send_takes(workflows: Workflows) -> None:
    seen = collect("plain")

    [first] = await asend("plain", {"n": 1})
    ids = await asend([Event(name="plain", data={}), Event(name="plain", data={})])
    [last] = await asend(Event(name="plain", data={}))
    await workflows.adrain()

    assert [event.id for event in seen] == [first, *ids, last]


async def test_asend_can_be_gathered(workflows: Workflows) -> None:
    seen = collect("plain")

    answers = await asyncio.gather(*(asend("plain", {"n": n}) for n in range(10)))
    await workflows.adrain()

    assert sorted(event.id for event in seen) == sorted(id_ for [id_] in answers)


def test_asend_works_between_the_steps_and_in_the_bodies_of_a_workflow(
    workflows: Workflows,
) -> None:
    @workflow(id="sends", trigger="plain")
    async def sends(event: Event[Any], step: Any) -> None:
        async def body() -> list[str]:
            return await asend("more")

        await step.run("send", body)
        await asend("more")

    seen: list[str] = []

    @workflow(id="sees", trigger="more")
    def sees(event: Event[Any], step: Step) -> None:
        seen.append(event.name)

    workflows.send("plain")
    workflows.drain()

    assert seen == ["more", "more"]


@pytest.mark.django_db(transaction=True)
async def test_asend_commits_its_own(workflows: Workflows) -> None:
    seen = collect("plain")

    [id_] = await asend("plain")
    await workflows.adrain()

    assert [event.id for event in seen] == [id_]


async def test_asend_raises_invalid_event(workflows: Workflows) -> None:
    with pytest.raises(InvalidEvent):
        await asend("workflows/mine")
    with pytest.raises(InvalidEvent):
        await workflows.asend("")


async def test_a_workflow_is_paused_and_resumed_in_an_async_test(workflows: Workflows) -> None:
    seen = collect("plain")

    workflows.pause("collector")
    [id_] = await workflows.asend("plain")
    await workflows.adrain()
    assert workflows.runs("collector")[0].status == "queued"
    workflows.resume("collector")
    await workflows.adrain()

    assert [event.id for event in seen] == [id_]


def test_a_stored_event_that_no_longer_fits_its_class_fails_the_run(workflows: Workflows) -> None:
    from workflows.models import Event as Stored  # noqa: PLC0415  what only a deploy could do

    collect(ParcelSent)
    [id_] = workflows.send(ParcelSent(parcel_id="p"))
    Stored.objects.filter(pk=id_).update(data={"other": 1})
    workflows.advance("10h")

    [run] = workflows.runs()
    assert (run.status, run.error["name"]) == ("failed", "InvalidEvent")
    assert run.attempt <= 1


@pytest.mark.parametrize("pattern", ["shop/*", "shop.*"])
def test_a_trailing_star_after_a_slash_or_a_dot_is_a_wildcard(
    workflows: Workflows, pattern: str
) -> None:
    seen = collect(pattern)
    start = pattern[:-1]
    for name in (start + "order", start + "order.paid/x", "shop", "shopping", start[:-1]):
        workflows.send(name)
    workflows.drain()

    assert [event.name for event in seen] == [start + "order", start + "order.paid/x"]


def test_several_triggers_that_match_one_event_make_one_run(workflows: Workflows) -> None:
    @workflow(id="many", trigger=["a.b", "a.*", EventTrigger("a.b", if_="true")])
    def many(event: Event[Any], step: Step) -> None:
        pass

    workflows.send("a.b")
    workflows.drain()

    assert len(workflows.runs()) == 1


def test_a_missing_attribute_is_null(workflows: Workflows) -> None:
    seen = collect(EventTrigger("plain", if_="event.data.a.b.c == null && event.user == null"))  # type: ignore[arg-type]
    workflows.send("plain")
    workflows.drain()

    assert len(seen) == 1


def test_an_expression_may_use_every_part_of_the_envelope(workflows: Workflows) -> None:
    seen = collect(
        EventTrigger(  # type: ignore[arg-type]
            "plain",
            if_="event.name == 'plain' && event.v == '2' && event.user.id == 7 && "
            "event.ts > 0 && event.id != ''",
        )
    )
    workflows.send(Event(name="plain", data={}, user={"id": 7}, v="2"))
    workflows.drain()

    assert len(seen) == 1
