"""Bodies of the operators' calls: JSON, read under the strict rules of the event API."""

from collections.abc import Mapping
from typing import IO, Any

from django.http import HttpRequest
from rest_framework import exceptions, status
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.utils.mediatypes import _MediaType

from workflows.conf import configuration
from workflows.errors import InvalidEvent
from workflows.serialisation import strict_json_loads

# Longer than the empty form that Django's test client sends where there is no body.
LONGEST_EMPTY_FORM = 200  # bytes


class BodyTooLarge(exceptions.APIException):
    """The body has more bytes than are allowed."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


class StrictJSONParser(BaseParser):
    """Reads JSON in UTF-8, so much of it as is allowed."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes] | HttpRequest | Request,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return what the body says."""
        charset = _MediaType(media_type or "").params.get("charset", "utf-8").lower()
        if charset not in ("utf-8", "utf8", "us-ascii"):
            raise exceptions.UnsupportedMediaType(media_type or "")
        most = configuration().max_result_bytes
        body = stream.read(most + 1)
        if len(body) > most:
            raise BodyTooLarge(f"The body has more than {most:,} bytes.")
        try:
            return strict_json_loads(body)
        except InvalidEvent as error:
            raise exceptions.ParseError(f"JSON parse error: {error.__cause__}") from error


class NoForm(BaseParser):
    """Takes an empty form for no body: some clients send one where there is nothing to send."""

    media_type = "multipart/form-data"

    def parse(
        self,
        stream: IO[bytes] | HttpRequest | Request,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return nothing, or refuse a form with something in it."""
        body = stream.read(LONGEST_EMPTY_FORM + 1)
        if len(body) > LONGEST_EMPTY_FORM or b"form-data" in body:
            raise exceptions.UnsupportedMediaType(media_type or self.media_type)
        return {}
