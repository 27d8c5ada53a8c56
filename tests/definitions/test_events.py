"""Events: classes for their data, the wire form, names, and the envelope."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from workflows.definitions.events import (
    Event,
    EventData,
    build_event,
    event_class,
    isolated_event_classes,
    typed_data,
    validate_event_name,
    wire_data,
)
from workflows.errors import InvalidEvent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class OrganisationCreated(EventData, name="test.organisation.created"):
    """An organisation exists."""

    organisation_id: UUID
    name: str
    diffbot_id: str | None = None
    paid: Decimal = Decimal("1.50")


ID = "6f1ecb8e-9c50-4a6f-8d8f-3a2b8f0f6d11"


def test_fields_are_camel_case_on_the_wire_with_defaults() -> None:
    data = OrganisationCreated(organisation_id=UUID(ID), name="Acme")

    assert data.to_wire() == {
        "organisationId": ID,
        "name": "Acme",
        "diffbotId": None,
        "paid": "1.50",
    }


@pytest.mark.parametrize("field", ["organisationId", "organisation_id"])
def test_validation_accepts_both_cases(field: str) -> None:
    data = typed_data("test.organisation.created", {field: ID, "name": "Acme"})

    assert data == OrganisationCreated(organisation_id=UUID(ID), name="Acme")


def test_extra_fields_are_kept_as_sent() -> None:
    sent = {"organisationId": ID, "name": "A", "some_extra": {"deep_er": [1, None]}}

    wire = wire_data("test.organisation.created", sent)

    assert wire["some_extra"] == {"deep_er": [1, None]}


def test_a_name_without_a_class_keeps_its_data() -> None:
    data = {"any_thing": 1}

    assert wire_data("test.unknown", data) is data
    assert typed_data("test.unknown", '{"any_thing": 1}') == data


def test_wrong_data_is_refused_naming_each_field_and_not_its_value() -> None:
    with pytest.raises(InvalidEvent) as caught:
        wire_data("test.organisation.created", {"organisationId": "secret"})

    assert "organisationId: " in str(caught.value)
    assert "name: Field required" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_making_wrong_data_raises_as_every_pydantic_model_does() -> None:
    with pytest.raises(ValidationError):
        OrganisationCreated(name="Acme")


@pytest.mark.parametrize(
    "stored", [{"organisationId": ID, "name": "A"}, f'{{"organisationId": "{ID}", "name": "A"}}']
)
def test_a_stored_event_gets_the_class_of_its_name(stored: dict[str, Any] | str) -> None:
    event = build_event("e1", "test.organisation.created", stored, NOON, {"id": 7}, "2")

    assert event == Event(
        "test.organisation.created",
        OrganisationCreated(organisation_id=UUID(ID), name="A"),
        id="e1",
        ts=NOON,
        user={"id": 7},
        v="2",
    )


def test_a_stored_event_that_no_longer_fits_is_refused() -> None:
    with pytest.raises(InvalidEvent, match=r"stored event e1 .* name: Field required"):
        build_event("e1", "test.organisation.created", {"organisationId": ID}, NOON)


def test_an_event_of_user_code_needs_name_and_data_only() -> None:
    event = Event(name="x", data={"a": 1})

    assert (event.id, event.ts, event.user, event.v) == (None, None, None, None)


def test_an_event_may_be_made_through_its_subscript() -> None:
    assert Event[dict[str, int]](name="x", data={"a": 1}) == Event(name="x", data={"a": 1})


def test_an_event_cannot_be_changed() -> None:
    event = Event(name="x", data={"a": 1})

    with pytest.raises(AttributeError):
        event.name = "y"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["a", "x" * 256, "shop/order.created", "étage", "workflow/x"])
def test_a_good_name_passes(name: str) -> None:
    assert validate_event_name(name) == name


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "1 to 256 characters"),
        ("x" * 257, "has 257"),
        ("a\0b", "NUL"),
        ("a\ud800", "surrogate"),
        (None, "must be text, not NoneType"),
        (7, "must be text, not int"),
        ("workflows/run.failed", "workflows/, which is reserved"),
        ("inngest/x", "inngest/, which is reserved"),
    ],
)
def test_a_bad_name_is_refused_with_its_fault(name: Any, fault: str) -> None:
    with pytest.raises(InvalidEvent, match=fault):
        validate_event_name(name)


def test_the_platform_itself_may_use_reserved_names() -> None:
    name = "workflows/run.failed"

    assert validate_event_name(name, allow_reserved=True) == name


def test_a_class_with_a_reserved_name_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="reserved"):

        class Mine(EventData, name="workflows/mine"):
            pass


def test_two_classes_for_one_event_are_refused_naming_both() -> None:
    with isolated_event_classes(), pytest.raises(InvalidEvent) as caught:

        class Other(EventData, name="test.organisation.created"):
            pass

    assert "test_events.OrganisationCreated and " in str(caught.value)
    assert "Other" in str(caught.value)
    assert event_class("test.organisation.created") is OrganisationCreated


def test_the_same_declaration_executed_again_replaces_the_class() -> None:
    def declare() -> type[EventData]:
        class Again(EventData, name="test.again"):
            pass

        return Again

    with isolated_event_classes():
        declare()
        second = declare()

        assert event_class("test.again") is second


def test_a_module_executed_again_replaces_its_classes() -> None:
    source = "class Reloaded(EventData, name='test.reloaded'): pass"
    names = {"EventData": EventData, "__name__": "somewhere.events"}
    with isolated_event_classes():
        exec(source, names)
        first = names["Reloaded"]
        exec(source, names)

        assert names["Reloaded"] is not first
        assert event_class("test.reloaded") is names["Reloaded"]


def test_isolated_classes_are_forgotten() -> None:
    with isolated_event_classes():

        class Passing(EventData, name="test.passing"):
            pass

        assert event_class("test.passing") is Passing
    assert event_class("test.passing") is None


def test_a_nameless_class_is_a_base_for_others() -> None:
    class Base(EventData):
        account_id: str

    with isolated_event_classes():

        class Closed(Base, name="test.account.closed"):
            pass

        assert Base.event_name == ""
        assert Closed(account_id="7").to_wire() == {"accountId": "7"}


def test_a_subclass_of_a_named_class_does_not_take_its_name() -> None:
    class Special(OrganisationCreated):
        pass

    assert Special.event_name == ""
    assert event_class("test.organisation.created") is OrganisationCreated


def test_a_field_that_hides_the_name_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="event_name hides"):

        class Hides(EventData, name="test.hides"):
            event_name: str  # type: ignore[misc]
