"""Deal free slots round the lanes: one run at a time, in the lanes' turn. No database is asked.

A run that goes on needs a slot of each limit that counts executing runs. One that starts needs
one of every limit, and its throttle's leave. So what stops a run that goes on also stops the
starts behind it, but not the other way round.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from workflows.definitions.flow_control import Counts
from workflows.engine.limits import ConcurrencyRule, Regime
from workflows.engine.throttle import PaceOf


class LaneRow(NamedTuple):
    """What dealing needs of a lane."""

    id: str
    workflow: str
    first_limit: str | None
    second_limit: str | None
    pace: str | None
    turn: int = 0


class Waiting(NamedTuple):
    """A run that waits in a lane."""

    lane_id: str
    run_id: str
    rank: int
    is_let_in: bool


BOTH: tuple[Counts, ...] = ("executing", "active")
Rules = Sequence[tuple[str, ConcurrencyRule]]


class Slots:
    """How many slots of each limit are in use, by what the limit counts.

    A limit that workflows share may count executing runs of one and active ones of another: each
    run takes the slot that its own workflow's rule says, and everybody sees it. Only where one
    workflow counts the same key in both ways does each rule see its own slots.
    """

    def __init__(self, regimes: Mapping[str, Regime]) -> None:
        self._regimes = regimes
        self._used: Counter[tuple[str, Counts]] = Counter()

    def used(self, limit: str, counts: Counts) -> int:
        """Return how many slots are in use."""
        return self._used[limit, counts]

    def rules(self, workflow: str, limits: Sequence[str | None]) -> Rules:
        """Return the limits of a lane with what its workflow declares of them."""
        regime = self._regimes.get(workflow)
        rules = regime.concurrency if regime else ()
        return [(limit, rule) for limit, rule in zip(limits, rules, strict=False) if limit]

    def count(
        self, workflow: str, limits: Sequence[str | None], counts: Counts, number: int
    ) -> None:
        """Count runs of a workflow that are executing, or active, in their limits."""
        self.take(self.rules(workflow, limits), counts, number)

    def take(self, rules: Rules, counts: Counts, number: int = 1) -> None:
        """Take slots of those rules that count this kind of runs."""
        for limit, rule in rules:
            if rule.counts == counts:
                for seen_by in (counts,) if rule.is_one_of_two else BOTH:
                    self._used[limit, seen_by] += number


@dataclass(slots=True)
class Dealt:
    """What was dealt: which runs are let in, and what stopped which lanes."""

    let_in: list[Waiting] = field(default_factory=list)
    blocked: dict[str, str] = field(default_factory=dict)  # a limit, or a pace, by lane
    emptied: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Dealer:
    """What is to be dealt.

    Attributes:
        slots: what is in use; grows as runs are let in.
        paces: throttles by their digests.
        room: how many more runs may be let in for each queue, so that none is let in long
            before a worker takes it: until then it would hold its slot for nothing.
    """

    slots: Slots
    paces: Mapping[str, PaceOf]
    room: dict[str, int]
    regimes: Mapping[str, Regime]

    def deal(
        self,
        lanes: Sequence[LaneRow],
        waiting: Mapping[str, Sequence[Waiting]],
        *,
        fetched: int,
        dealt: Dealt,
    ) -> None:
        """Let runs in, one of each lane in turn, until none is left that may.

        Args:
            lanes: in the order of their turns.
            waiting: the first runs of each lane, those that go on and those that start.
            fetched: so many of either kind were asked for, at most.
            dealt: takes what is dealt.
        """
        hands = deque(self._hand(lane, waiting.get(lane.id, ()), fetched) for lane in lanes)
        while hands:
            hand = hands.popleft()
            if self._serve(hand, dealt):
                hands.append(hand)

    def _hand(self, lane: LaneRow, waiting: Sequence[Waiting], fetched: int) -> "Hand":
        going_on = deque(run for run in waiting if run.is_let_in)
        starting = deque(run for run in waiting if not run.is_let_in)
        return Hand(
            lane,
            self.regimes[lane.workflow].queue,
            self.slots.rules(lane.workflow, (lane.first_limit, lane.second_limit)),
            self.paces.get(lane.pace or ""),
            going_on,
            starting,
            len(going_on) >= fetched or len(starting) >= fetched,
        )

    def _serve(self, hand: "Hand", dealt: Dealt) -> bool:
        """Let the next run of a lane in; return whether the lane may have another."""
        if not hand.going_on and not hand.starting:
            if not hand.may_have_more:
                dealt.emptied.add(hand.lane.id)
            return False
        if self.room.get(hand.queue, 0) <= 0:
            return False
        stopped = {run: self._stopped_by(hand, run) for run in hand.heads()}
        free = [run for run, limit in stopped.items() if limit is None]
        if not free:
            dealt.blocked[hand.lane.id] = next(limit for limit in stopped.values() if limit)
            return False
        run = min(free, key=lambda each: (each.rank, each.run_id))
        hand.pop(run)
        self._let_in(hand, run)
        dealt.let_in.append(run)
        return True

    def _stopped_by(self, hand: "Hand", run: Waiting) -> str | None:
        """Return the limit that has no room for a run, or the pace."""
        for limit, rule in hand.rules:
            needs_slot = rule.counts == "executing" or not run.is_let_in
            if needs_slot and self.slots.used(limit, rule.counts) >= rule.limit:
                return limit
        if hand.pace is not None and not run.is_let_in and hand.pace.room <= 0:
            return hand.lane.pace
        return None

    def _let_in(self, hand: "Hand", run: Waiting) -> None:
        self.room[hand.queue] -= 1
        self.slots.take(hand.rules, "executing")
        if not run.is_let_in:
            self.slots.take(hand.rules, "active")
            if hand.pace is not None:
                hand.pace.use()


@dataclass(slots=True)
class Hand:
    """A lane at the table: its limits, and the runs that may be let in, of either kind."""

    lane: LaneRow
    queue: str
    rules: Rules
    pace: PaceOf | None
    going_on: deque[Waiting]
    starting: deque[Waiting]
    may_have_more: bool

    def heads(self) -> list[Waiting]:
        """Return the first run of either kind; those that go on come first."""
        return [kind[0] for kind in (self.going_on, self.starting) if kind]

    def pop(self, run: Waiting) -> None:
        """Take a head away."""
        (self.going_on if run.is_let_in else self.starting).popleft()
