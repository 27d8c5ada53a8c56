"""Durations: what is read, what is refused, and that writing and reading agree."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.definitions.durations import (
    format_duration,
    milliseconds,
    parse_duration,
    positive_duration,
)
from workflows.errors import InvalidDuration


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("30s", timedelta(seconds=30)),
        ("5m", timedelta(minutes=5)),
        ("1h30m", timedelta(minutes=90)),
        ("1d", timedelta(days=1)),
        ("1w", timedelta(weeks=1)),
        (" 1w2d3h4m5s6ms ", timedelta(9, 3 * 3600 + 4 * 60 + 5, milliseconds=6)),
        ("90m", timedelta(minutes=90)),
        ("0s", timedelta()),
    ],
)
def test_text_is_read_with_its_units(text: str, meaning: timedelta) -> None:
    assert parse_duration(text) == meaning


def test_a_timedelta_passes_unchanged() -> None:
    assert parse_duration(timedelta(seconds=-3)) == timedelta(seconds=-3)


@pytest.mark.parametrize("number", [30, 0, 1.5, "30", "1.5", " -3 "])
def test_a_bare_number_is_refused_with_the_reason(number: object) -> None:
    with pytest.raises(InvalidDuration, match=r"throttle\.period: the bare number .* refused"):
        parse_duration(number, argument="throttle.period")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["", " ", "5", "s", "5 m", "5x", "m5", "1m1h", "1s1s", "-5s", "1.5h", "٣s", "5M", "1h\n5m"],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidDuration):
        parse_duration(text)


@pytest.mark.parametrize("value", [None, True, [], object()])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(InvalidDuration, match="is no duration"):
        parse_duration(value)  # type: ignore[arg-type]


def test_a_duration_that_no_timedelta_holds_is_refused() -> None:
    with pytest.raises(InvalidDuration, match="too long"):
        parse_duration("999999999999999w")


@pytest.mark.parametrize("value", ["0s", timedelta(), timedelta(seconds=-1), timedelta(0, 0, 999)])
def test_a_positive_duration_is_a_millisecond_at_least(value: timedelta | str) -> None:
    with pytest.raises(InvalidDuration, match=r"sleep: .* must be at least 1ms"):
        positive_duration(value, argument="sleep")


def test_the_shortest_positive_duration_is_a_millisecond() -> None:
    assert positive_duration("1ms") == timedelta(milliseconds=1)


def test_a_duration_is_written_with_its_largest_units() -> None:
    written = [
        format_duration(timedelta(minutes=90)),
        format_duration(timedelta()),
        format_duration(timedelta(seconds=-5)),
    ]

    assert written == ["1h30m", "0s", "-5s"]


def test_milliseconds_are_whole() -> None:
    assert milliseconds(timedelta(seconds=1, microseconds=1999)) == 1001


@given(st.integers(min_value=0, max_value=10**13))
def test_what_is_written_is_read_back(count: int) -> None:
    duration = timedelta(milliseconds=count)

    assert parse_duration(format_duration(duration)) == duration
