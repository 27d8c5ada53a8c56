"""Runs: one execution of a workflow for its event, and the states that it goes through.

    queued ──► running ──► completed | failed
      ▲           │
      │           ▼
      └── sleeping | waiting            cancelled: from every unended state; skipped: never started

A queued run may be taken once it is admitted; a sleeping or waiting one is queued again when
it is due. A failed run is queued again when an operator retries it.
"""

from datetime import datetime
from typing import Any, Self

from django.db import models
from django.db.models import Q

from workflows.models.event import Event
from workflows.models.fields import IdField, JSONTextField


class RunStatus(models.TextChoices):
    """Where a run stands."""

    QUEUED = "queued", "Queued"  # may start, or go on, as soon as it is admitted and taken
    RUNNING = "running", "Running"  # a worker holds it
    SLEEPING = "sleeping", "Sleeping"  # until due_at: a sleep, or the wait before a retry
    WAITING = "waiting", "Waiting"  # for an event, a signal or another run, at most until due_at
    COMPLETED = "completed", "Completed"  # the function returned
    FAILED = "failed", "Failed"  # no attempts left, or an error that is final
    CANCELLED = "cancelled", "Cancelled"  # stopped on request
    SKIPPED = "skipped", "Skipped"  # flow control let it not start


SUSPENDED = (RunStatus.SLEEPING, RunStatus.WAITING)
UNENDED = (RunStatus.QUEUED, RunStatus.RUNNING, *SUSPENDED)
ENDED = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.SKIPPED)

# A run whose workers died so often may be what killed them: it is executed alone from then on.
SUSPECT_AFTER = 2


class RunQuerySet(models.QuerySet["Run"]):
    """The questions that are asked about runs."""

    def takeable(self) -> Self:
        """Runs that a worker may take now."""
        return self.filter(status=RunStatus.QUEUED, admitted=True)

    def suspended(self) -> Self:
        """Runs that sleep or wait."""
        return self.filter(status__in=SUSPENDED)

    def due(self, now: datetime) -> Self:
        """Suspended runs whose time has come."""
        return self.suspended().filter(due_at__lte=now)

    def held(self) -> Self:
        """Runs that bear a worker's id, and so hold a slot."""
        return self.filter(worker_id__isnull=False)

    def unended(self) -> Self:
        """Runs that have not reached an end."""
        return self.filter(status__in=UNENDED)


class Run(models.Model):
    """One execution of a workflow.

    No foreign key here is checked by the database (`db_constraint=False`): the checks would
    cost a query for each row on the hot path, and rows are deleted by pruning alone.
    """

    id = IdField(primary_key=True)
    workflow = models.CharField(max_length=256)
    event = models.ForeignKey(
        Event, models.DO_NOTHING, related_name="runs", db_constraint=False, db_index=False
    )
    status = models.CharField(max_length=9, choices=RunStatus.choices)
    reason = models.TextField(null=True, blank=True, help_text="Why it was skipped or cancelled.")

    queue = models.CharField(max_length=100)
    admitted = models.BooleanField(help_text="Flow control lets it be taken.")
    rank = models.BigIntegerField(
        help_text="Order of taking: milliseconds of creation, less its priority."
    )
    due_at = models.DateTimeField(null=True, blank=True, help_text="When a suspended run goes on.")

    worker_id = IdField(null=True, help_text="Who holds it.")
    fence = models.IntegerField(default=0, help_text="Raised at every take: proves who may write.")
    losses = models.IntegerField(default=0, help_text="Workers that died while they held it.")
    lonely_losses = models.IntegerField(
        default=0, help_text="Of these, those that held nothing else."
    )

    attempt = models.IntegerField(default=0, help_text="Failed attempts where it stands.")
    attempt_step = models.CharField(
        max_length=40,
        null=True,
        help_text="The step that these attempts are about; NULL: code between steps.",
    )
    attempt_sequence = models.IntegerField(default=0, help_text="How many steps had ended then.")

    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    output: Any = JSONTextField(null=True, blank=True)
    error: Any = JSONTextField(null=True, blank=True)

    replay_of = models.ForeignKey(
        "self",
        models.DO_NOTHING,
        null=True,
        related_name="replays",
        db_constraint=False,
        db_index=False,
    )
    parent = models.ForeignKey(
        "self",
        models.DO_NOTHING,
        null=True,
        related_name="children",
        db_constraint=False,
        db_index=False,
    )
    parent_step = models.CharField(max_length=40, null=True, help_text="The step that invoked it.")
    depth = models.IntegerField(default=0, help_text="How many invocations lie above it.")
    tags: Any = JSONTextField(default=dict)

    is_woken = models.BooleanField(
        default=False, help_text="A wait of it ended while it was running: it must not suspend."
    )
    expires_at = models.DateTimeField(null=True, help_text="When a timeout cancels it.")
    finish_within_ms = models.BigIntegerField(null=True, help_text="Its timeout from its start.")

    objects = RunQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=ENDED, ended_at__isnull=False)
                | Q(status__in=UNENDED, ended_at=None),
                name="run_ended_at_is_set_only_when_ended",
            ),
            models.CheckConstraint(
                condition=~Q(status=RunStatus.RUNNING) | Q(worker_id__isnull=False),
                name="run_is_running_only_while_held",
            ),
            models.CheckConstraint(
                condition=Q(worker_id=None)
                | Q(status__in=[RunStatus.RUNNING, RunStatus.CANCELLED]),
                name="run_is_held_only_while_running_or_just_cancelled",
            ),
            models.CheckConstraint(
                condition=~Q(status=RunStatus.SLEEPING) | Q(due_at__isnull=False),
                name="run_sleeps_until_some_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue", "rank", "id"],
                condition=Q(status=RunStatus.QUEUED, admitted=True),
                name="run_takeable",
            ),
            models.Index(
                fields=["rank", "id"],
                condition=Q(status=RunStatus.QUEUED, admitted=True, losses__gte=SUSPECT_AFTER),
                name="run_suspect",
            ),
            models.Index(
                fields=["due_at"],
                condition=Q(status__in=SUSPENDED, due_at__isnull=False),
                name="run_timer",
            ),
            models.Index(
                fields=["expires_at"],
                condition=Q(status__in=UNENDED, expires_at__isnull=False),
                name="run_expiry",
            ),
            models.Index(
                fields=["worker_id"], condition=Q(worker_id__isnull=False), name="run_held"
            ),
            models.Index(fields=["event"], name="run_of_event"),
            models.Index(fields=["workflow", "id"], name="run_of_workflow"),
            models.Index(fields=["status", "id"], name="run_with_status"),
            models.Index(
                fields=["parent"], condition=Q(parent__isnull=False), name="run_of_parent"
            ),
            models.Index(
                fields=["replay_of"], condition=Q(replay_of__isnull=False), name="run_replay"
            ),
        ]
        permissions = [
            ("cancel_run", "Can cancel runs"),
            ("retry_run", "Can retry failed runs"),
            ("replay_run", "Can replay ended runs"),
            ("bulk_run", "Can retry, replay or cancel everything that matches a filter"),
            ("view_payload", "Can see data, outputs and tracebacks"),
            ("send_event", "Can send events and signals, and invoke workflows"),
        ]

    def __str__(self) -> str:
        return f"{self.workflow} {self.pk}"
