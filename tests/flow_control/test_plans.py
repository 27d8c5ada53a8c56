"""The hot statements use their indexes, also where statistics are wrong, as in a sudden rush.

On PostgreSQL the table is skewed as it gets in practice: runs that have ended, sleepers, one hot
lane; its statistics are from before all that, and a prepared statement may keep a plan that is
older still. SQLite's planner has no statistics, and is told which index to take.
"""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DataError, connection

from workflows.engine.rows import FIRST_OF_ALL
from workflows.engine.sql import postgresql as statements
from workflows.engine.sql import postgresql_lanes as lanes
from workflows.engine.sql import sqlite as sqlite_statements
from workflows.engine.sql import sqlite_lanes
from workflows.engine.sql.postgresql import PLAN_BY_INDEXES
from workflows.models import Run

pytestmark = pytest.mark.django_db
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL's planner")
on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite's planner")
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
    """Return the plan of a statement that is prepared as the driver prepares the engine's."""
    values = [] if isinstance(parameters, dict) else list(parameters)
    for place, name in enumerate(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)), start=1):
        statement = statement.replace(f"%({name})s", f"${place}")
        values.append(parameters[name])
    for place in range(1, statement.count("%s") + 1):
        statement = statement.replace("%s", f"${place}", 1)
    given = f"({', '.join(['%s'] * len(values))})" if values else ""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL plan_cache_mode = {mode}")
        cursor.execute(f"PREPARE under_test AS {statement}")
        try:
            cursor.execute(f"EXPLAIN EXECUTE under_test{given}", values)
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
            "revision": 1,
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


@on_postgresql
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


INDEXES_OF_NEXT_DUE = [
    "event_unrouted",
    "run_takeable",
    "run_arrived",
    "run_timer",
    "run_expiry",
    "run_gathering",
]
# What runs in the engine's own transactions, which say that they want indexes.
IN_OWN_TRANSACTIONS: list[tuple[str, str, Any, list[str]]] = [
    hot for hot in HOT if hot[0] in ("take", "wake", "first in line", "let in", "lock")
]
IN_OWN_TRANSACTIONS += [
    (
        "release",
        statements.RELEASE_RUNS,
        (["run-hot1"], ["completed"], [None], [NOW], [None], [None], [0], [None], [0]),
        ["workflows_run_pkey"],
    ),
    ("position", statements.POSITION_EVENTS, (["event"],), ["workflows_event_pkey"]),
    ("route", statements.UNROUTED_EVENTS, (NOW, NOW, 500), ["event_unrouted"]),
    (
        "pulse",
        statements.PULSE,
        {"now": NOW},
        ["run_arrived", "run_gathering", "run_let_in_from", "run_held_from"],
    ),
    (
        "next due",
        statements.NEXT_DUE,
        {"queues": ["default"], "unknown": [], "suspect_after": 2, "now": NOW, "lately": NOW},
        INDEXES_OF_NEXT_DUE,
    ),
    ("without worker", statements.WITHOUT_WORKER, (), ["run_held_from"]),
]


@on_postgresql
@pytest.mark.parametrize("is_known_to_be_empty", [False, True])
@pytest.mark.parametrize(
    ("statement", "parameters", "indexes"),
    [pytest.param(*hot[1:], id=hot[0]) for hot in IN_OWN_TRANSACTIONS],
)
def test_a_plan_that_is_kept_from_an_empty_table_uses_the_index(
    statement: str, parameters: Any, indexes: list[str], is_known_to_be_empty: bool
) -> None:
    with connection.cursor() as cursor:
        if is_known_to_be_empty:  # which outlives the test's transaction
            cursor.execute("ANALYZE workflows_run")
        cursor.execute(PLAN_BY_INDEXES)

    planned = plan(statement, parameters, "force_generic_plan")

    for index in indexes:
        assert index in planned, planned
    assert "Seq Scan on workflows_run" not in planned, planned
    assert "Seq Scan on workflows_event" not in planned, planned
    assert "run_with_status" not in planned, planned
    assert "run_of_workflow" not in planned, planned


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_what_is_asked_outside_a_transaction_is_planned_by_indexes_too() -> None:
    asked = "SELECT current_setting('enable_seqscan'), current_setting('enable_hashjoin')"

    inside = statements.run_by_indexes((asked, None))

    assert inside == [[("off", "off")]]
    assert statements.run(asked).fetchall() == [("on", "on")]


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_what_fails_outside_a_transaction_leaves_none_open() -> None:
    with pytest.raises(DataError):
        statements.run_by_indexes(("SELECT 1 / 0", None))

    assert statements.run_by_indexes(("SELECT 1", None)) == [[(1,)]]
    assert connection.connection.info.transaction_status == 0  # idle


@on_sqlite
@pytest.mark.parametrize(
    ("statement", "indexes"),
    [
        pytest.param(sqlite_statements.TAKE_RUNS, ["run_takeable"], id="take"),
        pytest.param(sqlite_statements.UNROUTED_EVENTS, ["event_unrouted"], id="route"),
        pytest.param(sqlite_statements.WAKE_RUNS, ["run_timer"], id="wake"),
        pytest.param(sqlite_statements.SUSPECT_WAITS, ["run_suspect"], id="suspect"),
        pytest.param(sqlite_lanes.ARRIVALS, ["run_arrived"], id="arrivals"),
        pytest.param(sqlite_lanes.IN_USE, ["run_let_in_from", "run_held_from"], id="in use"),
        pytest.param(sqlite_lanes.ACTIVE, ["run_active_in_first"], id="active"),
        pytest.param(sqlite_lanes.FIRST_IN, ["run_in_line"], id="first in line"),
        pytest.param(
            sqlite_statements.PULSE,
            ["run_arrived", "run_gathering", "run_timer", "run_let_in_from", "run_held_from"],
            id="pulse",
        ),
        pytest.param(
            sqlite_statements.NEXT_DUE,
            INDEXES_OF_NEXT_DUE,
            id="next due",
        ),
        pytest.param(sqlite_statements.WITHOUT_WORKER, ["run_held_from"], id="without worker"),
    ],
)
def test_sqlite_takes_the_index_and_sorts_no_queue(statement: str, indexes: list[str]) -> None:
    count = max([int(n) for n in re.findall(r"\?(\d+)", statement)] or [statement.count("?")])

    planned = plan_on_sqlite(statement, ["[]"] * count)

    for index in indexes:
        assert f"INDEX {index}" in planned, planned
    assert "run_with_status" not in planned, planned
    assert "SCAN workflows_run\n" not in planned, planned


@on_sqlite
def test_sqlite_finds_expired_runs_by_their_times() -> None:
    expired = Run.objects.expired(NOW).order_by("expires_at")

    planned = expired.explain()

    assert "run_expiry" in planned, planned


def plan_on_sqlite(statement: str, parameters: list[Any]) -> str:
    """Return the plan of a statement of the driver's own."""
    connection.ensure_connection()
    rows = connection.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
    return "\n".join(row[3] for row in rows)
