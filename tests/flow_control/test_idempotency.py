"""Idempotency: one run for each value of a key in a period, the rest skipped with the reason."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from workflows import Event, Idempotency, RateLimit, Step, StepError, workflow
from workflows.clock import clock
from workflows.engine.idempotency import SeenValues
from workflows.models import Run, SeenValue
from workflows.testing import Workflows


def declare(idempotency: Idempotency | str, **options: Any) -> None:
    @workflow(id="once", trigger="go", idempotency=idempotency, **options)
    def once(event: Event[Any], step: Step) -> Any:
        return event.data.get("n")


def outcomes(workflows: Workflows) -> list[tuple[str, Any]]:
    return [(run.status, run.output) for run in workflows.runs("once")]


def test_a_second_event_with_the_value_is_skipped_and_names_the_run_that_it_repeats(
    workflows: Workflows,
) -> None:
    declare("event.data.order")
    for n in range(3):
        workflows.send("go", {"order": "A", "n": n})
    workflows.send("go", {"order": "B", "n": 3})

    workflows.drain()

    first, *repeats, other = workflows.runs("once")
    assert (first.output, other.output) == (0, 3)
    assert [run.status for run in repeats] == ["skipped", "skipped"]
    assert {run.reason for run in repeats} == {
        f'idempotency: repeats run {first.id} for event.data.order = "A"'
    }
    assert [run.ended_at for run in repeats] == [workflows.now()] * 2


def test_the_value_may_run_again_once_the_period_is_over_and_not_before(
    workflows: Workflows,
) -> None:
    declare(Idempotency("event.data.order", period="1h"))
    workflows.send("go", {"order": "A", "n": 0})
    workflows.drain()

    workflows.advance("59m59s999ms")
    workflows.send("go", {"order": "A", "n": 1})
    workflows.advance("1ms")
    workflows.send("go", {"order": "A", "n": 2})
    workflows.drain()

    assert outcomes(workflows) == [("completed", 0), ("skipped", None), ("completed", 2)]


def test_the_period_is_a_day_by_default(workflows: Workflows) -> None:
    declare("event.data.order")
    workflows.send("go", {"order": "A", "n": 0})
    workflows.advance("23h")
    workflows.send("go", {"order": "A", "n": 1})
    workflows.advance("1h")
    workflows.send("go", {"order": "A", "n": 2})

    workflows.drain()

    assert outcomes(workflows) == [("completed", 0), ("skipped", None), ("completed", 2)]


def test_events_without_a_value_repeat_nothing(workflows: Workflows) -> None:
    declare("event.data.order")
    workflows.send("go", {"n": 0})
    workflows.send("go", {"n": 1, "order": None})

    workflows.drain()

    assert outcomes(workflows) == [("completed", 0), ("completed", 1)]


def test_the_text_1_and_the_number_1_are_two_values(workflows: Workflows) -> None:
    declare("event.data.order")
    for n, order in enumerate(["1", 1, 1.0]):
        workflows.send("go", {"n": n, "order": order})

    workflows.drain()

    assert outcomes(workflows) == [("completed", 0), ("completed", 1), ("skipped", None)]


def test_a_value_that_the_rate_limit_refused_has_had_no_run_and_may_have_it_later(
    workflows: Workflows,
) -> None:
    declare("event.data.order", rate_limit=RateLimit(1, "1h"))
    workflows.send("go", {"order": "A", "n": 0})
    workflows.send("go", {"order": "B", "n": 1})
    workflows.drain()

    workflows.advance("1h")
    workflows.send("go", {"order": "B", "n": 2})
    workflows.drain()

    assert outcomes(workflows) == [("completed", 0), ("skipped", None), ("completed", 2)]


def test_a_repeat_does_not_use_up_the_rate_limit(workflows: Workflows) -> None:
    declare("event.data.order", rate_limit=RateLimit(2, "1h"))
    for n, order in enumerate("AAAB"):
        workflows.send("go", {"order": order, "n": n})

    workflows.drain()

    assert outcomes(workflows) == [
        ("completed", 0),
        ("skipped", None),
        ("skipped", None),
        ("completed", 3),
    ]


def test_the_memory_outlives_the_runs(workflows: Workflows) -> None:
    declare("event.data.order")
    workflows.send("go", {"order": "A", "n": 0})
    workflows.drain()

    Run.objects.all().delete()
    workflows.send("go", {"order": "A", "n": 1})
    workflows.drain()

    assert outcomes(workflows) == [("skipped", None)]


def test_a_replay_repeats_on_purpose(workflows: Workflows) -> None:
    declare("event.data.order")
    workflows.send("go", {"order": "A", "n": 0})
    workflows.drain()

    replay = workflows.replay(workflows.runs("once")[0].id)
    workflows.drain()

    assert workflows.run(replay.id).output == 0


def test_the_caller_of_a_repeat_learns_the_reason(workflows: Workflows) -> None:
    declare("event.data.order")

    @workflow(id="caller", trigger="call")
    def caller(event: Event[Any], step: Step) -> Any:
        try:
            return step.invoke("call-once", "once", {"order": "A", "n": event.data["n"]})
        except StepError as error:
            return [error.name, error.message]

    workflows.send("call", {"n": 0})
    workflows.drain()
    workflows.send("call", {"n": 1})
    workflows.drain()

    first, repeat = workflows.runs("once")
    assert [run.output for run in workflows.runs("caller")] == [
        0,
        [
            "RunSkipped",
            f"The invoked run {repeat.id} of once was skipped: idempotency: repeats run {first.id}"
            ' for event.data.order = "A".',
        ],
    ]


def test_what_is_spent_is_deleted(workflows: Workflows) -> None:
    declare(Idempotency("event.data.order", period="1h"))
    for order in range(20):
        workflows.send("go", {"order": order})
    workflows.drain()
    assert SeenValue.objects.count() == 20

    workflows.advance("1h")
    workflows.send("go", {"order": "A"})
    workflows.drain()

    assert SeenValue.objects.count() == 1


@pytest.mark.django_db
def test_the_database_refuses_a_memory_of_no_time() -> None:
    now = clock.now()
    row = SeenValue(key="k", run_id="r", seen_at=now, expires_at=now)

    with pytest.raises(IntegrityError, match="seen_value_counts"), transaction.atomic():
        row.save()

    assert not SeenValues(["k"], now)._seen
