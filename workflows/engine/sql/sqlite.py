"""The hot path's statements on SQLite, whose write lock plays the engine lock's part.

A transaction of the engine begins with BEGIN IMMEDIATE, so no row needs a lock of its own.
Lists travel as JSON, which `json_each` turns into rows.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections
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


def insert(table: str, columns: Sequence[str]) -> str:
    """Return the statement that inserts one row."""
    names = ", ".join(f'"{column}"' for column in columns)
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


INSERT_EVENTS = insert("workflows_event", EventRow._fields)
# The driver gives Python's lock away for each statement, and waits for it again: beside busy
# threads a statement for each of 5,000 rows waits 5,000 times, with the database's lock in hand.
EVENTS_AT_ONCE = 80  # rows, whose 960 parameters every SQLite takes
INSERT_EVENTS_AT_ONCE = INSERT_EVENTS + (EVENTS_AT_ONCE - 1) * (
    f", ({', '.join('?' * len(EventRow._fields))})"
)
INSERT_RUNS = insert(
    "workflows_run",
    (
        *RunRow._fields,
        *("fence", "losses", "lonely_losses", "attempt", "attempt_sequence", "is_woken"),
        "is_let_in",
    ),
)
INSERT_ATTEMPTS = insert("workflows_attempt", AttemptRow._fields)
UPSERT_STEPS = insert("workflows_step", StepRow._fields) + UNLESS_ENDED
RELEASE_RUN = """
    UPDATE workflows_run
    SET status = CASE WHEN is_woken AND ?1 IN ('sleeping', 'waiting') THEN 'queued' ELSE ?1 END,
        due_at = ?2,
        ended_at = ?3, output = ?4, error = ?5,
        attempt = ?6, attempt_step = ?7, attempt_sequence = ?8, worker_id = NULL,
        admitted = lane_id IS NULL
    WHERE id = ?9
"""
# SQLite's planner knows nothing of how many rows have a status: left alone it finds all that have
# it, and sorts them. So wherever another index would fit, the right one is named.
ARRIVED = """workflows_run INDEXED BY run_arrived
        WHERE status = 'queued' AND NOT admitted AND NOT is_in_line AND gathering IS NULL"""
HAS_ARRIVALS = f"EXISTS (SELECT 1 FROM {ARRIVED})"  # noqa: S608
SUSPECT_WAITS = f"""
    SELECT EXISTS (
        SELECT 1 FROM workflows_run INDEXED BY run_suspect
        WHERE status = 'queued' AND admitted AND losses >= {SUSPECT_AFTER}
        AND queue IN (SELECT value FROM json_each(?1))
        AND workflow NOT IN (SELECT value FROM json_each(?2)))
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
        WHERE worker_id IN (SELECT id FROM workflows_worker) AND lane_id IS NOT NULL
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
        (SELECT id FROM workflows_run WHERE gathering IS NOT NULL AND due_at <= ?1
            ORDER BY due_at LIMIT 1) IS NOT NULL,
        (SELECT id FROM workflows_run INDEXED BY run_timer
            WHERE status IN ('sleeping', 'waiting') AND due_at <= ?1
            ORDER BY due_at LIMIT 1) IS NOT NULL,
        ({MAY_ADMIT} OR EXISTS (SELECT 1 FROM workflows_pace WHERE wakes_at <= ?1)),
        {HAS_ARRIVALS},
        EXISTS (SELECT 1 FROM workflows_lane WHERE state = 'active'),
        EXISTS (SELECT 1 FROM workflows_lane WHERE state = 'blocked')
"""  # noqa: S608
CATALOGUE_REVISION = "SELECT coalesce(max(revision), 0) FROM workflows_catalogue"
UNDER_LOCK = """
    SELECT (SELECT coalesce(max(revision), 0) FROM workflows_catalogue),
        EXISTS (SELECT 1 FROM workflows_wait)
"""
UNROUTED_EVENTS = """
    SELECT id, name, data, external_id, ts, "user", v, cause, cause_step, target
    FROM workflows_event
    WHERE position IS NULL AND due_at <= ? AND due_at >= ? ORDER BY due_at, id LIMIT ?
"""
LAST_POSITION = "SELECT coalesce(max(position), 0) FROM workflows_event WHERE position IS NOT NULL"
POSITION_EVENTS = """
    UPDATE workflows_event SET position = ? + given.key
    FROM json_each(?) AS given
    WHERE workflows_event.id = given.value AND position IS NULL
    RETURNING id
"""
WAKE_RUNS = """
    UPDATE workflows_run SET status = 'queued', due_at = NULL, admitted = lane_id IS NULL
    WHERE id IN (
        SELECT id FROM workflows_run INDEXED BY run_timer
        WHERE status IN ('sleeping', 'waiting') AND due_at <= ?
        ORDER BY due_at LIMIT ?)
"""
# The worker's own row is read again, because a worker that was given up must take nothing more.
TAKE_RUNS = """
    UPDATE workflows_run
    SET status = 'running', worker_id = ?1, fence = fence + 1,
        started_at = coalesce(started_at, ?2),
        is_woken = 0,
        expires_at = CASE WHEN started_at IS NULL THEN NULL ELSE expires_at END
    WHERE id IN (
        SELECT id FROM workflows_run
        WHERE queue = ?3 AND status = 'queued' AND admitted
        AND place >= ?8 AND workflow NOT IN (SELECT value FROM json_each(?4))
        AND (losses >= ?6) = ?7
        AND EXISTS (SELECT 1 FROM workflows_worker WHERE id = ?1 AND lease_until > ?2)
        AND (SELECT coalesce(max(revision), 0) FROM workflows_catalogue) = ?9
        ORDER BY place, id LIMIT ?5)
    RETURNING id
"""
TAKEN_RUNS = """
    SELECT run.id, workflow, fence, worker_id, attempt, attempt_step, attempt_sequence, losses,
        parent_id, parent_step, depth, started_at, finish_within_ms, event_id, event.name,
        event.data, event.ts, event."user", event.v, event.position, event.cause,
        gathered, lane_id IS NOT NULL, place
    FROM json_each(?) AS taken
    JOIN workflows_run AS run ON run.id = taken.value
    JOIN workflows_event AS event ON event.id = run.event_id
    ORDER BY place, run.id
"""
STEPS_OF = f"""
    SELECT {", ".join(StepRow._fields)} FROM workflows_step
    WHERE run_id IN (SELECT value FROM json_each(?)) ORDER BY sequence
"""  # noqa: S608
LOCK_RUNS = """
    SELECT id, status, fence, worker_id FROM workflows_run
    WHERE id IN (SELECT value FROM json_each(?))
"""
# From one worker's id to the next by the index.
WITHOUT_WORKER = """
    WITH RECURSIVE holder(id) AS (
        SELECT min(worker_id) FROM workflows_run INDEXED BY run_held_from
        WHERE worker_id IS NOT NULL
        UNION ALL
        SELECT (SELECT min(worker_id) FROM workflows_run INDEXED BY run_held_from
            WHERE worker_id > holder.id)
        FROM holder WHERE holder.id IS NOT NULL
    )
    SELECT id FROM holder WHERE id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM workflows_worker WHERE workflows_worker.id = holder.id)
"""
NEXT_DUE = f"""
    SELECT CASE WHEN EXISTS (
        SELECT 1 FROM workflows_event WHERE position IS NULL AND due_at <= ?3 AND due_at >= ?5
    ) OR EXISTS (
        SELECT 1 FROM workflows_run INDEXED BY run_takeable
        WHERE status = 'queued' AND admitted AND queue IN (SELECT value FROM json_each(?1))
        AND workflow NOT IN (SELECT value FROM json_each(?2)) AND losses < ?4
    ) OR EXISTS (SELECT 1 FROM workflows_wait WHERE NOT is_routed)
        OR {MAY_ADMIT} THEN ?3
    ELSE (SELECT min(due_at) FROM (
        SELECT min(wakes_at) AS due_at FROM workflows_pace WHERE wakes_at IS NOT NULL
        UNION ALL
        SELECT min(due_at) AS due_at FROM workflows_event WHERE position IS NULL
        UNION ALL
        SELECT min(due_at) FROM workflows_run INDEXED BY run_timer
        WHERE status IN ('sleeping', 'waiting') AND due_at IS NOT NULL
        UNION ALL
        SELECT min(expires_at) FROM workflows_run
        WHERE ended_at IS NULL AND expires_at IS NOT NULL
        UNION ALL
        SELECT min(fires_at) FROM workflows_cronschedule WHERE fires_at IS NOT NULL
        UNION ALL
        SELECT min(due_at) FROM workflows_run WHERE gathering IS NOT NULL
        UNION ALL
        SELECT min(due_at) FROM workflows_schedule WHERE due_at IS NOT NULL
        UNION ALL
        SELECT min(next_at) FROM workflows_bulkoperation WHERE next_at IS NOT NULL
    )) END
"""  # noqa: S608


class SQLite(Statements):
    """Implements `Statements`."""

    @override
    def database_now(self) -> datetime | None:
        return None

    @override
    def catalogue_revision(self) -> int:
        return int(self._all(CATALOGUE_REVISION)[0][0])

    @override
    def look(
        self, *, now: datetime, limit: int, start: datetime | None = None
    ) -> tuple[Pulse, list[UnroutedEvent]]:
        pulse = Pulse._make(self._all(PULSE, text(now))[0])
        return pulse, self.unrouted_events(now=now, limit=limit, start=start)

    @override
    def plan_by_indexes(self) -> None:
        """Do nothing: SQLite's planner asks no statistics that it has not been given."""

    @override
    def engine_lock(self, *, waits: bool = False) -> UnderLock | None:
        return UnderLock._make(
            self._all(UNDER_LOCK)[0]
        )  # the transaction has begun with the write lock

    @override
    def insert_events(self, rows: Sequence[EventRow]) -> None:
        whole = len(rows) - len(rows) % EVENTS_AT_ONCE
        for begin in range(0, whole, EVENTS_AT_ONCE):
            together = chain.from_iterable(rows[begin : begin + EVENTS_AT_ONCE])
            self._write(INSERT_EVENTS_AT_ONCE, [tuple(together)])
        self._write(INSERT_EVENTS, rows[whole:])

    @override
    def unrouted_events(
        self, *, now: datetime, limit: int, start: datetime | None = None
    ) -> list[UnroutedEvent]:
        return [
            UnroutedEvent._make((*row[:4], moment(row[4]), *row[5:]))
            for row in self._all(UNROUTED_EVENTS, text(now), text(start) if start else "", limit)
        ]

    @override
    def position_events(self, ids: Sequence[str]) -> list[str]:
        last = self._all(LAST_POSITION)[0][0]
        return [row[0] for row in self._all(POSITION_EVENTS, last + 1, json.dumps(list(ids)))]

    @override
    def insert_runs(self, rows: Sequence[RunRow]) -> None:
        self._write(INSERT_RUNS, [(*row, 0, 0, 0, 0, 0, False, False) for row in rows])

    @override
    def wake_runs(self, *, now: datetime, limit: int) -> int:
        with connection.wrap_database_errors:
            return int(cursor().execute(WAKE_RUNS, (text(now), limit)).rowcount)

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
        excluded = json.dumps(list(unknown))
        start = FIRST_OF_ALL if start is None else start
        given = (worker_id, text(now), queue, excluded, limit, SUSPECT_AFTER, suspects)
        taken = self._all(TAKE_RUNS, *given, start, revision)
        if not taken:
            return []
        rows = self._all(TAKEN_RUNS, json.dumps([row[0] for row in taken]))
        return [taken_run(list(row)) for row in rows]

    @override
    def suspect_waits(self, *, queues: Sequence[str], unknown: Sequence[str]) -> bool:
        given = json.dumps(list(queues)), json.dumps(list(unknown))
        return bool(self._all(SUSPECT_WAITS, *given)[0][0])

    @override
    def steps_of(self, run_ids: Sequence[str]) -> list[StepRow]:
        return [step_row(list(row)) for row in self._all(STEPS_OF, json.dumps(list(run_ids)))]

    @override
    def lock_runs(self, run_ids: Sequence[str]) -> dict[str, Held]:
        rows = self._all(LOCK_RUNS, json.dumps(list(run_ids)))
        return {row[0]: Held(RunStatus(row[1]), row[2], row[3]) for row in rows}

    @override
    def upsert_steps(self, rows: Sequence[StepRow]) -> None:
        self._write(UPSERT_STEPS, rows)

    @override
    def insert_attempts(self, rows: Sequence[AttemptRow]) -> None:
        self._write(INSERT_ATTEMPTS, rows)

    @override
    def release_runs(self, rows: Sequence[Release]) -> int:
        self._write(RELEASE_RUN, [(*row[1:], row[0]) for row in rows])
        return self.catalogue_revision()

    @override
    def next_due(
        self, *, now: datetime, queues: Sequence[str], unknown: Sequence[str]
    ) -> datetime | None:
        given = json.dumps(list(queues)), json.dumps(list(unknown)), text(now)
        row = self._all(NEXT_DUE, *given, SUSPECT_AFTER, text(now - SLOW_SENDERS))[0]
        return optional_moment(row[0])

    @override
    def without_worker(self) -> list[str]:
        return [row[0] for row in self._all(WITHOUT_WORKER)]

    def _write(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        written = [tuple([text(v) if type(v) is datetime else v for v in row]) for row in rows]
        with connection.wrap_database_errors:
            cursor().executemany(statement, written)

    def _all(self, statement: str, *parameters: object) -> list[Any]:
        with connection.wrap_database_errors:
            return list(cursor().execute(statement, parameters))


def taken_run(row: list[Any]) -> TakenRun:
    """Return a run as `TAKEN_RUNS` reads it."""
    row[11], row[16] = moment(row[11]), moment(row[16])
    row[22] = bool(row[22])
    return TakenRun(*row)


def step_row(row: list[Any]) -> StepRow:
    """Return a step as `STEPS_OF` reads it."""
    row[6], row[7] = StepOp(row[6]), StepStatus(row[7])
    row[12:15] = [moment(row[12]), optional_moment(row[13]), optional_moment(row[14])]
    return StepRow._make(row)


def cursor() -> Any:
    """Return a cursor of the driver: Django's own would rewrite each statement's text."""
    wrapper = connections[DEFAULT_DB_ALIAS]
    wrapper.ensure_connection()
    return wrapper.connection.cursor()


def text(at: datetime) -> str:
    """Write a time, which is in UTC, as Django writes it on SQLite."""
    return at.isoformat(" ")[:-6]


def moment(read: datetime | str) -> datetime:
    """Return a time as the driver reads it: a column's is converted, an expression's is text."""
    at = read if isinstance(read, datetime) else datetime.fromisoformat(read)
    return at.replace(tzinfo=UTC)


def optional_moment(read: datetime | str | None) -> datetime | None:
    """Return a time that may be missing."""
    return None if read is None else moment(read)
