"""Gathered events: which events a debounce or a batch has gathered for which run."""

from django.db import models

from workflows.models.event import Event
from workflows.models.run import Run


class GatheredEvent(models.Model):
    """One event that a run has gathered: it started no run of its own.

    The order of a run's events is that of their positions.
    """

    run = models.ForeignKey(
        Run, models.DO_NOTHING, related_name="gathered_events", db_constraint=False, db_index=False
    )
    event = models.ForeignKey(
        Event, models.DO_NOTHING, related_name="gatherings", db_constraint=False, db_index=False
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "event"], name="event_is_gathered_once_by_a_run")
        ]
        indexes = [models.Index(fields=["event"], name="gathered_event_of_event")]

    def __str__(self) -> str:
        return f"{self.event_id} in {self.run_id}"
