"""Histograms of durations: fixed buckets, each a quarter longer than the one before.

A percentile that is read from them is at most a quarter too high, whatever the scale.
"""

from bisect import bisect_left
from collections.abc import Mapping

FIRST_MS = 1.0
GROWTH = 1.25
BUCKETS = 100  # the last begins at about 36 days


def _edges() -> tuple[float, ...]:
    return tuple(FIRST_MS * GROWTH**place for place in range(BUCKETS - 1))


# The upper edge of each bucket but the last, which has none, in milliseconds.
EDGES_MS = _edges()


def bucket_of(milliseconds: float) -> int:
    """Return the place of the bucket in which a duration is counted."""
    return bisect_left(EDGES_MS, milliseconds)


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the duration, in seconds, that this share of all durations does not exceed.

    Args:
        counts: how many durations are in each bucket.
        share: such as 0.95.

    Returns:
        The upper edge of the bucket in which it lies; None where there are no durations.
    """
    wanted = sum(counts.values()) * share
    passed = 0
    for bucket in sorted(counts):
        passed += counts[bucket]
        if passed >= wanted and passed:
            return EDGES_MS[min(bucket, len(EDGES_MS) - 1)] / 1000
    return None
