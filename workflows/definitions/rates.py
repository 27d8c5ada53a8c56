"""Rates as people write them: `"100/m"` is a hundred a minute."""

import re
from datetime import timedelta

from workflows.errors import InvalidRate

PERIODS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_RATE = re.compile(r"\s*([1-9][0-9]{0,8})\s*/\s*([smhd])\s*", re.ASCII)


def interval_of(rate: object) -> timedelta:
    """Give the time between two of what may happen at a rate.

    Raises:
        InvalidRate: the text is no rate.
    """
    match = _RATE.fullmatch(rate) if isinstance(rate, str) else None
    if match is None:
        raise InvalidRate(f'{rate!r} is no rate: write "10/s", "100/m", "500/h" or "1000/d".')
    return PERIODS[match[2]] / int(match[1])
