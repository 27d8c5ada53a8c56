"""Events: what was sent, and what has become of it."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from workflows.admin import display
from workflows.admin.big_tables import PeriodFilter, ReadOnlyAdmin
from workflows.models import Event


class UnroutedFilter(admin.SimpleListFilter):
    """Events that no worker has taken up yet."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [("unrouted", "not routed yet")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Event]") -> "QuerySet[Event]":
        """Leave out what has been routed."""
        return queryset.filter(position=None) if self.value() else queryset


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin[Event]):
    """The list of events, and an event's page."""

    list_display = ("name", "id", "received", "due", "runs_started", "duplicate")
    list_filter = (UnroutedFilter, PeriodFilter)
    sortable_by = ()
    exact_search = ("id", "external_id", "name")
    search_help_text = _("An event's id, its sender's id, or its whole name")
    fields = (
        "name",
        "id",
        "external_id",
        "received",
        "due",
        "routed",
        "duplicate",
        "runs_",
        "data_",
        "user_",
        "v",
    )
    readonly_fields = fields

    class Media:
        css = {"all": ("workflows/operators.css",)}

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Event]":
        """Count the runs of each event on the page."""
        return super().get_queryset(request).annotate(run_count=Count("runs"))

    def get_fields(self, request: HttpRequest, obj: Event | None = None) -> Any:
        """Leave out payloads for those who may not see them."""
        hidden = () if self.sees_payloads(request) else ("data_", "user_")
        return [field for field in self.fields if field not in hidden]

    @admin.display(description=_("received"))
    def received(self, event: Event) -> str:
        """Show how long ago it came."""
        return display.moment(event.received_at)

    @admin.display(description=_("takes effect"))
    def due(self, event: Event) -> str:
        """Show when it takes effect, where that is later."""
        return display.moment(event.due_at) if event.due_at > event.received_at else "–"

    @admin.display(description=_("routed"), boolean=True)
    def routed(self, event: Event) -> bool:
        """Show whether workers have taken it up."""
        return event.position is not None

    @admin.display(description=_("runs"))
    def runs_started(self, event: Any) -> int:
        """Show how many runs it started."""
        return int(event.run_count)

    @admin.display(description=_("repeats"))
    def duplicate(self, event: Event) -> str:
        """Show the event that it repeats."""
        return display.link("event", event.duplicate_of_id)

    @admin.display(description=_("runs"))
    def runs_(self, event: Event) -> str:
        """Show its runs, with their states."""
        rows = (
            (display.badge(run.status), display.link("run", run.pk), run.workflow)
            for run in event.runs.order_by("id")[:50]
        )
        return format_html_join("", "<p>{} {} {}</p>", rows) or "–"

    @admin.display(description=_("data"))
    def data_(self, event: Event) -> str:
        """Show the data."""
        return display.pretty_json(event.data)

    @admin.display(description=_("user"))
    def user_(self, event: Event) -> str:
        """Show what the sender said about a user."""
        return display.pretty_json(event.user) if event.user else "–"
