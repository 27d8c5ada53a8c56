"""Events: what happened, recorded once, by its sender, in the sender's own transaction."""

from datetime import datetime
from typing import Any, Self

from django.db import models
from django.db.models import F, Q

from workflows.models.fields import IdField, JSONTextField


class EventQuerySet(models.QuerySet["Event"]):
    """The questions that are asked about events."""

    def unrouted(self) -> Self:
        """Events that no worker has routed yet."""
        return self.filter(position=None)

    def due(self, now: datetime) -> Self:
        """Events that may be routed."""
        return self.unrouted().filter(due_at__lte=now)


class Event(models.Model):
    """Something that happened: a name and data, and where it stands in the order of events."""

    id = IdField(primary_key=True)
    name = models.CharField(max_length=256)
    data: Any = JSONTextField(help_text="The wire form, as expressions see it.")
    external_id = models.CharField(
        max_length=256, null=True, blank=True, help_text="The sender's own id: deduplicates."
    )
    ts = models.DateTimeField(help_text="When it happened, in the sender's words.")
    received_at = models.DateTimeField()
    due_at = models.DateTimeField(
        help_text="When it takes effect: later than received_at only for a future ts."
    )
    user: Any = JSONTextField(null=True, blank=True)
    v = models.TextField(
        null=True, blank=True, help_text="The version of its schema, in the sender's words."
    )
    position = models.BigIntegerField(
        null=True, help_text="Its place in the order that routing gives; NULL until routed."
    )
    duplicate_of = models.ForeignKey(
        "self",
        models.DO_NOTHING,
        null=True,
        related_name="duplicates",
        db_constraint=False,
        db_index=False,
    )
    cause = IdField(null=True, help_text="The run whose end it tells, or that invokes a workflow.")
    cause_step = models.CharField(max_length=40, null=True, help_text="The step that invokes.")
    target = models.CharField(
        max_length=256,
        null=True,
        help_text="The only workflow that it starts; NULL: all that match.",
    )

    objects = EventQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(due_at__gte=F("received_at")),
                name="event_is_not_due_before_it_is_received",
            ),
            models.CheckConstraint(
                condition=Q(duplicate_of=None) | Q(position__isnull=False),
                name="event_is_a_duplicate_only_once_routed",
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at", "id"], condition=Q(position=None), name="event_unrouted"
            ),
            models.Index(
                fields=["position"], condition=Q(position__isnull=False), name="event_position"
            ),
            models.Index(fields=["name", "position"], name="event_look_back"),
            models.Index(
                fields=["external_id", "position"],
                condition=Q(external_id__isnull=False),
                name="event_deduplication",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.pk}"
