"""What is remembered of requests that showed an event key: their seeds, and the key's own pace.

Neither is part of the key's row: that is read with each request, and seldom written.
"""

from typing import Any

from django.db import models

from workflows.models.event_key import EventKey
from workflows.models.fields import IdField, JSONTextField


class EventSeed(models.Model):
    """The ids that a request with a seed was answered with, so that a repeat stores nothing.

    The row is also what two simultaneous requests with the same seed wait for each other by.
    """

    id = IdField(primary_key=True)
    key = models.ForeignKey(EventKey, models.CASCADE, related_name="seeds")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the seed that the sender gave.")
    event_ids: Any = JSONTextField(default=list, help_text="By position in the request.")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["key", "digest"], name="event_seed_is_kept_once_for_a_key"
            )
        ]
        indexes = [models.Index(fields=["created_at"], name="event_seed_age")]

    def __str__(self) -> str:
        return f"seed {self.digest[:8]} of key {self.key_id}"


class EventKeyPace(models.Model):
    """How far a key has used up its own rate, as one number that one statement moves.

    It is GCRA's theoretical arrival time: when the key's whole rate would be free again.
    """

    key = models.OneToOneField(EventKey, models.CASCADE, primary_key=True, related_name="pace")
    free_at = models.BigIntegerField(default=0, help_text="Microseconds since 1970.")

    class Meta:
        verbose_name = "event key's pace"

    def __str__(self) -> str:
        return f"pace of key {self.key_id}"
