"""Why runs wait, in words, and what waits for which limit: for operators, at a bounded cost."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.db.models import Min, Q

from workflows.definitions.durations import format_duration
from workflows.engine.admit import nobody
from workflows.engine.catalogue import Catalogue, current_catalogue
from workflows.engine.dealing import Slots
from workflows.engine.limits import Regime
from workflows.engine.served import awaited_worker
from workflows.engine.sql import lane_sql
from workflows.models import Lane, LaneState, Pace, RegisteredWorkflow, Run

COUNTED = 1000  # runs before one; more are "1,000 or more"
LANES_SHOWN = 50


@dataclass(frozen=True, slots=True)
class LimitInUse:
    """What goes on and what waits for one value of a workflow's keys.

    Attributes:
        key: the keys with their values, such as `event.data.account = "acme"`; empty without keys.
        running: runs that are let in, or in a worker's hands.
        waiting: runs in line, counted up to `COUNTED`.
        oldest: when the first of those in line was created.
        blocked_on: what has no room, in words; None: nothing.
    """

    key: str
    running: int
    waiting: int
    oldest: datetime | None
    blocked_on: str | None


def why_queued(run: Run) -> str:
    """Say what a queued run waits for."""
    catalogue = current_catalogue()
    if run.gathering is not None:
        return f"gathers events until {run.due_at:%Y-%m-%d %H:%M:%S} UTC ({run.gathered})"
    if run.workflow in catalogue.paused:
        return _pause(run.workflow)
    if run.admitted:
        return awaited_worker(run)
    regime = catalogue.regime_of(run.workflow)
    lane = Lane.objects.filter(pk=run.lane_id).first()
    if lane is None or regime is None or not run.is_in_line:
        return "is about to be put in line"
    blocked_on = _blocked_on(lane, regime, catalogue) or "waits for its turn"
    return f"{blocked_on}; {_runs_before(run)} before it"


def limits_in_use(workflow_id: str) -> list[LimitInUse]:
    """Return what goes on and waits for each key of a workflow: what is blocked comes first."""
    catalogue = current_catalogue()
    regime = catalogue.regime_of(workflow_id)
    if regime is None:
        return []
    running = _running(workflow_id)
    waiting = Lane.objects.filter(workflow=workflow_id).exclude(state=LaneState.IDLE)
    lanes = {lane.pk: lane for lane in waiting.order_by("turn")[:LANES_SHOWN]}
    others = list(islice((id_ for id_ in running if id_ not in lanes), LANES_SHOWN - len(lanes)))
    lanes |= Lane.objects.in_bulk(others)
    return [_in_use(lane, regime, catalogue, running.get(id_, 0)) for id_, lane in lanes.items()]


def _pause(workflow: str) -> str:
    row = RegisteredWorkflow.objects.get(pk=workflow)
    why = f": {row.pause_reason}" if row.pause_reason else ""
    return f"the workflow is paused by {row.paused_by}{why}"


def _blocked_on(lane: Lane, regime: Regime, catalogue: Catalogue) -> str | None:
    """Say what a lane is blocked on: the limit, its key and how much of it is used."""
    if lane.blocked_on is None:
        return None
    if lane.blocked_on == nobody(lane.workflow):
        return f"no worker that is alive knows the workflow and serves the queue {regime.queue!r}"
    if lane.blocked_on == lane.pace and regime.throttle:
        return _throttle(lane, regime)
    slots = _slots(lane, catalogue)
    limits = (lane.first_limit, lane.second_limit)
    for place, (limit, rule) in enumerate(slots.rules(lane.workflow, limits)):
        if limit == lane.blocked_on:
            key = _key(rule.key.text, lane.values[place]) if rule.key else "the workflow"
            shared = " in all workflows with this key" if rule.is_shared else ""
            used = slots.used(limit, rule.counts)
            return (
                f"concurrency of {rule.limit} for {key}{shared}: "
                f"{used} {'are active' if rule.counts == 'active' else 'are executing'}"
            )
    return None


def _throttle(lane: Lane, regime: Regime) -> str:
    rule = regime.throttle
    assert rule is not None  # the caller has seen it
    key = f" for {_key(rule.key.text, lane.values[-1])}" if rule.key else ""
    wakes_at = Pace.objects.filter(pk=lane.pace).values_list("wakes_at", flat=True).first()
    when = f": the next start is at {wakes_at:%H:%M:%S} UTC" if wakes_at else ""
    return f"throttle of {rule.limit} in {format_duration(rule.period)}{key}{when}"


def _slots(lane: Lane, catalogue: Catalogue) -> Slots:
    """Count what is in use of the lane's limits, as admission does."""
    slots = Slots(catalogue.regimes)
    for row in lane_sql().in_use(everywhere=False):
        limits = (row.first_limit, row.second_limit)
        slots.count(row.workflow, limits, "executing", row.untaken + row.held)
        slots.count(row.workflow, limits, "active", row.ended)
    if catalogue.counts_active:
        wanted = [limit for limit in (lane.first_limit, lane.second_limit) if limit]
        for workflow, first, second, number in lane_sql().active(wanted):
            slots.count(workflow, (first, second), "active", number)
    return slots


def _runs_before(run: Run) -> str:
    earlier = Q(rank__lt=run.rank) | Q(rank=run.rank, pk__lt=run.pk)
    in_line = Run.objects.in_line().filter(earlier, lane_id=run.lane_id)
    before = in_line.order_by("is_let_in", "rank", "pk")[:COUNTED].count()
    if before >= COUNTED:
        return f"{COUNTED:,} runs or more are"
    return "1 run is" if before == 1 else f"{before or 'no'} runs are"


def _in_use(lane: Lane, regime: Regime, catalogue: Catalogue, running: int) -> LimitInUse:
    in_line = Run.objects.in_line().filter(lane_id=lane.pk)
    first = in_line.order_by("is_let_in", "rank", "pk")[:COUNTED]
    keys = [rule.key for rule in regime.concurrency]
    if regime.throttle:
        keys.append(regime.throttle.key)
    named = {
        _key(key.text, value): None
        for key, value in zip(keys, lane.values, strict=False)
        if key is not None
    }
    return LimitInUse(
        key=", ".join(named),
        running=running,
        waiting=first.count(),
        oldest=Run.objects.filter(pk__in=first[:1]).aggregate(at=Min("created_at"))["at"],
        blocked_on=_blocked_on(lane, regime, catalogue),
    )


def _running(workflow_id: str) -> dict[str, int]:
    """Count the runs of a workflow that are let in or held, by lane."""
    counted: dict[str, int] = {}
    held = Run.objects.held().filter(workflow=workflow_id, lane_id__isnull=False)
    let_in = Run.objects.takeable().filter(workflow=workflow_id, lane_id__isnull=False)
    for runs in (held, let_in):
        for lane_id in runs.values_list("lane_id", flat=True):
            counted[str(lane_id)] = counted.get(str(lane_id), 0) + 1
    return counted


def _key(text: str, value: str) -> str:
    return f"{text} = {value}"
