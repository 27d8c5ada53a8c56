"""Runs: one execution of a workflow for its event, and the states that it goes through.

    queued ──► running ──► completed | failed
      ▲           │
      │           ▼
      └── sleeping | waiting            cancelled: from every unended state; skipped: never started

A queued run may be taken once it is admitted; a sleeping or waiting one is queued again when
it is due. A failed run is queued again when an operator retries it.

A run whose workflow has limits, or is paused, stands in a lane, and is admitted there: each time
that it is queued. It holds a slot while it is admitted and queued, or bears a worker's id; under
a limit that counts active runs, from when it is let in until its end. A slot is nothing but that.

A run that gathers events, for a debounce or a batch, is queued too, until `due_at`: it is in no
lane, and neither admitted nor among the arrivals, before its window closes.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Self

from django.db import models
from django.db.models import BooleanField, ExpressionWrapper, Q

from workflows.models.event import Event
from workflows.models.fields import DigestField, IdField, JSONTextField


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


class GatherKind(models.TextChoices):
    """Why a run gathers events, or has gathered them."""

    DEBOUNCE = "debounce", "Debounce"  # it runs with the latest of them
    BATCH = "batch", "Batch"  # it runs with all of them


SUSPENDED = (RunStatus.SLEEPING, RunStatus.WAITING)
UNENDED = (RunStatus.QUEUED, RunStatus.RUNNING, *SUSPENDED)
ENDED = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.SKIPPED)

# A run whose workers died so often may be what killed them: it is executed alone from then on.
SUSPECT_AFTER = 2

# What `admitted` is set to whenever a run is queued again: in a lane it has to wait its turn.
UNLESS_IN_A_LANE = ExpressionWrapper(Q(lane_id=None), output_field=BooleanField())
IS_STARTED = ExpressionWrapper(Q(started_at__isnull=False), output_field=BooleanField())


class RunQuerySet(models.QuerySet["Run"]):
    """The questions that are asked about runs."""

    def takeable(self) -> Self:
        """Runs that a worker may take now."""
        return self.filter(status=RunStatus.QUEUED, admitted=True)

    def gathering_until(self, moment: datetime) -> Self:
        """Runs whose time of gathering events is over at a moment."""
        return self.filter(gathering__isnull=False, due_at__lte=moment)

    def of_event(self, event_id: str) -> Self:
        """Runs that an event started, or that have gathered it."""
        # In two steps, so that each side is found by an index.
        gathered = Event.objects.filter(pk=event_id).values_list("gatherings__run", flat=True)
        return self.filter(Q(event_id=event_id) | Q(pk__in=[id_ for id_ in gathered if id_]))

    def active_singletons(self, keys: Iterable[str]) -> Self:
        """Unended runs that exclude others with the same key."""
        return self.filter(singleton__in=keys, ended_at=None)

    def in_line(self) -> Self:
        """Queued runs that wait in their lanes."""
        return self.filter(status=RunStatus.QUEUED, admitted=False, is_in_line=True)

    def due(self, now: datetime) -> Self:
        """Suspended runs whose time has come."""
        return self.filter(status__in=SUSPENDED, due_at__lte=now)

    def held(self) -> Self:
        """Runs that bear a worker's id, and so hold a slot."""
        return self.filter(worker_id__isnull=False)

    def unended(self) -> Self:
        """Runs that have not reached an end."""
        return self.filter(status__in=UNENDED)

    def expired(self, now: datetime) -> Self:
        """Unended runs whose timeout is over."""
        return self.filter(ended_at=None, expires_at__lte=now)


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
        help_text="Order in a lane: milliseconds of creation, less its head start."
    )
    place = models.BigIntegerField(
        help_text="Order of taking, in microseconds: by its rank, or by when it was let in."
    )
    lane_id = DigestField(null=True, help_text="Where it waits; NULL: nothing limits it.")
    first_limit = DigestField(null=True, help_text="A limit in which it takes slots.")
    second_limit = DigestField(null=True, help_text="Another one.")
    counts_while_active = models.BooleanField(
        default=False, help_text="One of them counts active runs, sleeping ones too."
    )
    is_in_line = models.BooleanField(
        default=False, help_text="Admission knows that it waits in its lane."
    )
    is_let_in = models.BooleanField(
        default=False,
        help_text="It was admitted once: no start any more, and active until its end.",
    )
    due_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When a suspended run goes on, or one that gathers events may start.",
    )
    gathered = models.CharField(
        max_length=8, choices=GatherKind.choices, null=True, help_text="Why it gathers events."
    )
    gathering = DigestField(
        null=True, help_text="The key whose events it gathers; NULL once its window is closed."
    )
    singleton = DigestField(null=True, help_text="The key of which it is the only active run.")

    worker_id = IdField(null=True, help_text="Who holds it.")
    fence = models.IntegerField(default=0, help_text="Raised at every take: proves who may write.")
    losses = models.IntegerField(default=0, help_text="Workers that died while they held it.")
    lonely_losses = models.IntegerField(
        default=0, help_text="Of these, those that held nothing else."
    )
    lost_after_steps = models.IntegerField(
        default=0, db_default=0, help_text="How many steps had ended at the last death."
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
    fingerprint = models.CharField(
        max_length=16, null=True, help_text="By which failures with the same error are grouped."
    )

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
    start_left_ms = models.BigIntegerField(
        null=True, help_text="What is left of its timeout until its start, while paused."
    )
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
            models.CheckConstraint(
                condition=Q(is_in_line=False)
                | Q(status=RunStatus.QUEUED, admitted=False, lane_id__isnull=False),
                name="run_is_in_line_only_while_it_waits_in_a_lane",
            ),
            models.CheckConstraint(
                condition=Q(first_limit=None, second_limit=None) | Q(lane_id__isnull=False),
                name="run_takes_slots_only_by_its_lane",
            ),
            models.CheckConstraint(
                condition=Q(fingerprint=None) | Q(status=RunStatus.FAILED),
                name="run_has_a_fingerprint_only_when_failed",
            ),
            models.CheckConstraint(
                condition=Q(gathering=None)
                | Q(
                    status=RunStatus.QUEUED,
                    admitted=False,
                    is_in_line=False,
                    gathered__isnull=False,
                    due_at__isnull=False,
                ),
                name="run_gathers_events_only_before_it_may_start",
            ),
            models.UniqueConstraint(
                fields=["gathering"],
                condition=Q(gathering__isnull=False),
                name="run_gathers_the_events_of_a_key_alone",
            ),
            models.UniqueConstraint(
                fields=["singleton"],
                condition=Q(singleton__isnull=False, ended_at=None),
                name="run_is_the_only_active_one_of_its_singleton_key",
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"], condition=Q(gathering__isnull=False), name="run_gathering"
            ),
            models.Index(
                fields=["queue", "place", "id"],
                condition=Q(status=RunStatus.QUEUED, admitted=True),
                name="run_takeable",
            ),
            models.Index(
                fields=["place", "id"],
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
                condition=Q(ended_at=None, expires_at__isnull=False),
                name="run_expiry",
            ),
            models.Index(
                fields=["worker_id", "place"],
                condition=Q(worker_id__isnull=False),
                name="run_held_from",
            ),
            models.Index(
                fields=["rank"],  # by which nothing else is sorted: no planner takes another
                condition=Q(
                    status=RunStatus.QUEUED, admitted=False, is_in_line=False, gathering=None
                ),
                name="run_arrived",
            ),
            models.Index(
                fields=["lane_id", "is_let_in", "rank", "id"],
                condition=Q(status=RunStatus.QUEUED, admitted=False, is_in_line=True),
                name="run_in_line",
            ),
            models.Index(
                # Its statements do not say `status = 'queued'`, with which a planner would take
                # the index of what is takeable, and all that is not limited with it.
                fields=["place"],
                condition=Q(admitted=True, lane_id__isnull=False, worker_id=None, ended_at=None),
                name="run_let_in_from",
            ),
            models.Index(
                fields=["first_limit"],
                condition=Q(counts_while_active=True, is_let_in=True, ended_at=None),
                name="run_active_in_first",
            ),
            models.Index(
                fields=["second_limit"],
                condition=Q(counts_while_active=True, is_let_in=True, ended_at=None),
                name="run_active_in_second",
            ),
            models.Index(
                fields=["ended_at"], condition=Q(ended_at__isnull=False), name="run_ended"
            ),
            models.Index(
                fields=["fingerprint", "id"],
                condition=Q(fingerprint__isnull=False),
                name="run_with_error",
            ),
            models.Index(fields=["event"], name="run_of_event"),
            models.Index(fields=["workflow", "id"], name="run_of_workflow"),
            models.Index(
                fields=["workflow", "status", "id"],
                condition=Q(ended_at__isnull=False),
                name="run_ended_of_workflow",
            ),
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
