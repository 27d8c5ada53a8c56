"""Priority: a head start, in seconds, among the runs that wait."""

from typing import Any

import pytest

from workflows import Concurrency, Event, Priority, Step, workflow
from workflows.clock import milliseconds as since_1970
from workflows.models import Run
from workflows.testing import Workflows


def declare(expression: str, **options: Any) -> list[Any]:
    seen: list[Any] = []

    @workflow(id="ranked", trigger="go", priority=Priority(expression), **options)
    def ranked(event: Event[Any], step: Step) -> None:
        seen.append(event.data["n"])

    return seen


@pytest.mark.parametrize("options", [{}, {"concurrency": Concurrency(1)}])
def test_runs_with_a_head_start_go_first(workflows: Workflows, options: dict[str, Any]) -> None:
    seen = declare("event.data.vip ? 120 : 0", **options)
    for n, vip in enumerate([False, False, True, False, True]):
        workflows.send("go", {"n": n, "vip": vip})

    workflows.drain()

    assert seen == [2, 4, 0, 1, 3]


@pytest.mark.parametrize(
    ("priority", "milliseconds"),
    [
        (10_000, 600_000),
        (-10_000, -600_000),
        (1.5, 1500),
        ("high", 0),
        (None, 0),
        (True, 0),
    ],
)
def test_a_head_start_is_cut_to_ten_minutes_and_what_is_no_number_is_none(
    workflows: Workflows, priority: object, milliseconds: int
) -> None:
    declare("event.data.p")
    workflows.send("go", {"n": 0, "p": priority})

    workflows.drain()

    run = Run.objects.get()
    assert since_1970(run.created_at) - run.rank == milliseconds


def test_a_head_start_is_worth_as_much_waiting(workflows: Workflows) -> None:
    seen = declare("event.data.p", concurrency=Concurrency(1), throttle=None)
    workflows.pause("ranked")
    workflows.send("go", {"n": 0, "p": 0})
    workflows.advance("59s")
    workflows.send("go", {"n": 1, "p": 60})
    workflows.advance("3s")
    workflows.send("go", {"n": 2, "p": 60})

    workflows.resume("ranked")
    workflows.drain()

    assert seen == [1, 0, 2]
