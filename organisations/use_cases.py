"""What can be done with organisations: ask for one, create it, link it, keep its history."""

import uuid
from datetime import datetime

from organisations.events import OrganisationCreateProvisional
from organisations.models import (
    ACCOUNT_ID_LENGTH,
    DIFFBOT_ID_LENGTH,
    NAME_LENGTH,
    Account,
    HistoryEntry,
    Organisation,
    OrganisationAccount,
)
from workflows import NonRetriableError, send


def request_provisional_organisation(
    account_id: str, *, name: str, diffbot_id: str | None = None
) -> str:
    """Ask for an organisation, in the caller's transaction: it is created once that commits.

    Returns:
        The id of the event by which the request and what became of it can be found.
    """
    request = OrganisationCreateProvisional(account_id=account_id, name=name, diffbot_id=diffbot_id)
    [event_id] = send(request)
    return event_id


def create_organisation(name: str, *, diffbot_id: str | None = None) -> Organisation:
    """Create an organisation that nobody has confirmed yet.

    Raises:
        NonRetriableError: The name or the Diffbot id cannot be stored.
    """
    require_text(name, at_most=NAME_LENGTH, what="An organisation's name")
    if diffbot_id:
        require_text(diffbot_id, at_most=DIFFBOT_ID_LENGTH, what="A Diffbot id")
    return Organisation.objects.create(name=name.strip(), diffbot_id=diffbot_id or "")


def link_to_account(organisation: Organisation, account_id: str) -> None:
    """Link an organisation to an account; to link them again changes nothing.

    Accounts live outside this platform and are not announced to it, so an account that is first
    heard of here is recorded, not refused.

    Raises:
        NonRetriableError: The account's id cannot be stored.
    """
    require_text(account_id, at_most=ACCOUNT_ID_LENGTH, what="An account's id")
    account, _ = Account.objects.get_or_create(id=account_id)
    OrganisationAccount.objects.get_or_create(organisation=organisation, account=account)


def record_creation(
    organisation_id: str, *, account_id: str, event_id: str, happened_at: datetime
) -> None:
    """Tell in an organisation's history that it was created; to tell an event again adds nothing.

    Raises:
        NonRetriableError: There is no such organisation.
    """
    HistoryEntry.objects.get_or_create(
        organisation=existing_organisation(organisation_id),
        event_id=event_id,
        defaults={"text": f"Created for account {account_id}.", "happened_at": happened_at},
    )


def existing_organisation(organisation_id: str) -> Organisation:
    """Give the organisation, or fail for good: it is created before anybody speaks of it."""
    try:
        return Organisation.objects.get(id=uuid.UUID(organisation_id))
    except (ValueError, Organisation.DoesNotExist) as error:
        raise NonRetriableError(
            f"There is no organisation with the id {organisation_id!r}."
        ) from error


def require_text(text: str, *, at_most: int, what: str) -> None:
    """Refuse a text that is blank or too long, for good: it would be so on the next attempt too."""
    if not text.strip():
        raise NonRetriableError(f"{what} must not be blank.")
    if len(text) > at_most:
        raise NonRetriableError(f"{what} has at most {at_most} characters, this one {len(text)}.")
