"""Throttle: starts are spread, exactly; the excess waits in order."""

from datetime import timedelta
from typing import Any

from workflows import Event, Step, Throttle, workflow
from workflows.testing import Workflows


def declare(throttle: Throttle, **options: Any) -> None:
    @workflow(id="spread", trigger="go", throttle=throttle, **options)
    def spread(event: Event[Any], step: Step) -> None:
        step.sleep("nap", "1ms")


def starts(workflows: Workflows) -> list[float]:
    began = min(run.created_at for run in workflows.runs())
    started = [run.started_at for run in workflows.runs() if run.started_at]
    return [round((at - began) / timedelta(seconds=1), 6) for at in started]


def test_limit_and_burst_start_at_once_and_the_rest_one_by_one(workflows: Workflows) -> None:
    declare(Throttle(2, "1m", burst=1))
    for _ in range(6):
        workflows.send("go", {})

    workflows.drain()
    assert starts(workflows) == [0, 0, 0]
    workflows.advance("59s")
    assert starts(workflows) == [0, 0, 0, 30]
    workflows.advance("1m")

    assert starts(workflows) == [0, 0, 0, 30, 60, 90]


def test_a_third_of_a_second_loses_no_microsecond(workflows: Workflows) -> None:
    declare(Throttle(3, "1s"))
    for _ in range(9):
        workflows.send("go", {})

    workflows.advance("2s")

    assert starts(workflows) == [0, 0, 0, 0.333334, 0.666667, 1, 1.333334, 1.666667, 2]


def test_each_value_of_the_key_has_a_pace_of_its_own(workflows: Workflows) -> None:
    declare(Throttle(1, "1m", key="event.data.k"))
    for key in ("a", "a", "b", "b"):
        workflows.send("go", {"k": key})

    workflows.advance("1m")

    assert starts(workflows) == [0, 60, 0, 60]


def test_what_was_saved_up_after_a_pause_is_no_more_than_limit_and_burst(
    workflows: Workflows,
) -> None:
    declare(Throttle(1, "1m", burst=1))
    workflows.send("go", {})
    workflows.advance("1h")

    for _ in range(3):
        workflows.send("go", {})
    workflows.drain()

    assert starts(workflows) == [0, 3600, 3600]


def test_a_run_that_goes_on_needs_no_leave(workflows: Workflows) -> None:
    declare(Throttle(1, "1h"))
    workflows.send("go", {})

    workflows.advance("1s")

    assert workflows.runs()[0].status == "completed"
