"""Metrics: what they count, that any web process gives them, and that history costs nothing."""

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from workflows import Event, Step, workflow
from workflows.engine.meters import write_meters
from workflows.engine.roll_up import housekeeping, roll_up
from workflows.models import Run
from workflows.testing import Workflows

Operator = Callable[[str], Client]


def samples(client: Client) -> dict[tuple[str, str], float]:
    """Return each sample by its name and the values of its labels, in the order of their names."""
    answer = client.get("/metrics")
    assert answer["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name, "|".join(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def test_ended_runs_their_times_and_their_steps_are_counted(
    workflows: Workflows, operator: Operator
) -> None:
    @workflow(id="metered", trigger="go", retries=0)
    def metered(event: Event[Any], step: Step) -> None:
        step.run("work", lambda: 1)
        step.sleep("a-while", "40s")
        step.run("fail", lambda: 1 / event.data["n"])

    housekeeping()
    workflows.send([Event(name="go", data={"n": n}) for n in (0, 1, 2)])
    workflows.drain()
    workflows.advance("40s")
    workflows.advance("2m")
    roll_up()
    write_meters()

    found = samples(operator("Viewer"))

    assert found["workflows_runs_total", "completed|metered"] == 2
    assert found["workflows_runs_total", "failed|metered"] == 1
    assert found["workflows_run_seconds_count", "metered"] == 3
    assert found["workflows_run_seconds_sum", "metered"] == 120
    assert found["workflows_run_seconds_bucket", "30.0|metered"] == 0
    assert found["workflows_run_seconds_bucket", "60.0|metered"] == 3
    assert found["workflows_start_delay_seconds_count", "metered"] == 3
    assert found["workflows_step_seconds_count", "run|metered"] == 6
    assert ("workflows_step_seconds_count", "sleep|metered") not in found


def test_what_waits_is_counted_by_status_and_its_age_is_known(
    workflows: Workflows, operator: Operator
) -> None:
    @workflow(id="waits", trigger="go")
    def waits(event: Event[Any], step: Step) -> None:
        step.sleep("a-while", "1h")

    workflows.send("go")
    workflows.drain()
    workflows.pause("waits")
    workflows.send("go")
    workflows.drain()
    workflows.advance("90s")

    found = samples(operator("Viewer"))

    assert found["workflows_unended_runs", "sleeping"] == 1
    assert found["workflows_unended_runs", "queued"] == 1
    assert found["workflows_oldest_due_seconds", "run"] == 90
    assert found["workflows_oldest_due_seconds", "timer"] == 0
    assert found["workflows_workers_alive", ""] == 1


def test_a_roll_up_and_a_beat_are_counted_once(workflows: Workflows, operator: Operator) -> None:
    @workflow(id="once", trigger="go")
    def once(event: Event[Any], step: Step) -> int:
        return step.run("work", lambda: 1)

    housekeeping()
    workflows.send("go")
    workflows.drain()
    workflows.advance("2m")
    for _ in range(2):
        roll_up()
        write_meters()

    found = samples(operator("Viewer"))

    assert found["workflows_runs_total", "completed|once"] == 1
    assert found["workflows_step_seconds_count", "run|once"] == 1


def test_a_scrape_never_adds_up_runs(workflows: Workflows, operator: Operator) -> None:
    client = operator("Viewer")

    with CaptureQueriesContext(
        connection,
    ) as captured:
        samples(client)

    table = Run._meta.db_table
    for query in captured.captured_queries:
        if f'FROM "{table}"' in query["sql"]:
            assert "LIMIT" in query["sql"]
    assert len(captured) < 20
