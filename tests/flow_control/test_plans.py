"""The hot statements use their indexes, also where statistics are wrong, as in a sudden rush.

The table is skewed as it gets in practice: runs that have ended, sleepers, one hot lane; its
statistics are from before all that. PostgreSQL only, whose planner believes them.
"""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from workflows.engine.rows import FIRST_OF_ALL
from workflows.engine.sql import postgresql as statements
from workflows.engine.sql import postgresql_lanes as lanes

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL's planner"),
]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
SKEW = """
    INSERT INTO workflows_run (id, workflow, event_id, status, queue, admitted, rank, place,
        lane_id, first_limit, counts_while_active, is_in_line, is_let_in, fence, losses,
        lonely_losses, attempt, attempt_sequence, created_at, started_at, ended_at, due_at, depth,
        tags, is_woken, worker_id)
    SELECT 'run-' || kind || n, 'w', 'event', status, 'default', admitted, n, n,
        lane, lane, false, is_in_line, is_let_in, 0, 0, 0, 0, 0, now(), NULL,
        CASE WHEN status = 'completed' THEN now() END,
        CASE WHEN status = 'sleeping' THEN now() + '1 day' END, 0, '{}', false, worker
    FROM (VALUES
        ('ended', 'completed', 5000, true, 'hot', false, true, NULL),
        ('asleep', 'sleeping', 1500, false, 'hot', false, true, NULL),
        ('hot', 'queued', 5000, false, 'hot', true, false, NULL),
        ('free', 'queued', 1500, true, NULL, false, false, NULL),
        ('in', 'queued', 50, true, 'hot', false, true, NULL),
        ('held', 'running', 50, true, 'hot', false, true, 'worker'))
        AS kinds(kind, status, number, admitted, lane, is_in_line, is_let_in, worker),
        generate_series(1, number) AS n
"""
WORKERS = """
    INSERT INTO workflows_worker (id, host, pid, cluster, workflows, threads, busy, started_at,
        beat_at, lease_until)
    VALUES ('worker', 'host', 1, 'cluster', '[]', 64, 50, now(), now(), now() + '1 minute')
"""


@pytest.fixture(params=["stale", "hot", "fresh"])
def skewed(request: pytest.FixtureRequest) -> None:
    """A skewed table, with statistics from before, from only the hot lane, or from now."""
    with connection.cursor() as cursor:
        if request.param == "stale":
            cursor.execute("ANALYZE workflows_run")
        cursor.execute(WORKERS)
        cursor.execute(SKEW)
        if request.param == "hot":
            cursor.execute("DELETE FROM workflows_run WHERE id NOT LIKE 'run-hot%'")
            cursor.execute("ANALYZE workflows_run")
            cursor.execute(SKEW.replace("('hot', ", "('cold', "))
        if request.param == "fresh":
            cursor.execute("ANALYZE workflows_run")


def plan(statement: str, parameters: Any, mode: str) -> str:
    """Return the plan of a statement that is prepared as the engine's are."""
    values = list(parameters.values()) if isinstance(parameters, dict) else list(parameters)
    names = re.findall(r"%\((\w+)\)s", statement)
    if names:
        order = list(dict.fromkeys(names))
        for place, name in enumerate(order, start=1):
            statement = statement.replace(f"%({name})s", f"${place}")
        values = [parameters[name] for name in order]
    else:
        for place in range(1, len(values) + 1):
            statement = statement.replace("%s", f"${place}", 1)
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL plan_cache_mode = {mode}")
        cursor.execute(f"PREPARE under_test AS {statement}")
        try:
            literals = ", ".join(["%s"] * len(values))
            execute = (
                f"EXPLAIN EXECUTE under_test({literals})"
                if values
                else "EXPLAIN EXECUTE under_test"
            )
            cursor.execute(execute, values)
            return "\n".join(row[0] for row in cursor.fetchall())
        finally:
            cursor.execute("DEALLOCATE under_test")


HOT = [
    (
        "take",
        statements.TAKE_RUNS,
        {
            "worker_id": "worker",
            "suspect_after": 2,
            "suspects": False,
            "queue": "default",
            "unknown": [],
            "now": NOW,
            "limit": 64,
            "start": 1000,
        },
        ["run_takeable"],
    ),
    ("route", statements.UNROUTED_EVENTS, (NOW, NOW, 500), ["event_unrouted"]),
    ("wake", statements.WAKE_RUNS, (NOW, 500), ["run_timer"]),
    (
        "in use",
        lanes.IN_USE,
        {"ever": FIRST_OF_ALL, "everywhere": False},
        ["run_let_in_from", "run_held_from"],
    ),
    ("active", lanes.ACTIVE, {"limits": ["hot"]}, ["run_active_in_first"]),
    ("first in line", lanes.FIRST_IN, {"lanes": ["hot", "cold"], "most": 5}, ["run_in_line"]),
    ("let in", lanes.LET_IN, {"ids": ["run-hot1"], "first_place": 1}, ["workflows_run_pkey"]),
    ("lock", statements.LOCK_RUNS, (["run-hot1"],), ["workflows_run_pkey"]),
    (
        "pulse",
        statements.PULSE,
        {"now": NOW},
        ["run_arrived", "run_gathering", "run_let_in_from", "run_held_from"],
    ),
]


@pytest.mark.usefixtures("skewed")
@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize(
    ("statement", "parameters", "indexes"),
    [pytest.param(*hot[1:], id=hot[0]) for hot in HOT],
)
def test_a_hot_statement_uses_its_index(
    statement: str, parameters: Any, indexes: list[str], mode: str
) -> None:
    planned = plan(statement, parameters, mode)

    for index in indexes:
        assert index in planned, planned
    assert "Seq Scan on workflows_run" not in planned, planned
