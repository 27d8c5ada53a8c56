"""Roll-ups: each ended run is counted once, in its minute, and what charts read of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from workflows import Event, Step, workflow
from workflows.clock import VirtualTime, clock
from workflows.engine import trends
from workflows.engine.histograms import bucket_of, percentile
from workflows.engine.roll_up import housekeeping, roll_up
from workflows.models import Housekeeping, Measure, MinuteCount, MinuteError, Run
from workflows.testing import Workflows

NINE = datetime(2030, 5, 6, 9, 0, tzinfo=UTC)


def at_nine(workflows: Workflows) -> None:
    assert isinstance(clock.source, VirtualTime)
    clock.source.move_to(NINE)
    housekeeping()

    @workflow(id="charge", trigger="order/placed", retries=0)
    def charge(event: Event[Any], step: Step) -> None:
        step.sleep("think", "2s")
        if event.data["n"] < 0:
            raise ValueError(f"order {event.data['n']} is negative")


def place(workflows: Workflows, *numbers: int) -> None:
    for n in numbers:
        workflows.send("order/placed", {"n": n})
    workflows.advance("2s")


def test_runs_are_counted_in_the_minute_in_which_they_ended(workflows: Workflows) -> None:
    at_nine(workflows)
    place(workflows, 1, 2, -3)
    workflows.advance("1m")
    place(workflows, 4)
    workflows.advance("5m")

    roll_up()

    assert trends.runs_by_minute(since=NINE, until=NINE + timedelta(hours=1)) == [
        trends.MinuteResult(NINE, "completed", 2),
        trends.MinuteResult(NINE, "failed", 1),
        trends.MinuteResult(NINE + timedelta(minutes=1), "completed", 1),
    ]
    assert trends.runs_by_result(since=NINE) == {"completed": 3, "failed": 1}
    assert trends.runs_by_workflow(since=NINE) == {"charge": {"completed": 3, "failed": 1}}


def test_a_minute_is_counted_once_however_often_workers_look(workflows: Workflows) -> None:
    at_nine(workflows)
    place(workflows, 1)
    workflows.advance("5m")

    rounds = [roll_up(), roll_up()]

    assert rounds[1] == 0
    assert MinuteCount.objects.get().count == 1
    assert Housekeeping.objects.get().rolled_up_to == NINE + timedelta(minutes=4)


def test_a_minute_that_has_not_settled_is_left_for_later(workflows: Workflows) -> None:
    at_nine(workflows)
    place(workflows, 1)

    workflows.advance("1m")
    roll_up()
    assert not MinuteCount.objects.exists()
    workflows.advance("10s")
    roll_up()

    assert MinuteCount.objects.get().minute == NINE


def test_a_minute_stays_counted_when_its_failure_is_retried(workflows: Workflows) -> None:
    at_nine(workflows)
    place(workflows, -1)
    workflows.advance("2m")
    roll_up()

    workflows.retry(workflows.runs()[0].id)
    workflows.advance("3m")
    roll_up()

    assert trends.runs_by_result(since=NINE) == {"failed": 2}


def test_times_are_told_by_their_percentiles_at_most_a_quarter_too_high(
    workflows: Workflows,
) -> None:
    at_nine(workflows)
    place(workflows, *range(20))
    workflows.advance("2m")

    roll_up()

    took = trends.times(Measure.RUN_TIME, since=NINE)
    assert took.count == 20
    assert took.p50 is not None
    assert 2.0 <= took.p50 <= 2.5
    assert trends.times_by_workflow(Measure.START_DELAY, since=NINE)["charge"].p95 == 0.001
    assert trends.times(Measure.RUN_TIME, since=NINE, workflow="other").p50 is None


def test_failures_are_grouped_by_their_cause(workflows: Workflows) -> None:
    at_nine(workflows)
    place(workflows, -1, -2, 3)
    workflows.advance("1m")
    place(workflows, -4)
    workflows.advance("2m")

    roll_up()

    last = workflows.runs()[-1].id
    [group] = trends.errors_grouped(since=NINE)
    assert (group.count, group.workflows, group.last_run) == (3, ["charge"], last)
    assert group.last_error == "ValueError: order -4 is negative"
    assert group.fingerprint == Run.objects.get(pk=last).fingerprint
    assert trends.most_failures(since=NINE) == [
        trends.WorkflowFailures("charge", 3, "ValueError: order -4 is negative")
    ]


def test_the_backlog_is_sampled_with_the_last_minute(workflows: Workflows) -> None:
    at_nine(workflows)
    place(workflows, 1, 2)
    workflows.advance("2m")
    Run.objects.update(status="queued", ended_at=None)

    roll_up()

    [sample] = trends.backlog(since=NINE)
    assert (sample.queued, sample.running) == (2, 0)


@pytest.mark.parametrize("milliseconds", [0, 0.5, 1, 17, 999, 123_456, 10**12])
def test_a_percentile_is_at_most_a_quarter_above_the_duration(milliseconds: float) -> None:
    told = percentile({bucket_of(milliseconds): 1}, 0.5)

    assert told is not None
    longest_told = 36.4 * 86_400_000
    assert min(milliseconds, longest_told) <= told * 1000 * 1.001
    assert told * 1000 <= max(1.0, milliseconds * 1.25)


def test_the_database_refuses_a_second_count_of_a_minute(workflows: Workflows) -> None:
    at_nine(workflows)
    place(workflows, 1, -1)
    workflows.advance("2m")
    roll_up()

    for table in (MinuteCount, MinuteError):
        row = table.objects.first()
        assert row is not None
        row.pk = None
        with pytest.raises(IntegrityError), transaction.atomic():
            row.save(force_insert=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        Housekeeping.objects.create(id=2, rolled_up_to=NINE, prune_at=NINE)
