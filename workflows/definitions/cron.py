"""When a cron line fires, in a time zone whose clock changes.

The rules for a change of the clock:

- A line with `*` for the hour follows elapsed time: an hourly one goes on firing every hour.
- Any other line names times of the day. One that the change skips fires at the next valid
  moment, once however many are skipped; one that occurs twice fires the first time only.

cronsim knows both behaviours, after Debian's cron, but chooses the first also where the minute
or a step of hours begins with a star. Such a field is written out before cronsim sees it.
Where the clock changes by half an hour (on Lord Howe Island alone), a line with `*` for the hour
may miss one firing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from itertools import takewhile
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from workflows.errors import InvalidWorkflow

FIELDS = 5
_MINUTE, _HOUR = 0, 1
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def require_line(line: object) -> str:
    """Give a cron line with single spaces.

    Raises:
        InvalidWorkflow: the line does not have five fields, one is wrong, or it never fires.
    """
    if not isinstance(line, str) or len(line.split()) != FIELDS:
        raise InvalidWorkflow(
            f"{line!r} is no cron line: write five fields, minute, hour, day of the month, month "
            f'and day of the week, as in "0 9 * * MON-FRI".'
        )
    try:
        next(CronSim(line, _EPOCH))
    except CronSimError as error:
        raise InvalidWorkflow(f"{line!r} is no cron line: {str(error).lower()}.") from error
    except StopIteration as error:
        raise InvalidWorkflow(f"The cron line {line!r} never fires.") from error
    return " ".join(line.split())


def require_zone(name: object) -> str:
    """Give the name of a time zone back.

    Raises:
        InvalidWorkflow: there is no such time zone; the message names the nearest.
    """
    zones = available_timezones()
    if isinstance(name, str) and name in zones:
        return name
    close = get_close_matches(str(name), sorted(zones), n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise InvalidWorkflow(f"{name!r} is no time zone, such as 'Europe/London'{hint}")


def firings(line: str, *, zone: str, after: datetime) -> Iterator[datetime]:
    """Give the moments, in UTC, later than `after` at which the line fires, in their order."""
    last = after
    for firing in CronSim(_times_of_day(line), after.astimezone(ZoneInfo(zone))):
        moment = firing.astimezone(UTC)
        # From inside an hour that occurs twice, cronsim counts from the hour's first pass.
        if moment > last:
            yield moment
            last = moment


def in_words(line: str) -> str:
    """Say when a line fires, as in "At 09:00 on Monday through Friday"."""
    return str(CronSim(line, _EPOCH).explain())


def last_firing(line: str, *, zone: str, after: datetime, until: datetime) -> datetime | None:
    """Give the last moment later than `after`, up to and with `until`, at which the line fires.

    It looks back in growing steps, so that its cost does not grow with the time between.
    """
    step = timedelta(hours=2)
    while True:
        start = max(after, until - step)
        due = takewhile(lambda moment: moment <= until, firings(line, zone=zone, after=start))
        last = max(due, default=None)
        if last is not None or start == after:
            return last
        step *= 4


def _times_of_day(line: str) -> str:
    fields = line.split()
    if fields[_HOUR] != "*":
        fields[_MINUTE] = _written_out(fields[_MINUTE], "0-59")
        fields[_HOUR] = _written_out(fields[_HOUR], "0-23")
    return " ".join(fields)


def _written_out(field: str, everything: str) -> str:
    return everything + field[1:] if field.startswith("*") else field
