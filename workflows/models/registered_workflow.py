"""Registered workflows: what workers have declared, as rows, because routing reads rows.

In a rolling deploy hosts know different workflows. Were routing to read code, an old worker
would mark an event as routed that a new workflow waits for.
"""

from typing import Any, Self

from django.db import models

from workflows.models.fields import JSONTextField


class RegisteredWorkflowQuerySet(models.QuerySet["RegisteredWorkflow"]):
    """The questions that are asked about workflows."""

    def active(self) -> Self:
        """Workflows that events start."""
        return self.filter(retired_at=None)


class RegisteredWorkflow(models.Model):
    """A workflow as the newest code that knows it declares it."""

    id = models.CharField(max_length=256, primary_key=True)
    name = models.CharField(max_length=256)
    declaration: Any = JSONTextField(
        help_text="Triggers, limits and options, as routing reads them."
    )
    declared_at = models.DateTimeField(help_text="When the cluster that declared it was started.")
    unknown_since = models.DateTimeField(
        null=True, blank=True, help_text="Since when no live worker knows it."
    )
    retired_at = models.DateTimeField(null=True, blank=True, help_text="Events start it no longer.")

    overrides: Any = JSONTextField(
        default=dict, help_text="What operators set in the place of the code's own."
    )
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_by = models.CharField(max_length=256, null=True, blank=True)
    pause_reason = models.TextField(null=True, blank=True)
    settled = models.TextField(
        default="", help_text="The regime that all its unended runs have been put under."
    )

    objects = RegisteredWorkflowQuerySet.as_manager()

    class Meta:
        verbose_name = "workflow"
        permissions = [
            ("pause_workflow", "Can pause and resume workflows"),
            ("override_workflow", "Can override limits and retries of workflows"),
        ]

    def __str__(self) -> str:
        return self.id


class Catalogue(models.Model):
    """One row: the revision of all registered workflows, so that a change is seen at once."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    revision = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="catalogue_is_one_row")
        ]

    def __str__(self) -> str:
        return f"revision {self.revision}"
