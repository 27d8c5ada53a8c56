"""The event API: what it stores, what it refuses and how, and that it is all or nothing."""

import gc
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import inngest
import pytest
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from workflows.clock import clock
from workflows.engine.keys import create_event_key, revoke_event_key
from workflows.models import Event, EventKey

JSON = "application/json"
# The SDK leaves its connection to the garbage collector, which `Sdk` calls while it is expected.
leaks_connections = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

Sdk = Callable[[str], inngest.Inngest]


@pytest.fixture
def sdk(live_server: LiveServer) -> Iterator[Sdk]:
    """Give a function that makes Inngest's own client, which sends with an event key."""
    yield lambda key: inngest.Inngest(
        app_id="test", event_key=key, event_api_base_url=live_server.url, is_production=True
    )
    gc.collect()


def post(client: Client, key: str, body: Any, **options: Any) -> Any:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    return client.post(f"/e/{key}", text, content_type=JSON, **options)


def test_one_event_is_stored_and_answered_with_its_id(client: Client, key: str) -> None:
    answer = post(client, key, {"name": "a/b", "data": {"n": 1}, "id": "own", "v": "2", "more": 1})

    [event] = Event.objects.all()
    assert (answer.status_code, answer.json()) == (200, {"ids": [event.pk], "status": 200})
    assert (event.name, event.data, event.external_id, event.v) == ("a/b", {"n": 1}, "own", "2")


def test_a_list_is_answered_in_its_order(client: Client, key: str) -> None:
    answer = post(client, key, [{"name": f"e/{n}"} for n in range(3)])

    stored = Event.objects.in_bulk(answer.json()["ids"])
    assert [stored[id_].name for id_ in answer.json()["ids"]] == ["e/0", "e/1", "e/2"]


def test_the_key_may_stand_in_a_header(client: Client, key: str) -> None:
    answer = client.post(
        "/api/v1/events",
        json.dumps({"name": "a"}),
        content_type=JSON,
        headers={"Authorization": f"Bearer {key}"},
    )

    assert answer.status_code == 200
    assert Event.objects.count() == 1


BAD_BODIES = {
    "empty": "",
    "malformed": "{",
    "a number": "1",
    "an empty array": "[]",
    "no name": {"data": {}},
    "an empty name": {"name": ""},
    "a long name": {"name": "x" * 257},
    "a reserved name": {"name": "workflows/run.failed"},
    "inngest's names": {"name": "inngest/x"},
    "a name that is none": {"name": 5},
    "data that is none": {"name": "a", "data": [1]},
    "a user that is none": {"name": "a", "user": "me"},
    "an id that is none": {"name": "a", "id": 5},
    "a long id": {"name": "a", "id": "x" * 257},
    "a fractional ts": {"name": "a", "ts": 1.5},
    "a text as ts": {"name": "a", "ts": "1"},
    "true as ts": {"name": "a", "ts": True},
    "a ts before 1980": {"name": "a", "ts": 315_532_799_999},
    "a ts from 2100": {"name": "a", "ts": 4_102_444_800_000},
    "NaN": '{"name": "a", "data": {"x": NaN}}',
    "infinity": '{"name": "a", "data": {"x": 1e999}}',
    "a large integer": {"name": "a", "data": {"x": 2**63}},
    "a NUL": {"name": "a", "data": {"x": "\0"}},
    "a NUL in a key": {"name": "a", "data": {"\0": 1}},
    "a lone surrogate": '{"name": "a", "data": {"x": "\\ud800"}}',
    "a version that is none": {"name": "a", "v": 1},
    "data that its class refuses": {"name": "organisation.created", "data": {}},
}


@pytest.mark.parametrize("fault", BAD_BODIES)
def test_a_bad_event_is_refused_and_nothing_is_stored(client: Client, key: str, fault: str) -> None:
    answer = post(client, key, BAD_BODIES[fault])

    body = answer.json()
    assert (answer.status_code, body["ids"], body["status"]) == (400, [], 400)
    assert body["error"]
    assert Event.objects.count() == 0


@pytest.mark.parametrize(("levels", "status"), [(62, 200), (63, 400), (100_000, 400)])
def test_depth_is_counted_from_the_event(
    client: Client, key: str, levels: int, status: int
) -> None:
    nested = '{"a":' * levels + "1" + "}" * levels

    answer = post(client, key, f'{{"name": "a", "data": {{"x": {nested}}}}}')

    assert answer.status_code == status


def test_one_bad_event_stores_none_and_is_named_by_its_place(client: Client, key: str) -> None:
    answer = post(client, key, [{"name": "a"}, {"name": "b"}, {"name": ""}])

    assert answer.status_code == 400
    assert "event 2" in answer.json()["error"]
    assert Event.objects.count() == 0


@pytest.mark.parametrize("ts", [None, 0])
def test_a_ts_of_null_or_0_is_now(client: Client, key: str, ts: int | None) -> None:
    post(client, key, {"name": "a", "ts": ts, "data": None})

    event = Event.objects.get()
    assert abs(event.ts - clock.now()) < timedelta(minutes=1)
    assert event.data == {}


def test_a_body_that_is_no_json_is_refused_by_its_type(client: Client, key: str) -> None:
    form = client.post(f"/e/{key}", {"name": "a"})
    packed = post(client, key, b"x", headers={"Content-Encoding": "gzip"})

    assert (form.status_code, packed.status_code) == (415, 415)
    assert form.json()["ids"] == []


def test_events_that_are_too_large_are_refused(client: Client, key: str) -> None:
    one = post(client, key, {"name": "a", "data": {"x": "y" * 1024 * 1024}})
    body = post(client, key, "[" + " " * (16 * 1024 * 1024) + "]")

    assert (one.status_code, body.status_code) == (413, 413)
    assert (one.json()["status"], body.json()["ids"]) == (413, [])
    assert Event.objects.count() == 0


def test_more_than_5000_events_are_refused(client: Client, key: str) -> None:
    assert post(client, key, [{"name": "a"}] * 5000).status_code == 200
    assert post(client, key, [{"name": "a"}] * 5001).status_code == 400
    assert Event.objects.count() == 5000


def test_unknown_expired_and_revoked_keys_are_refused(client: Client, key: str) -> None:
    expired = create_event_key("old", expires_at=clock.now() + timedelta(days=1))
    EventKey.objects.filter(name="old").update(expires_at=clock.now() - timedelta(seconds=1))
    revoke_event_key("tests")

    answers = [post(client, secret, {"name": "a"}) for secret in ("nonsense", expired.secret, key)]

    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert answers[0].json()["ids"] == []
    assert Event.objects.count() == 0


def test_a_key_sends_only_what_its_scope_allows(client: Client, db: None) -> None:
    secret = create_event_key("shop", events=["shop/*"]).secret

    assert post(client, secret, {"name": "shop/ordered"}).status_code == 200
    assert post(client, secret, {"name": "bank/robbed"}).status_code == 403


def test_a_keys_own_rate_is_answered_with_429(client: Client, db: None) -> None:
    secret = create_event_key("slow", rate_limit=2).secret

    answers = [post(client, secret, {"name": "a"}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[2]["Retry-After"]) <= 60


def test_a_session_is_no_event_key(client: Client, admin_user: Any) -> None:
    client.force_login(admin_user)

    answer = client.post("/api/v1/events", json.dumps({"name": "a"}), content_type=JSON)

    assert answer.status_code == 401


def test_a_repeated_seed_stores_nothing_twice(client: Client, key: str) -> None:
    headers = {"x-inngest-event-id-seed": "1700000000000,abc"}
    events = [{"name": "a"}, {"name": "b"}]

    first = post(client, key, events, headers=headers)
    second = post(client, key, events, headers=headers)

    assert first.json() == second.json()
    assert Event.objects.count() == 2


@leaks_connections
@pytest.mark.django_db(transaction=True)
def test_inngests_own_python_client_sends_here(sdk: Sdk) -> None:
    secret = create_event_key("sdk").secret

    ids = sdk(secret).send_sync(
        [inngest.Event(name="sdk/one", data={"n": 1}), inngest.Event(name="sdk/two")]
    )

    assert [Event.objects.get(pk=id_).name for id_ in ids] == ["sdk/one", "sdk/two"]


@leaks_connections
@pytest.mark.django_db(transaction=True)
def test_inngests_own_client_hears_of_a_wrong_key(sdk: Sdk) -> None:
    with pytest.raises(Exception, match="unknown, expired or revoked"):
        sdk("wrong").send_sync(inngest.Event(name="sdk/one"))
