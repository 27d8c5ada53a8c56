"""Event keys: make them, shown once; revoke them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from workflows.admin import display
from workflows.admin.big_tables import ReadOnlyAdmin
from workflows.engine.keys import EventKeyError, create_event_key, revoke_event_key
from workflows.models import EventKey


class EventKeyForm(forms.ModelForm[EventKey]):
    """What is asked for a new key."""

    patterns = forms.CharField(
        required=False,
        help_text=gettext_lazy(
            "Names or patterns that it may send, with spaces between; empty: all"
        ),
    )

    class Meta:
        model = EventKey
        fields = ("name", "expires_at", "rate_limit")


@admin.register(EventKey)
class EventKeyAdmin(ReadOnlyAdmin[EventKey]):
    """The list of keys, and the form for a new one."""

    form = EventKeyForm
    list_display = ("name", "prefix", "scope", "state", "last_used", "expires")
    sortable_by = ()
    exact_search = ("name", "prefix")
    search_help_text = gettext_lazy("A key's name or prefix, whole")
    actions = ("revoke_selected",)

    class Media:
        css = {"all": ("workflows/operators.css",)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Tell whether the operator may make keys."""
        return request.user.has_perm("workflows.manage_eventkey")

    def has_manage_permission(self, request: HttpRequest) -> bool:
        """Tell whether the operator may revoke keys."""
        return request.user.has_perm("workflows.manage_eventkey")

    def get_fields(self, request: HttpRequest, obj: EventKey | None = None) -> Any:
        """Ask for what a new key needs; show what an old one is."""
        if obj is None:
            return ("name", "patterns", "expires_at", "rate_limit")
        return ("name", "prefix", "scope", "state", "last_used", "expires", "rate_limit")

    def get_readonly_fields(self, request: HttpRequest, obj: EventKey | None = None) -> Any:
        """Let nothing of an old key be changed."""
        return () if obj is None else self.get_fields(request, obj)

    def save_model(self, request: HttpRequest, obj: EventKey, form: Any, change: bool) -> None:  # noqa: FBT001  Django's signature
        """Make the key, and show its secret once."""
        try:
            made = create_event_key(
                form.cleaned_data["name"],
                events=form.cleaned_data["patterns"].split(),
                expires_at=form.cleaned_data["expires_at"],
                rate_limit=form.cleaned_data["rate_limit"],
            )
        except EventKeyError as error:
            obj.pk = ""
            self.message_user(request, str(error), messages.ERROR)
            return
        obj.pk = made.key.pk
        text = _("The key is %(secret)s - it is shown this once only.")
        self.message_user(request, text % {"secret": made.secret}, messages.WARNING)

    @admin.action(description=gettext_lazy("Revoke, at once and for good"), permissions=["manage"])
    def revoke_selected(self, request: HttpRequest, keys: "QuerySet[EventKey]") -> None:
        """Revoke the keys that are not revoked yet."""
        for name in keys.filter(revoked_at=None).values_list("name", flat=True):
            revoke_event_key(name)
            self.message_user(request, _("Revoked %(name)s.") % {"name": name}, messages.SUCCESS)

    @admin.display(description=gettext_lazy("may send"))
    def scope(self, key: EventKey) -> str:
        """Show what it may send."""
        return ", ".join(key.events) or _("all events")

    @admin.display(description=gettext_lazy("state"))
    def state(self, key: EventKey) -> str:
        """Show whether it can be used."""
        return display.badge("revoked" if key.revoked_at else "active")

    @admin.display(description=gettext_lazy("last used"))
    def last_used(self, key: EventKey) -> str:
        """Show when it was used last, to the minute."""
        return display.moment(key.last_used_at)

    @admin.display(description=gettext_lazy("expires"))
    def expires(self, key: EventKey) -> str:
        """Show when it ends."""
        return display.moment(key.expires_at) if key.expires_at else _("never")
