"""The throttle's arithmetic, against a model in exact fractions."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from workflows.engine.limits import ThrottleRule
from workflows.engine.throttle import PaceOf, microseconds, moment_of

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)

rules = st.builds(
    ThrottleRule,
    limit=st.integers(1, 1000),
    period=st.integers(1, 86_400_000).map(lambda ms: timedelta(milliseconds=ms)),
    burst=st.integers(0, 100),
    key=st.none(),
)


def start_all(rule: ThrottleRule, arrivals: list[int]) -> list[int]:
    """Return when each of these arrivals starts, one after another, in microseconds."""
    stored: str | None = None
    now, starts = BEGIN, []
    for arrival in arrivals:
        now = max(now, BEGIN + timedelta(microseconds=arrival))
        pace = PaceOf.at(now, rule, stored)
        if pace.room <= 0:
            now = pace.next_start
            assert PaceOf.at(now - timedelta(microseconds=1), rule, stored).room <= 0
            pace = PaceOf.at(now, rule, stored)
        assert pace.room > 0
        pace.use()
        stored = pace.stored
        starts.append(microseconds(now) - microseconds(BEGIN))
    return starts


def model(rule: ThrottleRule, arrivals: list[int]) -> list[int]:
    """Do the same with a bucket of `limit + burst` that refills evenly, in exact fractions."""
    rate = Fraction(rule.limit, rule.period // timedelta(microseconds=1))
    full = Fraction(rule.limit + rule.burst)
    level, at, starts = full, 0, []
    for arrival in arrivals:
        now = max(at, arrival)
        level = min(full, level + (now - at) * rate)
        if level < 1:
            later = now + ceil((1 - level) / rate)
            level = min(full, level + (later - now) * rate)
            now = later
        level -= 1
        at = now
        starts.append(now)
    return starts


@given(rules, st.lists(st.integers(0, 10**9), min_size=1, max_size=60).map(sorted))
def test_starts_are_to_the_microsecond_those_of_a_bucket_that_refills_evenly(
    rule: ThrottleRule, arrivals: list[int]
) -> None:
    assert start_all(rule, arrivals) == model(rule, arrivals)


@given(rules, st.lists(st.integers(0, 10**7), min_size=1, max_size=60).map(sorted))
def test_no_window_has_more_starts_than_limit_burst_and_what_it_refills(
    rule: ThrottleRule, arrivals: list[int]
) -> None:
    starts = start_all(rule, arrivals)

    rate = Fraction(rule.limit, rule.period // timedelta(microseconds=1))
    for first in range(len(starts)):
        for last in range(first, len(starts)):
            window = starts[last] - starts[first]
            assert last - first + 1 <= rule.limit + rule.burst + window * rate


@given(rules, st.integers(0, 10**7))
def test_a_clock_that_went_back_delays_no_start_by_more_than_a_full_use(
    rule: ThrottleRule, back: int
) -> None:
    ahead = PaceOf.at(BEGIN + timedelta(microseconds=back) + timedelta(days=30), rule, None)
    ahead.use()

    pace = PaceOf.at(BEGIN, rule, ahead.stored)

    interval = Fraction(rule.period // timedelta(microseconds=1), rule.limit)
    assert pace.next_start <= moment_of(ceil(microseconds(BEGIN) + interval))


@given(rules, rules, st.integers(0, 300))
def test_another_limit_goes_on_from_what_the_first_has_used(
    before: ThrottleRule, after: ThrottleRule, used: int
) -> None:
    pace = PaceOf.at(BEGIN, before, None)
    for _ in range(min(used, pace.room)):
        pace.use()

    changed = PaceOf.at(BEGIN, after, pace.stored)

    assert 0 <= changed.room <= after.limit + after.burst
    assert changed.full_at <= pace.full_at


@given(rules, st.integers(1, 50))
def test_a_start_that_did_not_come_about_leaves_no_trace(rule: ThrottleRule, used: int) -> None:
    pace = PaceOf.at(BEGIN, rule, None)
    for _ in range(used):
        pace.use()
    before = pace.stored

    pace.use()
    pace.give_back()

    assert pace.stored == before
