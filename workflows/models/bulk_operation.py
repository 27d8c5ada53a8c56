"""Bulk operations: retry, replay or cancel every run that matched a filter at one moment.

Workers carry one out in chunks. How far it has come is stored with each chunk, in the same
transaction, so that whoever goes on after a crash does each run once.
"""

from datetime import datetime
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from workflows.models.fields import IdField, JSONTextField
from workflows.models.operator_action import LONGEST_NAME, ActorKind


class BulkKind(models.TextChoices):
    """What is done to each run."""

    RETRY = "retry", "Retry"  # failed runs, at the step that failed
    REPLAY = "replay", "Replay"  # ended runs, as new ones from their start
    CANCEL = "cancel", "Cancel"  # runs that have not ended


class BulkStatus(models.TextChoices):
    """Where a bulk operation stands."""

    RUNNING = "running", "Running"
    FINISHED = "finished", "Finished"
    ABORTED = "aborted", "Aborted"  # what was done stays done


class BulkOperationQuerySet(models.QuerySet["BulkOperation"]):
    """The questions that are asked about bulk operations."""

    def due(self, now: datetime) -> Self:
        """Operations whose next chunk may be carried out."""
        return self.filter(next_at__lte=now)


class BulkOperation(models.Model):
    """One such operation, with who asked for it, and what has come of it so far."""

    id = IdField(primary_key=True)
    kind = models.CharField(max_length=6, choices=BulkKind.choices)
    filter: Any = JSONTextField(help_text="Which runs, as `engine.run_filter` reads it.")
    rate = models.CharField(max_length=20, null=True, help_text='Such as "100/m"; NULL: no limit.')
    most = models.IntegerField(null=True, help_text="Runs to act on; NULL: all that match.")
    reason = models.TextField(blank=True, default="")
    actor_kind = models.CharField(max_length=7, choices=ActorKind.choices)
    actor = models.CharField(max_length=LONGEST_NAME)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False
    )

    status = models.CharField(max_length=8, choices=BulkStatus.choices, default=BulkStatus.RUNNING)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField(null=True, help_text="When the next chunk may begin.")
    last_run = IdField(help_text="The newest run that there was when it began; '' for none.")
    cursor = IdField(default="", help_text="The last run that was dealt with.")
    total = models.IntegerField(null=True, help_text="Matching runs; NULL: not counted yet.")
    done = models.IntegerField(default=0)
    skipped = models.IntegerField(default=0, help_text="Whose state did not allow it any more.")
    errors = models.IntegerField(default=0)
    samples: Any = JSONTextField(
        default=list, help_text="Some runs that were not done, each with the reason."
    )

    objects = BulkOperationQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(
                condition=Q(status=BulkStatus.RUNNING, next_at__isnull=False, ended_at=None)
                | (~Q(status=BulkStatus.RUNNING) & Q(next_at=None, ended_at__isnull=False)),
                name="bulk_operation_goes_on_only_while_running",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_at"], condition=Q(next_at__isnull=False), name="bulk_operation_due"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def dealt_with(self) -> int:
        """How many runs it has come past."""
        return self.done + self.skipped + self.errors
