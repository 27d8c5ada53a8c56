"""What the operators' calls answer, for the OpenAPI description: the resources, field by field.

The answers themselves are made from `workflows.resources`; that they have these shapes is tested
by reading every answer against the description.
"""

# mypy: disable-error-code="assignment"
# `data` is also an attribute of serializers, which these never use.

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from workflows.api.bodies import ObjectField
from workflows.models import RunStatus, StepOp, StepStatus


class Shape(serializers.Serializer[Any]):
    """A resource: only described, never read or written by this class."""


@extend_schema_field({})
class JSONValue(serializers.JSONField):
    """Any JSON value, null too."""


class ErrorShape(Shape):
    """Why something failed; message and traceback are empty for who may not see payloads."""

    name = serializers.CharField()
    message = serializers.CharField(allow_blank=True)
    traceback = serializers.CharField(allow_blank=True)


class StepShape(Shape):
    """A step of a run."""

    id = serializers.CharField()
    index = serializers.IntegerField(min_value=0)
    op = serializers.ChoiceField(StepOp.choices)
    status = serializers.ChoiceField(StepStatus.choices)
    attempts = serializers.IntegerField(min_value=0)
    output = JSONValue()
    error = ErrorShape(allow_null=True)
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)


class ListedRunShape(Shape):
    """A run, without its steps."""

    id = serializers.CharField()
    workflow = serializers.CharField()
    status = serializers.ChoiceField(RunStatus.choices)
    event_ids = serializers.ListField(child=serializers.CharField())
    attempt = serializers.IntegerField(min_value=0)
    output = JSONValue()
    error = ErrorShape(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    due_at = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField(allow_null=True)
    replay_of = serializers.CharField(allow_null=True)
    parent = serializers.CharField(allow_null=True)
    tags = serializers.DictField(child=serializers.CharField())


class RunShape(ListedRunShape):
    """A run with its steps."""

    steps = StepShape(many=True)


class RunListShape(Shape):
    """A page of runs."""

    data = ListedRunShape(many=True)
    next = serializers.CharField(allow_null=True)


class EventShape(Shape):
    """An event; `external_id` is the one that its sender gave it."""

    id = serializers.CharField()
    external_id = serializers.CharField(allow_null=True)
    name = serializers.CharField()
    data = ObjectField()
    ts = serializers.DateTimeField()
    received_at = serializers.DateTimeField()
    user = ObjectField(allow_null=True)
    v = serializers.CharField(allow_null=True)
    duplicate_of = serializers.CharField(allow_null=True)


class EventListShape(Shape):
    """A page of events."""

    data = EventShape(many=True)
    next = serializers.CharField(allow_null=True)


class WorkflowShape(Shape):
    """A workflow: what its code declares, and what operators set."""

    id = serializers.CharField()
    name = serializers.CharField()
    triggers = serializers.ListField(child=ObjectField())
    paused = serializers.BooleanField()
    paused_at = serializers.DateTimeField(allow_null=True)
    paused_by = serializers.CharField(allow_null=True)
    pause_reason = serializers.CharField(allow_null=True)
    queue = serializers.CharField()
    retries = serializers.IntegerField(min_value=0)
    concurrency = serializers.ListField(child=ObjectField())
    throttle = ObjectField(allow_null=True)
    overrides = ObjectField()
    retired_at = serializers.DateTimeField(allow_null=True)


class WorkflowListShape(Shape):
    """A page of workflows."""

    data = WorkflowShape(many=True)
    next = serializers.CharField(allow_null=True)


class ScheduledEventShape(Shape):
    """The event that a schedule sends."""

    name = serializers.CharField()
    data = ObjectField()


class ScheduleShape(Shape):
    """An operator's schedule."""

    id = serializers.CharField()
    name = serializers.CharField()
    cron = serializers.CharField(allow_null=True)
    at = serializers.DateTimeField(allow_null=True)
    tz = serializers.CharField()
    event = ScheduledEventShape()
    enabled = serializers.BooleanField()
    next_firings = serializers.ListField(child=serializers.DateTimeField())
    created_at = serializers.DateTimeField()
    last_fired_at = serializers.DateTimeField(allow_null=True)
    last_event = serializers.CharField(allow_null=True)


class ScheduleListShape(Shape):
    """A page of schedules."""

    data = ScheduleShape(many=True)
    next = serializers.CharField(allow_null=True)


class SignalledShape(Shape):
    """The run that waited for a signal."""

    run = serializers.CharField()


class FiredShape(Shape):
    """The event that a schedule has sent."""

    event = serializers.CharField()
