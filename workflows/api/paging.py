"""Lists, a page at a time: a cursor neither skips nor repeats what was there when paging began.

A page ends at an id, and the next one begins beyond it; ids ascend with time. A row whose id was
made earlier than it was committed may show up behind the cursor: then it is on a later page; or
before it: then it is new, and on the first page of whoever asks again. What is shown once never
moves.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from workflows import ids
from workflows.clock import EPOCH, milliseconds

DEFAULT_LIMIT = 50
MOST = 200
# An id and the moment beside it are read from the clock one after the other, on a host whose
# clock is set meanwhile; no two are further apart.
SLACK = timedelta(minutes=10)

Row = TypeVar("Row", bound=Model)


def page(request: Request, rows: "QuerySet[Row]", show: Callable[[Row], Any]) -> dict[str, Any]:
    """Return one page of rows, newest first, and the cursor of the next one, or null."""
    limit = read_limit(request)
    cursor = request.query_params.get("cursor")
    if cursor is not None:
        rows = rows.filter(pk__lt=require_id(cursor))
    return _page(list(rows.order_by("-pk")[: limit + 1]), limit, show)


def alphabetical_page(
    request: Request, rows: "QuerySet[Row]", show: Callable[[Row], Any]
) -> dict[str, Any]:
    """Return one page of rows whose ids are words, in their order, and the next one's cursor."""
    limit = read_limit(request)
    cursor = request.query_params.get("cursor")
    if cursor is not None:
        rows = rows.filter(pk__gt=cursor)
    return _page(list(rows.order_by("pk")[: limit + 1]), limit, show)


def _page(found: list[Row], limit: int, show: Callable[[Row], Any]) -> dict[str, Any]:
    following = found[limit - 1].pk if len(found) > limit else None
    return {"data": [show(row) for row in found[:limit]], "next": following}


def within(request: Request, rows: "QuerySet[Row]", *, moment: str) -> "QuerySet[Row]":
    """Return the rows from `since`, inclusive, up to `until`, exclusive.

    Ids bound the search too: no index is kept for the moments themselves.
    """
    if (since := read_moment(request, "since")) is not None:
        rows = rows.filter(**{f"{moment}__gte": since, "pk__gte": _id_at(since, -SLACK)})
    if (until := read_moment(request, "until")) is not None:
        rows = rows.filter(**{f"{moment}__lt": until, "pk__lt": _id_at(until, SLACK)})
    return rows


def _id_at(moment: datetime, slack: timedelta) -> str:
    """Return the smallest id of about that moment; ids know the years from 1970 to 9999."""
    since_1970 = milliseconds(moment) + slack // timedelta(milliseconds=1)
    return ids.first_at(max(0, since_1970))


def read_limit(request: Request) -> int:
    """Return how many rows a page has."""
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= MOST):  # noqa: PLR2004
        raise ValidationError({"limit": f"A whole number from 1 to {MOST}, not {text!r:.50}."})
    return int(text)


def read_moment(request: Request, name: str) -> datetime | None:
    """Return a moment that a filter gives in ISO 8601, with its zone."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        # A plus sign that was not escaped arrives as a space.
        moment = parse_datetime(text.replace(" ", "+"))
        if moment is not None and moment.tzinfo is not None:
            return moment.astimezone(EPOCH.tzinfo)
    except (ValueError, OverflowError):
        pass
    message = f"A moment in ISO 8601 with its zone, such as 2026-01-31T12:00:00Z, not {text!r:.50}."
    raise ValidationError({name: message})


def require_id(cursor: str) -> str:
    """Refuse a cursor that no page has given."""
    if len(cursor) != ids.LENGTH or any(digit not in ids.ALPHABET for digit in cursor):
        raise ValidationError({"cursor": "Not the `next` of an earlier page."})
    return cursor
