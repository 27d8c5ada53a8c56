"""Organisations for the people who look after them."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from organisations.models import Account, HistoryEntry, Organisation
from organisations.use_cases import create_organisation, link_to_account, record_creation
from workflows.testing import Workflows

LIST = "/admin/organisations/organisation/"


@pytest.fixture
def operator(db: None) -> Client:
    """A browser that a superuser is signed in with."""
    browser = Client()
    browser.force_login(User.objects.create_superuser("ada"))
    return browser


@pytest.fixture
def acme(workflows: Workflows) -> Organisation:
    """An organisation with an account and a line of history."""
    organisation = create_organisation("Acme", diffbot_id="E123")
    link_to_account(organisation, "a-1")
    record_creation(
        str(organisation.id), account_id="a-1", event_id="e-1", happened_at=workflows.now()
    )
    return organisation


@pytest.mark.parametrize("words", ["cme", "E123", "a-1"])
def test_an_organisation_is_found_by_name_diffbot_id_or_account(
    operator: Client, acme: Organisation, words: str
) -> None:
    create_organisation("Umbrella")

    page = operator.get(LIST, {"q": words})

    assert list(page.context["cl"].result_list) == [acme]


def test_an_organisation_is_found_by_its_id(operator: Client, acme: Organisation) -> None:
    create_organisation("Umbrella")

    page = operator.get(LIST, {"q": str(acme.id)})

    assert list(page.context["cl"].result_list) == [acme]


def test_accounts_are_counted_once_when_found_by_account(
    operator: Client, acme: Organisation
) -> None:
    link_to_account(acme, "a-2")

    page = operator.get(LIST, {"q": "a-1"})

    [found] = page.context["cl"].result_list
    assert found.account_count == 2


def test_a_page_shows_the_accounts_and_the_history(operator: Client, acme: Organisation) -> None:
    page = operator.get(f"{LIST}{acme.id}/change/").content.decode()

    assert "a-1" in page
    assert "Created for account a-1." in page


def test_an_operator_confirms_an_organisation(operator: Client, acme: Organisation) -> None:
    form = {
        "name": "Acme",
        "status": "confirmed",
        "diffbot_id": "E123",
        "links-TOTAL_FORMS": "0",
        "links-INITIAL_FORMS": "0",
        "history-TOTAL_FORMS": "0",
        "history-INITIAL_FORMS": "0",
    }

    answer = operator.post(f"{LIST}{acme.id}/change/", form)

    assert answer.status_code == 302
    acme.refresh_from_db()
    assert acme.status == "confirmed"


def test_organisations_and_accounts_are_not_added_by_hand(operator: Client) -> None:
    organisation = operator.get(f"{LIST}add/")
    account = operator.post("/admin/organisations/account/add/", {"id": "a-1"})

    assert (organisation.status_code, account.status_code) == (403, 403)
    assert Account.objects.count() == 0


def test_history_is_not_written_by_hand(operator: Client, acme: Organisation) -> None:
    entry = HistoryEntry.objects.get()
    form = {
        "name": "Acme",
        "status": "provisional",
        "diffbot_id": "E123",
        "links-TOTAL_FORMS": "0",
        "links-INITIAL_FORMS": "0",
        "history-TOTAL_FORMS": "1",
        "history-INITIAL_FORMS": "1",
        "history-0-id": str(entry.pk),
        "history-0-organisation": str(acme.id),
        "history-0-text": "Founded by Ada.",
        "history-0-DELETE": "on",
    }

    operator.post(f"{LIST}{acme.id}/change/", form)

    assert HistoryEntry.objects.get().text == "Created for account a-1."


def test_an_account_shows_the_organisations_it_is_behind(
    operator: Client, acme: Organisation
) -> None:
    page = operator.get("/admin/organisations/account/a-1/change/").content.decode()

    assert f"{acme.id} for a-1" in page
    assert "Acme" in page
