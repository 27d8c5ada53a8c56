"""What follows when something happens to an organisation."""

from organisations.events import OrganisationCreated, OrganisationCreateProvisional
from organisations.use_cases import create_organisation, link_to_account, record_creation
from workflows import Concurrency, Event, Step, Throttle, workflow


@workflow(
    id="create-provisional-organisation",
    trigger=OrganisationCreateProvisional,
    concurrency=Concurrency(limit=100, key="event.data.accountId"),
    throttle=Throttle(limit=1000, period="1m", burst=100),
    retries=3,
)
def create_provisional_organisation(
    event: Event[OrganisationCreateProvisional], step: Step
) -> dict[str, str]:
    """Create the organisation that an account asks for, and say that it exists."""
    asked = event.data
    organisation = step.transaction(
        "create-organisation", create_organisation, name=asked.name, diffbot_id=asked.diffbot_id
    )
    step.transaction("link-to-account", link_to_account, organisation, asked.account_id)

    organisation_id = str(organisation.id)
    created = OrganisationCreated(organisation_id=organisation_id, account_id=asked.account_id)
    step.send_event("emit-created", created)
    return {"organisationId": organisation_id}


@workflow(id="record-organisation-created", trigger=OrganisationCreated, retries=3)
def record_organisation_created(event: Event[OrganisationCreated], step: Step) -> None:
    """Begin the organisation's history with the moment at which it came to be."""
    # Only an event that is yet to be sent may lack them.
    assert event.id is not None
    assert event.ts is not None
    step.transaction(
        "record-creation",
        record_creation,
        event.data.organisation_id,
        account_id=event.data.account_id,
        event_id=event.id,
        happened_at=event.ts,
    )
