"""Settle what has changed: put the unended runs of a workflow under its limits as they are now.

A deploy, an override or a pause changes what holds for runs that are there already: those that
have not started obey it, those at work take up slots by it. Only under the engine's lock, so many
runs a turn; until all are settled, admission leaves the workflow's lanes alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, QuerySet

from workflows.engine.catalogue import Catalogue, raise_revision
from workflows.engine.dealing import LaneRow
from workflows.engine.lanes import open_lanes, placements_of
from workflows.engine.limits import Regime
from workflows.models import Lane, LaneState, RegisteredWorkflow, Run, RunStatus
from workflows.models.run import UNENDED

AT_ONCE = 500  # runs
MILLISECOND = timedelta(milliseconds=1)


@dataclass(slots=True)
class Settled:
    """What was settled: how much, which workflows are not done yet, which lanes to visit."""

    moved: int = 0
    unsettled: list[str] = field(default_factory=list)
    touched: list[LaneRow] = field(default_factory=list)


def settle(catalogue: Catalogue, now: datetime) -> Settled:
    """Settle what has changed."""
    done = Settled()
    for regime in catalogue.unsettled:
        moved = _settle(regime, catalogue, now, done)
        done.moved += moved
        if moved >= AT_ONCE:
            done.unsettled.append(regime.workflow)
        else:
            done.moved += 1
            RegisteredWorkflow.objects.filter(pk=regime.workflow).update(settled=regime.summary)
    if done.moved:
        raise_revision()
    return done


def _settle(regime: Regime, catalogue: Catalogue, now: datetime, done: Settled) -> int:
    """Settle a part of a workflow's runs; return how many: fewer than `AT_ONCE` were all."""
    _hold_or_free_lanes(regime)
    moved = _freeze_timeouts(regime) if regime.is_paused else _thaw_timeouts(regime, now)
    for status in UNENDED:
        if regime.has_lanes and moved < AT_ONCE:
            misplaced = list(_misplaced(regime, status)[: AT_ONCE - moved])
            done.touched += _move(misplaced, catalogue, now)
            moved += len(misplaced)
    return moved


def _hold_or_free_lanes(regime: Regime) -> None:
    lanes = Lane.objects.filter(workflow=regime.workflow)
    news = {"blocked_on": None, "idle_since": None}
    if regime.is_paused:
        waiting = lanes.filter(state__in=[LaneState.ACTIVE, LaneState.BLOCKED])
        waiting.update(state=LaneState.HELD, **news)
    else:
        lanes.filter(state__in=[LaneState.HELD, LaneState.BLOCKED]).update(
            state=LaneState.ACTIVE, **news
        )


def _misplaced(regime: Regime, status: RunStatus) -> QuerySet[Run]:
    """Return the runs that are in no lane of the workflow as it is now."""
    right = Lane.objects.filter(pk=OuterRef("lane_id"), shape=regime.shape)
    return (
        Run.objects.filter(~Exists(right), workflow=regime.workflow, status=status, gathering=None)
        .order_by("id")
        .select_for_update(no_key=True)
        .only("id", "workflow", "event", "status", "started_at")
    )


def _move(runs: Sequence[Run], catalogue: Catalogue, now: datetime) -> list[LaneRow]:
    """Put runs into their lanes: those that wait have to be let in anew."""
    placements = placements_of(runs, catalogue)
    touched = open_lanes(placements.values(), now=now)
    for run in runs:
        placement = placements[run.pk]
        run.lane_id = placement.lane
        run.first_limit, run.second_limit = placement.limits
        run.counts_while_active = placement.counts_while_active
        run.is_let_in = run.started_at is not None
        run.is_in_line = run.status == RunStatus.QUEUED
        run.admitted = False
    Run.objects.bulk_update(
        runs,
        [
            "lane_id",
            "first_limit",
            "second_limit",
            "counts_while_active",
            "is_let_in",
            "is_in_line",
            "admitted",
        ],
    )
    return touched


def _freeze_timeouts(regime: Regime) -> int:
    """Stop the time within which the runs of a paused workflow must start."""
    runs = list(_unstarted(regime).filter(expires_at__isnull=False)[:AT_ONCE])
    for run in runs:
        since = max(regime.paused_at or run.created_at, run.created_at)
        assert run.expires_at is not None  # as was asked for
        run.start_left_ms = max(0, (run.expires_at - since) // MILLISECOND)
        run.expires_at = None
    Run.objects.bulk_update(runs, ["start_left_ms", "expires_at"])
    return len(runs)


def _thaw_timeouts(regime: Regime, now: datetime) -> int:
    """Let that time go on once the workflow is resumed."""
    runs = list(_unstarted(regime).filter(start_left_ms__isnull=False)[:AT_ONCE])
    for run in runs:
        run.expires_at = now + timedelta(milliseconds=run.start_left_ms or 0)
        run.start_left_ms = None
    Run.objects.bulk_update(runs, ["start_left_ms", "expires_at"])
    return len(runs)


def _unstarted(regime: Regime) -> QuerySet[Run]:
    return (
        Run.objects.filter(workflow=regime.workflow, status=RunStatus.QUEUED, started_at=None)
        .order_by("id")
        .select_for_update(no_key=True)
    )
