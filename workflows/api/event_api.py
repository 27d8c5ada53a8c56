"""The event API, as Inngest's own SDKs speak it: one event or a list, all or nothing.

A plain view, because it is what outside programs call all day long, with up to 5,000 events at
once. The order of checks: the key, the size, the media type, the JSON, each event, the scope.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, JsonResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from workflows.clock import moment_of
from workflows.conf import configuration
from workflows.definitions.events import Event
from workflows.engine.keys import (
    KeyRateError,
    KeyRefusedError,
    KeyScopeError,
    require_key,
    require_rate,
    require_scope,
    send_with_key,
)
from workflows.errors import EventTooLarge, InvalidEvent
from workflows.serialisation import strict_json_loads

SEED_HEADER = "x-inngest-event-id-seed"
BEARER = "Bearer "
MILLISECONDS = range(315_532_800_000, 4_102_444_800_000)  # 1980 up to 2100

# A client that still sends when the connection is closed never reads the answer, so the rest of a
# refused body is read and thrown away, unless there is so much of it that nobody should.
MOST_DISCARDED = 64 * 1024 * 1024  # bytes
DISCARDED_AT_ONCE = 64 * 1024

logger = logging.getLogger("workflows.api")


class WrongMethodError(Exception):
    """Events are sent by POST."""


class NoLengthError(Exception):
    """The body comes in pieces, whose end this server cannot tell."""


class WrongMediaTypeError(Exception):
    """The body is no JSON in UTF-8, or is compressed."""


# The first that fits counts: an event that is too large is also an invalid one.
STATUSES: dict[type[Exception], HTTPStatus] = {
    WrongMethodError: HTTPStatus.METHOD_NOT_ALLOWED,
    KeyRefusedError: HTTPStatus.UNAUTHORIZED,
    KeyScopeError: HTTPStatus.FORBIDDEN,
    KeyRateError: HTTPStatus.TOO_MANY_REQUESTS,
    NoLengthError: HTTPStatus.LENGTH_REQUIRED,
    WrongMediaTypeError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    EventTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    InvalidEvent: HTTPStatus.BAD_REQUEST,
}


@csrf_exempt
def receive_with_path(request: HttpRequest, key: str) -> JsonResponse:
    """`POST /e/{key}`: the key stands in the path, where the SDKs put it."""
    return receive(request, key)


@csrf_exempt
def receive_with_bearer(request: HttpRequest) -> JsonResponse:
    """`POST /api/v1/events`: the key stands in the header Authorization."""
    header = request.headers.get("Authorization", "")
    return receive(request, header.removeprefix(BEARER) if header.startswith(BEARER) else "")


def receive(request: HttpRequest, secret: str) -> JsonResponse:
    """Store what a request sends, and answer with the ids in its order."""
    try:
        require_post(request)
        key = require_key(secret)
        require_rate(key)
        body = read_body(request)
        require_media_type(request)
        events = read_events(body)
        require_scope(key, [event.name for event in events])
        return answered(send_with_key(events, key=key, seed=request.headers.get(SEED_HEADER)))
    except tuple(STATUSES) as error:
        discard_rest(request)
        return refused(error)


def answered(ids: Sequence[str]) -> JsonResponse:
    """Return the answer to a request that was stored; one SDK refuses any other key in it."""
    return JsonResponse({"ids": list(ids), "status": 200})


def refused(error: Exception) -> JsonResponse:
    """Return the answer to a request of which nothing was stored."""
    status = next(status for kind, status in STATUSES.items() if isinstance(error, kind))
    logger.info("events.refused status=%s", status.value)
    body: dict[str, Any] = {"ids": [], "status": status.value, "error": str(error)}
    response = JsonResponse(body, status=status.value)
    if isinstance(error, KeyRateError):
        response["Retry-After"] = str(error.retry_after)
    if isinstance(error, KeyRefusedError):
        response["WWW-Authenticate"] = "Bearer"
    if isinstance(error, WrongMethodError):
        response["Allow"] = "POST"
    return response


def discard_rest(request: HttpRequest) -> None:
    """Read what a refused request still sends, unless that is far too much."""
    length = request.headers.get("Content-Length", "")
    with suppress(UnreadablePostError, NoLengthError, InvalidEvent):
        if is_chunked(request):
            read = 0
            while read < MOST_DISCARDED and (piece := read_pieces(request, DISCARDED_AT_ONCE)):
                read += len(piece)
        elif length.isdigit() and int(length) <= MOST_DISCARDED:
            while request.read(DISCARDED_AT_ONCE):
                pass


def require_post(request: HttpRequest) -> None:
    """Refuse every other method."""
    if request.method != "POST":
        raise WrongMethodError(f"Send events by POST, not by {request.method}.")


def require_media_type(request: HttpRequest) -> None:
    """Refuse a body that is not JSON, in UTF-8, as it is."""
    if request.content_type != "application/json":
        found = request.content_type or "a body without a type"
        message = f"Send application/json, not {found!r:.100}."
        raise WrongMediaTypeError(message)
    charset = (request.content_params or {}).get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise WrongMediaTypeError(f"Send JSON in UTF-8, not in {charset!r:.50}.")
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise WrongMediaTypeError(
            f"Send the body as it is, not with the encoding {encoding!r:.50}."
        )


def read_body(request: HttpRequest) -> bytes:
    """Return the body, of which no more is read than is allowed."""
    most = configuration().max_request_bytes
    length = request.headers.get("Content-Length", "")
    if length.isdigit() and int(length) > most:
        raise EventTooLarge(f"The body has {length} bytes; {most:,} are allowed.")
    body = read_pieces(request, most + 1) if is_chunked(request) else request.read(most + 1)
    if len(body) > most:
        raise EventTooLarge(f"The body has more than {most:,} bytes.")
    if not body.strip():
        raise InvalidEvent("The body is empty: send an event, or an array of events.")
    return body


def read_pieces(request: HttpRequest, size: int) -> bytes:
    """Return as much of a body in pieces (`Transfer-Encoding: chunked`).

    Django reads as many bytes as Content-Length says, hence nothing of it. gunicorn puts the pieces
    together, and says so.

    Raises:
        NoLengthError: the server leaves the pieces as they are.
        InvalidEvent: they are no pieces, or end too early.
    """
    if not request.META.get("wsgi.input_terminated"):
        raise NoLengthError("Send the body's Content-Length: this server takes no chunks.")
    try:
        return bytes(request.META["wsgi.input"].read(size))
    except Exception as error:  # each server has errors of its own for this
        raise InvalidEvent("The body's chunks are malformed, or end too early.") from error


def is_chunked(request: HttpRequest) -> bool:
    """Tell whether the body comes in pieces; under ASGI Django has put them together."""
    return isinstance(request, WSGIRequest) and "Transfer-Encoding" in request.headers


def read_events(body: bytes) -> list[Event[Any]]:
    """Return the events of a body.

    Raises:
        InvalidEvent: one of them is wrong; the message names its place and its fault.
    """
    sent = strict_json_loads(body)
    if isinstance(sent, dict):
        sent = [sent]
    most = configuration().max_events_per_request
    if not isinstance(sent, list) or not 1 <= len(sent) <= most:
        found = f"an array of {len(sent):,}" if isinstance(sent, list) else type(sent).__name__
        raise InvalidEvent(
            f"The body must be an event object or an array of 1 to {most:,}, not {found}."
        )
    return [_read_at(place, each) for place, each in enumerate(sent)]


def _read_at(place: int, sent: Any) -> Event[Any]:
    try:
        return read_event(sent)
    except InvalidEvent as error:
        raise InvalidEvent(f"event {place}: {error}") from error


def read_event(sent: Any) -> Event[Any]:
    """Return an event from its JSON; fields that no event has are ignored."""
    if not isinstance(sent, dict):
        raise InvalidEvent(f"An event is an object, not {type(sent).__name__}.")
    if not isinstance(sent.get("name"), str):
        raise InvalidEvent("An event's name is missing, or is no text.")
    data, user = sent.get("data"), sent.get("user")
    if not isinstance(data, dict | None):
        raise InvalidEvent(f"An event's data is an object, not {type(data).__name__}.")
    if not isinstance(user, dict | None):
        raise InvalidEvent(f"An event's user is an object, not {type(user).__name__}.")
    ts = _read_ts(sent.get("ts"))
    return Event(
        name=sent["name"],
        data=data or {},
        id=sent.get("id"),
        ts=None if ts is None else moment_of(ts),
        user=user,
        v=sent.get("v"),
    )


def _read_ts(ts: Any) -> int | None:
    if ts is None or (ts == 0 and not isinstance(ts, bool)):
        return None
    if isinstance(ts, float) and ts.is_integer():
        ts = int(ts)  # JSON has one type of numbers: 1.0 is 1
    if not isinstance(ts, int) or isinstance(ts, bool):
        raise InvalidEvent(f"An event's ts is whole milliseconds, not {ts!r:.100}.")
    if ts not in MILLISECONDS:
        raise InvalidEvent(f"An event's ts lies from 1980 up to 2100; {ts} does not.")
    return ts
