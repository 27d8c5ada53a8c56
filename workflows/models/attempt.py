"""Attempts: every failed try of a step, or of the code between steps, with its error."""

from typing import Any

from django.db import models

from workflows.models.fields import IdField, JSONTextField


class Attempt(models.Model):
    """One failed try. Successful ones are not recorded: the step's row tells of them."""

    id = IdField(primary_key=True)
    run_id = IdField()
    step_key = models.CharField(max_length=40, null=True, help_text="NULL: the code between steps.")
    number = models.IntegerField(help_text="From 1.")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    error: Any = JSONTextField()

    class Meta:
        indexes = [models.Index(fields=["run_id", "id"], name="attempt_of_run")]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.run_id}"
