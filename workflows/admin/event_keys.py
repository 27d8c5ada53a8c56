"""Event keys: make them, shown once; revoke them."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from workflows import client
from workflows.admin import display
from workflows.admin.acting import LONGEST_REASON, act_with_reason, actor_of, require
from workflows.admin.big_tables import ReadOnlyAdmin
from workflows.clock import clock
from workflows.engine.keys import EventKeyError
from workflows.models import EventKey, OperatorAction

PERMISSION = "manage_eventkey"
MOST_SHOWN = 15  # operator actions on a key's page


@admin.register(EventKey)
class EventKeyAdmin(ReadOnlyAdmin[EventKey]):
    """The list of keys, and a key's page."""

    list_display = ("name", "prefix_", "state", "scope", "rate_limit", "last_used", "expires")
    list_display_links = ("name",)
    exact_search = ("name", "prefix")
    search_help_text = gettext_lazy("A key's name or prefix, whole")
    change_list_template = "admin/workflows/eventkey/change_list.html"
    change_form_template = "admin/workflows/eventkey/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the form for a new key, and the button that revokes one."""
        view = self.admin_site.admin_view
        return [
            path("new/", view(self.new_view), name="workflows_eventkey_new"),
            path("<str:key_id>/revoke/", view(self.revoke_view), name="workflows_eventkey_revoke"),
            *super().get_urls(),
        ]

    def new_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a new key, then show its secret: in this answer, and never again."""
        require(request, PERMISSION)
        form = EventKeyForm(request.POST or None)
        context = {**self.admin_site.each_context(request), "title": _("New event key")}
        if request.method == "POST" and form.is_valid():
            try:
                made = client.create_event_key(**form.asked(), actor=actor_of(request))
            except EventKeyError as error:
                form.add_error(None, str(error))
            else:
                shown = {**context, "key": made.key, "secret": made.secret}
                response = render(request, "workflows/event_key_made.html", shown)
                response["Cache-Control"] = "no-store"
                return response
        return render(request, "workflows/new_event_key.html", {**context, "form": form})

    def revoke_view(self, request: HttpRequest, key_id: str) -> HttpResponse:
        """Ask why, then end a key at once and for good."""
        require(request, PERMISSION)
        key = get_object_or_404(EventKey, pk=key_id)
        return act_with_reason(
            request,
            partial(client.revoke_event_key, key.name),
            site=self.admin_site,
            title=_("Revoke this key"),
            template="workflows/revoke_event_key.html",
            shown={"key": key},
            done=_("Revoked: it opens nothing any more."),
            then=HttpResponseRedirect(self.page_of(key.pk)),
        )

    def page(self, request: HttpRequest, key: EventKey, /) -> dict[str, Any]:
        """Return what a key's page shows."""
        actions = OperatorAction.objects.filter(object_type="event_key", object_id=key.name)
        state = state_of(key)
        return {
            "key": key,
            "state": state,
            "scope": self.scope(key),
            "actions": actions.order_by("-id")[:MOST_SHOWN],
            "may_revoke": state != "revoked" and request.user.has_perm(f"workflows.{PERMISSION}"),
        }

    @admin.display(description=gettext_lazy("prefix"))
    def prefix_(self, key: EventKey) -> str:
        """Show how it begins."""
        return f"{key.prefix}…"

    @admin.display(description=gettext_lazy("may send"))
    def scope(self, key: EventKey) -> str:
        """Show what it may send."""
        return ", ".join(key.events) or _("all events")

    @admin.display(description=gettext_lazy("state"))
    def state(self, key: EventKey) -> str:
        """Show whether it can be used."""
        return display.badge(state_of(key))

    @admin.display(description=gettext_lazy("last used"))
    def last_used(self, key: EventKey) -> str:
        """Show when it was used last, to the minute."""
        return display.moment(key.last_used_at)

    @admin.display(description=gettext_lazy("expires"))
    def expires(self, key: EventKey) -> str:
        """Show when it ends."""
        return display.moment(key.expires_at) if key.expires_at else _("never")


class EventKeyForm(forms.Form):
    """What is asked for a new key."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=100)
    events = forms.CharField(
        label=gettext_lazy("May send"),
        required=False,
        help_text=gettext_lazy("Names or patterns such as shop/*, with spaces between; empty: all"),
    )
    expires_at = forms.DateTimeField(
        label=gettext_lazy("Expires at"),
        required=False,
        help_text=gettext_lazy("In UTC, as in 2027-01-31 12:00; empty: never."),
    )
    rate_limit = forms.IntegerField(
        label=gettext_lazy("Requests a minute"),
        required=False,
        min_value=1,
        help_text=gettext_lazy("Empty: no limit."),
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"), required=False, max_length=LONGEST_REASON
    )

    def asked(self) -> dict[str, Any]:
        """Return what `client.create_event_key` takes."""
        return {**self.cleaned_data, "events": self.cleaned_data["events"].split()}


def state_of(key: EventKey) -> str:
    """Say whether a key can be used."""
    if key.revoked_at:
        return "revoked"
    is_over = key.expires_at is not None and key.expires_at <= clock.now()
    return "expired" if is_over else "active"
