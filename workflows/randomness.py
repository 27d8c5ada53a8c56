"""The one source of chance: ids and jitter draw from it, so that a test can seed it."""

import os
import random

source: random.Random = random.SystemRandom()


def seed(value: int) -> None:
    """Make all randomness of this process repeatable: for tests and the simulator only."""
    global source  # noqa: PLW0603  one process has one source
    source = random.Random(value)  # noqa: S311  never used for secrets


def unseed() -> None:
    """Go back to the operating system's randomness."""
    global source  # noqa: PLW0603
    source = random.SystemRandom()


def bits(count: int) -> int:
    """Return `count` random bits; safe after a fork, because the default source has no state."""
    if isinstance(source, random.SystemRandom):
        return int.from_bytes(os.urandom((count + 7) // 8), "big") >> (-count % 8)
    return source.getrandbits(count)


def fraction() -> float:
    """Return a number from 0 up to, not including, 1."""
    return source.random()
