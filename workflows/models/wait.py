"""Waits: what suspended steps wait for, and which events cancel a run.

A wait is committed unrouted. Routing, under its lock, looks back for it and then lets it take
part: a wait that looked back in its own transaction would miss an event that is being committed
at that moment, and be missed by it.
"""

from typing import Self

from django.db import models
from django.db.models import Q

from workflows.models.fields import IdField
from workflows.models.run import Run


class WaitQuerySet(models.QuerySet["Wait"]):
    """The questions that are asked about waits."""

    def unrouted(self) -> Self:
        """Waits that routing has not looked back for yet."""
        return self.filter(is_routed=False)

    def of_step(self, run_id: str, step_key: str) -> Self:
        """The waits of one step."""
        return self.filter(run_id=run_id, step_key=step_key)


class Wait(models.Model):
    """One name of an event, or one signal, that ends a step's wait, or cancels a run."""

    id = IdField(primary_key=True)
    run = models.ForeignKey(
        Run, models.DO_NOTHING, related_name="waits", db_constraint=False, db_index=False
    )
    step_key = models.CharField(
        max_length=40, null=True, help_text="NULL: the event cancels the run."
    )
    event_name = models.CharField(max_length=256, null=True)
    lookup = models.CharField(
        max_length=40,
        help_text="SHA-1 of the event's name, and of the value that both events must share.",
    )
    condition = models.TextField(null=True, help_text="An expression over both events.")
    signal = models.CharField(max_length=256, null=True)
    looks_back = models.BooleanField(default=False)
    is_routed = models.BooleanField(default=False)
    expires_at = models.DateTimeField(null=True, help_text="When a cancel rule ends.")

    objects = WaitQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["signal"],
                condition=Q(signal__isnull=False),
                name="wait_has_its_signal_alone",
            ),
            models.CheckConstraint(
                condition=Q(event_name__isnull=False, signal=None)
                | Q(event_name=None, signal__isnull=False),
                name="wait_is_for_an_event_or_a_signal",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(is_routed=False), name="wait_unrouted"),
            models.Index(
                fields=["lookup"],
                condition=Q(is_routed=True, event_name__isnull=False),
                name="wait_lookup",
            ),
            models.Index(fields=["run", "step_key"], name="wait_of_run"),
        ]

    def __str__(self) -> str:
        return f"{self.event_name or self.signal} for {self.run_id}"


class MatchPath(models.Model):
    """A path in events of a name by whose value waits are found; few, and never deleted."""

    event_name = models.CharField(max_length=256)
    path = models.CharField(max_length=500, help_text="Its keys as a JSON list.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["event_name", "path"], name="match_path_is_known_once")
        ]

    def __str__(self) -> str:
        return f"{self.event_name} {self.path}"
