"""Admission's statements on SQLite, where the transaction has begun with the write lock."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from typing_extensions import override

from workflows.engine.dealing import LaneRow, Waiting
from workflows.engine.rows import FIRST_OF_ALL
from workflows.engine.sql.lanes import (
    BlockedLanes,
    Bounds,
    InLine,
    InUse,
    LaneStatements,
    LaneUpdate,
    NewLane,
    PaceRow,
)
from workflows.engine.sql.sqlite import ARRIVED, cursor, text
from workflows.engine.throttle import microseconds

ARRIVALS = f"SELECT id FROM {ARRIVED} ORDER BY rank LIMIT ?"  # noqa: S608
LINE_UP = """
    UPDATE workflows_run
    SET lane_id = ?2, first_limit = ?3, second_limit = ?4, counts_while_active = ?5,
        is_in_line = 1, admitted = 0
    WHERE id = ?1 AND status = 'queued'
"""
IN_USE = """
    WITH bounds AS (
        SELECT coalesce(max(untaken_from), ?1) AS untaken_from,
            coalesce(max(held_from), ?1) AS held_from
        FROM workflows_admission WHERE NOT ?2)
    SELECT workflow, first_limit, second_limit,
        sum(worker_id IS NULL), sum(worker_id IS NOT NULL), sum(ended_at IS NOT NULL),
        min(place) FILTER (WHERE worker_id IS NULL), min(place) FILTER (WHERE worker_id IS NOT NULL)
    FROM (
        SELECT workflow, first_limit, second_limit, worker_id, ended_at, place FROM workflows_run
        WHERE admitted AND lane_id IS NOT NULL AND worker_id IS NULL AND ended_at IS NULL
        AND status || '' = 'queued' AND place >= (SELECT untaken_from FROM bounds)
        UNION ALL
        SELECT workflow, first_limit, second_limit, worker_id, ended_at, place FROM workflows_run
        WHERE worker_id IN (SELECT id FROM workflows_worker) AND lane_id IS NOT NULL
        AND place >= (SELECT held_from FROM bounds)
    )
    GROUP BY workflow, first_limit, second_limit
"""
ACTIVE = """
    SELECT workflow, first_limit, NULL, count(*) FROM workflows_run
    WHERE first_limit IN (SELECT value FROM json_each(?1))
    AND counts_while_active AND is_let_in AND ended_at IS NULL
    GROUP BY workflow, first_limit
    UNION ALL
    SELECT workflow, NULL, second_limit, count(*) FROM workflows_run
    WHERE second_limit IN (SELECT value FROM json_each(?1))
    AND counts_while_active AND is_let_in AND ended_at IS NULL
    GROUP BY workflow, second_limit
"""
NEXT_BLOCKED = """
    SELECT blocked_on, workflow, first_limit, second_limit, pace FROM workflows_lane
    WHERE state = 'blocked' AND (blocked_on, workflow) > (?, ?)
    ORDER BY blocked_on, workflow, turn LIMIT 1
"""
UNBLOCK = """
    UPDATE workflows_lane SET state = 'active', blocked_on = NULL
    WHERE id IN (
        SELECT id FROM workflows_lane
        WHERE state = 'blocked' AND blocked_on = ? AND workflow = ? ORDER BY turn LIMIT ?)
    RETURNING id
"""
FIRST_IN = """
    SELECT lane_id, id, rank, is_let_in FROM workflows_run
    WHERE lane_id = ? AND is_let_in = ?
    AND status = 'queued' AND NOT admitted AND is_in_line
    ORDER BY rank, id LIMIT ?
"""
LET_IN = """
    UPDATE workflows_run SET admitted = 1, is_in_line = 0, is_let_in = 1,
        place = ?2 + (SELECT key FROM json_each(?1) WHERE value = workflows_run.id)
    WHERE id IN (SELECT value FROM json_each(?1))
    AND status = 'queued' AND NOT admitted AND is_in_line
    RETURNING id
"""
INSERT_LANE = """
    INSERT INTO workflows_lane
        (id, workflow, shape, "values", first_limit, second_limit, pace, state, turn, idle_since)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'idle', 0, ?8)
"""
UPDATE_LANE = """
    UPDATE workflows_lane
    SET state = ?2, blocked_on = ?3, turn = ?4, idle_since = CASE WHEN ?2 = 'idle' THEN ?5 END
    WHERE id = ?1
"""
NOTE = """
    INSERT INTO workflows_admission
        (id, slots, refill_at, last_turn, looked_at, untaken_from, held_from)
    SELECT 1, ?1, ?2, last + ?3, ?5, coalesce(?6, last + 1), coalesce(?7, last + 1)
    FROM (SELECT max(coalesce(max(last_turn), 0), ?4) AS last FROM workflows_admission)
    WHERE true
    ON CONFLICT (id) DO UPDATE
    SET slots = excluded.slots, refill_at = excluded.refill_at, looked_at = excluded.looked_at,
        last_turn = excluded.last_turn, untaken_from = excluded.untaken_from,
        held_from = excluded.held_from
    RETURNING last_turn - ?3 + 1
"""
WRITE_PACE = """
    INSERT INTO workflows_pace (id, tat, full_at, wakes_at)
    VALUES (?1, ?2, ?3, CASE WHEN EXISTS (
        SELECT 1 FROM workflows_lane WHERE state = 'blocked' AND blocked_on = ?1) THEN ?4 END)
    ON CONFLICT (id) DO UPDATE
    SET tat = excluded.tat, full_at = excluded.full_at, wakes_at = excluded.wakes_at
"""


class SQLiteLanes(LaneStatements):
    """Implements `LaneStatements`."""

    @override
    def arrivals(self, *, limit: int) -> list[str]:
        return [row[0] for row in _all(ARRIVALS, limit)]

    @override
    def line_up(self, rows: Sequence[InLine]) -> None:
        with connection.wrap_database_errors:
            cursor().executemany(LINE_UP, rows)

    @override
    def in_use(self, *, everywhere: bool) -> list[InUse]:
        return [InUse._make(row) for row in _all(IN_USE, FIRST_OF_ALL, everywhere)]

    @override
    def active(self, limits: Sequence[str]) -> list[tuple[str, str | None, str | None, int]]:
        return _all(ACTIVE, json.dumps(list(limits)))

    @override
    def blocked(self, *, after: tuple[str, str], most: int) -> list[BlockedLanes]:
        found: list[BlockedLanes] = []
        while len(found) < most and (rows := _all(NEXT_BLOCKED, *after)):
            found.append(BlockedLanes._make(rows[0]))
            after = (found[-1].blocked_on, found[-1].workflow)
        return found

    @override
    def unblock(self, blocked_on: str, workflow: str, *, most: int) -> list[str]:
        return [row[0] for row in _all(UNBLOCK, blocked_on, workflow, most)]

    @override
    def first_in(self, lanes: Sequence[LaneRow], *, most: int) -> list[Waiting]:
        return [
            Waiting(row[0], row[1], row[2], bool(row[3]))
            for lane in lanes
            for is_let_in in (True, False)
            for row in _all(FIRST_IN, lane.id, is_let_in, most)
        ]

    @override
    def let_in(self, run_ids: Sequence[str], *, first_place: int) -> set[str]:
        return {row[0] for row in _all(LET_IN, json.dumps(list(run_ids)), first_place)}

    @override
    def insert_lanes(self, rows: Sequence[NewLane], *, now: datetime) -> None:
        with connection.wrap_database_errors:
            cursor().executemany(INSERT_LANE, [(*row, text(now)) for row in rows])

    @override
    def update_lanes(self, rows: Sequence[LaneUpdate], *, now: datetime) -> None:
        with connection.wrap_database_errors:
            cursor().executemany(UPDATE_LANE, [(*row, text(now)) for row in rows])

    @override
    def note(self, *, slots: int, refill_at: int, turns: int, bounds: Bounds, now: datetime) -> int:
        noted = (slots, refill_at, turns, microseconds(now), text(now), *bounds)
        return int(_all(NOTE, *noted)[0][0])

    @override
    def write_paces(self, rows: Sequence[PaceRow]) -> None:
        written = [(row.pace, row.tat, text(row.full_at), text(row.next_start)) for row in rows]
        with connection.wrap_database_errors:
            cursor().executemany(WRITE_PACE, written)


def _all(statement: str, *parameters: object) -> list[Any]:
    with connection.wrap_database_errors:
        return list(cursor().execute(statement, parameters))
