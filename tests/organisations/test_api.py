"""Organisations over HTTP."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from organisations.models import Organisation
from workflows.testing import Workflows

ADDRESS = "/api/v1/organisations"
ACME = {"accountId": "a-1", "name": "Acme", "diffbotId": "E123"}


@pytest.fixture
def user(db: None) -> User:
    """Somebody who may add organisations."""
    user = User.objects.create_user("ada", password="lovelace")
    user.user_permissions.add(Permission.objects.get(codename="add_organisation"))
    return user


@pytest.fixture
def client(user: User) -> APIClient:
    """A client with that user's token."""
    token = Token.objects.create(user=user)
    return APIClient(headers={"authorization": f"Token {token.key}"})


def test_a_request_is_answered_with_the_event_that_creates_the_organisation(
    workflows: Workflows, client: APIClient
) -> None:
    answer = client.post(ADDRESS, ACME)
    created_before_the_work = Organisation.objects.count()
    workflows.drain()

    assert answer.status_code == 202
    assert list(answer.json()) == ["eventId"]
    assert created_before_the_work == 0
    organisation = Organisation.objects.get()
    assert (organisation.name, organisation.diffbot_id) == ("Acme", "E123")
    [run] = workflows.runs(event_id=answer.json()["eventId"])
    assert run.output == {"organisationId": str(organisation.id)}


@pytest.mark.parametrize("absent", [{}, {"diffbotId": None}])
def test_a_diffbot_id_may_be_absent(
    workflows: Workflows, client: APIClient, absent: dict[str, None]
) -> None:
    answer = client.post(ADDRESS, {"accountId": "a-1", "name": "Acme", **absent})
    workflows.drain()

    assert answer.status_code == 202
    assert Organisation.objects.get().diffbot_id == ""


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (
            {},
            {"accountId": ["This field is required."], "name": ["This field is required."]},
        ),
        ({**ACME, "name": "  "}, {"name": ["This field may not be blank."]}),
        ({**ACME, "accountId": None}, {"accountId": ["This field may not be null."]}),
        ({**ACME, "name": ["Acme"]}, {"name": ["Not a valid string."]}),
        (
            {**ACME, "name": "a" * 256},
            {"name": ["Ensure this field has no more than 255 characters."]},
        ),
        (
            ["Acme"],
            {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]},
        ),
    ],
)
def test_a_wrong_body_is_refused_with_the_field_and_the_fault(
    workflows: Workflows, client: APIClient, body: Any, fault: dict[str, list[str]]
) -> None:
    answer = client.post(ADDRESS, body)
    workflows.drain()

    assert (answer.status_code, answer.json()) == (400, fault)
    assert workflows.runs() == []


def test_malformed_json_is_refused(client: APIClient) -> None:
    answer = client.post(ADDRESS, b'{"name": ', content_type="application/json")

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("JSON parse error")


def test_nobody_asks_without_signing_in(workflows: Workflows) -> None:
    answer = APIClient().post(ADDRESS, ACME)
    workflows.drain()

    assert answer.status_code == 401
    assert answer.json() == {"detail": "Authentication credentials were not provided."}
    assert workflows.runs() == []


def test_nobody_asks_without_the_permission(
    workflows: Workflows, client: APIClient, user: User
) -> None:
    user.user_permissions.clear()

    answer = client.post(ADDRESS, ACME)
    workflows.drain()

    assert answer.status_code == 403
    assert answer.json() == {"detail": "This needs the permission organisations.add_organisation."}
    assert workflows.runs() == []


def test_a_session_asks_with_its_csrf_token_only(workflows: Workflows, user: User) -> None:
    browser = APIClient(enforce_csrf_checks=True)
    browser.login(username="ada", password="lovelace")
    browser.get("/admin/login/")
    csrf_token = browser.cookies["csrftoken"].value

    without = browser.post(ADDRESS, ACME)
    with_token = browser.post(ADDRESS, ACME, headers={"x-csrftoken": csrf_token})
    workflows.drain()

    assert (without.status_code, with_token.status_code) == (403, 202)
    assert Organisation.objects.count() == 1
