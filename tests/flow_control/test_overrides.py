"""Operators' overrides: they hold at once, also for what waits already."""

from typing import Any

import pytest

from workflows import Concurrency, Event, Step, Throttle, workflow
from workflows.client import override_workflow
from workflows.errors import InvalidWorkflow, UnknownWorkflow
from workflows.models import OperatorAction, RegisteredWorkflow
from workflows.testing import Workflows


def statuses(workflows: Workflows) -> list[str]:
    return [run.status for run in workflows.runs("job")]


def declare(**options: Any) -> None:
    @workflow(id="job", trigger="go", **options)
    def job(event: Event[Any], step: Step) -> None:
        step.sleep("nap", "1h")


def active(limit: int, **more: Any) -> dict[str, Any]:
    return {"concurrency": [{"limit": limit, "counts": "active", **more}]}


def test_a_limit_in_the_place_of_the_codes_own_holds_at_once(workflows: Workflows) -> None:
    declare(concurrency=Concurrency(1, counts="active"))
    for _ in range(4):
        workflows.send("go", {})
    workflows.drain()
    assert statuses(workflows) == ["sleeping", "queued", "queued", "queued"]

    override_workflow("job", active(3))
    workflows.drain()
    assert statuses(workflows) == ["sleeping", "sleeping", "sleeping", "queued"]
    override_workflow("job", {})
    workflows.advance("1h")

    assert statuses(workflows) == ["completed", "completed", "completed", "sleeping"]


def test_a_lower_limit_ends_nothing(workflows: Workflows) -> None:
    declare(concurrency=Concurrency(3, counts="active"))
    for _ in range(4):
        workflows.send("go", {})
    workflows.drain()

    override_workflow("job", active(1))
    workflows.drain()

    assert statuses(workflows) == ["sleeping", "sleeping", "sleeping", "queued"]


def test_a_limit_on_a_workflow_without_any_counts_what_goes_on(workflows: Workflows) -> None:
    declare()
    workflows.send("go", {})
    workflows.drain()
    workflows.send("go", {})

    override_workflow("job", active(1))
    workflows.send("go", {})
    workflows.drain()
    assert statuses(workflows) == ["sleeping", "queued", "queued"]
    workflows.advance("1h")

    assert statuses(workflows) == ["completed", "sleeping", "queued"]


def test_another_key_moves_what_waits_to_its_lanes(workflows: Workflows) -> None:
    declare(concurrency=Concurrency(1, counts="active"))
    for account in ("a", "a", "b"):
        workflows.send("go", {"account": account})
    workflows.drain()
    assert statuses(workflows) == ["sleeping", "queued", "queued"]

    override_workflow("job", active(1, key="event.data.account"))
    workflows.drain()

    assert statuses(workflows) == ["sleeping", "queued", "sleeping"]


@pytest.mark.parametrize("none", [{"concurrency": None}, {"concurrency": []}])
def test_null_means_that_there_is_no_limit(workflows: Workflows, none: dict[str, Any]) -> None:
    declare(concurrency=Concurrency(1, counts="active"))
    for _ in range(3):
        workflows.send("go", {})
    workflows.drain()

    override_workflow("job", none)
    workflows.drain()

    assert statuses(workflows) == ["sleeping"] * 3


def test_no_throttle_lets_go_what_it_held(workflows: Workflows) -> None:
    declare(throttle=Throttle(1, "1h"))
    for _ in range(3):
        workflows.send("go", {})
    workflows.drain()
    assert statuses(workflows) == ["sleeping", "queued", "queued"]

    override_workflow("job", {"throttle": None})
    workflows.drain()

    assert statuses(workflows) == ["sleeping"] * 3


def test_a_throttle_holds_what_waits_already(workflows: Workflows) -> None:
    declare()
    for _ in range(3):
        workflows.send("go", {})
    workflows.pause("job")
    workflows.drain()

    override_workflow("job", {"throttle": {"limit": 1, "period": "10m"}})
    workflows.resume("job")
    workflows.drain()
    assert statuses(workflows) == ["sleeping", "queued", "queued"]
    workflows.advance("20m")

    assert statuses(workflows) == ["sleeping"] * 3


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (2, 3), (None, 1)])
def test_retries_in_the_place_of_the_codes_own(
    workflows: Workflows, retries: int | None, attempts: int
) -> None:
    tries: list[int] = []

    @workflow(id="job", trigger="go", retries=1)
    def job(event: Event[Any], step: Step) -> None:
        tries.append(1)
        raise ValueError

    workflows.drain()

    override_workflow("job", {"retries": retries})
    workflows.send("go", {})
    workflows.advance("1h")

    assert (statuses(workflows), len(tries)) == (["failed"], attempts)


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        ([], "Workflow 'job': write"),
        ({"concurrences": []}, "did you mean 'concurrency'"),
        ({"rate_limit": None}, "only concurrency, throttle, retries can be"),
        ({"concurrency": {"limit": 1}}, "concurrency: write a list"),
        ({"concurrency": [5]}, "concurrency: write an object with limit, key, scope, counts"),
        ({"concurrency": [{"limits": 5}]}, "there is no 'limits'"),
        ({"concurrency": [{}]}, "lacks something"),
        ({"concurrency": [{"limit": 0}]}, "limit must be a whole number of at least 1"),
        ({"concurrency": [{"limit": 1, "key": "("}]}, "concurrency: key: The expression"),
        ({"concurrency": [{"limit": 1}] * 3}, "3 are too many: 2 are allowed"),
        ({"throttle": {"limit": 1, "period": 5}}, "throttle: period: the bare number"),
        ({"throttle": []}, "throttle: write an object"),
        ({"retries": 21}, "retries: write a whole number from 0 to 20"),
        ({"retries": "2"}, "retries: write a whole number"),
    ],
)
def test_a_wrong_override_is_refused_as_at_import_and_changes_nothing(
    workflows: Workflows, overrides: Any, fault: str
) -> None:
    declare()
    workflows.drain()

    with pytest.raises(InvalidWorkflow) as refused:
        override_workflow("job", overrides)

    assert fault in str(refused.value)
    assert RegisteredWorkflow.objects.get(pk="job").overrides == {}
    assert OperatorAction.objects.count() == 0


def test_who_overrode_what_and_why_is_noted(workflows: Workflows) -> None:
    declare()
    workflows.drain()

    override_workflow("job", {"retries": 2})
    override_workflow("job", {}, reason="over")

    noted = OperatorAction.objects.order_by("id").values_list("action", "reason", "details")
    assert list(noted) == [
        ("override_workflow", "", {"before": {}, "after": {"retries": 2}}),
        ("override_workflow", "over", {"before": {"retries": 2}, "after": {}}),
    ]


def test_an_unknown_workflow_is_named(workflows: Workflows) -> None:
    with pytest.raises(UnknownWorkflow, match="'nothing'"):
        override_workflow("nothing", {})
