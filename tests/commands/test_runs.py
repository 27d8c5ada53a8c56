"""`runs`: lists with filters, a run's timeline, and acting on all that bear a tag."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from workflows import Event, Step, workflow
from workflows.models import OperatorAction
from workflows.testing import Workflows


def said(*arguments: str) -> str:
    out = StringIO()
    call_command("runs", *arguments, stdout=out)
    return out.getvalue()


def listed(*arguments: str) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads(said("list", "--json", *arguments))
    return runs


def declare() -> None:
    @workflow(id="order", trigger="go", retries=1, tags={"customer": "event.data.c"})
    def order(event: Event[Any], step: Step) -> None:
        step.sleep("think", "10s")
        step.run("charge", charge, event.data["c"])


def charge(customer: str) -> None:
    if customer == "poor":
        raise ValueError("no [money] left")


def test_a_list_shows_the_newest_that_fit(workflows: Workflows) -> None:
    declare()
    for customer in ("poor", "rich", "poor"):
        workflows.send("go", {"c": customer})
    workflows.advance("1h")
    first, second, third = (run.id for run in workflows.runs())

    assert [run["id"] for run in listed()] == [third, second, first]
    assert [run["id"] for run in listed("--limit", "1")] == [third]
    assert [run["id"] for run in listed("--status", "failed")] == [third, first]
    assert [run["id"] for run in listed("--tag", "customer:rich")] == [second]
    assert [run["id"] for run in listed("--error", "no [MONEY]")] == [third, first]
    assert listed("--since", "30m") == listed("--workflow", "other") == []
    assert "steps" not in listed()[0]
    assert first in said("list")


def test_a_run_is_shown_with_its_timeline_attempts_and_links(workflows: Workflows) -> None:
    declare()
    [event_id] = workflows.send("go", {"c": "poor"})
    workflows.advance("1h")
    run = workflows.runs()[0]

    shown = said("show", run.id)

    assert f"FAILED  order  {run.id}" in shown
    assert f"event {event_id}" in shown
    assert "customer:poor" in shown
    [thought] = [line for line in shown.splitlines() if line.startswith("  think ")]
    assert "10.00 s" in thought
    [charged] = [line for line in shown.splitlines() if line.startswith("  charge ")]
    assert charged.endswith("run, failed x2")
    assert "    attempt 1: ValueError: no [money] left" in shown
    assert "    attempt 2: ValueError: no [money] left" in shown
    assert json.loads(said("show", run.id, "--json"))["steps"][1]["attempts"] == 2


def test_all_unended_runs_with_a_tag_are_cancelled(workflows: Workflows) -> None:
    declare()
    workflows.send("go", {"c": "rich"})
    workflows.advance("1h")
    workflows.send("go", {"c": "rich"})
    workflows.send("go", {"c": "poor"})
    workflows.drain()

    said("cancel", "--tag", "customer:rich", "--reason", "moved away")

    assert [run.status for run in workflows.runs()] == ["completed", "cancelled", "sleeping"]
    action = OperatorAction.objects.get()
    assert (action.actor_kind, action.reason) == ("command", "moved away")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "0" * 26], "no such run"),
        (["retry", "0" * 26], "There is no run"),
        (["cancel"], "Name a run"),
        (["cancel", "0" * 26, "--tag", "a:b"], "Name a run"),
        (["retry", "--tag", "customer:nobody"], "No run with the tag"),
        (["list", "--tag", "4711"], "key:value"),
        (["list", "--limit", "0"], "from 1"),
    ],
)
def test_what_makes_no_sense_is_refused(db: None, arguments: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        said(*arguments)
