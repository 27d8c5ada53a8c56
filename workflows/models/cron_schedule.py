"""Cron schedules: when each cron trigger of each workflow fires next."""

from typing import Self

from django.db import models
from django.db.models import Q


class CronScheduleQuerySet(models.QuerySet["CronSchedule"]):
    """The questions that are asked about schedules."""

    def due(self, now: object) -> Self:
        """Schedules whose next firing has come."""
        return self.filter(fires_at__lte=now)


class CronSchedule(models.Model):
    """One cron trigger of one workflow."""

    workflow = models.CharField(max_length=256)
    line = models.CharField(max_length=255)
    tz = models.CharField(max_length=100)
    jitter_ms = models.BigIntegerField(null=True)
    scheduled_at = models.DateTimeField(help_text="The next firing, by the line.")
    fires_at = models.DateTimeField(null=True, help_text="The same with its jitter; NULL: retired.")

    objects = CronScheduleQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workflow", "line", "tz"], name="cron_schedule_is_there_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["fires_at"], condition=Q(fires_at__isnull=False), name="cron_schedule_due"
            )
        ]

    def __str__(self) -> str:
        return f"{self.workflow}: {self.line} ({self.tz})"
