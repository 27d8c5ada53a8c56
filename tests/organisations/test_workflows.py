"""What follows when something happens to an organisation."""

import pytest

from organisations.events import OrganisationCreated, OrganisationCreateProvisional
from organisations.models import Account, HistoryEntry, Organisation
from workflows.testing import Workflows

CREATE = "create-provisional-organisation"
RECORD = "record-organisation-created"


def test_an_account_that_asks_for_an_organisation_gets_one(workflows: Workflows) -> None:
    request = OrganisationCreateProvisional(account_id="a-1", name="Acme", diffbot_id="E123")

    workflows.send(request)
    workflows.drain()

    organisation = Organisation.objects.get()
    assert (organisation.name, organisation.status) == ("Acme", "provisional")
    assert organisation.diffbot_id == "E123"
    assert [account.id for account in organisation.accounts.all()] == ["a-1"]
    [run] = workflows.runs(workflow=CREATE)
    assert (run.status, run.output) == ("completed", {"organisationId": str(organisation.id)})


def test_each_step_is_seen_with_what_it_did(workflows: Workflows) -> None:
    workflows.send(OrganisationCreateProvisional(account_id="a-1", name="Acme"))
    workflows.drain()

    [run] = workflows.runs(workflow=CREATE)
    steps = [(step.id, step.op, step.status) for step in workflows.run(run.id).steps]
    assert steps == [
        ("create-organisation", "transaction", "completed"),
        ("link-to-account", "transaction", "completed"),
        ("emit-created", "send_event", "completed"),
    ]


def test_the_wire_form_asks_as_well(workflows: Workflows) -> None:
    workflows.send("organisation.create.provisional", {"accountId": "a-1", "name": "Acme"})
    workflows.drain()

    organisation = Organisation.objects.get()
    assert (organisation.name, organisation.diffbot_id) == ("Acme", "")
    assert Account.objects.get().id == "a-1"


def test_an_organisation_that_is_created_begins_its_history(workflows: Workflows) -> None:
    workflows.send(OrganisationCreateProvisional(account_id="a-1", name="Acme"))
    workflows.drain()

    [run] = workflows.runs(workflow=RECORD)
    assert run.status == "completed"
    [entry] = Organisation.objects.get().history.all()
    assert entry.text == "Created for account a-1."
    assert [entry.event_id] == run.event_ids


def test_a_replay_tells_nothing_twice(workflows: Workflows) -> None:
    workflows.send(OrganisationCreateProvisional(account_id="a-1", name="Acme"))
    workflows.drain()
    [run] = workflows.runs(workflow=RECORD)

    again = workflows.replay(run.id)
    workflows.drain()

    assert workflows.run(again.id).status == "completed"
    assert HistoryEntry.objects.count() == 1


@pytest.mark.parametrize("point", ["before_body", "after_body", "after_store", "before_finish"])
def test_a_worker_that_dies_leaves_one_organisation_all_the_same(
    workflows: Workflows, point: str
) -> None:
    workflows.crash_at(point)
    workflows.send(OrganisationCreateProvisional(account_id="a-1", name="Acme"))

    workflows.drain()
    workflows.advance("1m")

    organisation = Organisation.objects.get()
    assert [account.id for account in organisation.accounts.all()] == ["a-1"]
    [run] = workflows.runs(workflow=CREATE)
    assert (run.status, run.output) == ("completed", {"organisationId": str(organisation.id)})
    assert [entry.text for entry in organisation.history.all()] == ["Created for account a-1."]


def test_a_blank_name_fails_at_once_and_creates_nothing(workflows: Workflows) -> None:
    workflows.send(OrganisationCreateProvisional(account_id="a-1", name=" "))
    workflows.drain()

    [run] = workflows.runs(workflow=CREATE)
    assert run.status == "failed"
    assert run.error is not None
    assert run.error["message"] == "An organisation's name must not be blank."
    assert Organisation.objects.count() == 0
    assert Account.objects.count() == 0


def test_a_step_that_keeps_failing_is_tried_four_times(workflows: Workflows) -> None:
    workflows.mock_step(CREATE, "link-to-account", raises=ConnectionError("accounts are offline"))

    workflows.send(OrganisationCreateProvisional(account_id="a-1", name="Acme"))
    workflows.advance("1h")

    [run] = workflows.runs(workflow=CREATE)
    assert run.status == "failed"
    assert run.error is not None
    assert run.error["name"] == "ConnectionError"
    steps = [(step.id, step.status, step.attempts) for step in workflows.run(run.id).steps]
    assert steps == [("create-organisation", "completed", 1), ("link-to-account", "failed", 4)]
    assert workflows.runs(workflow=RECORD) == []


def test_history_of_an_unknown_organisation_fails_at_once(workflows: Workflows) -> None:
    unknown = "0a3c3b5e-3c5d-4c57-9d0c-2f6f1a0e7b11"

    workflows.send(OrganisationCreated(organisation_id=unknown, account_id="a-1"))
    workflows.drain()

    [run] = workflows.runs(workflow=RECORD)
    assert run.status == "failed"
    assert run.error is not None
    assert run.error["message"] == f"There is no organisation with the id '{unknown}'."
    assert HistoryEntry.objects.count() == 0
