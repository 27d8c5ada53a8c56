"""Who acts in the admin, and what they are told about what came of it."""

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
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


def act_with_reason(  # noqa: PLR0913  a question and what its answer leads to
    request: HttpRequest,
    act: Callable[..., Any],
    *,
    site: AdminSite,
    title: str,
    template: str,
    shown: Mapping[str, Any],
    done: str,
    then: HttpResponse,
) -> HttpResponse:
    """Ask the operator why; once that is answered, act.

    Args:
        request: the question's, or the answer's.
        act: takes `actor` and `reason`, by name.
        site: the admin.
        title: of the page that asks.
        template: of that page.
        shown: what the template shows besides the form.
        done: what the operator is told where nothing was refused.
        then: the answer's response.
    """
    form = ReasonForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        context = {**site.each_context(request), "title": title, "form": form, **shown}
        return render(request, template, context)
    actor, reason = actor_of(request), form.cleaned_data["reason"]
    attempt(request, lambda: act(actor=actor, reason=reason), done)
    return then
