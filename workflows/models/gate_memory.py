"""What the gates remember: acceptances under a rate limit, and values that have had their run.

Neither has a foreign key: this memory outlives the pruning of runs. Each row says when it is
spent; routing, which alone writes here, deletes spent rows.
"""

from django.db import models

from workflows.models.fields import DigestField, IdField


class Acceptance(models.Model):
    """One event that a rate limit let pass."""

    key = DigestField(help_text="The digest of the workflow and the key's value.")
    accepted_at = models.DateTimeField()
    expires_at = models.DateTimeField(help_text="A period later: it counts no more.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("accepted_at")),
                name="acceptance_counts_for_some_time",
            )
        ]
        indexes = [
            models.Index(fields=["key", "accepted_at"], name="acceptance_in_window"),
            models.Index(fields=["expires_at"], name="acceptance_spent"),
        ]

    def __str__(self) -> str:
        return f"{self.key} at {self.accepted_at}"


class SeenValue(models.Model):
    """The value of an idempotency key that has had its run."""

    key = DigestField(primary_key=True, help_text="The digest of the workflow and the value.")
    run_id = IdField(help_text="The run; pruning may have deleted it.")
    seen_at = models.DateTimeField()
    expires_at = models.DateTimeField(help_text="A period later: the value may run again.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("seen_at")),
                name="seen_value_counts_for_some_time",
            )
        ]
        indexes = [
            models.Index(fields=["expires_at"], name="seen_value_spent"),
            models.Index(fields=["run_id"], name="seen_value_of_run"),
        ]

    def __str__(self) -> str:
        return f"{self.key} by {self.run_id}"
