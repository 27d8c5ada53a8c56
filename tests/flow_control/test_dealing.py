"""Dealing: no limit is exceeded, no usable slot stays empty, and lanes take turns."""

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from workflows.definitions.flow_control import Counts
from workflows.engine.dealing import BOTH, Dealer, Dealt, LaneRow, Slots, Waiting
from workflows.engine.limits import ConcurrencyRule, Regime

WORKFLOW = "w"


@dataclass(frozen=True)
class Table:
    lanes: list[LaneRow]
    waiting: dict[str, list[Waiting]]
    rules: tuple[ConcurrencyRule, ...]
    room: int

    @property
    def regimes(self) -> dict[str, Regime]:
        regime = Regime(WORKFLOW, "default", self.rules, None, None, is_known=True, settled="")
        return {WORKFLOW: regime}


def rule(limit: int, counts: Counts) -> ConcurrencyRule:
    return ConcurrencyRule(limit, None, is_shared=False, counts=counts, is_one_of_two=False)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    counts = st.sampled_from(BOTH)
    rules = (
        rule(draw(st.integers(1, 6)), draw(counts)),
        rule(draw(st.integers(1, 9)), draw(counts)),
    )
    lanes, waiting = [], {}
    for number in range(draw(st.integers(1, 8))):
        id_ = f"lane-{number}"
        lanes.append(LaneRow(id_, WORKFLOW, f"first-{number % 3}", "second", None, number))
        runs = draw(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=8))
        waiting[id_] = [
            Waiting(id_, f"{id_}-{place}", rank, is_let_in)
            for place, (rank, is_let_in) in enumerate(sorted(runs))
        ]
    return Table(lanes, waiting, rules, draw(st.integers(0, 30)))


def deal(table: Table) -> tuple[Dealt, Slots]:
    slots = Slots(table.regimes)
    dealer = Dealer(slots, {}, {"default": table.room}, table.regimes)
    dealt = Dealt()
    dealer.deal(table.lanes, table.waiting, fetched=100, dealt=dealt)
    return dealt, slots


@given(tables())
def test_no_limit_is_exceeded_and_no_more_is_let_in_than_there_is_room(table: Table) -> None:
    dealt, _ = deal(table)

    lanes = {lane.id: lane for lane in table.lanes}
    for place, each in enumerate(table.rules):
        takes = [run for run in dealt.let_in if each.counts == "executing" or not run.is_let_in]
        limits = Counter(
            (lanes[run.lane_id].first_limit, lanes[run.lane_id].second_limit)[place]
            for run in takes
        )
        assert all(used <= each.limit for used in limits.values())
    assert len(dealt.let_in) <= table.room


@given(tables())
def test_what_could_still_be_let_in_is(table: Table) -> None:
    dealt, slots = deal(table)

    lanes = {lane.id: lane for lane in table.lanes}
    left = [run for runs in table.waiting.values() for run in runs if run not in dealt.let_in]
    if len(dealt.let_in) < table.room:
        for run in left:
            lane = lanes[run.lane_id]
            limits = slots.rules(WORKFLOW, (lane.first_limit, lane.second_limit))
            assert any(
                slots.used(limit, each.counts) >= each.limit
                for limit, each in limits
                if each.counts == "executing" or not run.is_let_in
            )


@given(tables())
def test_every_lane_is_emptied_blocked_or_left_for_the_next_turn(table: Table) -> None:
    dealt, _ = deal(table)

    waiting = {id_ for id_, runs in table.waiting.items() if set(runs) - set(dealt.let_in)}
    assert set(dealt.blocked) <= waiting
    assert dealt.emptied.isdisjoint(waiting)
    if len(dealt.let_in) < table.room:
        assert set(dealt.blocked) == waiting


@given(st.integers(1, 10), st.integers(1, 60), st.integers(1, 20))
def test_lanes_without_a_common_limit_take_turns(lanes: int, room: int, each: int) -> None:
    rows = [LaneRow(f"lane-{n}", WORKFLOW, f"first-{n}", None, None, n) for n in range(lanes)]
    waiting = {
        row.id: [Waiting(row.id, f"{row.id}-{n}", n, is_let_in=False) for n in range(each)]
        for row in rows
    }
    table = Table(rows, waiting, (rule(1000, "executing"),), room)

    dealt, _ = deal(table)

    served = Counter(run.lane_id for run in dealt.let_in)
    assert max(served.values()) - min(served.get(row.id, 0) for row in rows) <= 1


@given(tables())
def test_runs_of_a_lane_are_let_in_by_rank_among_their_kind(table: Table) -> None:
    dealt, _ = deal(table)

    for lane in table.lanes:
        for is_let_in in (True, False):
            order = [
                (run.rank, run.run_id)
                for run in dealt.let_in
                if run.lane_id == lane.id and run.is_let_in == is_let_in
            ]
            assert order == sorted(order)
