"""Admission's statements on PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

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
from workflows.engine.sql.postgresql import ARRIVED, run, unnested, write
from workflows.engine.throttle import microseconds

ARRIVALS = f"""
    SELECT id FROM {ARRIVED} ORDER BY rank LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
"""  # noqa: S608
LINE_UP = f"""
    UPDATE workflows_run AS run
    SET lane_id = v.lane_id, first_limit = v.first_limit, second_limit = v.second_limit,
        counts_while_active = v.counts_while_active, is_in_line = true, admitted = false
    FROM {unnested(["text", "text", "text", "text", "bool"])}
        AS v(id, lane_id, first_limit, second_limit, counts_while_active)
    WHERE run.id = v.id AND run.status || '' = 'queued'
"""  # noqa: S608
# What is let in and what is held, each by an index that holds nothing else. By the workers' ids,
# which are few, or a planner with old statistics takes "all that have one" for half of the table;
# a worker without a row has lost its lease, and holds nothing.
IN_USE = """
    WITH bounds AS (
        SELECT coalesce(max(untaken_from), %(ever)s) AS untaken_from,
            coalesce(max(held_from), %(ever)s) AS held_from
        FROM workflows_admission WHERE NOT %(everywhere)s)
    SELECT workflow, first_limit, second_limit,
        count(*) FILTER (WHERE worker_id IS NULL), count(worker_id),
        count(*) FILTER (WHERE ended_at IS NOT NULL),
        min(place) FILTER (WHERE worker_id IS NULL), min(place) FILTER (WHERE worker_id IS NOT NULL)
    FROM (
        SELECT workflow, first_limit, second_limit, worker_id, ended_at, place FROM workflows_run
        WHERE admitted AND lane_id IS NOT NULL AND worker_id IS NULL AND ended_at IS NULL
        AND status || '' = 'queued' AND place >= (SELECT untaken_from FROM bounds)
        UNION ALL
        SELECT workflow, first_limit, second_limit, worker_id, ended_at, place FROM workflows_run
        WHERE worker_id = ANY(ARRAY(SELECT id FROM workflows_worker)) AND lane_id IS NOT NULL
        AND place >= (SELECT held_from FROM bounds)
    ) AS slot
    GROUP BY workflow, first_limit, second_limit
"""
ACTIVE = """
    SELECT workflow, first_limit, NULL, count(*) FROM workflows_run
    WHERE first_limit = ANY(%(limits)s::text[])
    AND counts_while_active AND is_let_in AND ended_at IS NULL
    GROUP BY workflow, first_limit
    UNION ALL
    SELECT workflow, NULL, second_limit, count(*) FROM workflows_run
    WHERE second_limit = ANY(%(limits)s::text[])
    AND counts_while_active AND is_let_in AND ended_at IS NULL
    GROUP BY workflow, second_limit
"""
# From one pair to the next by the index, however many lanes are blocked on each.
BLOCKED = """
    WITH RECURSIVE pair AS (
        (SELECT blocked_on, workflow, first_limit, second_limit, pace, 1 AS number
        FROM workflows_lane
        WHERE state = 'blocked' AND (blocked_on, workflow) > (%(limit)s, %(workflow)s)
        ORDER BY blocked_on, workflow, turn LIMIT 1)
        UNION ALL
        SELECT further.*, pair.number + 1 FROM pair CROSS JOIN LATERAL (
            SELECT blocked_on, workflow, first_limit, second_limit, pace FROM workflows_lane
            WHERE state = 'blocked' AND (blocked_on, workflow) > (pair.blocked_on, pair.workflow)
            ORDER BY blocked_on, workflow, turn LIMIT 1) AS further
        WHERE pair.number < %(most)s
    )
    SELECT blocked_on, workflow, first_limit, second_limit, pace FROM pair
"""
UNBLOCK = """
    UPDATE workflows_lane SET state = 'active', blocked_on = NULL
    WHERE id = ANY(ARRAY(
        SELECT id FROM workflows_lane
        WHERE state = 'blocked' AND blocked_on = %s AND workflow = %s ORDER BY turn LIMIT %s))
    RETURNING id
"""
FIRST_IN = """
    SELECT lane.id, first.id, first.rank, kind.is_let_in
    FROM unnest(%(lanes)s::text[]) AS lane(id)
    CROSS JOIN (VALUES (true), (false)) AS kind(is_let_in)
    CROSS JOIN LATERAL (
        SELECT id, rank FROM workflows_run
        WHERE lane_id = lane.id AND is_let_in = kind.is_let_in
        AND status = 'queued' AND NOT admitted AND is_in_line
        ORDER BY rank, id LIMIT %(most)s) AS first
"""
# By the ids alone: `||` keeps the planner from an index that holds everything that is queued.
LET_IN = """
    UPDATE workflows_run AS run SET admitted = true, is_in_line = false, is_let_in = true,
        place = %(first_place)s + locked.number
    FROM (
        SELECT queued.id, given.number
        FROM unnest(%(ids)s::text[]) WITH ORDINALITY AS given(id, number)
        JOIN workflows_run AS queued ON queued.id = given.id
        WHERE status || '' = 'queued' AND NOT admitted AND is_in_line
        ORDER BY queued.id FOR NO KEY UPDATE OF queued SKIP LOCKED) AS locked
    WHERE run.id = locked.id
    RETURNING run.id
"""
INSERT_LANES = f"""
    INSERT INTO workflows_lane
        (id, workflow, shape, "values", first_limit, second_limit, pace, state, turn, idle_since)
    SELECT v.*, 'idle', 0, %s::timestamptz FROM {unnested(["text"] * 7)} AS v
"""  # noqa: S608
UPDATE_LANES = f"""
    UPDATE workflows_lane AS lane
    SET state = v.state, blocked_on = v.blocked_on, turn = v.turn,
        idle_since = CASE WHEN v.state = 'idle' THEN %s::timestamptz END
    FROM {unnested(["text", "text", "text", "bigint"])} AS v(id, state, blocked_on, turn)
    WHERE lane.id = v.id
"""  # noqa: S608
NOTE = """
    INSERT INTO workflows_admission AS noted
        (id, slots, refill_at, last_turn, looked_at, untaken_from, held_from)
    SELECT 1, %(slots)s, %(refill_at)s, last + %(turns)s, %(now)s,
        coalesce(%(untaken_from)s, last + 1), coalesce(%(held_from)s, last + 1)
    FROM (SELECT greatest(max(last_turn), %(moment)s::bigint) AS last
        FROM workflows_admission) AS before
    ON CONFLICT (id) DO UPDATE
    SET slots = excluded.slots, refill_at = excluded.refill_at, looked_at = excluded.looked_at,
        last_turn = excluded.last_turn, untaken_from = excluded.untaken_from,
        held_from = excluded.held_from
    RETURNING last_turn - %(turns)s + 1
"""
WRITE_PACES = f"""
    INSERT INTO workflows_pace (id, tat, full_at, wakes_at)
    SELECT id, tat, full_at, CASE WHEN EXISTS (
            SELECT 1 FROM workflows_lane WHERE state = 'blocked' AND blocked_on = v.id)
        THEN next_start END
    FROM {unnested(["text", "text", "timestamptz", "timestamptz"])}
        AS v(id, tat, full_at, next_start)
    ON CONFLICT (id) DO UPDATE
    SET tat = excluded.tat, full_at = excluded.full_at, wakes_at = excluded.wakes_at
"""  # noqa: S608


class PostgreSQLLanes(LaneStatements):
    """Implements `LaneStatements`."""

    @override
    def arrivals(self, *, limit: int) -> list[str]:
        return [row[0] for row in run(ARRIVALS, (limit,)).fetchall()]

    @override
    def line_up(self, rows: Sequence[InLine]) -> None:
        write(LINE_UP, rows)

    @override
    def in_use(self, *, everywhere: bool) -> list[InUse]:
        parameters = {"ever": FIRST_OF_ALL, "everywhere": everywhere}
        return [InUse._make(row) for row in run(IN_USE, parameters).fetchall()]

    @override
    def active(self, limits: Sequence[str]) -> list[tuple[str, str | None, str | None, int]]:
        return run(ACTIVE, {"limits": list(limits)}).fetchall()

    @override
    def blocked(self, *, after: tuple[str, str], most: int) -> list[BlockedLanes]:
        parameters = {"limit": after[0], "workflow": after[1], "most": most}
        return [BlockedLanes._make(row) for row in run(BLOCKED, parameters).fetchall()]

    @override
    def unblock(self, blocked_on: str, workflow: str, *, most: int) -> list[str]:
        return [row[0] for row in run(UNBLOCK, (blocked_on, workflow, most)).fetchall()]

    @override
    def first_in(self, lanes: Sequence[LaneRow], *, most: int) -> list[Waiting]:
        parameters = {"lanes": [lane.id for lane in lanes], "most": most}
        return [Waiting._make(row) for row in run(FIRST_IN, parameters).fetchall()]

    @override
    def let_in(self, run_ids: Sequence[str], *, first_place: int) -> set[str]:
        parameters = {"ids": list(run_ids), "first_place": first_place}
        return {row[0] for row in run(LET_IN, parameters).fetchall()}

    @override
    def insert_lanes(self, rows: Sequence[NewLane], *, now: datetime) -> None:
        columns: Any = [list(column) for column in zip(*rows, strict=True)]
        run(INSERT_LANES, [now, *columns])

    @override
    def update_lanes(self, rows: Sequence[LaneUpdate], *, now: datetime) -> None:
        columns: Any = [list(column) for column in zip(*rows, strict=True)]
        run(UPDATE_LANES, [now, *columns])

    @override
    def note(self, *, slots: int, refill_at: int, turns: int, bounds: Bounds, now: datetime) -> int:
        parameters = {
            "slots": slots,
            "refill_at": refill_at,
            "turns": turns,
            "moment": microseconds(now),
            "now": now,
            **bounds._asdict(),
        }
        return int(run(NOTE, parameters).fetchall()[0][0])

    @override
    def write_paces(self, rows: Sequence[PaceRow]) -> None:
        write(WRITE_PACES, rows)
