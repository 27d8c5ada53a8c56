"""Singleton: one active run for each value of a key."""

from typing import Any, Literal

import pytest
from django.db import IntegrityError, transaction

from workflows import Debounce, Event, RunStateError, Singleton, Step, StepError, workflow
from workflows.engine.singleton import as_the_only_active
from workflows.models import Run
from workflows.testing import Workflows


def declare(mode: Literal["skip", "cancel"], key: str | None = None, **options: Any) -> None:
    @workflow(id="single", trigger="go", singleton=Singleton(key=key, mode=mode), **options)
    def single(event: Event[Any], step: Step) -> Any:
        step.sleep("nap", "1h")
        if event.data.get("fails"):
            raise ValueError("broken")
        return event.data.get("n")


def statuses(workflows: Workflows) -> list[str]:
    return [run.status for run in workflows.runs("single")]


def test_skip_skips_the_new_run_and_names_the_active_one(workflows: Workflows) -> None:
    declare("skip")
    workflows.send("go", {"n": 0})
    workflows.drain()
    workflows.send("go", {"n": 1})
    workflows.drain()

    active, skipped = workflows.runs("single")
    assert (active.status, skipped.status) == ("sleeping", "skipped")
    assert skipped.reason == f"singleton: run {active.id} is active"


def test_cancel_cancels_the_active_run_and_starts_the_new_one(workflows: Workflows) -> None:
    declare("cancel")
    workflows.send("go", {"n": 0})
    workflows.drain()
    workflows.send("go", {"n": 1})
    workflows.drain()

    old, new = workflows.runs("single")
    assert (old.status, new.status) == ("cancelled", "sleeping")
    assert old.reason == f"singleton: run {new.id} takes its place"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("skip", ["sleeping", "skipped", "skipped"]),
        ("cancel", ["cancelled", "cancelled", "sleeping"]),
    ],
)
def test_events_that_are_routed_together_make_one_active_run(
    workflows: Workflows, mode: Any, expected: list[str]
) -> None:
    declare(mode)
    for n in range(3):
        workflows.send("go", {"n": n})

    workflows.drain()

    assert statuses(workflows) == expected


def test_each_value_of_the_key_has_an_active_run_of_its_own(workflows: Workflows) -> None:
    declare("skip", key="event.data.tenant")
    for tenant in ("A", "B", "A"):
        workflows.send("go", {"tenant": tenant})

    workflows.drain()

    assert statuses(workflows) == ["sleeping", "sleeping", "skipped"]


def test_the_next_run_may_start_once_the_active_one_has_ended(workflows: Workflows) -> None:
    declare("skip")
    workflows.send("go", {"n": 0})
    workflows.advance("1h")

    workflows.send("go", {"n": 1})
    workflows.advance("1h")

    assert statuses(workflows) == ["completed", "completed"]


def test_a_retry_is_refused_while_another_run_is_active(workflows: Workflows) -> None:
    declare("skip", retries=0)
    workflows.send("go", {"fails": True})
    workflows.advance("1h")
    workflows.send("go", {})
    workflows.drain()
    failed, active = workflows.runs("single")

    with pytest.raises(RunStateError, match=active.id):
        workflows.retry(failed.id)

    assert statuses(workflows) == ["failed", "sleeping"]


@pytest.mark.parametrize("mode", ["skip", "cancel"])
def test_a_replay_is_refused_while_another_run_is_active_and_allowed_after(
    workflows: Workflows, mode: Any
) -> None:
    declare(mode)
    workflows.send("go", {"n": 0})
    workflows.advance("1h")
    workflows.send("go", {"n": 1})
    workflows.drain()
    ended, active = workflows.runs("single")
    with pytest.raises(RunStateError, match=active.id):
        workflows.replay(ended.id)
    assert statuses(workflows) == ["completed", "sleeping"]

    workflows.advance("1h")
    replay = workflows.replay(ended.id)
    workflows.send("go", {"n": 2})
    workflows.drain()

    skipped_or_new = workflows.runs("single")[-1]
    expected = ("sleeping", "skipped") if mode == "skip" else ("cancelled", "sleeping")
    assert (workflows.run(replay.id).status, skipped_or_new.status) == expected


def test_the_caller_of_a_run_that_is_replaced_learns_it(workflows: Workflows) -> None:
    declare("cancel")

    @workflow(id="caller", trigger="call")
    def caller(event: Event[Any], step: Step) -> Any:
        try:
            return step.invoke("call-single", "single", {"n": event.data["n"]})
        except StepError as error:
            return error.name

    workflows.send("call", {"n": 0})
    workflows.send("call", {"n": 1})
    workflows.advance("1h")

    assert sorted(str(run.output) for run in workflows.runs("caller")) == ["1", "RunCancelled"]


def test_a_debounced_run_is_active_from_when_its_window_closes(workflows: Workflows) -> None:
    declare("skip", debounce=Debounce("10s"))
    workflows.send("go", {"n": 0})
    workflows.advance("10s")
    workflows.send("go", {"n": 1})
    workflows.drain()
    assert statuses(workflows) == ["sleeping", "queued"]

    workflows.advance("10s")

    active, skipped = workflows.runs("single")
    assert (active.status, skipped.status) == ("sleeping", "skipped")
    assert skipped.reason == f"singleton: run {active.id} is active"


def test_a_debounced_run_takes_the_place_of_the_active_one(workflows: Workflows) -> None:
    declare("cancel", debounce=Debounce("10s"))
    for n in range(2):
        workflows.send("go", {"n": n})
        workflows.advance("10s")

    assert statuses(workflows) == ["cancelled", "sleeping"]


def test_the_database_refuses_a_second_active_run_of_a_key(workflows: Workflows) -> None:
    declare("skip", key="event.data.tenant")
    workflows.send("go", {"tenant": "A"})
    workflows.send("go", {"tenant": "B"})
    workflows.drain()
    first, second = Run.objects.order_by("id")

    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.filter(pk=second.pk).update(singleton=first.singleton)


def test_a_retry_that_races_with_routing_is_refused_by_the_constraint(
    workflows: Workflows,
) -> None:
    declare("skip", key="event.data.tenant")
    workflows.send("go", {"tenant": "A"})
    workflows.send("go", {"tenant": "B"})
    workflows.drain()
    first, second = Run.objects.order_by("id")

    with (
        pytest.raises(RunStateError, match="cannot be retried now: another run"),
        as_the_only_active("a key that is free as yet", action="retried"),
    ):
        Run.objects.filter(pk=second.pk).update(singleton=first.singleton)

    second.refresh_from_db()
    assert second.singleton != first.singleton
