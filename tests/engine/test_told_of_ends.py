"""Ends of runs: who is told of them."""

from typing import Any

from workflows import Event, Step, workflow
from workflows.engine import catalogue
from workflows.testing import Workflows


def test_a_cancel_is_told_of_though_nobody_listened_when_its_process_last_looked(
    workflows: Workflows,
) -> None:
    @workflow(id="long", trigger="go")
    def long(event: Event[Any], step: Step) -> None:
        step.sleep("nap", "1h")

    workflows.send("go")
    workflows.drain()
    as_last_seen = catalogue.latest_catalogue()

    @workflow(id="listener", trigger="workflows/run.cancelled")
    def listener(event: Event[Any], step: Step) -> Any:
        return event.data["runId"]

    workflows.drain()
    catalogue._cached = as_last_seen
    run = workflows.cancel(workflows.runs("long")[0].id)
    workflows.drain()

    assert [told.output for told in workflows.runs("listener")] == [run.id]


def test_a_failure_is_told_of_though_nobody_listened_when_its_process_last_looked(
    workflows: Workflows,
) -> None:
    def fail() -> None:
        catalogue._cached = as_last_seen  # as in a process that has done nothing but this body
        raise ValueError

    @workflow(id="long", trigger="go", retries=0)
    def long(event: Event[Any], step: Step) -> None:
        step.run("body", fail)

    workflows.drain()
    as_last_seen = catalogue.latest_catalogue()

    @workflow(id="listener", trigger="workflows/run.failed")
    def listener(event: Event[Any], step: Step) -> Any:
        return event.data["runId"]

    workflows.send("go")
    workflows.drain()

    assert [told.output for told in workflows.runs("listener")] == [workflows.runs("long")[0].id]
