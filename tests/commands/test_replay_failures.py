"""`replay_failures`: what it takes up again, shows, leaves, and says; how it stops and goes on."""

import builtins
import time
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from workflows import Event, Step, client, workflow
from workflows.engine import bulk
from workflows.models import BulkKind, BulkOperation, OperatorAction, Run
from workflows.testing import Workflows


class Bank:
    """What the workflow `charge` depends on."""

    is_up = False


def declare() -> None:
    Bank.is_up = False

    @workflow(id="charge", trigger="order/placed", retries=0, tags={"customer": "event.data.n"})
    def charge(event: Event[Any], step: Step) -> None:
        step.run("pay", pay)

    @workflow(id="mail", trigger="order/placed", retries=0)
    def mail(event: Event[Any], step: Step) -> None:
        if not Bank.is_up:
            raise ValueError("no [address] at all")


def pay() -> str:
    if not Bank.is_up:
        raise ConnectionError("the bank does not answer")
    return "paid"


def fail(workflows: Workflows, count: int) -> None:
    declare()
    for n in range(count):
        workflows.send("order/placed", {"n": n})
    workflows.drain()
    assert {run.status for run in workflows.runs()} == {"failed"}
    Bank.is_up = True


def replay(*arguments: str) -> str:
    out = StringIO()
    call_command("replay_failures", *arguments, stdout=out)
    return out.getvalue()


def statuses(workflows: Workflows, name: str) -> list[str]:
    return [run.status for run in workflows.runs(name)]


def test_failed_runs_go_on_at_the_step_that_failed(workflows: Workflows) -> None:
    fail(workflows, 3)

    said = replay("--no-input")
    workflows.drain()

    assert statuses(workflows, "charge") == statuses(workflows, "mail") == ["completed"] * 3
    assert "6 taken up again, 0 skipped because they had changed, 0 errors" in said
    assert "6 of 6" in said
    actions = OperatorAction.objects.filter(action="retry_run")
    assert set(actions.values_list("actor_kind")) == {("command",)}


def test_from_the_start_they_are_replayed_as_new_runs(workflows: Workflows) -> None:
    fail(workflows, 2)
    old = [run.id for run in workflows.runs("charge")]

    replay("--workflow", "charge", "--from-start", "--no-input")
    workflows.drain()

    assert statuses(workflows, "charge") == ["failed", "failed", "completed", "completed"]
    assert [run.replay_of for run in workflows.runs("charge")] == [None, None, *old]


@pytest.mark.parametrize(
    ("arguments", "taken_up"),
    [
        (["--workflow", "mail"], 3),
        (["--error", "bank does NOT"], 3),
        (["--error", "valueerror"], 3),
        (["--error", "[address]"], 3),
        (["--tag", "customer:1"], 1),
        (["--since", "1h"], 6),
        (["--until", "1h"], 0),
        (["--since", "2020-01-01", "--until", "2020-01-02T03:04Z"], 0),
        (["--limit", "4"], 4),
    ],
)
def test_only_what_was_asked_for_is_taken_up(
    workflows: Workflows, arguments: list[str], taken_up: int
) -> None:
    fail(workflows, 3)

    replay(*arguments, "--no-input")

    assert Run.objects.filter(status="queued").count() == taken_up


def test_a_dry_run_shows_what_would_happen_and_does_nothing(workflows: Workflows) -> None:
    fail(workflows, 3)

    said = replay("--dry-run")

    assert "6 failed runs would go on at the step that failed" in said
    assert "ConnectionError: the bank does not answer" in said
    assert "ValueError: no [address] at all" in said
    assert not BulkOperation.objects.exists()
    assert Run.objects.filter(status="failed").count() == 6


def test_where_nothing_has_failed_nothing_is_asked(workflows: Workflows) -> None:
    assert "No failed run matches." in replay()


def test_it_asks_first_and_a_no_changes_nothing(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(workflows, 1)
    asked: list[str] = []

    def answer_no(question: str) -> str:
        asked.append(question)
        return "n"

    monkeypatch.setattr(builtins, "input", answer_no)
    with pytest.raises(CommandError, match="Nothing was done"):
        replay()

    assert asked == ["Take 2 runs up again? [y/N] "]
    assert Run.objects.filter(status="failed").count() == 2


def test_where_nobody_can_answer_it_says_so(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(workflows, 1)

    def end_of_input(question: str) -> str:
        raise EOFError

    monkeypatch.setattr(builtins, "input", end_of_input)
    with pytest.raises(CommandError, match="--no-input"):
        replay()

    assert Run.objects.filter(status="failed").count() == 2


def test_ctrl_c_stops_between_two_chunks_says_what_was_done_and_can_be_gone_on_from(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(workflows, 5)
    monkeypatch.setattr(bulk, "CHUNK", 2)
    carried_out: list[bool] = []

    def interrupt_the_fourth(operation: BulkOperation) -> bool:
        if len(carried_out) == 3:
            raise KeyboardInterrupt
        carried_out.append(bulk.carry_out_chunk(operation))
        return True

    out = StringIO()
    with monkeypatch.context() as patched:
        patched.setattr(client, "carry_out_chunk", interrupt_the_fourth)
        with pytest.raises(SystemExit) as ended:
            call_command("replay_failures", "--no-input", stdout=out)

    assert ended.value.code == 130
    assert "4 taken up again" in out.getvalue()
    assert "6 are left as they were" in out.getvalue()
    assert BulkOperation.objects.get().status == "aborted"
    assert Run.objects.filter(status="failed").count() == 6
    assert "6 taken up again" in replay("--no-input")
    assert not Run.objects.filter(status="failed").exists()


def test_the_rate_is_kept_by_waiting_between_chunks(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(workflows, 3)
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)

    replay("--workflow", "charge", "--rate", "60/m", "--no-input")

    assert [wait for wait in waited if wait] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rate", "fast"], "100/m"),
        (["--since", "yesterday"], "2026-01-31"),
        (["--limit", "0"], "from 1"),
        (["--tag", "4711"], "key:value"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_done(
    workflows: Workflows, arguments: list[str], says: str
) -> None:
    fail(workflows, 1)

    with pytest.raises(CommandError, match=says):
        replay(*arguments, "--no-input")

    assert not BulkOperation.objects.exists()
    assert Run.objects.filter(status="failed").count() == 2


def test_runs_that_could_not_be_taken_up_are_told_and_the_command_fails(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(workflows, 2)
    victim = workflows.runs("charge")[0].id
    retry = bulk.ACTS[BulkKind.RETRY]

    def refuse_one(operation: BulkOperation, run_id: str) -> None:
        retry(operation, run_id)
        if run_id == victim:
            raise IntegrityError("a constraint")

    monkeypatch.setitem(bulk.ACTS, BulkKind.RETRY, refuse_one)
    out = StringIO()
    with pytest.raises(CommandError, match="1 runs could not"):
        call_command("replay_failures", "--no-input", stdout=out)

    assert [run.id for run in workflows.runs() if run.status == "failed"] == [victim]
    assert "3 taken up again, 0 skipped because they had changed, 1 errors" in out.getvalue()
    assert victim in out.getvalue()


def test_its_cost_grows_with_what_it_takes_up_and_not_faster(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 10)
    fail(workflows, 40)

    with CaptureQueriesContext(
        connection,
    ) as few:
        replay("--limit", "20", "--no-input")
    with CaptureQueriesContext(connection) as many:
        replay("--limit", "60", "--no-input")

    assert len(many) <= 3 * len(few)
    of_runs = [query["sql"] for query in many if 'SELECT "workflows_run"."id"' in query["sql"]]
    unbounded = [text for text in of_runs if "LIMIT" not in text and " IN (" not in text]
    assert of_runs
    assert unbounded == []
