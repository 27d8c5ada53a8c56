"""Workflows without gates pay nothing for those of others."""

from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

from workflows import Event, RateLimit, Step, workflow
from workflows.testing import Workflows

GATE_TABLES = ("workflows_acceptance", "workflows_seenvalue", "workflows_gatheredevent")


def test_routing_a_workflow_without_gates_asks_nothing_about_gates(workflows: Workflows) -> None:
    @workflow(id="plain", trigger="plain")
    def plain(event: Event[Any], step: Step) -> None:
        pass

    @workflow(id="limited", trigger="limited", rate_limit=RateLimit(1, "1h"))
    def limited(event: Event[Any], step: Step) -> None:
        pass

    workflows.send("limited", {})
    workflows.drain()
    workflows.send("plain", {})

    with CaptureQueriesContext(connection) as captured:
        workflows.drain()

    asked = [query["sql"] for query in captured if any(t in query["sql"] for t in GATE_TABLES)]
    assert [run.status for run in workflows.runs("plain")] == ["completed"]
    assert asked == []
