"""Schedules: events that operators have sent by a cron line, or at one moment, without a deploy."""

from datetime import datetime
from typing import Any, Self

from django.db import models
from django.db.models import Q

from workflows.models.fields import IdField, JSONTextField

LONGEST_NAME = 200  # characters


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    """The questions that are asked about schedules."""

    def due(self, now: datetime) -> Self:
        """Schedules whose next firing has come."""
        return self.filter(due_at__lte=now)


class Schedule(models.Model):
    """An event that is sent by a plan; `due_at` is its next firing, if there is to be one."""

    id = IdField(primary_key=True)
    name = models.CharField(max_length=LONGEST_NAME)
    cron = models.CharField(max_length=255, null=True, blank=True, help_text="A cron line.")
    at = models.DateTimeField(null=True, blank=True, help_text="Or one moment.")
    tz = models.CharField(max_length=100, help_text="The zone whose clock the cron line means.")
    event_name = models.CharField(max_length=256)
    event_data: Any = JSONTextField(default=dict, help_text="The wire form.")
    enabled = models.BooleanField(default=True)
    due_at = models.DateTimeField(
        null=True, help_text="The next firing; NULL: switched off, or its one moment is over."
    )
    created_at = models.DateTimeField()
    last_fired_at = models.DateTimeField(null=True, help_text="Also by hand.")
    last_event_id = IdField(null=True, help_text="What it sent last.")

    objects = ScheduleQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        permissions = [("manage_schedule", "Can add, change, run, switch off and delete schedules")]
        constraints = [
            models.CheckConstraint(
                condition=Q(cron__isnull=False, at=None) | Q(cron=None, at__isnull=False),
                name="schedule_has_a_cron_line_or_a_moment",
            ),
            models.CheckConstraint(
                condition=Q(enabled=True) | Q(due_at=None),
                name="schedule_is_due_only_while_enabled",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="schedule_due")
        ]

    def __str__(self) -> str:
        return self.name
