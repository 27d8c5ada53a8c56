"""Two options together: in which order they decide, and what comes out."""

from datetime import timedelta
from typing import Any

from workflows import Concurrency, Event, Priority, Step, Throttle, workflow
from workflows.testing import Workflows


def declare(id: str = "job", nap: str = "1h", **options: Any) -> list[Any]:
    seen: list[Any] = []

    @workflow(id=id, trigger=f"{id}/go", **options)
    def job(event: Event[Any], step: Step) -> None:
        if event.data.get("n") not in seen:
            seen.append(event.data.get("n"))
        step.sleep("nap", nap)

    return seen


def statuses(workflows: Workflows) -> list[str]:
    return [run.status for run in workflows.runs("job")]


def starts(workflows: Workflows) -> list[timedelta | None]:
    runs = workflows.runs("job")
    return [run.started_at - runs[0].created_at if run.started_at else None for run in runs]


def test_without_a_slot_a_start_uses_up_no_leave(workflows: Workflows) -> None:
    declare(concurrency=Concurrency(1, counts="active"), throttle=Throttle(1, "1h", burst=1))
    for n in range(3):
        workflows.send("job/go", {"n": n})

    workflows.advance("2h")

    # The second leave was there all the time; the second run waited for the slot alone.
    hours = [timedelta(), timedelta(hours=1), timedelta(hours=2)]
    assert starts(workflows) == hours


def test_a_head_start_takes_no_slot_away(workflows: Workflows) -> None:
    seen = declare(concurrency=Concurrency(1, counts="active"), priority=Priority("event.data.p"))
    workflows.send("job/go", {"n": 0, "p": 0})
    workflows.drain()
    workflows.send("job/go", {"n": 1, "p": 0})
    workflows.send("job/go", {"n": 2, "p": 600})

    workflows.drain()
    assert statuses(workflows) == ["sleeping", "queued", "queued"]
    workflows.advance("1h")

    assert seen == [0, 2]


def test_the_next_leave_is_for_the_run_with_the_greatest_head_start(workflows: Workflows) -> None:
    seen = declare(throttle=Throttle(1, "1m"), priority=Priority("event.data.p"))
    for n, p in enumerate([0, 0, 300]):
        workflows.send("job/go", {"n": n, "p": p})

    workflows.advance("2m")

    assert seen == [2, 0, 1]


def test_a_paused_run_keeps_an_active_slot_and_no_executing_one(workflows: Workflows) -> None:
    key = "event.data.key"
    active = Concurrency(1, key=key, scope="platform", counts="active")
    executing = Concurrency(1, key="event.data.other", scope="platform")
    declare(concurrency=[active, executing], nap="1m")
    declare("holds-active", concurrency=active)
    declare("holds-executing", concurrency=executing)
    workflows.send("job/go", {"key": 1, "other": 1})
    workflows.drain()
    workflows.pause("job")
    workflows.advance("2m")
    assert statuses(workflows) == ["queued"]

    workflows.send("holds-active/go", {"key": 1})
    workflows.send("holds-executing/go", {"other": 1})
    workflows.drain()

    assert workflows.runs("holds-active")[0].status == "queued"
    assert workflows.runs("holds-executing")[0].status == "sleeping"


def test_leave_comes_back_while_a_workflow_is_paused(workflows: Workflows) -> None:
    declare(throttle=Throttle(1, "1h", burst=1))
    for n in range(4):
        workflows.send("job/go", {"n": n})
    workflows.drain()
    workflows.pause("job")
    workflows.advance("10h")

    workflows.resume("job")
    workflows.drain()

    started = [timedelta()] * 2 + [timedelta(hours=10)] * 2
    assert starts(workflows) == started


def test_a_run_that_waits_for_one_limit_holds_no_slot_of_the_other(workflows: Workflows) -> None:
    declare(
        concurrency=[
            Concurrency(1, key="event.data.a", counts="active"),
            Concurrency(1, key="event.data.b", counts="active"),
        ]
    )
    workflows.send("job/go", {"a": 1, "b": 1})
    workflows.drain()
    workflows.send("job/go", {"a": 1, "b": 2})
    workflows.send("job/go", {"a": 2, "b": 2})

    workflows.drain()

    assert statuses(workflows) == ["sleeping", "queued", "sleeping"]


def test_a_run_between_two_attempts_needs_no_leave_and_goes_ahead(workflows: Workflows) -> None:
    tries: list[int] = []

    @workflow(id="job", trigger="job/go", throttle=Throttle(1, "1h"), retries=3)
    def job(event: Event[Any], step: Step) -> None:
        tries.append(event.data["n"])
        if len(tries) < 3:
            raise ValueError

    workflows.send("job/go", {"n": 0})
    workflows.send("job/go", {"n": 1})

    workflows.advance("30m")

    assert (tries, statuses(workflows)) == ([0, 0, 0], ["completed", "queued"])


def test_a_retry_by_an_operator_needs_leave(workflows: Workflows) -> None:
    @workflow(id="job", trigger="job/go", throttle=Throttle(1, "1h"), retries=0)
    def job(event: Event[Any], step: Step) -> None:
        raise ValueError

    workflows.send("job/go", {})
    workflows.drain()
    [failed] = workflows.runs("job")

    workflows.retry(failed.id)
    workflows.drain()
    assert statuses(workflows) == ["queued"]
    workflows.advance("1h")

    assert statuses(workflows) == ["failed"]


def test_a_replay_needs_leave_and_has_its_head_start(workflows: Workflows) -> None:
    declare(throttle=Throttle(1, "1h"), priority=Priority("event.data.n == 0 ? 600 : 0"))
    workflows.send("job/go", {"n": 0})
    workflows.advance("1h")
    for n in (1, 2):
        workflows.send("job/go", {"n": n})
    workflows.drain()

    replayed = workflows.replay(workflows.runs("job")[0].id)
    assert workflows.run(replayed.id).status == "queued"
    workflows.advance("1h")

    # Created last, it starts before the run that was there before.
    assert [run.status for run in workflows.runs("job")[2:]] == ["queued", "sleeping"]
