"""What the contract says of the platform over HTTP, a test a sentence."""

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client

from workflows import Concurrency, Event, Step, Throttle, workflow
from workflows.testing import Workflows

RUN_KEYS = {
    "id",
    "workflow",
    "status",
    "event_ids",
    "attempt",
    "output",
    "error",
    "created_at",
    "started_at",
    "ended_at",
    "due_at",
    "reason",
    "replay_of",
    "parent",
    "tags",
    "steps",
}
STEP_KEYS = {
    "id",
    "index",
    "op",
    "status",
    "attempts",
    "output",
    "error",
    "started_at",
    "ended_at",
}
EVENT_KEYS = {
    "id",
    "external_id",
    "name",
    "data",
    "ts",
    "received_at",
    "user",
    "v",
    "duplicate_of",
}


def printed(command: str, *args: str) -> dict[str, str]:
    """Give the `key: value` lines that a command prints."""
    out = StringIO()
    call_command(command, *args, stdout=out)
    return dict(re.findall(r"^(\w+): (\S+)\s*$", out.getvalue(), re.MULTILINE))


@pytest.fixture
def key(db: None) -> str:
    """Give an event key, as the command prints it."""
    return printed("create_event_key", "a key")["key"]


@pytest.fixture
def operator(db: None) -> Client:
    """Give a client with the token of an operator with all rights."""
    token = printed("create_operator", "olga")["token"]
    return Client(headers={"Authorization": f"Token {token}"})


@pytest.fixture
def send(key: str) -> Callable[..., Any]:
    """Give a function that posts to the event API."""

    def post(body: Any, content_type: str = "application/json", **headers: str) -> Any:
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        return Client().post(f"/e/{key}", text, content_type=content_type, headers=headers)

    return post


@pytest.fixture
def it(workflows: Workflows) -> Any:
    """Give a workflow with a step, a sleep, and a step that fails if its event says so."""

    @workflow(
        id="it",
        trigger="go",
        retries=0,
        tags={"customer": "event.data.customer"},
        concurrency=Concurrency(limit=10),
        throttle=Throttle(limit=100, period="1m"),
    )
    def code(event: Event[Any], step: Step) -> Any:
        step.run("a", lambda: {"n": 1})
        if event.data.get("fail"):
            step.run("b", lambda: 1 // 0)
        step.sleep("nap", "1h")
        return {"done": True}

    workflows.drain()
    return code


def test_success_has_exactly_ids_and_status(send: Callable[..., Any]) -> None:
    answer = send([{"name": "a"}, {"name": "b", "data": None}, {"name": "c", "ts": 0, "else": 1}])

    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"ids", "status"}
    assert body["status"] == 200
    assert len(set(body["ids"])) == 3


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"data": {}}, "name"),
        ({"name": ""}, "name"),
        ({"name": 3}, "name"),
        ({"name": "x" * 257}, "name"),
        ({"name": "inngest/x"}, "inngest/"),
        ({"name": "workflows/x"}, "workflows/"),
        ({"name": "x", "data": []}, "data"),
        ({"name": "x", "data": "s"}, "data"),
        ({"name": "x", "id": 5}, "id"),
        ({"name": "x", "id": "i" * 257}, "id"),
        ({"name": "x", "ts": 1.5}, "ts"),
        ({"name": "x", "ts": "2026-01-01"}, "ts"),
        ({"name": "x", "ts": True}, "ts"),
        ({"name": "x", "ts": 1}, "ts"),
        ({"name": "x", "ts": -5}, "ts"),
        ({"name": "x", "ts": 4_102_444_800_000}, "ts"),
        ({"name": "x", "user": []}, "user"),
        ({"name": "x", "v": 1}, "v"),
        ({"name": "x", "data": {"a": 2**64}}, "64"),
        ({"name": "x", "data": {"a": "\0"}}, "NUL"),
        ({"name": "organisation.create.provisional", "data": {"name": "x"}}, "account"),
        ("a string", ""),
        (None, ""),
        (17, ""),
    ],
)
def test_one_bad_event_stores_none_and_its_place_is_named(
    workflows: Workflows, send: Callable[..., Any], operator: Client, body: Any, fault: str
) -> None:
    answer = send([{"name": "fine"}, body])

    assert answer.status_code == 400, answer.json()
    assert set(answer.json()) == {"ids", "status", "error"}
    assert (answer.json()["ids"], answer.json()["status"]) == ([], 400)
    assert "1" in answer.json()["error"]
    assert fault in answer.json()["error"]
    assert operator.get("/api/v1/events").json()["data"] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "null",
        "3",
        '"x"',
        '{"name": "x", "data": {"a": NaN}}',
        '{"name": "x", "data": {"a": Infinity}}',
        '{"name": "x", "data": {"a": 1e999}}',
        '{"name": "x", "data": {"a": "\\ud800"}}',
        b'{"name": "\xff"}',
        '{"name": "x", "data": ' + '{"a":' * 64 + "1" + "}" * 64 + "}",
        '{"name": "x", "data": ' + "[" * 100_000,
    ],
)
def test_what_is_malformed_is_answered_with_400(send: Callable[..., Any], text: Any) -> None:
    answer = send(text)

    assert answer.status_code == 400
    assert set(answer.json()) == {"ids", "status", "error"}


def test_sizes(send: Callable[..., Any]) -> None:
    assert send({"name": "x", "data": {"a": "b" * 1_000_000}}).status_code == 200
    for answer in (
        send({"name": "x", "data": {"a": "b" * 1_048_576}}),
        send([{"name": "x", "data": {"a": "b" * 900_000}}] * 19),
    ):
        assert answer.status_code == 413
        assert set(answer.json()) == {"ids", "status", "error"}
        assert (answer.json()["ids"], answer.json()["status"]) == ([], 413)


def test_5000_events_are_taken_and_5001_are_not(send: Callable[..., Any]) -> None:
    assert len(send([{"name": "x"}] * 5000).json()["ids"]) == 5000
    assert send([{"name": "x"}] * 5001).status_code in (400, 413)


def test_another_content_type_or_encoding_answers_415_in_the_same_shape(
    send: Callable[..., Any],
) -> None:
    for answer in (
        send('{"name": "x"}', content_type="text/plain"),
        send('{"name": "x"}', content_type="application/x-www-form-urlencoded"),
        send(b"\x1f\x8b", **{"Content-Encoding": "gzip"}),
    ):
        assert answer.status_code == 415
        assert set(answer.json()) == {"ids", "status", "error"}
    assert send('{"name": "x"}', content_type="application/json; charset=utf-8").status_code == 200


def test_an_unknown_expired_or_revoked_key_answers_401(workflows: Workflows, key: str) -> None:
    short = printed("create_event_key", "short", "--expires", "1h")["key"]
    call_command("revoke_event_key", "a key", stdout=StringIO())
    body = json.dumps({"name": "x"})
    assert Client().post(f"/e/{short}", body, content_type="application/json").status_code == 200
    workflows.advance("1h1s")

    for secret in ("nonsense", key, short):
        by_path = Client().post(f"/e/{secret}", body, content_type="application/json")
        by_header = Client().post(
            "/api/v1/events",
            body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {secret}"},
        )
        for answer in (by_path, by_header):
            assert answer.status_code == 401
            assert set(answer.json()) == {"ids", "status", "error"}


def test_a_seed_makes_a_repeated_send_answer_the_same_ids(
    workflows: Workflows, send: Callable[..., Any], operator: Client
) -> None:
    events = [{"name": "x"}, {"name": "y"}]
    first = send(events, **{"x-inngest-event-id-seed": "seed,1"}).json()["ids"]
    second = send(events, **{"x-inngest-event-id-seed": "seed,1"}).json()["ids"]
    third = send(events, **{"x-inngest-event-id-seed": "seed,2"}).json()["ids"]

    assert first == second
    assert not set(first) & set(third)
    assert len(operator.get("/api/v1/events").json()["data"]) == 4


def test_an_event_key_can_send_events_and_do_nothing_else(key: str) -> None:
    client = Client(headers={"Authorization": f"Bearer {key}"})
    for path in ("/api/v1/events", "/api/v1/runs", "/api/v1/workflows", "/metrics"):
        assert client.get(path).status_code == 401
    assert Client().get(f"/e/{key}").status_code == 405


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/api/v1/events"),
        ("get", "/api/v1/events/x"),
        ("get", "/api/v1/events/x/runs"),
        ("get", "/api/v1/runs"),
        ("get", "/api/v1/runs/x"),
        ("post", "/api/v1/runs/x/cancel"),
        ("post", "/api/v1/runs/x/retry"),
        ("post", "/api/v1/runs/x/replay"),
        ("get", "/api/v1/workflows"),
        ("post", "/api/v1/workflows/x/pause"),
        ("post", "/api/v1/workflows/x/resume"),
        ("post", "/api/v1/workflows/x/invoke"),
        ("patch", "/api/v1/workflows/x"),
        ("get", "/api/v1/schedules"),
        ("post", "/api/v1/schedules"),
        ("patch", "/api/v1/schedules/x"),
        ("delete", "/api/v1/schedules/x"),
        ("post", "/api/v1/schedules/x/run"),
        ("post", "/api/v1/signals"),
        ("post", "/api/v1/organisations"),
        ("get", "/metrics"),
    ],
)
def test_operators_calls_answer_401_without_and_403_without_the_permission(
    db: None, method: str, path: str
) -> None:
    nobody = Client()
    user = User.objects.create_user("unable", password="x")
    unable = Client()
    unable.force_login(user)

    def call(client: Client) -> Any:
        return getattr(client, method)(path, "{}", content_type="application/json")

    if method == "get":
        assert nobody.get(path).status_code == 401
        assert unable.get(path).status_code == 403
    else:
        assert call(nobody).status_code == 401
        assert call(unable).status_code == 403


def test_a_session_needs_csrf(db: None) -> None:
    user = User.objects.create_superuser("root")
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)

    assert client.get("/api/v1/runs").status_code == 200
    assert client.post("/api/v1/runs/x/cancel").status_code == 403


def test_the_run_resource(
    workflows: Workflows, it: Any, send: Callable[..., Any], operator: Client
) -> None:
    [event_id] = send({"name": "go", "id": "own", "data": {"fail": True, "customer": 4711}}).json()[
        "ids"
    ]
    workflows.drain()

    listed = operator.get("/api/v1/runs").json()
    assert set(listed) == {"data", "next"}
    [run] = listed["data"]
    assert set(run) == RUN_KEYS - {"steps"}
    whole = operator.get(f"/api/v1/runs/{run['id']}").json()
    assert set(whole) == RUN_KEYS
    assert whole["event_ids"] == [event_id]
    assert whole["status"] == "failed"
    assert whole["tags"] == {"customer": "4711"}
    assert set(whole["error"]) == {"name", "message", "traceback"}
    assert [set(step) for step in whole["steps"]] == [STEP_KEYS] * 2
    assert whole["steps"][0]["output"] == {"n": 1}
    for moment in (whole["created_at"], whole["steps"][0]["started_at"]):
        assert datetime.fromisoformat(moment).tzinfo is not None
    event = operator.get(f"/api/v1/events/{event_id}").json()
    assert set(event) == EVENT_KEYS
    assert (event["external_id"], event["name"], event["duplicate_of"]) == ("own", "go", None)
    assert datetime.fromisoformat(event["ts"]).tzinfo is not None
    of_event = operator.get(f"/api/v1/events/{event_id}/runs").json()
    assert [each["id"] for each in of_event["data"]] == [run["id"]]
    [again] = send({"name": "go", "id": "own"}).json()["ids"]
    workflows.drain()
    assert operator.get(f"/api/v1/events/{again}").json()["duplicate_of"] == event_id
    assert operator.get(f"/api/v1/events/{again}/runs").json() == {"data": [], "next": None}


def test_runs_are_filtered_and_paged_newest_first(
    workflows: Workflows, it: Any, operator: Client
) -> None:
    ids = []
    for n in range(5):
        ids.append(workflows.send("go", {"customer": n % 2, "fail": n == 4})[0])
        workflows.drain()
        workflows.advance("1s")
    runs = [run.id for run in workflows.runs()]
    created = [run.created_at for run in workflows.runs()]

    def found(**query: Any) -> list[str]:
        answer = operator.get("/api/v1/runs", query)
        assert answer.status_code == 200, answer.json()
        return [run["id"] for run in answer.json()["data"]]

    assert found() == runs[::-1]
    assert found(tag="customer:1") == [runs[3], runs[1]]
    assert found(status="failed") == [runs[4]]
    assert found(workflow="it") == runs[::-1]
    assert found(workflow="other") == []
    assert found(event=ids[2]) == [runs[2]]
    assert found(since=created[3].isoformat()) == [runs[4], runs[3]]
    assert found(until=created[1].isoformat()) == [runs[0]]
    page = operator.get("/api/v1/runs", {"limit": 2}).json()
    seen = [run["id"] for run in page["data"]]
    while page["next"]:
        page = operator.get("/api/v1/runs", {"limit": 2, "cursor": page["next"]}).json()
        seen += [run["id"] for run in page["data"]]
    assert seen == runs[::-1]


@pytest.mark.parametrize(
    "query",
    [
        {"status": "done"},
        {"since": "yesterday"},
        {"until": "2026-13-01T00:00:00Z"},
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "many"},
        {"cursor": "nonsense!"},
        {"tag": "nocolon"},
    ],
)
def test_what_can_t_be_read_answers_400(operator: Client, query: dict[str, str]) -> None:
    assert operator.get("/api/v1/runs", query).status_code == 400


def test_unknown_ids_answer_404(operator: Client) -> None:
    for path in ("/api/v1/runs/x", "/api/v1/events/x", "/api/v1/events/x/runs"):
        assert operator.get(path).status_code == 404
    for path in (
        "/api/v1/runs/x/cancel",
        "/api/v1/runs/x/retry",
        "/api/v1/runs/x/replay",
        "/api/v1/workflows/x/pause",
        "/api/v1/workflows/x/resume",
        "/api/v1/workflows/x/invoke",
        "/api/v1/schedules/x/run",
    ):
        assert operator.post(path, "{}", content_type="application/json").status_code == 404, path


def test_cancel_retry_and_replay_over_http(workflows: Workflows, it: Any, operator: Client) -> None:
    workflows.send("go", {"fail": True})
    workflows.send("go", {"fail": False})
    workflows.drain()
    failed, asleep = (run.id for run in workflows.runs())

    def post(run: str, action: str, body: Any = None) -> tuple[int, Any]:
        answer = operator.post(
            f"/api/v1/runs/{run}/{action}",
            json.dumps(body or {}),
            content_type="application/json",
        )
        return answer.status_code, answer.json()

    assert post(failed, "cancel")[0] == 409
    assert post(asleep, "retry")[0] == 409
    assert post(asleep, "replay")[0] == 409
    code, run = post(asleep, "cancel")
    assert (code, run["status"], set(run)) == (200, "cancelled", RUN_KEYS)
    code, run = post(failed, "retry")
    assert (code, run["id"], run["status"]) == (200, failed, "queued")
    workflows.drain()
    code, new = post(failed, "replay", {"from_step": "b", "data": {"fail": False}})
    assert (code, new["replay_of"], set(new)) == (201, failed, RUN_KEYS)
    assert [step["id"] for step in new["steps"]] == ["a"]
    code, new = post(failed, "replay", {"from_step": None, "data": None})
    assert code == 201
    assert operator.post(f"/api/v1/runs/{failed}/replay").status_code == 201
    assert post(failed, "replay", {"from_step": 3})[0] == 400
    assert post(failed, "replay", {"data": [1]})[0] == 400


def test_workflows_over_http(workflows: Workflows, it: Any, operator: Client) -> None:
    listed = operator.get("/api/v1/workflows").json()
    [shown] = [each for each in listed["data"] if each["id"] == "it"]
    assert {"id", "name", "triggers", "paused"} <= set(shown)
    assert shown["paused"] is False
    paused = operator.post("/api/v1/workflows/it/pause")
    assert (paused.status_code, paused.json()["paused"]) == (200, True)
    invoked = operator.post(
        "/api/v1/workflows/it/invoke",
        json.dumps({"data": {"customer": "c"}}),
        content_type="application/json",
    )
    assert invoked.status_code == 201
    assert set(invoked.json()) == RUN_KEYS
    workflows.drain()
    run = operator.get(f"/api/v1/runs/{invoked.json()['id']}").json()
    assert (run["status"], run["tags"]) == ("queued", {"customer": "c"})
    assert "paused" in run["reason"]
    assert operator.post("/api/v1/workflows/it/resume").json()["paused"] is False
    workflows.advance("2h")
    assert workflows.run(run["id"]).output == {"done": True}


def test_overrides(workflows: Workflows, it: Any, operator: Client) -> None:
    def patch(overrides: Any) -> Any:
        return operator.patch(
            "/api/v1/workflows/it",
            json.dumps({"overrides": overrides}),
            content_type="application/json",
        )

    answer = patch({"concurrency": [{"limit": 1}], "throttle": None, "retries": 2})
    assert answer.status_code == 200, answer.json()
    assert answer.json()["overrides"]["retries"] == 2
    for wrong in (
        {"concurrency": [{"limit": 0}]},
        {"concurrency": [{"limit": 1}] * 3},
        {"retries": 21},
        {"retries": "2"},
        {"other": 1},
        {"throttle": {"limit": 1, "period": 60}},
        {"concurrency": [{"limit": 1, "key": "event.data. =="}]},
    ):
        assert patch(wrong).status_code == 400, wrong
    assert (
        patch(
            {"throttle": {"limit": 1, "period": "1m", "burst": 0, "key": "event.data.customer"}}
        ).status_code
        == 200
    )
    assert patch({"concurrency": None}).status_code == 200
    assert patch({}).json()["overrides"] == {}
    assert (
        operator.patch(
            "/api/v1/workflows/nobody", '{"overrides": {}}', content_type="application/json"
        ).status_code
        == 404
    )


def test_an_override_of_retries_holds_and_a_reset_gives_the_code_s_own_back(
    workflows: Workflows, it: Any, operator: Client
) -> None:
    operator.patch(
        "/api/v1/workflows/it", '{"overrides": {"retries": 2}}', content_type="application/json"
    )
    workflows.send("go", {"fail": True})
    workflows.advance("1h")
    operator.patch("/api/v1/workflows/it", '{"overrides": {}}', content_type="application/json")
    workflows.send("go", {"fail": True})
    workflows.advance("1h")

    assert [workflows.run(run.id).steps[1].attempts for run in workflows.runs()] == [3, 1]


def test_schedules(workflows: Workflows, it: Any, operator: Client) -> None:
    def post(body: Any) -> Any:
        return operator.post("/api/v1/schedules", json.dumps(body), content_type="application/json")

    made = post(
        {
            "name": "hourly",
            "cron": "0 * * * *",
            "tz": "Europe/London",
            "event": {"name": "go", "data": {"customer": "s"}},
            "enabled": True,
        }
    )
    assert made.status_code == 201, made.json()
    schedule = made.json()
    assert {"id", "name", "cron", "tz", "event", "enabled"} <= set(schedule)
    assert schedule["event"] == {"name": "go", "data": {"customer": "s"}}
    assert operator.get("/api/v1/schedules").json()["data"][0]["id"] == schedule["id"]
    workflows.drain()
    workflows.advance("2h")
    assert len(workflows.runs("it")) == 2
    url = f"/api/v1/schedules/{schedule['id']}"
    off = operator.patch(url, '{"enabled": false}', content_type="application/json")
    assert (off.status_code, off.json()["enabled"]) == (200, False)
    workflows.advance("2h")
    assert len(workflows.runs("it")) == 2
    assert operator.post(f"{url}/run").status_code in (200, 201, 202)
    workflows.drain()
    assert len(workflows.runs("it")) == 3
    assert operator.delete(url).status_code == 204
    assert operator.delete(url).status_code == 404
    at = (workflows.now() + timedelta(minutes=5)).isoformat()
    once = post({"name": "once", "at": at, "event": {"name": "go"}})
    assert once.status_code == 201, once.json()
    workflows.advance("1d")
    assert len(workflows.runs("it")) == 4
    for wrong in (
        {"name": "w", "cron": "61 * * * *", "event": {"name": "go"}},
        {"name": "w", "cron": "* * * * *", "tz": "Mars/Base", "event": {"name": "go"}},
        {"name": "w", "cron": "* * * * *", "event": {"name": "workflows/x"}},
        {"name": "w", "event": {"name": "go"}},
        {"name": "w", "cron": "* * * * *", "at": at, "event": {"name": "go"}},
        {"name": "w", "cron": "* * * * *"},
    ):
        assert post(wrong).status_code == 400, wrong


def test_signals(workflows: Workflows, operator: Client) -> None:
    @workflow(id="waits", trigger="wait")
    def waits(event: Event[Any], step: Step) -> Any:
        return step.wait_for_signal("w", signal="s", timeout="1d")

    def post(body: Any) -> Any:
        return operator.post("/api/v1/signals", json.dumps(body), content_type="application/json")

    assert post({"signal": "s", "data": 1}).status_code == 404
    workflows.send("wait")
    workflows.drain()
    answer = post({"signal": "s", "data": {"ok": 1}})
    assert (answer.status_code, answer.json()) == (200, {"run": workflows.runs()[0].id})
    workflows.drain()
    assert workflows.runs()[0].output == {"ok": 1}


def test_organisations(workflows: Workflows, db: None) -> None:
    user = User.objects.create_user("adds")
    user.user_permissions.add(Permission.objects.get(codename="add_organisation"))
    client = Client()
    client.force_login(user)

    answer = client.post(
        "/api/v1/organisations",
        '{"accountId": "acc", "name": "Acme", "diffbotId": "d"}',
        content_type="application/json",
    )

    assert answer.status_code == 202, answer.json()
    assert set(answer.json()) == {"eventId"}
    workflows.drain()
    [run] = workflows.runs("create-provisional-organisation", answer.json()["eventId"])
    assert (run.status, set(run.output)) == ("completed", {"organisationId"})
    bad = client.post("/api/v1/organisations", '{"name": 1}', content_type="application/json")
    assert bad.status_code == 400


def test_open_paths(db: None) -> None:
    client = Client()
    schema = client.get("/api/schema")
    assert schema.status_code == 200
    assert schema.json()["openapi"].startswith("3.")
    assert "/api/v1/runs/{run_id}" in schema.json()["paths"] or any(
        path.startswith("/api/v1/runs/{") for path in schema.json()["paths"]
    )
    assert client.get("/api/docs").status_code == 200
    assert client.get("/healthz").status_code == 200
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert "worker" in ready.content.decode()


def test_readyz_is_ready_with_a_live_worker(workflows: Workflows, it: Any) -> None:
    workflows.drain()

    assert Client().get("/readyz").status_code == 200
    workflows.advance("61s")
    assert Client().get("/healthz").status_code == 200


def test_metrics_are_prometheus(workflows: Workflows, it: Any, operator: Client) -> None:
    workflows.send("go")
    workflows.drain()

    answer = operator.get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    assert "# TYPE" in answer.content.decode()


def test_list_limits(operator: Client) -> None:
    for path in ("events", "runs", "workflows", "schedules"):
        assert set(operator.get(f"/api/v1/{path}").json()) == {"data", "next"}
        assert operator.get(f"/api/v1/{path}?limit=200").status_code == 200
        assert operator.get(f"/api/v1/{path}?limit=201").status_code == 400
