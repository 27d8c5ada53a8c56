"""Who acts in the admin, and what they are told about what came of it."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from workflows.engine.audit import Actor
from workflows.errors import WorkflowsError
from workflows.models import ActorKind

LONGEST_REASON = 500  # characters


def actor_of(request: HttpRequest) -> Actor:
    """Return who is signed in, for the audit log."""
    user = request.user
    assert isinstance(user, User)  # the admin has let them in
    return Actor(ActorKind.USER, user.get_username(), user.pk)


def require(request: HttpRequest, permission: str) -> None:
    """Refuse whoever lacks a permission of the engine's, whatever buttons they were shown."""
    if not request.user.has_perm(f"workflows.{permission}"):
        raise PermissionDenied


def attempt(request: HttpRequest, act: Callable[[], Any], done: str) -> Any:
    """Act, and tell the operator what came of it; return None where it was refused."""
    try:
        result = act()
    except WorkflowsError as error:
        messages.error(request, str(error))
        return None
    messages.success(request, done)
    return result


class ReasonForm(forms.Form):
    """Asks why."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=LONGEST_REASON,
        help_text=_("Kept in the audit log, and shown with what it changes."),
        widget=forms.TextInput(attrs={"size": 60, "autofocus": True}),
    )
