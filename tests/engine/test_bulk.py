"""Bulk operations: which runs they act on, that each is dealt with once, and how they end."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from workflows import Event, Step, client, workflow
from workflows.engine import bulk
from workflows.engine.audit import Actor
from workflows.engine.run_filter import RunFilter
from workflows.engine.transactions import use_crash_hook
from workflows.errors import InvalidFilter, InvalidRate, OperationEnded
from workflows.models import ActorKind, BulkOperation, OperatorAction, Run
from workflows.testing import Workflows


class Outage:
    """What the workflow `charge` depends on."""

    is_over = False


def declare_charge() -> type[Outage]:
    Outage.is_over = False

    @workflow(id="charge", trigger="order/placed", retries=0, tags={"customer": "event.data.c"})
    def charge(event: Event[Any], step: Step) -> str:
        return step.run("pay", pay, event.data["n"])

    return Outage


def die_before_the_commit(operation: BulkOperation) -> None:
    with transaction.atomic():
        bulk.carry_out_chunk(operation)
        raise KeyboardInterrupt


def pay(n: int) -> str:
    if not Outage.is_over:
        raise ConnectionError(f"bank {n} does not answer")
    return f"paid {n}"


def fail_some(workflows: Workflows, count: int) -> list[str]:
    for n in range(count):
        workflows.send("order/placed", {"n": n, "c": "even" if n % 2 == 0 else "odd"})
    workflows.drain()
    return [run.id for run in workflows.runs("charge")]


def test_every_failed_run_is_taken_up_again_where_it_failed(workflows: Workflows) -> None:
    outage = declare_charge()
    fail_some(workflows, 120)
    outage.is_over = True

    operation = client.start_bulk_operation("retry", RunFilter(workflow="charge"))
    workflows.drain()

    assert {run.status for run in workflows.runs("charge")} == {"completed"}
    operation.refresh_from_db()
    assert (operation.status, operation.total, operation.done) == ("finished", 120, 120)
    assert (operation.skipped, operation.errors, operation.next_at) == (0, 0, None)


def test_who_asked_and_why_is_noted_for_the_operation_and_for_each_run(
    workflows: Workflows,
) -> None:
    declare_charge()
    run_ids = fail_some(workflows, 3)
    user = User.objects.create_user("olga")
    actor = Actor(ActorKind.USER, "olga", user.pk)

    operation = client.start_bulk_operation(
        "retry", RunFilter(workflow="charge"), reason="bank is back", actor=actor
    )
    workflows.drain()

    noted = OperatorAction.objects.order_by("id").values_list("action", "object_id", "actor")
    assert list(noted) == [
        ("start_bulk_operation", operation.pk, "olga"),
        *(("retry_run", run_id, "olga") for run_id in run_ids),
    ]
    assert OperatorAction.objects.filter(object_id=run_ids[0]).get().details == {
        "bulk_operation": operation.pk
    }


def test_a_run_that_fails_again_is_not_taken_up_again_and_again(workflows: Workflows) -> None:
    declare_charge()
    fail_some(workflows, 3)

    operation = client.start_bulk_operation("retry", RunFilter(status="failed"))
    workflows.drain()

    operation.refresh_from_db()
    assert (operation.done, operation.status) == (3, "finished")
    assert [step.attempts for run in workflows.runs() for step in run.steps] == [2, 2, 2]


def test_runs_that_fail_after_it_began_are_left_alone(workflows: Workflows) -> None:
    declare_charge()
    first = fail_some(workflows, 1)

    operation = client.start_bulk_operation("replay", RunFilter(status="failed"))
    workflows.send("order/placed", {"n": 7})
    workflows.drain()

    operation.refresh_from_db()
    assert operation.done == 1
    assert [run.replay_of for run in workflows.runs() if run.replay_of] == first


def test_only_runs_that_fit_the_filter_are_cancelled(workflows: Workflows) -> None:
    @workflow(id="sleeper", trigger="go", tags={"customer": "event.data.c"})
    def sleeper(event: Event[Any], step: Step) -> None:
        step.sleep("night", "8h")

    for customer in ("4711", "4712", "4711"):
        workflows.send("go", {"c": customer})
    workflows.drain()

    client.start_bulk_operation("cancel", RunFilter(tag="customer:4711"), reason="wrong price")
    workflows.drain()

    assert [(run.status, run.reason) for run in workflows.runs()] == [
        ("cancelled", "wrong price"),
        ("sleeping", None),
        ("cancelled", "wrong price"),
    ]


def test_a_run_that_changed_meanwhile_is_skipped_and_counted(
    workflows: Workflows,
) -> None:
    declare_charge()
    run_ids = fail_some(workflows, 2)
    operation = client.start_bulk_operation("retry", RunFilter(status="failed"))
    bulk.carry_out_chunk(operation)
    operation.refresh_from_db()

    def retry_in_between(name: str) -> None:
        if name == "before bulk":
            use_crash_hook(None)
            client.retry_run(run_ids[0])

    use_crash_hook(retry_in_between)
    bulk.carry_out_chunk(operation)

    operation.refresh_from_db()
    assert (operation.done, operation.skipped, operation.errors) == (1, 1, 0)


def test_whoever_dies_in_a_chunk_has_done_nothing_of_it_and_another_goes_on(
    workflows: Workflows,
) -> None:
    outage = declare_charge()
    fail_some(workflows, 60)
    outage.is_over = True
    operation = client.start_bulk_operation("retry", RunFilter(status="failed"))
    bulk.carry_out_chunk(operation)
    operation.refresh_from_db()
    stale = BulkOperation.objects.get(pk=operation.pk)

    with pytest.raises(KeyboardInterrupt):
        die_before_the_commit(operation)
    assert Run.objects.filter(status="failed").count() == 60
    assert bulk.carry_out_chunk(BulkOperation.objects.get(pk=operation.pk))
    assert not bulk.carry_out_chunk(stale)
    workflows.drain()

    operation.refresh_from_db()
    assert (operation.done, operation.status) == (60, "finished")
    assert OperatorAction.objects.filter(action="retry_run").count() == 60


def test_an_aborted_operation_does_no_more(workflows: Workflows) -> None:
    declare_charge()
    fail_some(workflows, 60)
    operation = client.start_bulk_operation("retry", RunFilter(status="failed"))
    bulk.carry_out_chunk(operation)
    bulk.carry_out_chunk(BulkOperation.objects.get(pk=operation.pk))

    aborted = client.abort_bulk_operation(operation.pk, reason="the bank is down again")
    workflows.drain()

    operation.refresh_from_db()
    assert (aborted.status, operation.done) == ("aborted", 50)
    assert OperatorAction.objects.filter(action="retry_run").count() == 50
    with pytest.raises(OperationEnded, match="aborted already"):
        client.abort_bulk_operation(operation.pk)


def test_a_rate_is_kept(workflows: Workflows) -> None:
    declare_charge()
    fail_some(workflows, 10)

    operation = client.start_bulk_operation("retry", RunFilter(status="failed"), rate="60/m")
    done = []
    for _ in range(3):
        workflows.advance("3s")
        operation.refresh_from_db()
        done.append(operation.done)

    assert done == [4, 7, 10]


def test_it_acts_on_so_many_at_most(workflows: Workflows) -> None:
    declare_charge()
    fail_some(workflows, 5)

    operation = client.start_bulk_operation("replay", RunFilter(status="failed"), most=2)
    workflows.drain()

    operation.refresh_from_db()
    assert (operation.total, operation.done, operation.status) == (2, 2, "finished")


def test_runs_are_counted_up_to_a_limit(workflows: Workflows) -> None:
    declare_charge()
    fail_some(workflows, 5)

    assert client.count_matching("retry", RunFilter(workflow="charge")) == 5
    assert client.count_matching("retry", RunFilter(tag="customer:odd")) == 2
    assert client.count_matching("retry", RunFilter(error="BANK 3 does")) == 1
    assert client.count_matching("retry", RunFilter(error="connectionerror"), most=3) == 3
    assert client.count_matching("cancel", RunFilter(workflow="charge")) == 0
    assert client.count_matching("retry", RunFilter(event_name="order/placed")) == 5
    assert client.count_matching("retry", RunFilter(until=workflows.now())) == 0


def test_failures_with_the_same_cause_share_a_fingerprint(workflows: Workflows) -> None:
    outage = declare_charge()

    @workflow(id="other", trigger="order/placed", retries=0)
    def other(event: Event[Any], step: Step) -> None:
        step.run("fail", lambda: 1 / 0)

    fail_some(workflows, 3)

    charged = set(Run.objects.filter(workflow="charge").values_list("fingerprint", flat=True))
    others = set(Run.objects.filter(workflow="other").values_list("fingerprint", flat=True))
    assert (len(charged), len(others), len(charged & others)) == (1, 1, 0)
    [fingerprint] = charged
    assert client.count_matching("retry", RunFilter(fingerprint=fingerprint)) == 3
    outage.is_over = True
    workflows.retry(workflows.runs("charge")[0].id)
    workflows.drain()
    assert Run.objects.filter(workflow="charge").order_by("id")[0].fingerprint is None


def test_a_filter_is_read_as_it_was_written(workflows: Workflows) -> None:
    given = RunFilter(
        workflow="charge",
        status="failed",
        since=workflows.now() - timedelta(hours=1),
        tag="a:b:c",
        error='it\'s 100 % "wrong"',
    )

    assert RunFilter.from_json(given.as_json()) == given
    assert list(given.runs()) == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"state": "failed"}, "did you mean 'status'"),
        ({"status": "broken"}, "one of queued"),
        ({"tag": "4711"}, "key:value"),
        ({"since": "yesterday"}, "ISO 8601"),
        ({"since": "2026-01-01"}, "ISO 8601"),
        ({"workflow": 7}, "is a text"),
    ],
)
def test_a_wrong_filter_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidFilter, match=says):
        RunFilter.from_json(given)


@pytest.mark.parametrize("rate", ["100", "0/m", "100/week", "-1/s", ""])
def test_a_wrong_rate_is_refused(db: None, rate: str) -> None:
    with pytest.raises(InvalidRate, match="100/m"):
        client.start_bulk_operation("retry", RunFilter(), rate=rate)

    assert not BulkOperation.objects.exists()


def test_the_database_refuses_an_operation_that_goes_on_after_its_end(
    workflows: Workflows,
) -> None:
    operation = client.start_bulk_operation("retry", RunFilter())

    with pytest.raises(IntegrityError), transaction.atomic():
        BulkOperation.objects.filter(pk=operation.pk).update(status="finished")
    with pytest.raises(IntegrityError), transaction.atomic():
        BulkOperation.objects.filter(pk=operation.pk).update(next_at=None)


def test_the_database_refuses_a_fingerprint_of_a_run_that_has_not_failed(
    workflows: Workflows,
) -> None:
    declare_charge().is_over = True
    fail_some(workflows, 1)

    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.update(fingerprint="0" * 16)
