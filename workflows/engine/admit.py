"""Admit runs: a turn of admission lets runs of the lanes in, as far as their limits have room.

One turn at a time, under the engine's lock, in the transaction that routes. A slot is a run's own
row, never a counter: what is in use is counted anew in each turn, and nothing can leak when a
process dies. A turn costs what the work in flight costs, whatever waits, sleeps or has ended.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from math import ceil

from django.db.models import QuerySet

from workflows.clock import clock
from workflows.engine.catalogue import Catalogue
from workflows.engine.dealing import Dealer, Dealt, LaneRow, Slots, Waiting
from workflows.engine.lanes import line_up_arrivals
from workflows.engine.limits import Regime, digest, limits_of
from workflows.engine.meters import times_admission
from workflows.engine.settle import Settled, settle
from workflows.engine.sql import lane_sql, sql
from workflows.engine.sql.lanes import BlockedLanes, Bounds, InUse, LaneUpdate, PaceRow
from workflows.engine.throttle import PaceOf
from workflows.engine.transactions import transaction
from workflows.models import Admission, Lane, LaneState, Pace, Run, RunStatus, Worker
from workflows.models.run import IS_STARTED

LANES_AT_ONCE = 200
BLOCKED_AT_ONCE = 500  # limits on which lanes are blocked
LET_IN_AHEAD = 3  # runs for each thread of the workers that are alive
FORGET_LANES_AFTER = timedelta(days=1)
FORGOTTEN_AT_ONCE = 500  # lanes, or paces
EVER = 2**31 - 1

_next_blocked = ("", "")


@dataclass(frozen=True, slots=True)
class News:
    """What was there to do before the lock was taken: what came since waits for the next turn."""

    has_arrivals: bool = True
    has_active_lanes: bool = True
    has_blocked_lanes: bool = True


EVERYTHING = News()


@times_admission
def admit_runs(
    catalogue: Catalogue, *, news: News = EVERYTHING, touched: Sequence[LaneRow] = ()
) -> int:
    """Take a turn, in the caller's transaction and under its lock.

    Args:
        catalogue: the workflows as they are under the lock.
        news: what is to be looked at.
        touched: lanes that were idle until the caller put runs into them.

    Returns:
        How much was moved; 0 where a further turn would do nothing.
    """
    now = clock.now()
    settled = settle(catalogue, now)
    lined_up, called = line_up_arrivals(catalogue, now) if news.has_arrivals else (0, [])
    every = {lane.id: lane for lane in [*touched, *settled.touched, *called]}
    turn = Turn(catalogue, now, settled, list(every.values()), news)
    return settled.moved + lined_up + turn.take()


def blocked_lanes_wait(*, since: timedelta) -> bool:
    """Tell whether a lane is blocked, and admission has not looked for so long."""
    looked = Admission.objects.filter(looked_at__gt=clock.now() - since)
    return Lane.objects.blocked().exists() and not (since and looked.exists())


def forget_lanes() -> int:
    """Delete lanes in which nothing has waited for a day, and paces that are full again.

    Returns:
        How many; 0 also where somebody else has the engine's lock: there is time.
    """
    before = clock.now() - FORGET_LANES_AFTER
    idle = Lane.objects.filter(state=LaneState.IDLE, idle_since__lt=before)
    full = Pace.objects.filter(full_at__lt=before, wakes_at=None)
    if not idle.exists() and not full.exists():
        return 0
    with transaction("forget lanes"):
        if sql().engine_lock() is None:
            return 0
        return sum(_delete_some(forgotten) for forgotten in (idle, full))


def _delete_some(rows: QuerySet[Lane] | QuerySet[Pace]) -> int:
    some = list(rows.values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE])
    return rows.model.objects.filter(pk__in=some).delete()[0]


class Turn:
    """One turn of admission."""

    def __init__(
        self,
        catalogue: Catalogue,
        now: datetime,
        settled: Settled,
        touched: Sequence[LaneRow],
        news: News,
    ) -> None:
        self._catalogue = catalogue
        self._regimes = catalogue.regimes
        self._now = now
        self._unsettled = settled.unsettled
        self._has_settled = settled.moved > 0
        self._touched = touched
        self._news = news
        self._slots = Slots(self._regimes)
        self._counted: set[str] = set()
        self._unblocked: dict[str, str] = {}  # what lanes were blocked on
        self._paces: dict[str, PaceOf] = {}

    def take(self) -> int:
        """Deal what is free; return how many runs were let in, or lanes moved."""
        # What was settled takes up slots at the places at which it was taken.
        in_use = self._take_back(lane_sql().in_use(everywhere=self._has_settled))
        self._count(in_use)
        if self._news.has_blocked_lanes:
            self._unblock(self._blocked())
        lanes = self._visited()
        dealt = self._deal(lanes)
        first_turn = self._note(in_use, dealt)
        let_in = self._let_in(dealt, first_place=first_turn + len(self._touched))
        self._write_lanes(lanes, dealt, let_in, first_turn)
        moved = len(let_in) + self._moved(dealt)
        self._write_paces(lanes, [run for run in dealt.let_in if run.run_id not in let_in])
        if not moved:
            self._forget_wakes()
        return moved

    @cached_property
    def _threads(self) -> Counter[str]:
        """How many runs the workers that are alive execute at once, by queue."""
        found: Counter[str] = Counter()
        alive = Worker.objects.alive(self._now).values_list("queues", "threads")
        for queues, threads in alive:
            for queue in self._catalogue.queues if queues is None else queues:
                found[queue] += threads
        return found

    def _is_served(self, regime: Regime) -> bool:
        """Tell whether a worker that is alive knows the workflow and serves its queue."""
        return regime.is_known and self._threads[regime.queue] > 0

    def _take_back(self, in_use: list[InUse]) -> list[InUse]:
        """Put runs that no worker will take back into their lanes: they give up their slots."""
        kept = []
        for row in in_use:
            regime = self._regimes.get(row.workflow)
            if row.untaken and not (regime and self._is_served(regime)):
                untaken = Run.objects.filter(
                    workflow=row.workflow, status=RunStatus.QUEUED, admitted=True
                ).filter(lane_id__isnull=False)
                # Also a blocked one: it may be blocked on the slot of the run that is put back.
                Lane.objects.filter(
                    pk__in=untaken.values("lane_id"), state__in=[LaneState.IDLE, LaneState.BLOCKED]
                ).update(state=LaneState.ACTIVE, idle_since=None, blocked_on=None)
                untaken.update(admitted=False, is_in_line=True, is_let_in=IS_STARTED)
                kept.append(row._replace(untaken=0))
            else:
                kept.append(row)
        return kept

    def _count(self, in_use: Iterable[InUse]) -> None:
        self._room = {queue: LET_IN_AHEAD * threads for queue, threads in self._threads.items()}
        for row in in_use:
            limits = (row.first_limit, row.second_limit)
            self._slots.count(row.workflow, limits, "executing", row.untaken + row.held)
            # A run that was cancelled in a body is not found among the active ones any more.
            self._slots.count(row.workflow, limits, "active", row.ended)
            if (regime := self._regimes.get(row.workflow)) is not None:
                self._room[regime.queue] = self._room.get(regime.queue, 0) - row.untaken

    def _count_active(self, rows: Iterable[BlockedLanes | LaneRow]) -> None:
        """Count active runs under the limits of these lanes, each limit once."""
        if not self._catalogue.counts_active:
            return
        limits = {limit for row in rows for limit in limits_of((row.first_limit, row.second_limit))}
        limits -= self._counted
        self._counted |= limits
        if limits:
            for workflow, first, second, number in lane_sql().active(sorted(limits)):
                self._slots.count(workflow, (first, second), "active", number)

    def _blocked(self) -> list[BlockedLanes]:
        """Return on what lanes are blocked: all of it, or the next part where there is much."""
        global _next_blocked  # noqa: PLW0603  each process goes round by itself
        found = lane_sql().blocked(after=_next_blocked, most=BLOCKED_AT_ONCE)
        is_all = len(found) < BLOCKED_AT_ONCE
        if is_all and _next_blocked != ("", ""):
            found += lane_sql().blocked(after=("", ""), most=BLOCKED_AT_ONCE)
        _next_blocked = ("", "") if is_all else (found[-1].blocked_on, found[-1].workflow)
        return list(dict.fromkeys(found))

    def _unblock(self, blocked: Sequence[BlockedLanes]) -> None:
        """Make as many blocked lanes active as there is room for, in their turn."""
        self._count_active(blocked)
        self._read_paces(blocked)
        for row in blocked:
            room = self._room_for(row)
            if room > 0:
                for lane in lane_sql().unblock(row.blocked_on, row.workflow, most=room):
                    self._unblocked[lane] = row.blocked_on

    def _room_for(self, row: BlockedLanes) -> int:
        """Return how many lanes may be unblocked; nothing holds what is no limit any more."""
        regime = self._regimes.get(row.workflow)
        if regime is None:
            return 0
        if row.blocked_on == nobody(row.workflow):
            return self._room.get(regime.queue, 0) if self._is_served(regime) else 0
        if row.blocked_on == row.pace:
            return self._paces[row.pace].room if row.pace in self._paces else LANES_AT_ONCE
        rules = self._slots.rules(row.workflow, (row.first_limit, row.second_limit))
        rooms = [
            rule.limit - self._slots.used(limit, rule.counts)
            for limit, rule in rules
            if limit == row.blocked_on
        ]
        return max(rooms, default=LANES_AT_ONCE)

    def _visited(self) -> list[LaneRow]:
        """Return the lanes to visit: those whose turn it is, then those that were idle before."""
        rows: list[LaneRow] = []
        if self._news.has_active_lanes or self._unblocked:
            lanes = Lane.objects.active().order_by("turn")
            if self._unsettled:
                lanes = lanes.exclude(workflow__in=self._unsettled)
            values = lanes.values_list(*LaneRow._fields)[:LANES_AT_ONCE]
            rows = [LaneRow._make(row) for row in values]
        seen = {row.id for row in rows}
        return rows + [lane for lane in self._touched if lane.id not in seen]

    def _deal(self, lanes: Sequence[LaneRow]) -> Dealt:
        dealt = Dealt(
            blocked={
                lane.id: nobody(lane.workflow)
                for lane in lanes
                if not self._is_served(self._regimes[lane.workflow])
            }
        )
        served = [
            lane
            for lane in lanes
            if lane.id not in dealt.blocked and lane.workflow not in self._unsettled
        ]
        room = sum(room for room in self._room.values() if room > 0)
        if not served or not room:
            return dealt
        self._count_active(served)
        self._read_paces(served)
        served = served[:room]
        most = ceil(room / len(served)) + 1
        waiting: dict[str, list[Waiting]] = {}
        for run in lane_sql().first_in(served, most=most):
            waiting.setdefault(run.lane_id, []).append(run)
        dealer = Dealer(self._slots, self._paces, self._room, self._regimes)
        dealer.deal(served, waiting, fetched=most, dealt=dealt)
        return dealt

    def _note(self, in_use: Sequence[InUse], dealt: Dealt) -> int:
        """Note what tells others when the next turn is worth while; return the next lane's turn."""
        untaken = sum(row.untaken for row in in_use) + len(dealt.let_in)
        is_room_used_up = any(room <= 0 for room in self._room.values())
        # A turn for each run that is taken would cost more than the runs do.
        refill_at = untaken - min(self._threads.values(), default=0) if is_room_used_up else EVER
        return lane_sql().note(
            slots=untaken + sum(row.held for row in in_use),
            refill_at=max(0, refill_at),
            turns=len(self._touched) + len(dealt.let_in),
            bounds=_bounds(in_use),
            now=self._now,
        )

    def _moved(self, dealt: Dealt) -> int:
        """Count lanes that are blocked on something else now: others may use what they left."""
        return sum(
            dealt.blocked.get(lane, limit) != limit for lane, limit in self._unblocked.items()
        )

    def _let_in(self, dealt: Dealt, *, first_place: int) -> set[str]:
        """Let runs in, to be taken in the order of dealing; return those that still waited."""
        ids = [run.run_id for run in dealt.let_in]
        return lane_sql().let_in(ids, first_place=first_place) if ids else set()

    def _write_lanes(
        self, lanes: Sequence[LaneRow], dealt: Dealt, let_in: set[str], first_turn: int
    ) -> None:
        """Write what has become of the lanes; those that were served come last next time."""
        turns = {lane.id: first_turn + place for place, lane in enumerate(self._touched)}
        first_place = first_turn + len(turns)
        turns |= {run.lane_id: first_place + place for place, run in enumerate(dealt.let_in)}
        missed = {run.lane_id for run in dealt.let_in if run.run_id not in let_in}
        was_idle = {lane.id for lane in self._touched}
        news = []
        for lane in lanes:
            state, before = LaneState.ACTIVE, LaneState.ACTIVE
            if lane.id in was_idle:
                before = LaneState.IDLE
            if lane.id in dealt.blocked:
                state = LaneState.BLOCKED
            elif lane.id in dealt.emptied and lane.id not in missed:
                state = LaneState.IDLE
            turn = turns.get(lane.id, lane.turn)
            if state != before or (state == LaneState.ACTIVE and turn != lane.turn):
                blocked_on = dealt.blocked.get(lane.id)
                news.append(LaneUpdate(lane.id, str(state), blocked_on, turn))
        if news:
            lane_sql().update_lanes(sorted(news), now=self._now)

    def _read_paces(self, rows: Iterable[BlockedLanes | LaneRow]) -> None:
        """Read how far the throttles of these lanes have been used."""
        wanted = {
            row.pace: regime.throttle
            for row in rows
            if row.pace and row.pace not in self._paces
            if (regime := self._regimes.get(row.workflow)) and regime.throttle
        }
        if not wanted:
            return
        stored = dict(Pace.objects.filter(pk__in=wanted).values_list("pk", "tat"))
        for pace, rule in wanted.items():
            self._paces[pace] = PaceOf.at(self._now, rule, stored.get(pace))

    def _write_paces(self, lanes: Sequence[LaneRow], missed: Iterable[Waiting]) -> None:
        """Write what was used, and when the next start is due of the lanes that wait for that."""
        pace_of = {lane.id: self._paces.get(lane.pace or "") for lane in lanes}
        for run in missed:
            if (pace := pace_of[run.lane_id]) is not None and not run.is_let_in:
                pace.give_back()
        if self._paces:
            lane_sql().write_paces(
                [
                    PaceRow(id_, pace.stored, pace.full_at, pace.next_start)
                    for id_, pace in sorted(self._paces.items())
                ]
            )

    def _forget_wakes(self) -> None:
        """Let nobody be woken for paces that no lane waits for any more."""
        Pace.objects.filter(wakes_at__lte=self._now).exclude(pk__in=self._paces).update(
            wakes_at=None
        )


def nobody(workflow: str) -> str:
    """Return what lanes are blocked on while no worker that is alive would take their runs."""
    return digest("nobody", workflow)


def _bounds(in_use: Sequence[InUse]) -> Bounds:
    """Return from which places on runs hold slots; whoever is let in now comes later."""
    untaken = [row.first_untaken for row in in_use if row.first_untaken is not None]
    held = [row.first_held for row in in_use if row.first_held is not None]
    return Bounds(min(untaken, default=None), min(untaken + held, default=None))
