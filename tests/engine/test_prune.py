"""Pruning: what goes, what stays because somebody may need it, and what a crash leaves."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Model

from workflows import Batch, Event, Step, client, workflow
from workflows.engine import prune
from workflows.engine.prune import Pruned, Pruning, prune_by_retention
from workflows.engine.roll_up import housekeeping, roll_up
from workflows.engine.transactions import use_crash_hook
from workflows.models import (
    Attempt,
    GatheredEvent,
    MinuteCount,
    OperatorAction,
    Run,
    RunTag,
    Wait,
)
from workflows.models import Event as StoredEvent
from workflows.models import Step as StoredStep
from workflows.testing import Workflows

OF_RUNS: tuple[type[Model], ...] = (Run, StoredStep, Attempt, RunTag, Wait)


class Killed(BaseException):
    """The process is gone."""


def declare() -> None:
    @workflow(id="quick", trigger="quick", retries=0, tags={"n": "event.data.n"})
    def quick(event: Event[Any], step: Step) -> int:
        return int(step.run("divide", lambda: 1 // event.data["n"]))

    @workflow(id="patient", trigger="patient")
    def patient(event: Event[Any], step: Step) -> Any:
        step.sleep("long", "60d")
        paid = step.wait_for_event("paid", event="paid", timeout="1d")
        return paid.data if paid else None


def prune_older_than(workflows: Workflows, **age: int) -> Pruned:
    pruning, deleted = Pruning(workflows.now() - timedelta(**age)), Pruned()
    while batch := pruning.delete_batch():
        deleted += batch
    return deleted


def test_old_ended_runs_go_with_all_that_is_theirs_and_their_events(workflows: Workflows) -> None:
    declare()
    workflows.send("quick", {"n": 0})
    workflows.send("quick", {"n": 1})
    workflows.send("nobody")
    workflows.advance("31d")
    workflows.send("quick", {"n": 2})
    workflows.drain()

    deleted = prune_older_than(workflows, days=30)

    assert (deleted.runs, deleted.events) == (2, 3)
    assert [run.tags for run in workflows.runs()] == [{"n": "2"}]
    assert StoredStep.objects.count() == RunTag.objects.count() == StoredEvent.objects.count() == 1
    assert not Attempt.objects.exists()


def test_what_an_unended_run_may_need_stays(workflows: Workflows) -> None:
    declare()
    workflows.send("quick", {"n": 1})
    workflows.send("patient")
    workflows.send("paid", {"euros": 7})
    workflows.advance("40d")

    deleted = prune_older_than(workflows, days=30)
    workflows.advance("20d")

    assert (deleted.runs, deleted.events) == (1, 1)
    assert workflows.runs("patient")[0].output == {"euros": 7}


def test_an_event_that_tells_a_duplicate_stays_a_day(workflows: Workflows) -> None:
    declare()
    client.send("quick", {"n": 1}, id="order-1")
    workflows.advance("2h")

    deleted = prune_older_than(workflows, hours=1)
    client.send("quick", {"n": 1}, id="order-1")
    workflows.drain()

    assert (deleted.runs, deleted.events) == (1, 0)
    assert workflows.runs() == []
    workflows.advance("26h")
    assert prune_older_than(workflows, hours=1).events == 2


def test_an_event_that_is_not_due_yet_stays(workflows: Workflows) -> None:
    declare()
    client.send("quick", {"n": 1}, ts=workflows.now() + timedelta(days=50))
    workflows.advance("40d")

    assert not prune_older_than(workflows, days=30)
    workflows.advance("10d")

    assert workflows.runs("quick")[0].status == "completed"


def test_events_that_are_being_gathered_stay_and_go_with_their_run(workflows: Workflows) -> None:
    @workflow(id="batched", trigger="item", batch=Batch(max_size=9, timeout="3h"))
    def batched(events: list[Event[Any]], step: Step) -> list[int]:
        return [event.data["n"] for event in events]

    workflows.send("item", {"n": 1})
    workflows.send("item", {"n": 2})
    workflows.advance("2h")

    assert not prune_older_than(workflows, hours=1)
    workflows.advance("1h")
    assert workflows.runs("batched")[0].output == [1, 2]
    workflows.advance("2h")

    assert prune_older_than(workflows, hours=1) == Pruned(runs=1, events=2)
    assert not GatheredEvent.objects.exists()


def test_a_replay_outlives_its_original(workflows: Workflows) -> None:
    declare()
    workflows.send("quick", {"n": 1})
    workflows.advance("31d")
    original = workflows.runs()[0]
    new = workflows.replay(original.id)
    workflows.drain()

    deleted = prune_older_than(workflows, days=30)

    assert (deleted.runs, deleted.events) == (1, 0)
    assert workflows.run(new.id).replay_of == original.id
    assert workflows.replay(new.id).status == "queued"


def test_whoever_dies_in_a_batch_leaves_its_runs_whole(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare()
    for n in range(3):
        workflows.send("quick", {"n": n})
    workflows.advance("31d")
    monkeypatch.setattr(prune, "BATCH", 2)
    before = [table._default_manager.count() for table in OF_RUNS]

    def die(name: str) -> None:
        if name == "before prune runs":
            raise Killed

    use_crash_hook(die)
    with pytest.raises(Killed):
        prune_older_than(workflows, days=30)
    use_crash_hook(None)
    assert [table._default_manager.count() for table in OF_RUNS] == before
    prune_older_than(workflows, days=30)

    assert [table._default_manager.count() for table in OF_RUNS] == [0, 0, 0, 0, 0]
    assert not StoredEvent.objects.exists()


def test_a_run_that_is_retried_meanwhile_stays(workflows: Workflows) -> None:
    declare()
    workflows.send("quick", {"n": 0})
    workflows.advance("31d")

    def retry_now(name: str) -> None:
        if name == "before prune runs":
            use_crash_hook(None)
            workflows.retry(workflows.runs()[0].id)

    use_crash_hook(retry_now)
    prune_older_than(workflows, days=30)

    [run] = workflows.runs()
    assert (run.status, [step.id for step in run.steps]) == ("queued", ["divide"])


def test_the_engine_keeps_to_the_retention_of_the_settings(
    workflows: Workflows, settings: Any
) -> None:
    settings.WORKFLOWS = {"RETENTION": "7d"}
    declare()
    housekeeping()
    workflows.send("quick", {"n": 1})
    workflows.advance("6d")
    assert not prune_by_retention()
    workflows.advance("2d")

    rounds = [prune_by_retention(), prune_by_retention()]

    assert (rounds[0].runs, rounds[0].events) == (1, 1)
    assert not rounds[1]


def test_without_retention_all_is_kept(workflows: Workflows, settings: Any) -> None:
    settings.WORKFLOWS = {"RETENTION": None}
    declare()
    housekeeping()
    workflows.send("quick", {"n": 1})
    workflows.advance("900d")

    assert not prune_by_retention()
    assert len(workflows.runs()) == 1


def test_roll_ups_go_and_the_audit_log_stays(workflows: Workflows) -> None:
    declare()
    housekeeping()
    workflows.send("patient")
    workflows.drain()
    workflows.cancel(workflows.runs()[0].id)
    workflows.advance("2m")
    roll_up()
    assert MinuteCount.objects.count() == 1
    workflows.advance("31d")

    prune_older_than(workflows, days=30)

    assert not MinuteCount.objects.exists()
    assert OperatorAction.objects.filter(action="cancel_run").count() == 1
