"""What can be done with organisations, by itself."""

import pytest
from django.db import transaction

from organisations.models import Account, Organisation
from organisations.use_cases import (
    create_organisation,
    link_to_account,
    record_creation,
    request_provisional_organisation,
)
from workflows import NonRetriableError
from workflows.testing import Workflows


def test_a_created_organisation_is_provisional(db: None) -> None:
    created = create_organisation(" Acme ", diffbot_id="E123")

    stored = Organisation.objects.get()
    assert stored == created
    assert (stored.name, stored.status, stored.diffbot_id) == ("Acme", "provisional", "E123")


def test_an_organisation_needs_no_diffbot_id(db: None) -> None:
    create_organisation("Acme")

    assert Organisation.objects.get().diffbot_id == ""


@pytest.mark.parametrize(
    ("name", "diffbot_id", "message"),
    [
        ("", None, "An organisation's name must not be blank."),
        (" \t", None, "An organisation's name must not be blank."),
        ("a" * 256, None, "An organisation's name has at most 255 characters, this one 256."),
        ("Acme", "E" * 256, "A Diffbot id has at most 255 characters, this one 256."),
    ],
)
def test_what_cannot_be_stored_is_refused_for_good(
    db: None, name: str, diffbot_id: str | None, message: str
) -> None:
    with pytest.raises(NonRetriableError) as refused:
        create_organisation(name, diffbot_id=diffbot_id)

    assert str(refused.value) == message
    assert Organisation.objects.count() == 0


def test_an_account_that_is_first_heard_of_is_recorded_and_linked(db: None) -> None:
    organisation = create_organisation("Acme")

    link_to_account(organisation, "a-1")

    assert [account.id for account in organisation.accounts.all()] == ["a-1"]


def test_an_account_that_is_known_is_linked_as_it_is(db: None) -> None:
    account = Account.objects.create(id="a-1")
    organisation = create_organisation("Acme")

    link_to_account(organisation, "a-1")

    assert list(organisation.accounts.all()) == [account]
    assert Account.objects.get() == account


def test_linking_again_changes_nothing(db: None) -> None:
    organisation = create_organisation("Acme")
    link_to_account(organisation, "a-1")
    link = organisation.links.get()

    link_to_account(organisation, "a-1")

    assert organisation.links.get() == link


@pytest.mark.parametrize(
    ("account_id", "message"),
    [
        ("", "An account's id must not be blank."),
        ("a" * 256, "An account's id has at most 255 characters, this one 256."),
    ],
)
def test_an_account_without_a_usable_id_is_refused_for_good(
    db: None, account_id: str, message: str
) -> None:
    organisation = create_organisation("Acme")

    with pytest.raises(NonRetriableError) as refused:
        link_to_account(organisation, account_id)

    assert str(refused.value) == message
    assert organisation.links.count() == 0
    assert Account.objects.count() == 0


def test_history_tells_an_event_once_however_often_it_is_recorded(workflows: Workflows) -> None:
    organisation = create_organisation("Acme")
    happened_at = workflows.now()

    for _ in range(2):
        record_creation(
            str(organisation.id), account_id="a-1", event_id="e-1", happened_at=happened_at
        )

    [entry] = organisation.history.all()
    assert (entry.text, entry.event_id) == ("Created for account a-1.", "e-1")
    assert entry.happened_at == happened_at


@pytest.mark.parametrize("unknown", ["0a3c3b5e-3c5d-4c57-9d0c-2f6f1a0e7b11", "no id at all"])
def test_history_of_an_unknown_organisation_is_refused_for_good(
    workflows: Workflows, unknown: str
) -> None:
    with pytest.raises(NonRetriableError) as refused:
        record_creation(unknown, account_id="a-1", event_id="e-1", happened_at=workflows.now())

    assert str(refused.value) == f"There is no organisation with the id {unknown!r}."


def test_a_request_that_is_rolled_back_creates_nothing(workflows: Workflows) -> None:
    with transaction.atomic():
        request_provisional_organisation("a-1", name="Acme")
        transaction.set_rollback(True)
    workflows.drain()

    assert workflows.runs() == []
    assert Organisation.objects.count() == 0
