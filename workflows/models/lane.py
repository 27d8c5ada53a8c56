"""Lanes: where the runs of one workflow wait that share the values of all its keys.

    idle ──► active ──► idle           nothing waits any more
      ▲        │ ▲
      │        ▼ │
      └───── blocked | held            by a limit that is used up | by a pause

A hot key with any number of blocked runs is one row here. Only admission, which is one at a
time, writes lanes, paces and the notes.
"""

from typing import Any, Self

from django.db import models
from django.db.models import Q

from workflows.models.fields import DigestField, JSONTextField


class LaneState(models.TextChoices):
    """What admission does about a lane."""

    IDLE = "idle", "Idle"  # nothing waits in it
    ACTIVE = "active", "Active"  # visited in its turn
    BLOCKED = "blocked", "Blocked"  # until the limit that it is blocked on has room
    HELD = "held", "Held"  # until its workflow is resumed


class LaneQuerySet(models.QuerySet["Lane"]):
    """The questions that are asked about lanes."""

    def active(self) -> Self:
        """Lanes that are to be visited."""
        return self.filter(state=LaneState.ACTIVE)

    def blocked(self) -> Self:
        """Lanes in which runs wait for a limit to have room."""
        return self.filter(state=LaneState.BLOCKED)


class Lane(models.Model):
    """One workflow with one value of all its keys; its id is their digest."""

    id = DigestField(primary_key=True)
    workflow = models.CharField(max_length=256)
    shape = DigestField(help_text="The digest of the workflow's keys when it was made.")
    values: Any = JSONTextField(help_text="The values of these keys, as text, in their order.")
    first_limit = DigestField(null=True)
    second_limit = DigestField(null=True)
    pace = DigestField(null=True, help_text="The throttle under which its runs start.")
    state = models.CharField(max_length=7, choices=LaneState.choices)
    turn = models.BigIntegerField(help_text="Its place among the lanes: the lowest is next.")
    blocked_on = DigestField(null=True, help_text="The limit, or pace, that has no room.")
    idle_since = models.DateTimeField(null=True)

    objects = LaneQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state=LaneState.BLOCKED, blocked_on__isnull=False)
                | (~Q(state=LaneState.BLOCKED) & Q(blocked_on=None)),
                name="lane_is_blocked_on_something_or_not_at_all",
            ),
            models.CheckConstraint(
                condition=Q(state=LaneState.IDLE, idle_since__isnull=False)
                | (~Q(state=LaneState.IDLE) & Q(idle_since=None)),
                name="lane_is_idle_since_some_time_or_not_at_all",
            ),
        ]
        indexes = [
            models.Index(fields=["turn"], condition=Q(state=LaneState.ACTIVE), name="lane_active"),
            models.Index(
                fields=["blocked_on", "workflow", "turn"],
                condition=Q(state=LaneState.BLOCKED),
                name="lane_blocked",
            ),
            models.Index(
                fields=["idle_since"], condition=Q(state=LaneState.IDLE), name="lane_idle"
            ),
            models.Index(fields=["workflow", "state"], name="lane_of_workflow"),
        ]

    def __str__(self) -> str:
        return f"{self.workflow} {self.values}"


class Pace(models.Model):
    """How far a throttle has been used, for one value of its key."""

    id = DigestField(primary_key=True)
    tat = models.CharField(
        max_length=100,
        help_text="When it would be full again: an exact fraction of microseconds since 1970.",
    )
    full_at = models.DateTimeField(
        help_text="The same as a time: from then on it can be forgotten."
    )
    wakes_at = models.DateTimeField(null=True, help_text="When the next start of a lane is due.")

    class Meta:
        indexes = [
            models.Index(
                fields=["wakes_at"], condition=Q(wakes_at__isnull=False), name="pace_wakes"
            ),
            models.Index(fields=["full_at"], name="pace_full"),
        ]

    def __str__(self) -> str:
        return f"{self.pk} {self.tat}"


class Admission(models.Model):
    """One row: what admission notes for those who ask whether it could do something."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    slots = models.IntegerField(default=0, help_text="Slots in use after its last turn.")
    refill_at = models.IntegerField(
        default=0, help_text="So few runs that are let in and not taken are worth a new turn."
    )
    last_turn = models.BigIntegerField(default=0, help_text="The last turn that a lane was given.")
    looked_at = models.DateTimeField(help_text="When its last turn was.")
    # Exact: a long snapshot elsewhere leaves dead rows before them, which nobody has to read.
    untaken_from = models.BigIntegerField(
        default=0, help_text="The first place of a run that is let in and waits for a worker."
    )
    held_from = models.BigIntegerField(
        default=0, help_text="The first place of a run that holds a slot at all."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="admission_is_one_row"),
        ]

    def __str__(self) -> str:
        return f"{self.slots} slots"
