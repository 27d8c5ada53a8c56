"""Rate limit: never more than `limit` starts in any period; the excess is skipped."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflows import Event, RateLimit, Step, workflow
from workflows.clock import clock
from workflows.models import Acceptance, Run
from workflows.testing import Workflows


def declare(rate_limit: RateLimit, **options: Any) -> None:
    @workflow(id="limited", trigger="go", rate_limit=rate_limit, **options)
    def limited(event: Event[Any], step: Step) -> Any:
        return event.data.get("n")


def statuses(workflows: Workflows) -> list[str]:
    return [run.status for run in workflows.runs("limited")]


def test_the_excess_is_skipped_with_its_reason(workflows: Workflows) -> None:
    declare(RateLimit(2, "1m"))
    for _ in range(3):
        workflows.send("go", {})

    workflows.drain()

    assert statuses(workflows) == ["completed", "completed", "skipped"]
    skipped = workflows.runs("limited")[2]
    assert skipped.reason == "rate limit: 2 in 0:01:00 were accepted"
    assert (skipped.started_at, skipped.ended_at) == (None, workflows.now())


def test_each_value_of_the_key_has_a_limit_of_its_own(workflows: Workflows) -> None:
    declare(RateLimit(1, "1m", key="event.data.tenant"))
    for tenant in ("A", "A", "B", None, None):
        workflows.send("go", {"tenant": tenant})

    workflows.drain()

    assert statuses(workflows) == ["completed", "skipped", "completed", "completed", "skipped"]


def test_the_window_slides_and_an_acceptance_leaves_it_to_the_millisecond(
    workflows: Workflows,
) -> None:
    declare(RateLimit(2, "1m"))
    for wait in ("30s", "29s999ms", "1ms", "1ms"):
        workflows.send("go", {})
        workflows.advance(wait)
    workflows.send("go", {})
    workflows.drain()

    assert statuses(workflows) == ["completed", "completed", "skipped", "completed", "skipped"]


def test_acceptances_count_while_the_workflow_is_paused(workflows: Workflows) -> None:
    declare(RateLimit(1, "1m"))
    workflows.drain()
    workflows.pause("limited")
    workflows.send("go", {})
    workflows.send("go", {})
    workflows.drain()
    assert statuses(workflows) == ["queued", "skipped"]

    workflows.resume("limited")
    workflows.drain()

    assert statuses(workflows) == ["completed", "skipped"]


def test_the_memory_outlives_pruning(workflows: Workflows) -> None:
    declare(RateLimit(1, "1h"))
    workflows.send("go", {})
    workflows.drain()

    Run.objects.all().delete()
    workflows.send("go", {})
    workflows.drain()

    assert statuses(workflows) == ["skipped"]


def test_a_replay_neither_obeys_the_limit_nor_uses_it_up(workflows: Workflows) -> None:
    declare(RateLimit(2, "1h"))
    workflows.send("go", {})
    workflows.drain()
    for _ in range(3):
        workflows.replay(workflows.runs("limited")[0].id)
    workflows.drain()

    workflows.send("go", {})
    workflows.send("go", {})
    workflows.drain()

    assert statuses(workflows) == ["completed"] * 5 + ["skipped"]


def test_what_is_spent_is_deleted(workflows: Workflows) -> None:
    declare(RateLimit(100, "1h"))
    for _ in range(20):
        workflows.send("go", {})
    workflows.drain()
    assert Acceptance.objects.count() == 20

    workflows.advance("1h")
    workflows.send("go", {})
    workflows.drain()

    assert Acceptance.objects.count() == 1


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    limit=st.integers(1, 4),
    waits=st.lists(st.sampled_from([0, 1, 333, 499, 500, 999, 1000, 1001]), max_size=25),
)
def test_no_period_holds_more_than_the_limit_and_nothing_is_skipped_without_need(
    workflows: Workflows, limit: int, waits: list[int]
) -> None:
    id_ = f"limited.{uuid4()}"  # each example has a workflow of its own

    @workflow(id=id_, trigger=id_, rate_limit=RateLimit(limit, "1s"))
    def limited(event: Event[Any], step: Step) -> None:
        pass

    accepted: list[datetime] = []
    expected = []
    for wait in waits:
        now = workflows.now()
        fits = sum(at > now - timedelta(seconds=1) for at in accepted) < limit
        accepted += [now] if fits else []
        expected.append("completed" if fits else "skipped")
        workflows.send(id_, {})
        workflows.drain()
        workflows.advance(timedelta(milliseconds=wait))

    assert [run.status for run in workflows.runs(id_)] == expected


@pytest.mark.django_db
def test_the_database_refuses_an_acceptance_that_counts_for_no_time() -> None:
    now = clock.now()
    row = Acceptance(key="k", accepted_at=now, expires_at=now)

    with pytest.raises(IntegrityError, match="acceptance_counts"), transaction.atomic():
        row.save()
