"""The events of organisations: what can happen, and what each event carries."""

from workflows import EventData


class OrganisationCreateProvisional(EventData, name="organisation.create.provisional"):
    """An account asks for an organisation that nobody has confirmed yet."""

    account_id: str
    name: str
    diffbot_id: str | None = None


class OrganisationCreated(EventData, name="organisation.created"):
    """An organisation exists, and the account that asked for it is linked to it."""

    organisation_id: str
    account_id: str
