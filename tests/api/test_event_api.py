"""The event API: what it stores, what it refuses and how, and that it is all or nothing."""

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from rest_framework.authtoken.models import Token

from workflows.api.log_scrubbing import ScrubEventKeys
from workflows.clock import clock
from workflows.engine.keys import create_event_key, revoke_event_key
from workflows.models import Event, EventKey
from workflows.testing import Workflows

JSON = "application/json"
TOO_MUCH = 16 * 1024 * 1024 + 1  # bytes


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


def test_many_events_are_stored_each_as_it_was_sent(client: Client, key: str) -> None:
    sent = [
        {
            "name": f"many/{n}",
            "data": {"n": n, "text": "tab\t, line\n, back\\slash \\N, snow \u2603"},
            "id": f"own-{n}" if n % 2 else None,
            "user": {"n": n} if n % 3 else None,
            "v": "1" if n % 5 else None,
            "ts": 1_700_000_000_000 + n,
        }
        for n in range(250)
    ]

    ids = client.post(f"/e/{key}", sent, content_type="application/json").json()["ids"]

    stored = Event.objects.in_bulk(ids)
    assert len(stored) == 250
    assert [
        {
            "name": each.name,
            "data": each.data,
            "id": each.external_id,
            "user": each.user,
            "v": each.v,
            "ts": round(each.ts.timestamp() * 1000),
        }
        for each in (stored[id_] for id_ in ids)
    ] == sent


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


@pytest.mark.parametrize(
    "fault", [{"name": ""}, {"name": "a", "data": {"x": 2**63}}, {"name": "a", "ts": 1}, 5]
)
def test_an_event_that_is_alone_in_its_array_has_a_place_too(
    client: Client, key: str, fault: Any
) -> None:
    answer = post(client, key, [fault])

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("event 0: ")


def test_an_integer_of_64_bits_is_stored_exactly(client: Client, key: str) -> None:
    post(client, key, {"name": "a", "data": {"most": 2**63 - 1, "least": -(2**63)}})

    assert Event.objects.get().data == {"most": 2**63 - 1, "least": -(2**63)}


def test_an_empty_id_is_none(client: Client, key: str) -> None:
    answer = post(client, key, [{"name": "a", "id": ""}, {"name": "a", "id": ""}])

    assert answer.status_code == 200
    assert [event.external_id for event in Event.objects.all()] == [None, None]


def test_of_equal_keys_the_last_counts(client: Client, key: str) -> None:
    post(client, key, '{"name": "a", "data": {"x": 1, "x": 2}, "name": "b"}')

    event = Event.objects.get()
    assert (event.name, event.data) == ("b", {"x": 2})


def test_what_no_event_has_is_ignored(client: Client, key: str) -> None:
    answer = post(client, key, {"name": "a", "more": {"x": 2**70}, "ids": [1]})

    assert answer.status_code == 200


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


@pytest.mark.parametrize(
    "type_",
    [
        *("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""),
        *("application/json; charset=latin-1", "application/json; charset=utf-16"),
    ],
)
def test_another_content_type_or_charset_is_refused(client: Client, key: str, type_: str) -> None:
    answer = client.post(f"/e/{key}", '{"name": "a"}', content_type=type_)

    assert answer.status_code == 415
    assert set(answer.json()) == {"ids", "status", "error"}
    assert Event.objects.count() == 0


@pytest.mark.parametrize(
    "type_", ["application/json", "Application/JSON", 'application/json; charset="UTF-8"']
)
def test_json_in_utf_8_is_taken(client: Client, key: str, type_: str) -> None:
    answer = client.post(f"/e/{key}", '{"name": "ä"}'.encode(), content_type=type_)

    assert answer.status_code == 200
    assert Event.objects.get().name == "ä"


def test_text_that_is_no_utf_8_is_refused(client: Client, key: str) -> None:
    answer = post(client, key, b'{"name": "\xff"}')

    assert answer.status_code == 400
    assert Event.objects.count() == 0


def test_only_posts_send(client: Client, key: str) -> None:
    answers = [getattr(client, method)(f"/e/{key}") for method in ("get", "put", "delete", "patch")]

    assert [answer.status_code for answer in answers] == [405, 405, 405, 405]
    assert answers[0].json()["status"] == 405
    assert answers[0]["Allow"] == "POST"


def test_a_body_that_is_no_json_is_refused_by_its_type(client: Client, key: str) -> None:
    form = client.post(f"/e/{key}", {"name": "a"})
    packed = post(client, key, b"x", headers={"Content-Encoding": "gzip"})

    assert (form.status_code, packed.status_code) == (415, 415)
    assert form.json()["ids"] == []


def test_a_body_that_is_too_large_is_refused_before_it_is_parsed(client: Client, key: str) -> None:
    answer = post(client, key, "[" + " " * TOO_MUCH)

    assert (answer.status_code, answer.json()["status"], answer.json()["ids"]) == (413, 413, [])
    assert Event.objects.count() == 0


def test_a_body_that_says_to_be_far_too_large_is_not_read(client: Client, key: str) -> None:
    class NeverRead:
        def read(self, size: int = -1) -> bytes:
            raise AssertionError("It was read.")

        readline = read

    answer = client.generic(
        "POST",
        f"/e/{key}",
        content_type=JSON,
        **{"CONTENT_LENGTH": str(10**12), "wsgi.input": NeverRead()},  # type: ignore[arg-type]
    )

    assert answer.status_code == 413


@pytest.mark.parametrize("part", ["data", "user", "v"])
def test_an_event_has_at_most_1_mib_as_a_whole(client: Client, key: str, part: str) -> None:
    empty = {"name": "a", "data": {}, part: "" if part == "v" else {"x": ""}}
    room = 1024 * 1024 - len(json.dumps(empty, separators=(",", ":")))

    def with_text(length: int) -> dict[str, Any]:
        return empty | {part: "y" * length if part == "v" else {"x": "y" * length}}

    fits = post(client, key, with_text(room))
    too_large = post(client, key, [{"name": "a"}, with_text(room + 1)])

    assert (fits.status_code, too_large.status_code) == (200, 413)
    assert set(too_large.json()) == {"ids", "status", "error"}
    assert too_large.json()["error"].startswith("event 1: ")
    assert Event.objects.count() == 1


def test_blanks_in_a_body_do_not_make_an_event_larger(client: Client, key: str) -> None:
    answer = post(client, key, '{"name": "a", "data": {"x":' + " " * 2 * 1024 * 1024 + "1}}")

    assert answer.status_code == 200


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
    assert answers[2].json() == {"ids": [], "status": 429, "error": answers[2].json()["error"]}
    assert 1 <= int(answers[2]["Retry-After"]) <= 60


@pytest.mark.parametrize("path", ["/api/v1/events", "/e/", "/e/x"])
def test_a_session_is_no_event_key(client: Client, admin_user: Any, path: str) -> None:
    client.force_login(admin_user)

    answer = client.post(path, json.dumps({"name": "a"}), content_type=JSON)

    assert answer.status_code == (404 if path == "/e/" else 401)
    assert Event.objects.count() == 0


def test_an_operators_token_is_no_event_key(client: Client, operator: Any) -> None:
    operator("Admin")
    header = f"Token {Token.objects.get().key}"

    answers = [
        client.post("/api/v1/events", "{}", content_type=JSON, headers={"Authorization": text})
        for text in (header, header.replace("Token", "Bearer"))
    ]

    assert [answer.status_code for answer in answers] == [401, 401]


def test_no_csrf_token_is_asked_for(key: str) -> None:
    assert post(Client(enforce_csrf_checks=True), key, {"name": "a"}).status_code == 200


def test_faults_are_answered_in_a_fixed_order(client: Client, key: str) -> None:
    scoped = create_event_key("shop", events=["shop/*"]).secret

    def status(secret: str, body: str, type_: str = JSON) -> int:
        return client.post(f"/e/{secret}", body, content_type=type_).status_code

    assert status("wrong", "x" * TOO_MUCH, "text/plain") == 401
    assert status(key, "x" * TOO_MUCH, "text/plain") == 413
    assert status(key, "x", "text/plain") == 415
    assert status(scoped, '{"name": 5}') == 400
    assert status(scoped, '{"name": "bank/robbed"}') == 403


def test_a_keys_use_is_noted(client: Client, key: str) -> None:
    post(client, key, {"name": "a"})

    used_at = EventKey.objects.get().last_used_at
    assert used_at is not None
    assert abs(used_at - clock.now()) < timedelta(minutes=1)


def test_no_log_shows_a_key(client: Client, key: str, caplog: pytest.LogCaptureFixture) -> None:
    revoke_event_key("tests")
    caplog.handler.addFilter(ScrubEventKeys())

    with caplog.at_level(logging.DEBUG):
        post(client, key, {"name": "a"})
        client.get(f"/e/{key}/more")

    assert "Unauthorized: /e/***" in caplog.text
    assert key not in caplog.text


def test_a_repeated_seed_stores_nothing_twice(client: Client, key: str) -> None:
    headers = {"x-inngest-event-id-seed": "1700000000000,abc"}
    events = [{"name": "a"}, {"name": "b"}]

    first = post(client, key, events, headers=headers)
    second = post(client, key, events, headers=headers)

    assert first.json() == second.json()
    assert Event.objects.count() == 2


def test_a_seed_is_each_keys_own_and_lasts_24_hours(
    client: Client, key: str, workflows: Workflows
) -> None:
    other = create_event_key("other").secret
    headers = {"x-inngest-event-id-seed": "1700000000000,abc"}

    first = post(client, key, {"name": "a"}, headers=headers).json()["ids"]
    others = post(client, other, {"name": "a"}, headers=headers).json()["ids"]
    workflows.advance("23h59m")
    within = post(client, key, {"name": "a"}, headers=headers).json()["ids"]
    workflows.advance("1m")
    after = post(client, key, {"name": "a"}, headers=headers).json()["ids"]

    assert first == within
    assert len({*first, *others, *after}) == 3
