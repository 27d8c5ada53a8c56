"""`step.wait_for_event`: what ends a wait, what does not, and when it is over."""

from typing import Any

import pytest

from tests.support.forms import both_forms, declare
from tests.support.journal import Journal
from workflows import Event
from workflows.testing import Workflows


def declare_waiter(form: str, **options: Any) -> Journal:
    """Declare a run that sleeps for ten minutes if its event says so, and then waits."""
    seen = Journal()

    async def code(event: Event[Any], step: Any) -> Any:
        if event.data.get("sleeps"):
            await step.sleep("first", "10m")
        wanted = {"event": "paid", "timeout": "1h", **options}
        paid = await step.wait_for_event("paid", **wanted)
        seen.note(paid)
        return paid.data if paid else None

    declare(form, code)
    return seen


@both_forms
@pytest.mark.parametrize(
    "condition",
    [
        {"match": "data.id"},
        {"if_": "event.data.id == async.data.id"},
        {"if_": "async.data.id == 1"},
        {"match": "data.id", "if_": "async.data.by == 'card'"},
    ],
    ids=str,
)
def test_the_event_that_fits_ends_the_wait(
    workflows: Workflows, form: str, condition: dict[str, str]
) -> None:
    declare_waiter(form, **condition)
    workflows.send("go", {"id": 1})
    workflows.drain()
    workflows.send("paid", {"id": 2, "by": "card"})
    workflows.send("paid", {"by": "card"})
    workflows.drain()
    assert workflows.runs()[0].status == "waiting"
    workflows.send("paid", {"id": 1, "by": "card"})
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, run.output) == ("completed", {"id": 1, "by": "card"})


@both_forms
def test_match_and_condition_must_both_hold(workflows: Workflows, form: str) -> None:
    declare_waiter(form, match="data.id", if_="async.data.n > 1")
    workflows.send("go", {"id": 1})
    workflows.drain()
    workflows.send("paid", {"id": 1, "n": 1})
    workflows.send("paid", {"id": 2, "n": 2})
    workflows.drain()
    assert workflows.runs()[0].status == "waiting"
    workflows.send("paid", {"id": 1, "n": 2})
    workflows.drain()

    assert workflows.runs()[0].output == {"id": 1, "n": 2}


@both_forms
def test_a_wait_that_nothing_ends_gives_none_after_its_timeout(
    workflows: Workflows, form: str
) -> None:
    seen = declare_waiter(form)
    workflows.send("go")
    workflows.advance("59m59s")
    assert workflows.runs()[0].status == "waiting"
    workflows.advance("1s")

    assert (workflows.runs()[0].status, seen) == ("completed", [None])


@both_forms
@pytest.mark.parametrize("names", ["paid", ["dropped", "paid"]], ids=str)
def test_by_look_back_the_earliest_event_after_the_runs_own_counts(
    workflows: Workflows, form: str, names: Any
) -> None:
    declare_waiter(form, event=names, match="data.id")
    workflows.send("paid", {"id": 1, "n": 0})
    workflows.send("go", {"id": 1, "sleeps": True})
    workflows.send("paid", {"id": 2, "n": 1})
    workflows.send("paid", {"id": 1, "n": 2})
    workflows.send("paid", {"id": 1, "n": 3})
    workflows.advance("10m")

    assert workflows.runs()[0].output == {"id": 1, "n": 2}


@both_forms
def test_without_look_back_an_earlier_event_does_not_count(workflows: Workflows, form: str) -> None:
    declare_waiter(form, lookback=False)
    workflows.send("go", {"sleeps": True})
    workflows.send("paid", {"n": 1})
    workflows.advance("10m")
    assert workflows.runs()[0].status == "waiting"
    workflows.send("paid", {"n": 2})
    workflows.drain()

    assert workflows.runs()[0].output == {"n": 2}


@both_forms
@pytest.mark.parametrize("name", ["paid", "dropped"])
def test_any_of_several_events_ends_a_wait(workflows: Workflows, form: str, name: str) -> None:
    seen = declare_waiter(form, event=["paid", "dropped"])
    workflows.send("go")
    workflows.drain()
    workflows.send(name, {"n": 1})
    workflows.send("paid", {"n": 2})
    workflows.drain()

    assert [(event.name, event.data) for event in seen] == [(name, {"n": 1})]


@both_forms
@pytest.mark.parametrize("comes", ["while it waits", "before"])
def test_an_event_ends_any_number_of_runs_but_one_wait_of_each(
    workflows: Workflows, form: str, comes: str
) -> None:
    async def code(event: Event[Any], step: Any) -> Any:
        if comes == "before":
            await step.sleep("first", "10m")
        first = await step.wait_for_event("one", event="tick", timeout="1h")
        second = await step.wait_for_event("two", event="tick", timeout="1h")
        return [first and first.data["n"], second and second.data["n"]]

    declare(form, code)
    for _ in range(2):
        workflows.send("go")
    workflows.drain()
    workflows.send("tick", {"n": 1})
    workflows.advance("10m")
    assert [run.status for run in workflows.runs()] == ["waiting", "waiting"]
    workflows.send("tick", {"n": 2})
    workflows.drain()

    assert [run.output for run in workflows.runs()] == [[1, 2], [1, 2]]


@both_forms
def test_a_wrong_expression_fails_the_wait_at_once(workflows: Workflows, form: str) -> None:
    declare_waiter(form, if_="async.data.id ==")
    workflows.send("go")
    workflows.drain()

    [run] = workflows.runs()
    assert (run.status, run.error["name"]) == ("failed", "InvalidExpression")
    assert run.steps[0].attempts == 1


@both_forms
def test_a_branch_that_is_woken_while_another_sleeps_keeps_its_event(
    workflows: Workflows, form: str
) -> None:
    async def code(event: Event[Any], step: Any) -> Any:
        async def waits() -> Any:
            paid = await step.wait_for_event("paid", event="paid", timeout="1d")
            return paid and paid.data["n"]

        return list(await step.parallel(waits, lambda: step.sleep("nap", "1h")))

    declare(form, code)
    workflows.send("go")
    workflows.drain()
    workflows.send("paid", {"n": 7})
    workflows.drain()
    assert workflows.runs()[0].status == "sleeping"
    workflows.advance("1h")

    assert workflows.runs()[0].output == [7, None]
