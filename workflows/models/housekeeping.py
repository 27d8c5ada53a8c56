"""Housekeeping: one row with how far roll-ups have come, and when old rows are deleted next."""

from django.db import models


class Housekeeping(models.Model):
    """What the workers of all hosts share of it; made by the first worker."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    rolled_up_to = models.DateTimeField(help_text="The minute up to which roll-ups are written.")
    prune_at = models.DateTimeField(help_text="When old rows are looked for next.")

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="housekeeping_is_one_row")
        ]

    def __str__(self) -> str:
        return f"rolled up to {self.rolled_up_to}"
