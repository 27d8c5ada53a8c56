"""Steps: what a run has done once and need not do again, or what it is in the middle of."""

from typing import Any

from django.db import models
from django.db.models import Q

from workflows.models.fields import IdField, JSONTextField
from workflows.models.run import Run


class StepStatus(models.TextChoices):
    """Where a step stands."""

    RUNNING = "running", "Running"  # its body has been at work for a while
    RETRYING = "retrying", "Retrying"  # failed, and will be tried again at due_at
    SLEEPING = "sleeping", "Sleeping"  # until due_at
    WAITING = "waiting", "Waiting"  # for an event, a signal or a run
    COMPLETED = "completed", "Completed"  # its result is stored, for good
    FAILED = "failed", "Failed"  # no attempts left: its error is stored, for good


class StepOp(models.TextChoices):
    """The tool that made the step."""

    RUN = "run", "run"
    TRANSACTION = "transaction", "transaction"
    SEND_EVENT = "send_event", "send_event"
    WAIT_FOR_EVENT = "wait_for_event", "wait_for_event"
    SLEEP = "sleep", "sleep"
    INVOKE = "invoke", "invoke"
    WAIT_FOR_SIGNAL = "wait_for_signal", "wait_for_signal"


WAITING_OPS = (StepOp.WAIT_FOR_EVENT, StepOp.WAIT_FOR_SIGNAL)  # what has rows among the waits


class Step(models.Model):
    """One step of a run, found by the run's id and the step's key."""

    pk = models.CompositePrimaryKey("run_id", "key")
    run = models.ForeignKey(
        Run, models.DO_NOTHING, related_name="steps", db_constraint=False, db_index=False
    )
    key = models.CharField(
        max_length=40,
        help_text="SHA-1 of the id, or of `id:n`, after the path of the branch.",
    )
    sequence = models.IntegerField(help_text="The order in which results reached the run.")
    step_id = models.CharField(max_length=256)
    occurrence = models.IntegerField(
        default=0, help_text="The how manieth step with this id, from 0."
    )
    branch = models.CharField(
        max_length=256, default="", help_text="The path of its parallel branch."
    )
    op = models.CharField(max_length=15, choices=StepOp.choices)
    status = models.CharField(max_length=9, choices=StepStatus.choices)
    attempts = models.IntegerField(default=0)
    forgiven = models.IntegerField(
        default=0, help_text="Failed attempts before an operator's retry."
    )
    output: Any = JSONTextField(null=True)
    error: Any = JSONTextField(null=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(
        null=True, help_text="When it is tried again, or wakes, or times out."
    )
    invocation = IdField(null=True, help_text="The event whose run it waits for, or waited for.")
    ended_by = IdField(null=True, help_text="The event that ended its wait.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    status__in=[StepStatus.COMPLETED, StepStatus.FAILED], ended_at__isnull=False
                )
                | (
                    ~Q(status__in=[StepStatus.COMPLETED, StepStatus.FAILED])
                    & Q(ended_at=None, output=None)
                ),
                name="step_has_an_end_only_when_completed_or_failed",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=[StepStatus.RETRYING, StepStatus.SLEEPING])
                | Q(due_at__isnull=False),
                name="step_retries_and_sleeps_until_some_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["ended_by"], condition=Q(ended_by__isnull=False), name="step_ended_by_event"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.step_id} of {self.run_id}"
