"""Cron: lines, refusals, and firings where the clock changes."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from workflows.definitions.cron import firings
from workflows.definitions.triggers import Cron
from workflows.errors import InvalidWorkflow

ZONES = {
    # where: the days on which the clock goes forward and back
    "Europe/London": (date(2026, 3, 29), date(2026, 10, 25)),
    "America/New_York": (date(2026, 3, 8), date(2026, 11, 1)),
    "Australia/Lord_Howe": (date(2026, 10, 4), date(2026, 4, 5)),  # by half an hour
    "America/Santiago": (date(2026, 9, 6), date(2026, 4, 5)),  # at midnight
}


def local(line: str, zone: str, start: str, count: int) -> list[str]:
    """The first firings after a local time, in local time with its offset."""
    after = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
    moments = islice(firings(line, zone=zone, after=after), count)
    return [f"{moment.astimezone(ZoneInfo(zone)):%d %H:%M %z}" for moment in moments]


def test_a_line_fires_later_than_the_given_moment() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)

    assert Cron("0 12 * * *").next_after(noon) == noon + timedelta(days=1)
    assert Cron("0 12 * * *").next_after(noon - timedelta(microseconds=1)) == noon


def test_a_line_means_the_clock_of_its_time_zone() -> None:
    moment = Cron("0 9 * * *", tz="America/New_York").next_after(datetime(2026, 1, 1, tzinfo=UTC))

    assert moment.isoformat() == "2026-01-01T14:00:00+00:00"


@pytest.mark.parametrize("line", ["30 1 * * *", "0,30 1 * * *", "*/10 1 * * *", "30 1-1 * * *"])
def test_a_time_that_is_skipped_fires_once_at_the_next_valid_moment(line: str) -> None:
    first, second = local(line, "Europe/London", "2026-03-28T22:00", 2)

    assert first == "29 02:00 +0100"
    assert second.startswith("30 01:")


def test_a_time_that_occurs_twice_fires_once() -> None:
    assert local("30 1 * * *", "Europe/London", "2026-10-24T22:00", 2) == [
        "25 01:30 +0100",
        "26 01:30 +0000",
    ]


def test_minutes_by_star_fire_once_in_an_hour_that_occurs_twice() -> None:
    assert local("*/30 1 * * *", "Europe/London", "2026-10-24T22:00", 3) == [
        "25 01:00 +0100",
        "25 01:30 +0100",
        "26 01:00 +0000",
    ]


def test_a_moment_in_the_second_pass_is_not_followed_by_one_of_the_first() -> None:
    second_pass = datetime(2026, 10, 25, 1, 15, tzinfo=UTC)

    moment = Cron("30 1 * * *", tz="Europe/London").next_after(second_pass)

    assert moment == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_a_star_for_the_hour_follows_elapsed_time() -> None:
    forward = local("0 * * * *", "Europe/London", "2026-03-29T00:00", 2)
    back = local("0 * * * *", "Europe/London", "2026-10-25T00:30", 3)

    assert forward == ["29 02:00 +0100", "29 03:00 +0100"]
    assert back == ["25 01:00 +0100", "25 01:00 +0000", "25 02:00 +0000"]


def test_a_midnight_that_is_skipped_fires_at_the_next_valid_moment() -> None:
    assert local("0 0 * * *", "America/Santiago", "2026-09-05T12:00", 1) == ["06 01:00 -0300"]


def wanted(minutes: set[int], hours: set[int] | None, zone: str, day: date) -> list[datetime]:
    """The firings of three days round a change, from the rules and minute by minute."""
    tz = ZoneInfo(zone)
    start = datetime.combine(day - timedelta(days=1), time(), UTC)
    if hours is None:
        every = (start + timedelta(minutes=n) for n in range(3 * 1440))
        return [moment for moment in every if moment.astimezone(tz).minute in minutes]
    moments = set()
    for n in range(-1440, 4 * 1440):
        clock = (start + timedelta(minutes=n)).replace(tzinfo=None)
        if clock.minute in minutes and clock.hour in hours:
            while (moment := clock.replace(tzinfo=tz).astimezone(UTC)).astimezone(tz).replace(
                tzinfo=None
            ) != clock:
                clock += timedelta(minutes=1)
            moments.add(moment)
    return sorted(m for m in moments if start <= m < start + timedelta(days=3))


@settings(deadline=None)  # says nothing about speed
@given(
    st.sets(st.integers(0, 59), min_size=1, max_size=4),
    st.none() | st.sets(st.integers(0, 4), min_size=1, max_size=3),
    st.sampled_from(sorted(ZONES)),
    st.sampled_from([0, 1]),
)
def test_firings_round_a_change_are_those_of_the_rules(
    minutes: set[int], hours: set[int] | None, zone: str, change: int
) -> None:
    assume(hours or zone != "Australia/Lord_Howe")  # see the module's first lines
    day = ZONES[zone][change]
    line = f"{','.join(map(str, minutes))} {','.join(map(str, hours)) if hours else '*'} * * *"
    expected = wanted(minutes, hours, zone, day)
    start = datetime.combine(day - timedelta(days=1), time(), UTC)

    found = list(
        islice(firings(line, zone=zone, after=start - timedelta(seconds=1)), len(expected))
    )
    one_by_one = [start - timedelta(seconds=1)]
    for _ in expected:
        one_by_one.append(Cron(line, tz=zone).next_after(one_by_one[-1]))

    assert found == expected
    assert one_by_one[1:] == expected


@pytest.mark.parametrize(
    ("line", "after", "until", "last"),
    [
        ("0 9 * * *", "2026-01-01", "2026-06-01", "2026-05-31T09:00:00+00:00"),
        ("0 9 * * *", "2026-01-01T09:00", "2026-01-02T09:00", "2026-01-02T09:00:00+00:00"),
        ("0 9 * * *", "2026-01-01T09:00", "2026-01-02T08:59", None),
        ("0 0 29 2 *", "2021-01-01", "2027-12-31", "2024-02-29T00:00:00+00:00"),
        ("* * * * *", "2020-01-01", "2026-01-01T00:00:30", "2026-01-01T00:00:00+00:00"),
    ],
)
def test_the_last_missed_firing_is_found(
    line: str, after: str, until: str, last: str | None
) -> None:
    moments = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (after, until)]

    found = Cron(line).last_between(moments[0], moments[1])

    assert (found and found.isoformat()) == last


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("0 9 * *", "write five fields"),
        ("0 0 9 * * *", "write five fields"),
        ("@daily", "write five fields"),
        ("", "write five fields"),
        (None, "write five fields"),
        ("60 9 * * *", "bad minute"),
        ("0 24 * * *", "bad hour"),
        ("0 0 * * FOO", "bad day-of-week"),
        ("0 0 31 2 *", "bad day-of-month"),
    ],
)
def test_a_wrong_line_is_refused_with_its_fault(line: Any, fault: str) -> None:
    with pytest.raises(InvalidWorkflow, match=fault):
        Cron(line).checked()


def test_a_wrong_time_zone_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidWorkflow, match="did you mean 'Europe/London'"):
        Cron("0 9 * * *", tz="Europe/Londn").checked()
