"""Per-minute roll-ups: what charts, metrics and the dashboard read instead of a million runs."""

from django.db import models

from workflows.models.fields import IdField
from workflows.models.run import RunStatus


class Measure(models.TextChoices):
    """What is measured of the runs that ended in a minute."""

    RUN_TIME = "run", "Run time"  # from the start to the end
    START_DELAY = "delay", "Start delay"  # from the creation to the start


class MinuteCount(models.Model):
    """How many runs of a workflow ended in a minute, with one result."""

    minute = models.DateTimeField()
    workflow = models.CharField(max_length=256)
    result = models.CharField(max_length=9, choices=RunStatus.choices)
    count = models.IntegerField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["minute", "workflow", "result"], name="minute_count_is_there_once"
            )
        ]
        indexes = [models.Index(fields=["workflow", "minute"], name="minute_count_of_workflow")]

    def __str__(self) -> str:
        return f"{self.workflow} {self.minute}: {self.count} {self.result}"


class MinuteDuration(models.Model):
    """How many of them took so long: one bucket of a histogram (`engine.histograms`)."""

    minute = models.DateTimeField()
    workflow = models.CharField(max_length=256)
    measure = models.CharField(max_length=5, choices=Measure.choices)
    bucket = models.SmallIntegerField(help_text="Its place among the buckets, shortest first.")
    count = models.IntegerField()
    total_ms = models.BigIntegerField(help_text="All of them together.")

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["minute", "workflow", "measure", "bucket"],
                name="minute_duration_is_there_once",
            )
        ]
        indexes = [models.Index(fields=["workflow", "minute"], name="minute_duration_of_workflow")]

    def __str__(self) -> str:
        return f"{self.workflow} {self.minute}: {self.count} in bucket {self.bucket}"


class MinuteError(models.Model):
    """How many runs of a workflow failed in a minute by errors with one fingerprint."""

    minute = models.DateTimeField()
    fingerprint = models.CharField(max_length=16)
    workflow = models.CharField(max_length=256)
    count = models.IntegerField()
    last_run = IdField(help_text="One of them, whose error shows what it is.")
    last_error = models.CharField(max_length=300, help_text="That run's, in short.")

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["minute", "fingerprint", "workflow"], name="minute_error_is_there_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.workflow} {self.minute}: {self.count} of {self.fingerprint}"


class MinuteBacklog(models.Model):
    """How many runs of a workflow were queued, and in workers' hands, when a minute began."""

    minute = models.DateTimeField()
    workflow = models.CharField(max_length=256)
    queued = models.IntegerField()
    running = models.IntegerField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["minute", "workflow"], name="minute_backlog_is_there_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.workflow} {self.minute}: {self.queued} queued"
