"""Workers: the processes that execute runs, each with ONE lease that it renews."""

from datetime import datetime
from typing import Any, Self

from django.db import models

from workflows.models.fields import IdField, JSONTextField


class WorkerQuerySet(models.QuerySet["Worker"]):
    """The questions that are asked about workers."""

    def alive(self, now: datetime) -> Self:
        """Workers that hold their lease."""
        return self.filter(lease_until__gt=now)

    def lost(self, now: datetime) -> Self:
        """Workers whose lease has ended: what they held may be taken over."""
        return self.filter(lease_until__lte=now)


class Worker(models.Model):
    """A process that may take runs until `lease_until`; the row goes when the worker does."""

    id = IdField(primary_key=True)
    host = models.CharField(max_length=256)
    pid = models.IntegerField()
    cluster = models.CharField(max_length=64, help_text="The cluster whose child it is.")
    queues: Any = JSONTextField(null=True, help_text="The queues it serves; null: all.")
    workflows: Any = JSONTextField(help_text="The ids of the workflows that it knows.")
    threads = models.IntegerField()
    busy = models.IntegerField(default=0, help_text="Runs in hand at the last beat.")
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()
    lease_until = models.DateTimeField()

    objects = WorkerQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["lease_until"], name="worker_lease")]

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
