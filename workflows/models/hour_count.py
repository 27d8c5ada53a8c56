"""Per-hour roll-ups: the minutes of an hour summed, for charts of days and the lists' figures.

A row whose workflow is "" counts all workflows together.
"""

from django.db import models

from workflows.models.minute_count import Measure
from workflows.models.run import RunStatus

ALL_WORKFLOWS = ""


class HourCount(models.Model):
    """How many runs ended in an hour, with one result."""

    hour = models.DateTimeField()
    workflow = models.CharField(max_length=256)
    result = models.CharField(max_length=9, choices=RunStatus.choices)
    count = models.IntegerField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["workflow", "hour", "result"], name="hour_count_is_there_once"
            )
        ]
        indexes = [models.Index(fields=["hour"], name="hour_count_age")]

    def __str__(self) -> str:
        return f"{self.workflow} {self.hour}: {self.count} {self.result}"


class HourDuration(models.Model):
    """How many of them took so long: one bucket of a histogram (`engine.histograms`)."""

    hour = models.DateTimeField()
    workflow = models.CharField(max_length=256)
    measure = models.CharField(max_length=5, choices=Measure.choices)
    bucket = models.SmallIntegerField(help_text="Its place among the buckets, shortest first.")
    count = models.IntegerField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["workflow", "hour", "measure", "bucket"],
                name="hour_duration_is_there_once",
            )
        ]
        indexes = [models.Index(fields=["hour"], name="hour_duration_age")]

    def __str__(self) -> str:
        return f"{self.workflow} {self.hour}: {self.count} in bucket {self.bucket}"


class HourBacklog(models.Model):
    """How many runs were queued on average when the hour's minutes ended."""

    hour = models.DateTimeField()
    workflow = models.CharField(max_length=256)
    queued = models.FloatField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["workflow", "hour"], name="hour_backlog_is_there_once")
        ]
        indexes = [models.Index(fields=["hour"], name="hour_backlog_age")]

    def __str__(self) -> str:
        return f"{self.workflow} {self.hour}: {self.queued} queued"
