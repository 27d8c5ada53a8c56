"""What operators' calls take: exactly the named fields, each of its type."""

from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Any, TypeVar

from django.utils.dateparse import parse_datetime
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

LONGEST_REASON = 2000  # characters

Body = TypeVar("Body", bound="StrictBody")


@extend_schema_field(OpenApiTypes.OBJECT)
class ObjectField(serializers.Field[dict[str, Any], dict[str, Any], dict[str, Any], Any]):
    """Any JSON object."""

    default_error_messages = {"type": "An object, not {found}."}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Give an object back, and refuse everything else."""
        if not isinstance(data, dict):
            self.fail("type", found=type(data).__name__)
        return data

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        """Give it as it is."""
        return value


class TextField(serializers.CharField):
    """A text as it is sent, and no number or truth value that could be written as one."""

    default_error_messages = {"type": "A text, not {found}."}

    def __init__(self, **options: Any) -> None:
        shortest = None if options.get("allow_blank") else 1
        super().__init__(trim_whitespace=False, min_length=shortest, **options)

    def to_internal_value(self, data: Any) -> str:
        """Give a text back, and refuse everything else."""
        if not isinstance(data, str):
            self.fail("type", found=type(data).__name__)
        return super().to_internal_value(data)


class SwitchField(serializers.BooleanField):
    """True or false, and no word or number that could be read as one."""

    default_error_messages = {"type": "true or false, not {found}."}

    def to_internal_value(self, data: Any) -> bool:
        """Give true or false back, and refuse everything else."""
        if not isinstance(data, bool):
            self.fail("type", found=type(data).__name__)
        return data


@extend_schema_field(OpenApiTypes.DATETIME)
class MomentField(serializers.Field[datetime, str, str, Any]):
    """A moment in ISO 8601; one without a zone is meant in the schedule's."""

    default_error_messages = {"moment": "A moment in ISO 8601, such as 2026-01-31T12:00:00Z."}

    def to_internal_value(self, data: Any) -> datetime:
        """Read it."""
        try:
            moment = parse_datetime(data) if isinstance(data, str) else None
        except ValueError:
            moment = None
        if moment is None:
            self.fail("moment")
        return moment

    def to_representation(self, value: datetime) -> str:
        """Write it."""
        return value.isoformat()


class StrictBody(serializers.Serializer[dict[str, Any]]):
    """A body; a field that it does not know is a mistake, and not ignored."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Refuse unknown fields, then read the others."""
        if isinstance(data, Mapping):
            for name in data:
                if name not in self.fields:
                    raise serializers.ValidationError({str(name)[:100]: [self._hint(str(name))]})
        read: dict[str, Any] = super().to_internal_value(data)
        return read

    def _hint(self, name: str) -> str:
        close = get_close_matches(name, self.fields, n=1)
        if close:
            return f"There is no such field: did you mean {close[0]!r}?"
        return f"There is no such field: there are {', '.join(self.fields)}."


class ReasonBody(StrictBody):
    """Why somebody acts, for the audit log."""

    reason = TextField(required=False, allow_null=True, allow_blank=True, max_length=LONGEST_REASON)


class ReplayBody(ReasonBody):
    """What a replay is to begin with."""

    from_step = TextField(required=False, allow_null=True)
    data = ObjectField(required=False, allow_null=True)  # type: ignore[assignment]  # not the serializer's own


class InvokeBody(ReasonBody):
    """What a workflow is invoked with."""

    data = ObjectField(required=False, allow_null=True)  # type: ignore[assignment]  # not the serializer's own


class OverrideBody(ReasonBody):
    """What holds in the place of the code's own values; absent keys are the code's own."""

    overrides = ObjectField()


class SignalBody(StrictBody):
    """A signal's name and data."""

    signal = TextField(max_length=256)
    data = serializers.JSONField(required=False, default=None)  # type: ignore[assignment]  # not the serializer's own


class ScheduledEventBody(StrictBody):
    """The event that a schedule sends."""

    name = TextField(max_length=256)
    data = ObjectField(required=False, allow_null=True)  # type: ignore[assignment]  # not the serializer's own


class ScheduleBody(ReasonBody):
    """A new schedule: a cron line or a moment, and the event that it sends."""

    name = TextField(max_length=200)
    cron = TextField(required=False, allow_null=True)
    at = MomentField(required=False, allow_null=True)
    tz = TextField(required=False)
    event = ScheduledEventBody()
    enabled = SwitchField(required=False)


class ScheduledEventChangeBody(ScheduledEventBody):
    """What changes of the event that a schedule sends."""

    name = TextField(required=False, max_length=256)


class ScheduleChangeBody(ScheduleBody):
    """What changes of a schedule."""

    event = ScheduledEventChangeBody(required=False)


def read(request: Request, body: type[Body]) -> dict[str, Any]:
    """Return what the request's body says; raise where it cannot be read."""
    given = body(data=request.data)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


def read_part(request: Request, body: type[Body]) -> dict[str, Any]:
    """Return what the body says where it may say a part only."""
    given = body(data=request.data, partial=True)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)
