"""Lists, newest first, a page at a time: a cursor neither skips nor repeats while rows arrive.

Ids ascend with time, so that the last id of a page is where the next one begins.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from workflows import ids

DEFAULT_LIMIT = 50
MOST = 200

Row = TypeVar("Row", bound=Model)


def page(request: Request, rows: "QuerySet[Row]", show: Callable[[Row], Any]) -> dict[str, Any]:
    """Return one page of rows, and the cursor of the next one, or null."""
    limit = read_limit(request)
    cursor = request.query_params.get("cursor")
    if cursor is not None:
        rows = rows.filter(pk__lt=require_id(cursor))
    found = list(rows.order_by("-pk")[: limit + 1])
    following = found[limit - 1].pk if len(found) > limit else None
    return {"data": [show(row) for row in found[:limit]], "next": following}


def read_limit(request: Request) -> int:
    """Return how many rows a page has."""
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST):
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
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        message = (
            f"A moment in ISO 8601 with its zone, such as 2026-01-31T12:00:00Z, not {text!r:.50}."
        )
        raise ValidationError({name: message})
    return moment


def require_id(cursor: str) -> str:
    """Refuse a cursor that no page has given."""
    if len(cursor) != ids.LENGTH or any(digit not in ids.ALPHABET for digit in cursor):
        raise ValidationError({"cursor": "Not the `next` of an earlier page."})
    return cursor
