"""Why runs wait, in words, and what waits for which key."""

from datetime import timedelta
from typing import Any

import pytest

from workflows import Concurrency, Event, Step, Throttle, workflow
from workflows.client import pause_workflow
from workflows.engine.catalogue import raise_revision
from workflows.engine.waiting import LimitInUse, limits_in_use
from workflows.models import RegisteredWorkflow
from workflows.testing import Workflows

KEY = "event.data.account"


def declare(**options: Any) -> None:
    @workflow(id="job", trigger="go", **options)
    def job(event: Event[Any], step: Step) -> None:
        step.sleep("nap", "1h")


def reasons(workflows: Workflows) -> list[str | None]:
    return [run.reason for run in workflows.runs("job")]


def test_a_run_that_nothing_limits_waits_for_a_worker(workflows: Workflows) -> None:
    @workflow(id="job", trigger="go")
    def job(event: Event[Any], step: Step) -> None:
        seen.append(workflows.runs("job")[1].reason)

    seen: list[str | None] = []
    workflows.send("go", {})
    workflows.send("go", {})

    workflows.drain()

    assert seen[0] == "waits for a worker"


def test_the_limit_its_key_its_use_and_those_before_are_named(workflows: Workflows) -> None:
    declare(concurrency=Concurrency(1, key=KEY, counts="active"))
    for _ in range(4):
        workflows.send("go", {"account": "acme"})

    workflows.drain()

    limit = 'concurrency of 1 for event.data.account = "acme": 1 are active'
    assert reasons(workflows) == [
        None,
        f"{limit}; no runs are before it",
        f"{limit}; 1 run is before it",
        f"{limit}; 2 runs are before it",
    ]


def test_a_limit_that_workflows_share_is_named_as_such(workflows: Workflows) -> None:
    declare(concurrency=Concurrency(1, key=KEY, scope="platform", counts="active"))
    workflows.send("go", {"account": 1})
    workflows.send("go", {"account": 1})

    workflows.drain()

    assert reasons(workflows)[1] == (
        "concurrency of 1 for event.data.account = 1 in all workflows with this key: "
        "1 are active; no runs are before it"
    )


def test_a_throttle_says_when_the_next_start_is(workflows: Workflows) -> None:
    declare(throttle=Throttle(1, "90s"))
    workflows.send("go", {})
    workflows.send("go", {})

    workflows.drain()

    next_start = workflows.runs("job")[0].created_at + timedelta(seconds=90)
    assert reasons(workflows)[1] == (
        f"throttle of 1 in 1m30s: the next start is at {next_start:%H:%M:%S} UTC; "
        "no runs are before it"
    )


@pytest.mark.parametrize(
    ("given", "shown"),
    [(None, "the workflow is paused by code"), ("tests", "the workflow is paused by code: tests")],
)
def test_a_pause_says_by_whom_and_why(workflows: Workflows, given: str | None, shown: str) -> None:
    declare()
    workflows.drain()
    pause_workflow("job", reason=given)
    workflows.send("go", {})

    workflows.drain()

    assert reasons(workflows) == [shown]


def test_a_workflow_that_no_worker_knows_any_more_keeps_no_slots(workflows: Workflows) -> None:
    shared = Concurrency(1, key=KEY, scope="platform", counts="active")
    declare(concurrency=shared)
    workflows.drain()
    RegisteredWorkflow.objects.filter(pk="job").update(unknown_since=workflows.now())
    raise_revision()

    workflows.send("go", {"account": 1})
    workflows.drain()

    assert reasons(workflows) == [
        "no worker that is alive knows the workflow and serves the queue 'default'; "
        "no runs are before it"
    ]


def test_operators_see_what_runs_and_waits_for_each_key(workflows: Workflows) -> None:
    declare(concurrency=Concurrency(1, key=KEY, counts="active"))
    for account in ("a", "a", "a", "b"):
        workflows.send("go", {"account": account})
    workflows.drain()
    second = workflows.runs("job")[1]

    [row] = limits_in_use("job")

    assert row == LimitInUse(
        key='event.data.account = "a"',
        running=0,
        waiting=2,
        oldest=second.created_at,
        blocked_on='concurrency of 1 for event.data.account = "a": 1 are active',
    )


def test_a_workflow_without_limits_has_none_in_use(workflows: Workflows) -> None:
    declare()
    workflows.send("go", {})
    workflows.drain()

    assert limits_in_use("job") == []
