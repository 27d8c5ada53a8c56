"""Operator actions: the audit log. Who did what, to what, why, and what came of it."""

from typing import Any

from django.conf import settings
from django.db import models

from workflows.models.fields import IdField, JSONTextField

LONGEST_NAME = 200  # characters


class ActorKind(models.TextChoices):
    """How somebody acted."""

    USER = "user", "User"  # signed in, in the admin or over HTTP
    TOKEN = "token", "API token"
    COMMAND = "command", "Command line"
    CODE = "code", "Code"  # the project's own, through `workflows.client`


class OperatorAction(models.Model):
    """One action of an operator, written in the transaction that carries it out."""

    id = IdField(primary_key=True)
    at = models.DateTimeField()
    actor_kind = models.CharField(max_length=7, choices=ActorKind.choices)
    actor = models.CharField(max_length=LONGEST_NAME, help_text="Their name, as it was then.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False
    )
    action = models.CharField(max_length=50, help_text='Such as "cancel_run".')
    object_type = models.CharField(max_length=50, help_text='Such as "run".')
    object_id = models.CharField(max_length=256)
    reason = models.TextField(blank=True, default="")
    details: Any = JSONTextField(default=dict, help_text="What it changed.")
    result = models.CharField(max_length=LONGEST_NAME, help_text='"done", or why it was not.')

    class Meta:
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["object_type", "object_id", "id"], name="operator_action_of"),
            models.Index(fields=["actor", "id"], name="operator_action_by"),
            models.Index(fields=["action", "id"], name="operator_action_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.actor}: {self.action} {self.object_type} {self.object_id}"
