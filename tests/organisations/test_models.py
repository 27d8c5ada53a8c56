"""What the database refuses to store of organisations."""

from collections.abc import Callable

import pytest
from django.db import IntegrityError, transaction

from organisations.models import Account, HistoryEntry, Organisation, OrganisationAccount
from workflows.testing import Workflows


def test_the_database_refuses_an_organisation_without_a_name(db: None) -> None:
    refused = refusal(lambda: Organisation.objects.create(name=""))

    assert "organisation_has_a_name" in refused
    assert Organisation.objects.count() == 0


def test_the_database_refuses_an_unknown_status(db: None) -> None:
    refused = refusal(lambda: Organisation.objects.create(name="Acme", status="dissolved"))

    assert "organisation_status_is_known" in refused
    assert Organisation.objects.count() == 0


def test_the_database_refuses_an_account_without_an_id(db: None) -> None:
    refused = refusal(lambda: Account.objects.create(id=""))

    assert "account_has_an_id" in refused
    assert Account.objects.count() == 0


def test_the_database_refuses_to_link_an_account_twice(db: None) -> None:
    organisation = Organisation.objects.create(name="Acme")
    account = Account.objects.create(id="a-1")
    OrganisationAccount.objects.create(organisation=organisation, account=account)

    refusal(lambda: OrganisationAccount.objects.create(organisation=organisation, account=account))

    assert list(organisation.accounts.all()) == [account]


def test_the_database_refuses_to_tell_an_event_twice(workflows: Workflows) -> None:
    organisation = Organisation.objects.create(name="Acme")
    told = {"organisation": organisation, "event_id": "e-1", "happened_at": workflows.now()}
    HistoryEntry.objects.create(text="Created for account a-1.", **told)

    refusal(lambda: HistoryEntry.objects.create(text="Created once more.", **told))

    assert [entry.text for entry in organisation.history.all()] == ["Created for account a-1."]


def refusal(write: Callable[[], object]) -> str:
    """Give the words in which the database refuses the write."""
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        write()
    return str(refused.value)
