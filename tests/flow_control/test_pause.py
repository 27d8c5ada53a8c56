"""Pausing a workflow: what waits, what goes on, and what happens once it is resumed."""

from datetime import timedelta
from typing import Any

import pytest

from workflows import Concurrency, Cron, Event, Step, Timeouts, workflow
from workflows.client import pause_workflow, resume_workflow
from workflows.engine.catalogue import current_catalogue
from workflows.engine.route import route_events
from workflows.engine.take import take_runs
from workflows.errors import UnknownWorkflow, WorkflowStateError
from workflows.models import OperatorAction, Run, Worker
from workflows.testing import Workflows

LIMITS: list[dict[str, Any]] = [{}, {"concurrency": Concurrency(5)}]


def statuses(workflows: Workflows) -> list[str]:
    return [run.status for run in workflows.runs("job")]


def declare(**options: Any) -> list[Any]:
    seen: list[Any] = []

    @workflow(id="job", trigger="go", **options)
    def job(event: Event[Any], step: Step) -> None:
        seen.append(event.data["n"])
        step.sleep("nap", "1h")

    return seen


@pytest.mark.parametrize("options", LIMITS)
def test_new_runs_of_a_paused_workflow_wait_and_start_on_resume(
    workflows: Workflows, options: dict[str, Any]
) -> None:
    seen = declare(**options)
    workflows.pause("job")
    for n in range(3):
        workflows.send("go", {"n": n})
    workflows.advance("1d")
    assert (statuses(workflows), seen) == (["queued"] * 3, [])

    workflows.resume("job")
    workflows.drain()

    assert (statuses(workflows), seen) == (["sleeping"] * 3, [0, 1, 2])


@pytest.mark.parametrize("options", LIMITS)
def test_runs_that_were_queued_before_the_pause_wait_too(
    workflows: Workflows, options: dict[str, Any]
) -> None:
    seen = declare(**options)
    workflows.send("go", {"n": 0})

    workflows.pause("job")
    workflows.drain()

    assert (statuses(workflows), seen) == (["queued"], [])


@pytest.mark.parametrize("options", LIMITS)
def test_a_run_at_work_goes_on_to_its_next_suspension_and_stays_there(
    workflows: Workflows, options: dict[str, Any]
) -> None:
    declare(**options)
    workflows.send("go", {"n": 0})
    workflows.drain()

    workflows.pause("job")
    workflows.advance("2h")
    assert statuses(workflows) == ["queued"]
    workflows.resume("job")
    workflows.drain()

    assert statuses(workflows) == ["completed"]


def test_the_pause_of_one_workflow_is_none_of_the_others(workflows: Workflows) -> None:
    declare()

    @workflow(id="other", trigger="go")
    def other(event: Event[Any], step: Step) -> None: ...

    workflows.pause("job")
    workflows.send("go", {"n": 0})
    workflows.drain()

    assert [run.status for run in workflows.runs("other")] == ["completed"]


def test_paused_runs_are_not_among_those_that_may_be_taken(workflows: Workflows) -> None:
    declare()
    workflows.send("go", {"n": 0})
    workflows.pause("job")
    workflows.send("go", {"n": 1})

    workflows.drain()

    assert Run.objects.takeable().count() == 0


def test_a_worker_that_has_not_seen_the_pause_takes_nothing(workflows: Workflows) -> None:
    declare()
    workflows._begin_work()
    workflows.send("go", {"n": 0})
    route_events()
    worker, seen = Worker.objects.get(), current_catalogue()

    pause_workflow("job")

    for revision, count in ((seen.revision, 0), (current_catalogue().revision, 1)):
        taken = take_runs(worker.pk, queues=["default"], unknown=[], revision=revision, limit=1)
        assert len(taken) == count


def test_the_time_within_which_a_run_must_start_stands_still_meanwhile(
    workflows: Workflows,
) -> None:
    declare(timeouts=Timeouts(start="2h"), concurrency=Concurrency(1, counts="active"))
    workflows.send("go", {"n": 0})
    workflows.send("go", {"n": 1})
    workflows.advance("20m")
    workflows.pause("job")
    workflows.send("go", {"n": 2})
    workflows.advance("5h")
    assert statuses(workflows) == ["queued", "queued", "queued"]
    workflows.resume("job")
    workflows.drain()
    assert statuses(workflows) == ["completed", "sleeping", "queued"]

    workflows.advance("59m")
    assert statuses(workflows) == ["completed", "sleeping", "queued"]
    workflows.advance("1m")

    assert statuses(workflows) == ["completed", "completed", "sleeping"]


def test_a_start_timeout_is_over_after_what_was_left(workflows: Workflows) -> None:
    @workflow(
        id="job",
        trigger="go",
        timeouts=Timeouts(start="1h"),
        concurrency=Concurrency(1, key="1", scope="platform", counts="active"),
    )
    def job(event: Event[Any], step: Step) -> None: ...

    @workflow(
        id="holder",
        trigger="hold",
        concurrency=Concurrency(1, key="1", scope="platform", counts="active"),
    )
    def holder(event: Event[Any], step: Step) -> None:
        step.sleep("long", "30d")

    workflows.send("hold", {})
    workflows.drain()
    workflows.send("go", {})
    workflows.advance("20m")
    workflows.pause("job")
    workflows.advance("1d")

    workflows.resume("job")
    workflows.advance("39m")
    assert statuses(workflows) == ["queued"]
    workflows.advance("1m")

    [run] = workflows.runs("job")
    assert (run.status, run.reason) == ("cancelled", "timeouts.start is over")


def test_a_paused_cron_does_not_fire_what_it_missed(workflows: Workflows) -> None:
    @workflow(id="hourly", trigger=Cron("0 * * * *"))
    def hourly(event: Event[Any], step: Step) -> None: ...

    workflows.drain()
    workflows.pause("hourly")
    workflows.advance("10h")
    workflows.resume("hourly")
    workflows.drain()
    assert workflows.runs("hourly") == []

    workflows.advance("1h")

    [run] = workflows.runs("hourly")
    assert run.status == "completed"
    assert timedelta() <= workflows.now() - run.created_at < timedelta(hours=1)


def test_retries_and_replays_obey_the_pause(workflows: Workflows) -> None:
    fails = [True]

    @workflow(id="job", trigger="go", retries=0)
    def job(event: Event[Any], step: Step) -> None:
        if fails[0]:
            raise ValueError

    workflows.send("go", {})
    workflows.drain()
    [failed] = workflows.runs("job")
    fails[0] = False
    workflows.pause("job")

    workflows.replay(failed.id)
    workflows.retry(failed.id)
    workflows.advance("1d")
    assert statuses(workflows) == ["queued", "queued"]
    workflows.resume("job")
    workflows.drain()

    assert statuses(workflows) == ["completed", "completed"]


def test_a_run_whose_worker_dies_meanwhile_waits(workflows: Workflows) -> None:
    @workflow(id="job", trigger="go")
    def job(event: Event[Any], step: Step) -> None:
        step.run("one", int)
        step.run("two", int)

    workflows.crash_at("after_store")
    workflows.send("go", {})
    workflows.drain()
    workflows.pause("job")

    workflows.advance("5m")
    assert statuses(workflows) == ["queued"]
    workflows.resume("job")
    workflows.drain()

    assert statuses(workflows) == ["completed"]


def test_who_paused_and_why_is_noted(workflows: Workflows) -> None:
    declare()
    workflows.drain()

    pause_workflow("job", reason="the provider is down")
    with pytest.raises(WorkflowStateError, match="paused already"):
        pause_workflow("job")
    resume_workflow("job", reason="it is back")
    with pytest.raises(WorkflowStateError, match="is not paused"):
        resume_workflow("job")

    noted = OperatorAction.objects.order_by("id").values_list("action", "object_id", "reason")
    assert list(noted) == [
        ("pause_workflow", "job", "the provider is down"),
        ("resume_workflow", "job", "it is back"),
    ]


@pytest.mark.parametrize("act", [pause_workflow, resume_workflow])
def test_a_workflow_that_is_not_registered_is_named(workflows: Workflows, act: Any) -> None:
    with pytest.raises(UnknownWorkflow, match="'nothing'"):
        act("nothing")
