"""Put runs into lanes: new ones when they are routed, others when they are queued again.

Only under the engine's lock. Whoever else queues a run leaves that to admission, which finds it
among the arrivals: so no sender, and no worker, ever waits for a lane's row.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from workflows.engine.catalogue import Catalogue
from workflows.engine.dealing import LaneRow
from workflows.engine.envelopes import envelope
from workflows.engine.limits import Placement, Regime
from workflows.engine.sql import lane_sql
from workflows.engine.sql.lanes import InLine, LaneUpdate, NewLane
from workflows.engine.throttle import microseconds
from workflows.models import Event, Lane, LaneState, Run

ARRIVALS_AT_ONCE = 500  # runs


def open_lanes(placements: Iterable[Placement], *, now: datetime) -> list[LaneRow]:
    """Have the lanes in which runs are about to wait; return those in which nothing waited.

    These are for the caller to visit: most are empty again at the end of the same turn, and need
    not be written at all.
    """
    wanted = {placement.lane: placement for placement in placements}
    if not wanted:
        return []
    states = dict(Lane.objects.filter(pk__in=list(wanted)).values_list("id", "state"))
    new = [placement for id_, placement in wanted.items() if id_ not in states]
    if new:
        lane_sql().insert_lanes([_new(placement) for placement in new], now=now)
    idle = [each for id_, each in wanted.items() if states.get(id_, "idle") == LaneState.IDLE]
    _hold([placement.lane for placement in idle if placement.is_held])
    return [_row(placement) for placement in idle if not placement.is_held]


def leave_for_next_turn(lanes: Sequence[LaneRow], *, now: datetime) -> None:
    """Have lanes visited by the next turn of admission, where the caller takes none itself."""
    if lanes:
        turn = microseconds(now)
        news = [LaneUpdate(lane.id, str(LaneState.ACTIVE), None, turn) for lane in lanes]
        lane_sql().update_lanes(sorted(news), now=now)


def _new(placement: Placement) -> NewLane:
    return NewLane(
        placement.lane,
        placement.workflow,
        placement.shape,
        json.dumps(placement.values),
        *placement.limits,
        placement.pace,
    )


def _row(placement: Placement) -> LaneRow:
    return LaneRow(placement.lane, placement.workflow, *placement.limits, placement.pace)


def _hold(lane_ids: Collection[str]) -> None:
    """Keep the lanes of a paused workflow until it is resumed."""
    if lane_ids:
        Lane.objects.filter(pk__in=lane_ids).update(
            state=LaneState.HELD, blocked_on=None, idle_since=None
        )


def line_up_arrivals(catalogue: Catalogue, now: datetime) -> tuple[int, list[LaneRow]]:
    """Put queued runs that admission has not seen yet into their lanes.

    Returns:
        How many there were, and the lanes to be visited.
    """
    arrived = Run.objects.filter(pk__in=lane_sql().arrivals(limit=ARRIVALS_AT_ONCE))
    runs = list(arrived.order_by("rank").only("id", "workflow", "event", "lane_id", "is_let_in"))
    limited = [run for run in runs if catalogue.regime_of(run.workflow) is not None]
    free = [run.pk for run in runs if catalogue.regime_of(run.workflow) is None]
    if free:
        Run.objects.filter(pk__in=free).update(admitted=True)
    return len(runs), _place(limited, catalogue, now) if limited else []


def _place(runs: Sequence[Run], catalogue: Catalogue, now: datetime) -> list[LaneRow]:
    """Put queued runs, which are locked, at their places in their lanes."""
    lanes = Lane.objects.in_bulk({run.lane_id for run in runs if run.lane_id})
    known: list[Run] = []
    others: list[Run] = []
    for run in runs:
        lane = lanes.get(run.lane_id or "")
        is_right = lane is not None and lane.shape == _regime(catalogue, run).shape
        (known if is_right else others).append(run)
    placements = placements_of(others, catalogue)
    touched = open_lanes(placements.values(), now=now)
    if others:
        lane_sql().line_up([in_line(run.pk, placements[run.pk]) for run in others])
    if known:
        Run.objects.filter(pk__in=[run.pk for run in known]).update(is_in_line=True)
        touched += _called([lanes[run.lane_id or ""] for run in known], known, catalogue)
    return touched


def placements_of(runs: Sequence[Run], catalogue: Catalogue) -> dict[str, Placement]:
    """Return where runs belong by their events and the limits as they are now."""
    if not runs:
        return {}
    events = Event.objects.in_bulk({run.event_id for run in runs})
    return {
        run.pk: _regime(catalogue, run).placement(envelope(events[run.event_id])) for run in runs
    }


def in_line(run_id: str, placement: Placement) -> InLine:
    """Return what puts a run into a lane."""
    return InLine(run_id, placement.lane, *placement.limits, placement.counts_while_active)


def _called(lanes: Sequence[Lane], runs: Sequence[Run], catalogue: Catalogue) -> list[LaneRow]:
    """Return the lanes to visit: for a run that goes on, also one whose starts are blocked."""
    called: dict[str, Lane] = {}
    for lane, run in zip(lanes, runs, strict=True):
        if lane.state == LaneState.IDLE or (lane.state == LaneState.BLOCKED and run.is_let_in):
            called[lane.pk] = lane
    _hold([id_ for id_, lane in called.items() if lane.workflow in catalogue.paused])
    return [
        LaneRow(id_, lane.workflow, lane.first_limit, lane.second_limit, lane.pace)
        for id_, lane in called.items()
        if lane.workflow not in catalogue.paused
    ]


def _regime(catalogue: Catalogue, run: Run) -> Regime:
    regime = catalogue.regime_of(run.workflow)
    assert regime is not None  # the caller has asked
    return regime
