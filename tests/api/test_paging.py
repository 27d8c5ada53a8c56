"""Pages of runs: none is skipped or shown twice, whatever is committed meanwhile and how late."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from workflows import Event, Step, ids, workflow
from workflows.clock import clock
from workflows.models import Run
from workflows.testing import Workflows

Operator = Callable[[str], Client]


@pytest.fixture
def many(workflows: Workflows) -> list[str]:
    """Make five runs, a second apart; give their ids, newest first."""

    @workflow(id="many", trigger="go")
    def many(event: Event[Any], step: Step) -> None:
        return None

    for _ in range(5):
        workflows.send("go")
        workflows.drain()
        workflows.advance("1s")
    return [run.id for run in workflows.runs("many")][::-1]


def pages(client: Client, between: Callable[[], None] = lambda: None) -> list[str]:
    """Return the ids of all pages of two, doing something between them."""
    seen: list[str] = []
    cursor = None
    while True:
        query = f"&cursor={cursor}" if cursor else ""
        page = client.get(f"/api/v1/runs?limit=2{query}").json()
        seen += [run["id"] for run in page["data"]]
        cursor = page["next"]
        if cursor is None:
            return seen
        between()


def commit_late(run_id: str, *, made_after: str) -> str:
    """Commit a run only now whose id was made before others' that are committed already."""
    late = Run.objects.get(pk=run_id)
    late.pk = made_after[:-1] + ids.ALPHABET[ids.ALPHABET.index(made_after[-1]) + 1 & 31]
    late._state.adding = True
    late.save(force_insert=True)
    return str(late.pk)


def test_runs_that_arrive_meanwhile_neither_move_nor_repeat_what_was_there(
    workflows: Workflows, operator: Operator, many: list[str]
) -> None:
    def arrive() -> None:
        workflows.send("go")
        workflows.drain()

    assert pages(operator("Viewer"), arrive) == many


def test_a_run_that_is_committed_late_hides_none_of_the_others(
    workflows: Workflows, operator: Operator, many: list[str]
) -> None:
    late: list[str] = []

    def commit() -> None:
        if not late:
            late.append(commit_late(many[0], made_after=many[3]))

    seen = pages(operator("Viewer"), commit)

    assert [run for run in seen if run not in late] == many
    assert len(seen) == len(set(seen))
    assert late[0] in seen


def test_a_period_begins_with_its_first_moment_and_ends_before_its_last(
    workflows: Workflows, operator: Operator, many: list[str]
) -> None:
    client = operator("Viewer")
    moments = {run.pk: run.created_at for run in Run.objects.all()}
    since, until = moments[many[3]], moments[many[1]]

    answer = client.get(
        "/api/v1/runs", {"since": since.isoformat(), "until": until.isoformat(), "workflow": "many"}
    )

    assert [run["id"] for run in answer.json()["data"]] == many[2:4]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("name", ["since", "until"])
def test_the_ends_of_time_can_be_asked_for(
    operator: Operator, many: list[str], name: str, moment: str
) -> None:
    answer = operator("Viewer").get(f"/api/v1/runs?{name}={moment}")

    is_all = (name == "since") == (moment < "1000")
    assert [run["id"] for run in answer.json()["data"]] == (many if is_all else [])


def test_a_moment_may_be_in_any_zone(operator: Operator, many: list[str]) -> None:
    client = operator("Viewer")
    moment = (clock.now() - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S")

    escaped = client.get("/api/v1/runs", {"since": f"{moment}+00:00"})
    bare = client.get(f"/api/v1/runs?since={moment}+00:00")
    later = client.get("/api/v1/runs", {"since": f"{moment}-05:00"})

    assert len(escaped.json()["data"]) == len(bare.json()["data"]) == len(many)
    assert later.json()["data"] == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/runs?workflow=%00", 400),
        ("/api/v1/runs?status=%00", 400),
        ("/api/v1/runs?tag=a:%00", 400),
        ("/api/v1/runs?event=%00", 400),
        ("/api/v1/events?name=%00", 400),
        ("/api/v1/events?limit=%C2%B2", 400),
        ("/api/v1/workflows?cursor=%00", 400),
        ("/api/v1/runs?since=2026-01-01", 400),
        ("/api/v1/runs?since=2026-01-01T00:00:00", 400),
        ("/api/v1/runs/%00", 404),
        ("/api/v1/events/%00/runs", 404),
        ("/api/v1/workflows/%00", 404),
        ("/api/v1/schedules/x", 404),
    ],
)
def test_what_cannot_be_read_is_no_fault_of_the_servers(
    operator: Operator, path: str, status: int
) -> None:
    assert operator("Admin").get(path).status_code == status


def test_refusals_are_json(operator: Operator, many: list[str]) -> None:
    client = operator("Admin")
    address = f"/api/v1/runs/{many[0]}/cancel"

    answers = {
        405: client.put("/api/v1/runs"),
        406: client.get("/api/v1/runs", headers={"Accept": "text/html"}),
        415: client.post(address, "x", content_type="text/plain"),
        400: client.post(address, "[" * 100_000, content_type="application/json"),
        413: client.post(address, "[" + " " * 5_000_000, content_type="application/json"),
        409: client.post(address),
    }

    assert {answer.status_code for answer in answers.values()} == set(answers)
    assert all(list(answer.json()) == ["detail"] for answer in answers.values())
