"""What an operator can do with events: send one, send one again, edit and send it."""

import json
from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from workflows import client
from workflows.admin.acting import LONGEST_REASON, actor_of, attempt, require
from workflows.admin.redaction import MisplacedMaskError, masked_for, sees_all, unmasked
from workflows.errors import InvalidEvent
from workflows.models import Event


class EventActions:
    """The views behind the buttons of events. They translate; `client` decides."""

    admin_site: AdminSite

    def resend_view(self, request: HttpRequest, event_id: str) -> HttpResponse:
        """Send an event again as it is."""
        require(request, "send_event")
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        event = get_object_or_404(Event, pk=event_id)
        actor = actor_of(request)
        sent = attempt(
            request,
            lambda: client.resend_event(event.pk, actor=actor),
            _("Sent again: this is the new event."),
        )
        return _page_of(sent or event.pk)

    def edit_view(self, request: HttpRequest, event_id: str) -> HttpResponse:
        """Ask for other data, then send an event again with these."""
        require(request, "send_event")
        require(request, "view_payload")
        event = get_object_or_404(Event, pk=event_id)
        form = SendForm(
            request.POST or None,
            initial={"name": event.name, "event_data": masked_for(request, event.data)},
        )
        form.fields["name"].disabled = True
        if request.method == "POST" and form.is_valid():
            try:
                sent = client.resend_event(
                    event.pk,
                    data=_as_meant(request, form.cleaned_data["event_data"], event),
                    reason=form.cleaned_data["reason"],
                    actor=actor_of(request),
                )
                return _page_of(sent)
            except (InvalidEvent, MisplacedMaskError) as error:
                form.add_error("event_data", str(error))
        return self._ask_for_event(request, form, _("Edit and send"), event)

    def send_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for an event, then send it."""
        require(request, "send_event")
        form = SendForm(request.POST or None, initial={"name": request.GET.get("name", "")})
        if request.method == "POST" and form.is_valid():
            try:
                sent = client.send_by_hand(
                    form.cleaned_data["name"],
                    form.cleaned_data["event_data"],
                    reason=form.cleaned_data["reason"],
                    actor=actor_of(request),
                )
                return _page_of(sent)
            except InvalidEvent as error:
                form.add_error(None, str(error))
        return self._ask_for_event(request, form, _("Send an event"), None)

    def _ask_for_event(
        self, request: HttpRequest, form: "SendForm", title: str, event: Event | None
    ) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "title": title, "event": event}
        return render(request, "workflows/send_event.html", {**context, "form": form})


class IndentedJson(json.JSONEncoder):
    """Writes JSON on several lines, so that a person can change it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "indent": 2, "ensure_ascii": False})


class DataForm(forms.Form):
    """Asks for an event's data, and why."""

    event_data = forms.JSONField(
        label=gettext_lazy("Data"),
        required=False,
        encoder=IndentedJson,
        widget=forms.Textarea(attrs={"rows": 14, "spellcheck": "false"}),
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"), required=False, max_length=LONGEST_REASON
    )

    def clean_event_data(self) -> dict[str, Any]:
        """Refuse what is no object."""
        data = self.cleaned_data["event_data"]
        if data is not None and not isinstance(data, dict):
            raise forms.ValidationError(_("An event's data is an object: {...}."))
        return data or {}


class SendForm(DataForm):
    """Asks for the event's name, too."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=256)
    field_order = ("name", "event_data", "reason")


def _as_meant(request: HttpRequest, data: dict[str, Any], event: Event) -> Any:
    return data if sees_all(request) else unmasked(data, event.data)


def _page_of(event_id: str) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:workflows_event_change", args=[event_id]))
