"""Events: what was sent, and what has become of it."""

from collections import defaultdict
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _

from workflows.admin import display
from workflows.admin.big_tables import ChoiceFilter, PeriodFilter, ReadOnlyAdmin
from workflows.admin.display import MOST_COUNTED
from workflows.admin.event_actions import EventActions
from workflows.admin.timeline import step_name
from workflows.models import Event, GatheredEvent, RegisteredWorkflow, Run, Step

MOST_RELATED = 50  # runs, waits or repeats that an event's page lists
MOST_BADGES = 5  # runs that a line of the list shows


class StateFilter(ChoiceFilter):
    """Events that no worker has taken up yet, and those that started nothing."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [("unrouted", _("Not routed yet")), ("no-run", _("No run, of the last 10,000"))]  # type: ignore[list-item]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Event]") -> "QuerySet[Event]":
        """Leave out what has been routed, or has started a run."""
        if self.value() == "unrouted":
            return queryset.filter(position=None)
        if self.value() == "no-run":
            return _without_runs(queryset)
        return queryset


def _without_runs(events: "QuerySet[Event]") -> "QuerySet[Event]":
    """Return those of the last 10,000 events that started nothing: all would take too long."""
    latest = Event.objects.order_by("-id").values_list("id", flat=True)
    first = next(iter(latest[MOST_COUNTED : MOST_COUNTED + 1]), "")
    started = Exists(Run.objects.filter(event_id=OuterRef("pk")))
    return events.filter(~started, position__isnull=False, id__gte=first)


def _of_name(events: "QuerySet[Event]", name: str) -> "QuerySet[Event]":
    """Return the events of a name: those that are not routed yet, and the last 10,000 that are.

    The index of names is in the order of routing; all events of a common name would be sorted.
    """
    positions = Event.objects.filter(name=name, position__isnull=False).order_by("-position")
    latest = positions.values_list("position", flat=True)
    first = next(iter(latest[MOST_COUNTED : MOST_COUNTED + 1]), 0)
    return events.filter(Q(position=None) | Q(position__gte=first), name=name)


class NameFilter(ChoiceFilter):
    """Events of one name; the choices are what workflows are triggered by."""

    title = _("name")
    parameter_name = "name"
    is_short = False

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the names."""
        declarations = RegisteredWorkflow.objects.values_list("declaration", flat=True)
        triggers = [each for declared in declarations for each in declared["triggers"]]
        names = {each["event"] for each in triggers if each["kind"] == "event"}
        return [(name, name) for name in sorted(names) if not name.endswith("*")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Event]") -> "QuerySet[Event]":
        """Leave out the others."""
        name = self.value()
        return _of_name(queryset, name) if name else queryset


class EventList(ChangeList):
    """The events of a page, with the runs that each has started or joined: two more queries."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page's events, then the runs of all of them."""
        super().get_results(request)
        runs: dict[str, dict[str, Run]] = defaultdict(dict)
        events: list[Any] = list(self.result_list)
        ids = [event.pk for event in events]
        found = Run.objects.filter(event_id__in=ids)
        for run in found.only("id", "status", "event_id"):
            runs[run.event_id][run.pk] = run
        gathered = GatheredEvent.objects.filter(event_id__in=ids).select_related("run")
        for row in gathered.only("event_id", "run__id", "run__status"):
            runs[row.event_id][row.run_id] = row.run
        for event in events:
            event.started = [run for _, run in sorted(runs[event.pk].items())]
        self.result_list = events


@admin.register(Event)
class EventAdmin(EventActions, ReadOnlyAdmin[Event]):
    """The list of events, and an event's page; its buttons are in the class above."""

    list_display = ("name_", "short_id", "received", "due", "runs_", "duplicate")
    list_display_links = ("name_",)
    list_filter = (StateFilter, PeriodFilter, NameFilter)
    exact_search = ("id", "external_id")
    search_help_text = _("Event id, sender's id, or whole name")
    change_list_template = "admin/workflows/event/change_list.html"
    change_form_template = "admin/workflows/event/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the form for a new event, and an event's buttons."""
        view = self.admin_site.admin_view
        return [
            path("send/", view(self.send_view), name="workflows_event_send"),
            path("<str:event_id>/resend/", view(self.resend_view), name="workflows_event_resend"),
            path("<str:event_id>/edit/", view(self.edit_view), name="workflows_event_edit"),
            *super().get_urls(),
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Use a list that knows the runs of its events."""
        return EventList

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Event]":
        """Leave the wide columns in the database."""
        return super().get_queryset(request).defer("data", "user")

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Event]", search_term: str
    ) -> tuple["QuerySet[Event]", bool]:
        """Find events by their name too."""
        found, duplicates = super().get_search_results(request, queryset, search_term)
        name = search_term.strip()
        if not name or "\x00" in name or found.exists():
            return found, duplicates
        return _of_name(queryset, name), False

    @admin.display(description=_("name"))
    def name_(self, event: Event) -> str:
        """Show the name, cut where it is very long."""
        return display.shortened(event.name, display.LONGEST_LINK)

    @admin.display(description=_("event"))
    def short_id(self, event: Event) -> str:
        """Show the id's end, which tells it apart."""
        return display.short_id(event.pk)

    @admin.display(description=_("received"))
    def received(self, event: Event) -> str:
        """Show how long ago it came."""
        return display.moment(event.received_at)

    @admin.display(description=_("takes effect"))
    def due(self, event: Event) -> str:
        """Show when it takes effect, where that is later."""
        return display.moment(event.due_at) if event.due_at > event.received_at else ""

    @admin.display(description=_("runs"))
    def runs_(self, event: Any) -> str:
        """Show the runs that it started, or that there is none."""
        if not event.started:
            return display.badge("unrouted") if event.position is None else ""
        shown = event.started[:MOST_BADGES]
        links = ((display.link_to_badge("run", run.pk, run.status),) for run in shown)
        more = len(event.started) - len(shown)
        said = f" +{more}" if more else ""
        return format_html("{}{}", format_html_join(" ", "{}", links), said)

    @admin.display(description=_("repeats"))
    def duplicate(self, event: Event) -> str:
        """Show the event that it repeats."""
        original = event.duplicate_of_id
        return display.link("event", original, display.short_id(original)) if original else ""

    def page(self, request: HttpRequest, event: Event, /) -> dict[str, Any]:
        """Return what an event's page shows."""
        ended = Step.objects.filter(ended_by=event.pk).select_related("run").defer("output")
        return {
            "event": event,
            "sees_payloads": self.sees_payloads(request),
            "runs": Run.objects.of_event(event.pk).order_by("id").defer("output")[:MOST_RELATED],
            "ended": [(step_name(step), step.run) for step in ended[:MOST_RELATED]],
        }
