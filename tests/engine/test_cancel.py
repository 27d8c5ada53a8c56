"""Cancelled runs: by an operator, by a rule's event, by a timeout."""

from typing import Any

import pytest

from tests.support.forms import both_forms, declare
from workflows import CancelOn, Event, Timeouts
from workflows.testing import Workflows


async def sleeps(event: Event[Any], step: Any) -> None:
    await step.sleep("nap", "1d")


@both_forms
def test_a_cancel_is_final(workflows: Workflows, form: str) -> None:
    declare(form, sleeps)
    workflows.send("go")
    workflows.drain()
    cancelled = workflows.cancel(workflows.runs()[0].id)
    workflows.advance("2d")

    assert cancelled.status == "cancelled"
    assert workflows.run(cancelled.id) == cancelled


@both_forms
@pytest.mark.parametrize(
    "condition", [{"match": "data.id"}, {"if_": "async.data.id == event.data.id"}], ids=str
)
def test_a_later_event_cancels_the_runs_that_its_rule_matches(
    workflows: Workflows, form: str, condition: dict[str, str]
) -> None:
    declare(form, sleeps, cancel_on=CancelOn("drop", **condition))
    workflows.send("drop", {"id": 1})
    for n in (1, 2):
        workflows.send("go", {"id": n})
    workflows.drain()
    workflows.send("drop", {"id": 2})
    workflows.drain()

    assert [run.status for run in workflows.runs()] == ["sleeping", "cancelled"]


@both_forms
def test_a_run_that_takes_too_long_is_cancelled(workflows: Workflows, form: str) -> None:
    declare(form, sleeps, timeouts=Timeouts(finish="1h"))
    workflows.send("go")
    workflows.advance("59m59s")
    assert workflows.runs()[0].status == "sleeping"
    workflows.advance("1s")

    [run] = workflows.runs()
    assert (run.status, run.reason) == ("cancelled", "timeouts.finish is over")
