"""The hot path's statements on PostgreSQL.

Many rows travel as arrays, one for each column, which `unnest` turns into rows again: one
statement, prepared once, for any number of rows. Statements are bound on the server
(`psycopg.Cursor`), because Django's own cursors paste values into the text.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from typing_extensions import override

from workflows.engine.rows import (
    FIRST_OF_ALL,
    AttemptRow,
    EventRow,
    Held,
    Pulse,
    Release,
    RunRow,
    StepRow,
    TakenRun,
    UnderLock,
    UnroutedEvent,
)
from workflows.engine.sql.statements import SLOW_SENDERS, UNLESS_ENDED, Statements
from workflows.models import RunStatus, StepOp, StepStatus
from workflows.models.run import SUSPECT_AFTER

# Any number that no other user of advisory locks in this database is likely to choose.
ENGINE_LOCK = f"SELECT pg_try_advisory_xact_lock({0x776F726B666C6F77})"
# A prepared statement keeps the plan that was best when its table was small, and reads all of a
# table that has grown since, until the next ANALYZE. So the hot statements are always planned as
# if the tables were large. A plan without indexes would look so costly that it is compiled.
BY_INDEXES = ", ".join(
    f"set_config('{name}', 'off', true)"
    for name in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit")
)
PLAN_BY_INDEXES = f"SELECT {BY_INDEXES}"
# A process that is stopped while it has the lock would stop all routing: the server hangs up on it.
ENGINE_LOCK_FOR_A_TIME = f"""
    {ENGINE_LOCK}, set_config('idle_in_transaction_session_timeout', '10s', true), {BY_INDEXES}
"""
WAIT_FOR_ENGINE_LOCK = f"SELECT pg_advisory_xact_lock({0x776F726B666C6F77})"
# In an order that only one index has: a planner that takes another reads the whole table.
ARRIVED = """workflows_run
        WHERE status = 'queued' AND NOT admitted AND NOT is_in_line AND gathering IS NULL"""
HAS_ARRIVALS = f"(SELECT id FROM {ARRIVED} ORDER BY rank LIMIT 1) IS NOT NULL"  # noqa: S608
SUSPECT_WAITS = f"""
    SELECT (
        SELECT id FROM workflows_run
        WHERE status = 'queued' AND admitted AND losses >= {SUSPECT_AFTER}
        AND queue = ANY(%s::text[]) AND workflow <> ALL(%s::text[])
        ORDER BY place, id LIMIT 1) IS NOT NULL
"""  # noqa: S608
# A run has arrived, lanes have their turn and workers took most of what was let in, or a slot was
# freed since the last turn of admission.
# Slots only become more under the engine's lock, so that fewer than noted means: freed.
# By an expression that only one index has: `run_takeable` holds what has no lane, too.
UNTAKEN = """(
        SELECT count(*) FROM workflows_run
        WHERE admitted AND lane_id IS NOT NULL AND worker_id IS NULL AND ended_at IS NULL
        AND status || '' = 'queued'
        AND place >= coalesce((SELECT untaken_from FROM workflows_admission), 0))"""
HELD = """(
        SELECT count(*) FROM workflows_run
        WHERE worker_id = ANY(ARRAY(SELECT id FROM workflows_worker)) AND lane_id IS NOT NULL
        AND place >= coalesce((SELECT held_from FROM workflows_admission), 0))"""
MAY_ADMIT = f"""
    {HAS_ARRIVALS}
    OR EXISTS (SELECT 1 FROM workflows_lane WHERE state = 'active')
    AND coalesce((SELECT refill_at FROM workflows_admission), 0) >= {UNTAKEN}
    OR EXISTS (SELECT 1 FROM workflows_lane WHERE state = 'blocked')
    AND (SELECT slots FROM workflows_admission) > {HELD} + {UNTAKEN}
"""  # noqa: S608
PULSE = f"""
    SELECT (SELECT coalesce(max(revision), 0) FROM workflows_catalogue),
        EXISTS (SELECT 1 FROM workflows_wait WHERE NOT is_routed),
        (SELECT id FROM workflows_run WHERE gathering IS NOT NULL AND due_at <= %(now)s
            ORDER BY due_at LIMIT 1) IS NOT NULL,
        (SELECT id FROM workflows_run
            WHERE status IN ('sleeping', 'waiting') AND due_at <= %(now)s
            ORDER BY due_at LIMIT 1) IS NOT NULL,
        ({MAY_ADMIT} OR EXISTS (SELECT 1 FROM workflows_pace WHERE wakes_at <= %(now)s)),
        {HAS_ARRIVALS},
        EXISTS (SELECT 1 FROM workflows_lane WHERE state = 'active'),
        EXISTS (SELECT 1 FROM workflows_lane WHERE state = 'blocked')
"""  # noqa: S608
CATALOGUE_REVISION = "SELECT coalesce(max(revision), 0) FROM workflows_catalogue"
# In a statement of its own, which sees what the lock guards.
UNDER_LOCK = """
    SELECT (SELECT coalesce(max(revision), 0) FROM workflows_catalogue),
        EXISTS (SELECT 1 FROM workflows_wait)
"""

EVENT_TYPES = [*["text"] * 4, *["timestamptz"] * 3, *["text"] * 5]
RUN_TYPES = [
    *["text"] * 6,
    "bool",
    "bigint",
    "bigint",
    *["text"] * 3,
    "bool",
    "bool",
    "timestamptz",
    "timestamptz",
    *["text"] * 3,
    "int",
    "timestamptz",
    "bigint",
    "bigint",
    "text",
    "timestamptz",
    *["text"] * 3,
]
STEP_TYPES = [
    "text",
    "text",
    "int",
    "text",
    "int",
    "text",
    "text",
    "text",
    "int",
    "int",
    "text",
    "text",
    "timestamptz",
    "timestamptz",
    "timestamptz",
    "text",
]
ATTEMPT_TYPES = ["text", "text", "text", "int", "timestamptz", "timestamptz", "text"]
RELEASE_TYPES = ["text", "text", "timestamptz", "timestamptz", "text", "text", "int", "text", "int"]

LONG_AGO = datetime.min.replace(tzinfo=UTC)


def unnested(types: Sequence[str]) -> str:
    """Return the text that turns arrays of these types into rows."""
    return "unnest(" + ", ".join(f"%s::{type_}[]" for type_ in types) + ")"


def insert(table: str, columns: Sequence[str], types: Sequence[str]) -> str:
    """Return the statement that inserts rows given as arrays."""
    return f"INSERT INTO {table} ({quoted(columns)}) SELECT * FROM {unnested(types)}"  # noqa: S608


def quoted(columns: Sequence[str]) -> str:
    """Return the columns' names, of which some are words of SQL."""
    return ", ".join(f'"{column}"' for column in columns)


INSERT_EVENTS = insert("workflows_event", EventRow._fields, EVENT_TYPES)
# Arrays are written in Python, value by value; COPY is written in C, and takes a third of the time.
# For a few rows its two more round trips cost more than that.
MANY_EVENTS = 100
COPY_EVENTS = f"COPY workflows_event ({quoted(EventRow._fields)}) FROM STDIN"
INSERT_RUNS = insert("workflows_run", RunRow._fields, RUN_TYPES).replace(
    '"singleton") SELECT *',
    '"singleton", fence, losses, lonely_losses, attempt, attempt_sequence, is_woken, is_let_in)'
    " SELECT *, 0, 0, 0, 0, 0, false, false",
)
INSERT_ATTEMPTS = insert("workflows_attempt", AttemptRow._fields, ATTEMPT_TYPES)
UPSERT_STEPS = insert("workflows_step", StepRow._fields, STEP_TYPES) + UNLESS_ENDED
RELEASE_RUNS = f"""
    WITH released AS (
        UPDATE workflows_run AS run
        SET status = CASE WHEN is_woken AND v.status IN ('sleeping', 'waiting')
                THEN 'queued' ELSE v.status END,
            due_at = v.due_at, ended_at = v.ended_at, output = v.output, error = v.error,
            attempt = v.attempt, attempt_step = v.attempt_step,
            attempt_sequence = v.attempt_sequence, worker_id = NULL, admitted = lane_id IS NULL
        FROM {unnested(RELEASE_TYPES)}
            AS v(id, status, due_at, ended_at, output, error, attempt, attempt_step,
                attempt_sequence)
        WHERE run.id = v.id)
    {CATALOGUE_REVISION}
"""  # noqa: S608
UNROUTED_EVENTS = """
    SELECT id, name, data, external_id, ts, "user", v, cause, cause_step, target
    FROM workflows_event
    WHERE position IS NULL AND due_at <= %s AND due_at >= %s ORDER BY due_at, id LIMIT %s
"""
# Said so that neither the index of all that is unrouted, of which these are a few, seems to fit,
# nor the condition seems to leave almost nothing.
POSITION_EVENTS = """
    UPDATE workflows_event AS event
    SET position = given.place + (
        SELECT coalesce(max(position), 0) FROM workflows_event WHERE position IS NOT NULL)
    FROM unnest(%s::text[]) WITH ORDINALITY AS given(id, place)
    WHERE event.id = given.id AND CASE WHEN event.position IS NULL THEN true END
    RETURNING event.id
"""
# Joined, not `id = ANY(...)`: for that a planner that takes the table to be empty would read an
# index of something else and the id, all of it.
WAKE_RUNS = """
    UPDATE workflows_run AS run SET status = 'queued', due_at = NULL, admitted = lane_id IS NULL
    FROM unnest(ARRAY(
        SELECT id FROM workflows_run WHERE status IN ('sleeping', 'waiting') AND due_at <= %s
        ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED)) AS due(id)
    WHERE run.id = due.id
"""
# The worker's own row is read again, because a worker that was given up must take nothing more; and
# the catalogue's, because a workflow may have been paused.
TAKE_RUNS = """
    WITH taken AS (
        UPDATE workflows_run AS run
        SET status = 'running', worker_id = %(worker_id)s, fence = fence + 1,
            started_at = coalesce(started_at, %(now)s), is_woken = false,
            expires_at = CASE WHEN started_at IS NULL THEN NULL ELSE expires_at END
        FROM unnest(ARRAY(
            SELECT id FROM workflows_run
            WHERE queue = %(queue)s AND status = 'queued' AND admitted
            AND place >= %(start)s AND workflow <> ALL(%(unknown)s::text[])
            AND (losses >= %(suspect_after)s) = %(suspects)s
            AND EXISTS (
                SELECT 1 FROM workflows_worker WHERE id = %(worker_id)s AND lease_until > %(now)s)
            AND (SELECT coalesce(max(revision), 0) FROM workflows_catalogue) = %(revision)s
            ORDER BY place, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)) AS found(id)
        WHERE run.id = found.id
        RETURNING run.id, workflow, fence, worker_id, attempt, attempt_step, attempt_sequence,
            losses, parent_id, parent_step, depth,
            started_at, finish_within_ms, event_id, gathered, place, lane_id
    )
    SELECT taken.id, workflow, fence, worker_id, attempt, attempt_step, attempt_sequence, losses,
        parent_id, parent_step, depth, started_at, finish_within_ms, event_id, event.name,
        event.data, event.ts, event."user", event.v, event.position, event.cause,
        gathered, lane_id IS NOT NULL, place
    FROM taken JOIN workflows_event AS event ON event.id = taken.event_id
    ORDER BY place, taken.id
"""
STEPS_OF = f"""
    SELECT {", ".join(StepRow._fields)} FROM workflows_step
    WHERE run_id = ANY(%s::text[]) ORDER BY sequence
"""  # noqa: S608
LOCK_RUNS = """
    SELECT id, status, fence, worker_id FROM workflows_run
    WHERE id = ANY(%s::text[]) ORDER BY id FOR NO KEY UPDATE
"""
# From one worker's id to the next by the index, from its newest run: older ones may be dead rows.
WITHOUT_WORKER = """
    WITH RECURSIVE holder(id) AS (
        (SELECT worker_id FROM workflows_run WHERE worker_id IS NOT NULL
            ORDER BY worker_id DESC, place DESC LIMIT 1)
        UNION ALL
        SELECT further.worker_id FROM holder CROSS JOIN LATERAL (
            SELECT worker_id FROM workflows_run WHERE worker_id < holder.id
            ORDER BY worker_id DESC, place DESC LIMIT 1) AS further
    )
    SELECT id FROM holder WHERE NOT EXISTS (
        SELECT 1 FROM workflows_worker WHERE workflows_worker.id = holder.id)
"""
# A queue at a time, in the order of its index: else a planner may read all that is queued. The
# first in an order, not the least: for that a plan kept from an empty table would read all.
# What is almost always the answer, a new event, comes first, and is found beyond all dead rows.
NEXT_DUE = f"""
    SELECT CASE WHEN EXISTS (
        SELECT 1 FROM workflows_event
        WHERE position IS NULL AND due_at <= %(now)s AND due_at >= %(lately)s)
        OR EXISTS (
        SELECT 1 FROM unnest(%(queues)s::text[]) AS served(queue) CROSS JOIN LATERAL (
            SELECT id FROM workflows_run
            WHERE queue = served.queue AND status = 'queued' AND admitted
            AND workflow <> ALL(%(unknown)s::text[]) AND losses < %(suspect_after)s
            ORDER BY place, id LIMIT 1) AS takeable)
        OR EXISTS (SELECT 1 FROM workflows_wait WHERE NOT is_routed)
        OR {MAY_ADMIT} THEN %(now)s ELSE least(
        (SELECT wakes_at FROM workflows_pace WHERE wakes_at IS NOT NULL
            ORDER BY wakes_at LIMIT 1),
        (SELECT due_at FROM workflows_event WHERE position IS NULL
            ORDER BY due_at LIMIT 1),
        (SELECT due_at FROM workflows_run
            WHERE status IN ('sleeping', 'waiting') AND due_at IS NOT NULL
            ORDER BY due_at LIMIT 1),
        (SELECT expires_at FROM workflows_run
            WHERE ended_at IS NULL AND expires_at IS NOT NULL
            ORDER BY expires_at LIMIT 1),
        (SELECT fires_at FROM workflows_cronschedule WHERE fires_at IS NOT NULL
            ORDER BY fires_at LIMIT 1),
        (SELECT due_at FROM workflows_run WHERE gathering IS NOT NULL
            ORDER BY due_at LIMIT 1),
        (SELECT due_at FROM workflows_schedule WHERE due_at IS NOT NULL
            ORDER BY due_at LIMIT 1),
        (SELECT next_at FROM workflows_bulkoperation WHERE next_at IS NOT NULL
            ORDER BY next_at LIMIT 1)
    ) END
"""  # noqa: S608


class PostgreSQL(Statements):
    """Implements `Statements`."""

    @override
    def database_now(self) -> datetime | None:
        return cast(datetime, self._all("SELECT clock_timestamp()")[0][0])

    @override
    def catalogue_revision(self) -> int:
        return int(self._all(CATALOGUE_REVISION)[0][0])

    @override
    def look(
        self, *, now: datetime, limit: int, start: datetime | None = None
    ) -> tuple[Pulse, list[UnroutedEvent]]:
        (pulse,), events = run_by_indexes(
            (PULSE, {"now": now}), (UNROUTED_EVENTS, (now, start or LONG_AGO, limit))
        )
        return Pulse._make(pulse), [UnroutedEvent._make(row) for row in events]

    @override
    def plan_by_indexes(self) -> None:
        if is_own_transaction():
            self._all(PLAN_BY_INDEXES)

    @override
    def engine_lock(self, *, waits: bool = False) -> UnderLock | None:
        if waits:
            lock = WAIT_FOR_ENGINE_LOCK
        else:
            lock = ENGINE_LOCK_FOR_A_TIME if is_own_transaction() else ENGINE_LOCK
        (locked, *_), read = (rows[0] for rows in run_together((lock, None), (UNDER_LOCK, None)))
        return UnderLock._make(read) if waits or locked else None

    @override
    def insert_events(self, rows: Sequence[EventRow]) -> None:
        if len(rows) >= MANY_EVENTS:
            copy(COPY_EVENTS, rows)
        else:
            self._write(INSERT_EVENTS, rows)

    @override
    def unrouted_events(
        self, *, now: datetime, limit: int, start: datetime | None = None
    ) -> list[UnroutedEvent]:
        (events,) = run_by_indexes((UNROUTED_EVENTS, (now, start or LONG_AGO, limit)))
        return [UnroutedEvent._make(row) for row in events]

    @override
    def position_events(self, ids: Sequence[str]) -> list[str]:
        return [row[0] for row in self._all(POSITION_EVENTS, (list(ids),))]

    @override
    def insert_runs(self, rows: Sequence[RunRow]) -> None:
        self._write(INSERT_RUNS, rows)

    @override
    def wake_runs(self, *, now: datetime, limit: int) -> int:
        return self._cursor(WAKE_RUNS, (now, limit)).rowcount

    @override
    def take_runs(
        self,
        *,
        worker_id: str,
        queue: str,
        unknown: Sequence[str],
        revision: int,
        now: datetime,
        limit: int,
        suspects: bool,
        start: int | None = None,
    ) -> list[TakenRun]:
        parameters = {
            "worker_id": worker_id,
            "suspect_after": SUSPECT_AFTER,
            "suspects": suspects,
            "queue": queue,
            "unknown": list(unknown),
            "revision": revision,
            "now": now,
            "limit": limit,
            "start": FIRST_OF_ALL if start is None else start,
        }
        return [TakenRun(*row) for row in self._all(TAKE_RUNS, parameters)]

    @override
    def suspect_waits(self, *, queues: Sequence[str], unknown: Sequence[str]) -> bool:
        ((waits,),) = run_by_indexes((SUSPECT_WAITS, (list(queues), list(unknown))))[0]
        return bool(waits)

    @override
    def steps_of(self, run_ids: Sequence[str]) -> list[StepRow]:
        rows = self._all(STEPS_OF, (list(run_ids),))
        return [
            StepRow._make((*row[:6], StepOp(row[6]), StepStatus(row[7]), *row[8:])) for row in rows
        ]

    @override
    def lock_runs(self, run_ids: Sequence[str]) -> dict[str, Held]:
        rows = self._all(LOCK_RUNS, (list(run_ids),))
        return {row[0]: Held(RunStatus(row[1]), row[2], row[3]) for row in rows}

    @override
    def upsert_steps(self, rows: Sequence[StepRow]) -> None:
        self._write(UPSERT_STEPS, rows)

    @override
    def insert_attempts(self, rows: Sequence[AttemptRow]) -> None:
        self._write(INSERT_ATTEMPTS, rows)

    @override
    def release_runs(self, rows: Sequence[Release]) -> int:
        return int(write(RELEASE_RUNS, rows).fetchall()[0][0])

    @override
    def next_due(
        self, *, now: datetime, queues: Sequence[str], unknown: Sequence[str]
    ) -> datetime | None:
        parameters = {
            "now": now,
            "lately": now - SLOW_SENDERS,
            "queues": list(queues),
            "unknown": list(unknown),
            "suspect_after": SUSPECT_AFTER,
        }
        ((due_at,),) = run_by_indexes((NEXT_DUE, parameters))[0]
        return cast("datetime | None", due_at)

    @override
    def without_worker(self) -> list[str]:
        return [row[0] for row in run_by_indexes((WITHOUT_WORKER, None))[0]]

    def _write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        write(statement, rows)

    def _all(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        return run(statement, parameters).fetchall()

    def _cursor(self, statement: str, parameters: Any = None) -> psycopg.Cursor[tuple[Any, ...]]:
        return run(statement, parameters)


def is_own_transaction() -> bool:
    """Tell whether the transaction is the engine's alone, and no part of a caller's."""
    return len(connections[DEFAULT_DB_ALIAS].atomic_blocks) == 1


def write(statement: str, rows: Sequence[tuple[Any, ...]]) -> psycopg.Cursor[tuple[Any, ...]]:
    """Execute a statement that takes rows as arrays, one for each column."""
    return run(statement, [list(column) for column in zip(*rows, strict=True)])


def run_by_indexes(*statements: tuple[str, Any]) -> list[list[tuple[Any, ...]]]:
    """Execute statements, planned as for large tables; return the rows of each.

    In a transaction of their own, because nothing but that bounds the settings. A caller's
    transaction is left as it is.
    """
    wrapper = connections[DEFAULT_DB_ALIAS]
    if wrapper.in_atomic_block:
        return [run(statement, parameters).fetchall() for statement, parameters in statements]
    wrapper.ensure_connection()
    try:
        begin, end = (("BEGIN", None), (PLAN_BY_INDEXES, None)), ("COMMIT", None)
        return run_together(*begin, *statements, end)[len(begin) : -1]
    except BaseException:  # whatever it is, no transaction must stay open
        if not wrapper.connection.closed:
            wrapper.connection.rollback()
        raise


def run_together(*statements: tuple[str, Any]) -> list[list[tuple[Any, ...]]]:
    """Execute statements one after another in one round trip; return the rows of each."""
    wrapper = connections[DEFAULT_DB_ALIAS]
    wrapper.ensure_connection()
    with wrapper.wrap_database_errors:
        with wrapper.connection.pipeline():
            cursors = [
                psycopg.Cursor(wrapper.connection).execute(cast(Any, statement), parameters)
                for statement, parameters in statements
            ]
        # It has answered: Django need not ask whether it does before the next transaction.
        wrapper.health_check_done = True  # type: ignore[attr-defined]  # not in the stubs
        return [cursor.fetchall() if cursor.description else [] for cursor in cursors]


def copy(statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write many rows as one stream."""
    wrapper = connections[DEFAULT_DB_ALIAS]
    wrapper.ensure_connection()
    with wrapper.wrap_database_errors:
        cursor = psycopg.Cursor(wrapper.connection)
        with cursor.copy(cast(Any, statement)) as stream:
            for row in rows:
                stream.write_row(row)


def run(statement: str, parameters: Any = None) -> psycopg.Cursor[tuple[Any, ...]]:
    """Execute a statement whose parameters are bound on the server."""
    wrapper = connections[DEFAULT_DB_ALIAS]
    wrapper.ensure_connection()
    with wrapper.wrap_database_errors:
        cursor = psycopg.Cursor(wrapper.connection)
        return cursor.execute(cast(Any, statement), parameters)
