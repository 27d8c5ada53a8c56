"""Concurrency: how many runs go on at once, by key, shared, and counted in two ways."""

from typing import Any

from workflows import Concurrency, Event, Step, workflow
from workflows.engine.route import look_again, route_events
from workflows.engine.wake import wake_runs
from workflows.models import Run, Worker
from workflows.testing import Workflows

KEY = "event.data.account"


def statuses(workflows: Workflows, id: str = "sleeper") -> list[str]:
    return [run.status for run in workflows.runs(id)]


def declare_sleeper(*concurrency: Concurrency, id: str = "sleeper", **options: Any) -> None:
    @workflow(id=id, trigger="go", concurrency=concurrency, **options)
    def sleeper(event: Event[Any], step: Step) -> Any:
        step.sleep("nap", "1h")
        return event.data.get("n")


def test_a_sleeping_run_holds_no_slot_that_counts_executing_runs(workflows: Workflows) -> None:
    declare_sleeper(Concurrency(1))
    for _ in range(3):
        workflows.send("go", {})

    workflows.drain()

    assert statuses(workflows) == ["sleeping"] * 3


def test_a_sleeping_run_holds_its_slot_that_counts_active_runs(workflows: Workflows) -> None:
    declare_sleeper(Concurrency(2, counts="active"))
    for _ in range(3):
        workflows.send("go", {})

    workflows.drain()
    assert statuses(workflows) == ["sleeping", "sleeping", "queued"]
    workflows.advance("1h")

    assert statuses(workflows) == ["completed", "completed", "sleeping"]


def test_a_run_that_no_worker_could_take_goes_on_though_others_wait_for_its_slot(
    workflows: Workflows,
) -> None:
    declare_sleeper(Concurrency(1, counts="active"))
    workflows.send("go", {})
    workflows.send("go", {})
    workflows.drain()
    Run.objects.filter(status="sleeping").update(due_at=workflows.now())
    assert wake_runs() == 1
    while route_events() + look_again():
        pass
    assert Run.objects.takeable().count() == 1

    Worker.objects.update(lease_until=workflows.now())
    look_again()
    assert Run.objects.takeable().count() == 0
    workflows.advance("1h")

    assert statuses(workflows) == ["completed", "sleeping"]


def test_each_value_of_a_key_has_slots_of_its_own(workflows: Workflows) -> None:
    declare_sleeper(Concurrency(1, key=KEY, counts="active"))
    for account in ("a", "a", "b", "c", "b"):
        workflows.send("go", {"account": account})

    workflows.drain()

    assert statuses(workflows) == ["sleeping", "queued", "sleeping", "sleeping", "queued"]


def test_a_missing_key_is_a_value_like_any_other(workflows: Workflows) -> None:
    declare_sleeper(Concurrency(1, key=KEY, counts="active"))
    for data in ({}, {"account": None}, {"account": "null"}, {"account": 1}, {"account": "1"}):
        workflows.send("go", data)

    workflows.drain()

    assert statuses(workflows) == ["sleeping", "queued", "sleeping", "sleeping", "sleeping"]


def test_both_of_two_limits_hold(workflows: Workflows) -> None:
    declare_sleeper(Concurrency(3, counts="active"), Concurrency(2, key=KEY, counts="active"))
    for account in ("a", "a", "a", "b", "b"):
        workflows.send("go", {"account": account})

    workflows.drain()

    assert statuses(workflows) == ["sleeping", "sleeping", "queued", "sleeping", "queued"]


def test_cancelling_a_sleeper_gives_its_slot_to_the_next(workflows: Workflows) -> None:
    declare_sleeper(Concurrency(1, counts="active"))
    workflows.send("go", {})
    workflows.send("go", {})
    workflows.drain()
    first = workflows.runs()[0]

    workflows.cancel(first.id)
    workflows.drain()

    assert [run.status for run in workflows.runs()] == ["cancelled", "sleeping"]


def test_workflows_share_the_slots_of_a_platform_key(workflows: Workflows) -> None:
    shared = Concurrency(1, key=KEY, scope="platform", counts="active")
    declare_sleeper(shared, id="one")
    declare_sleeper(shared, id="two")
    declare_sleeper(Concurrency(1, key=KEY, counts="active"), id="alone")

    workflows.send("go", {"account": "a"})
    workflows.send("go", {"account": "b"})
    workflows.drain()

    both = statuses(workflows, "one") + statuses(workflows, "two")
    assert sorted(both) == ["queued", "queued", "sleeping", "sleeping"]
    assert statuses(workflows, "alone") == ["sleeping", "sleeping"]


def test_each_run_takes_the_shared_slot_that_its_own_workflow_counts(
    workflows: Workflows,
) -> None:
    declare_sleeper(Concurrency(1, key=KEY, scope="platform", counts="active"), id="active")
    declare_sleeper(Concurrency(1, key=KEY, scope="platform"), id="executing")
    workflows.send("go", {"account": "a"})
    workflows.drain()

    workflows.send("go", {"account": "a"})
    workflows.drain()

    # Those that count executing runs are stopped by the active one as long as it sleeps.
    assert statuses(workflows, "active") == ["sleeping", "queued"]
    assert statuses(workflows, "executing") == ["queued", "queued"]


def test_two_limits_may_count_the_same_key_in_both_ways(workflows: Workflows) -> None:
    declare_sleeper(Concurrency(1, key=KEY), Concurrency(2, key=KEY, counts="active"))
    for _ in range(3):
        workflows.send("go", {"account": "a"})

    workflows.drain()

    assert statuses(workflows) == ["sleeping", "sleeping", "queued"]


def test_a_retry_needs_a_slot_again(workflows: Workflows) -> None:
    @workflow(id="failing", trigger="fail", retries=0, concurrency=Concurrency(1, counts="active"))
    def failing(event: Event[Any], step: Step) -> None:
        if event.data["fails"]:
            raise ValueError
        step.sleep("nap", "1h")

    workflows.send("fail", {"fails": True})
    workflows.drain()
    workflows.send("fail", {"fails": False})
    workflows.drain()
    failed = workflows.runs()[0]

    workflows.retry(failed.id)
    workflows.drain()
    assert [run.status for run in workflows.runs()] == ["queued", "sleeping"]
    workflows.advance("1h")

    assert [run.status for run in workflows.runs()] == ["failed", "completed"]


def test_a_replay_stands_in_line_too(workflows: Workflows) -> None:
    declare_sleeper(Concurrency(1, counts="active"))
    workflows.send("go", {"n": 1})
    workflows.advance("1h")
    workflows.send("go", {"n": 2})
    workflows.drain()
    [first, _] = workflows.runs()

    replay = workflows.replay(first.id)
    workflows.drain()
    assert workflows.run(replay.id).status == "queued"
    workflows.advance("2h")

    assert workflows.run(replay.id).output == 1


def test_runs_of_a_key_start_in_the_order_in_which_they_came(workflows: Workflows) -> None:
    seen: list[int] = []

    @workflow(id="noted", trigger="note", concurrency=Concurrency(1, key=KEY))
    def noted(event: Event[Any], step: Step) -> None:
        seen.append(event.data["n"])

    for n in range(20):
        workflows.send("note", {"n": n, "account": "a"})
    workflows.drain()

    assert seen == list(range(20))


def test_a_hot_key_does_not_delay_the_others(workflows: Workflows) -> None:
    seen: list[str] = []

    @workflow(id="noted", trigger="note", concurrency=Concurrency(1, key=KEY))
    def noted(event: Event[Any], step: Step) -> None:
        seen.append(event.data["account"])

    for _ in range(30):
        workflows.send("note", {"account": "hot"})
    for account in ("a", "b", "c"):
        workflows.send("note", {"account": account})
    workflows.drain()

    assert set(seen[:8]) == {"hot", "a", "b", "c"}
    assert len(seen) == 33
