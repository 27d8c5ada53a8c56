"""Waits between attempts: the default table, jitter, and an author's own backoff."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.definitions.retries import DEFAULT_WAITS, wait_before_next_attempt
from workflows.errors import InvalidDuration


def waits(backoff: Any, *, jitter: float = 0.0) -> list[float]:
    """The waits after one to twelve failures, in seconds."""
    return [
        wait_before_next_attempt(n, backoff=backoff, jitter=lambda: jitter).total_seconds()
        for n in range(1, 13)
    ]


def test_the_default_waits_grow_to_two_hours_and_stay_there() -> None:
    assert waits(None) == [15, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200, 7200, 7200]


def test_up_to_half_a_minute_is_added_at_random() -> None:
    assert waits(None, jitter=0.5)[:2] == [30, 45]


@given(st.integers(1, 1000), st.floats(0, 1, exclude_max=True))
def test_a_default_wait_is_never_shorter_than_its_table(failed: int, random: float) -> None:
    wait = wait_before_next_attempt(failed, jitter=lambda: random)

    base = DEFAULT_WAITS[min(failed, 10) - 1]
    assert base <= wait <= base + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("backoff", "first_three"),
    [
        ("10s", [10, 10, 10]),
        (timedelta(minutes=1), [60, 60, 60]),
        (["1s", timedelta(seconds=5)], [1, 5, 5]),
        (("0s",), [0, 0, 0]),
        (lambda failed: timedelta(seconds=2**failed), [2, 4, 8]),
    ],
)
def test_an_authors_backoff_has_nothing_added(backoff: Any, first_three: list[float]) -> None:
    assert waits(backoff, jitter=0.9)[:3] == first_three


@pytest.mark.parametrize("backoff", [10, [], ["1s", 5], "-1s", timedelta(-1), lambda failed: 5])
def test_a_wrong_backoff_is_refused(backoff: Any) -> None:
    with pytest.raises(InvalidDuration, match="backoff: "):
        wait_before_next_attempt(1, backoff=backoff, jitter=lambda: 0.0)
