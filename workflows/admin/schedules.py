"""Schedules: the crons of the code, and what operators have planned besides."""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from workflows import client
from workflows.admin import display
from workflows.admin.acting import LONGEST_REASON, act_with_reason, actor_of, attempt, require
from workflows.admin.big_tables import ReadOnlyAdmin
from workflows.admin.punctuality import (
    Firing,
    Overdue,
    latest_of_code,
    overdue_of,
    overdue_of_code,
)
from workflows.admin.redaction import MisplacedMaskError, masked_for, sees_all, unmasked
from workflows.definitions.cron import firings, in_words
from workflows.errors import InvalidEvent, InvalidSchedule
from workflows.models import CronSchedule, Event, OperatorAction, RegisteredWorkflow, Run, Schedule

FIRINGS_SHOWN = 3
MOST_SHOWN = 15
PERMISSION = "manage_schedule"


@dataclass(frozen=True, slots=True)
class CodeSchedule:
    """A cron of the code, with what has become of it."""

    row: CronSchedule
    words: str
    firings: list[datetime]
    last: Run | None
    fired: Firing | None
    overdue: Overdue | None
    is_paused: bool


@admin.register(Schedule)
class ScheduleAdmin(ReadOnlyAdmin[Schedule]):
    """The list of schedules, and an operator's schedule's page."""

    list_display = ("name", "state", "plan", "next_", "event_name", "last_")
    list_display_links = ("name",)
    exact_search = ("id", "name", "event_name")
    search_help_text = gettext_lazy("A schedule's name, or its event's, whole")
    change_list_template = "admin/workflows/schedule/change_list.html"
    change_form_template = "admin/workflows/schedule/change_form.html"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Schedule]":
        """Read along for when the last firing was planned."""
        sent = Event.objects.filter(pk=OuterRef("last_event_id"))
        return super().get_queryset(request).annotate(last_planned_at=Subquery(sent.values("ts")))

    def get_urls(self) -> list[URLPattern]:
        """Add the form, and a schedule's buttons."""
        view, name = self.admin_site.admin_view, "workflows_schedule"
        return [
            path("new/", view(self.new_view), name=f"{name}_new"),
            path("<str:schedule_id>/edit/", view(self.edit_view), name=f"{name}_edit"),
            path("<str:schedule_id>/run/", view(self.run_view), name=f"{name}_run"),
            path("<str:schedule_id>/switch/", view(self.switch_view), name=f"{name}_switch"),
            path("<str:schedule_id>/remove/", view(self.remove_view), name=f"{name}_remove"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the crons of the code above what operators have planned."""
        context = {"from_code": from_code(), "may_manage": _may_manage(request)}
        return super().changelist_view(request, {**(extra_context or {}), **context})

    def page(self, request: HttpRequest, schedule: Schedule, /) -> dict[str, Any]:
        """Return what a schedule's page shows."""
        actions = OperatorAction.objects.filter(object_type="schedule", object_id=schedule.pk)
        zone = ZoneInfo(schedule.tz)
        return {
            "schedule": schedule,
            "state": state_of(schedule),
            "plan": plan_of(schedule),
            "overdue": overdue_of(schedule),
            "fired": _last_firing(schedule),
            "coming": [at.astimezone(zone) for at in client.next_firings(schedule, FIRINGS_SHOWN)],
            "actions": actions.order_by("-id")[:MOST_SHOWN],
            "may_manage": _may_manage(request),
            "sees_payloads": request.user.has_perm("workflows.view_payload"),
        }

    def new_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a new schedule, and show when it would fire."""
        require(request, PERMISSION)
        form = ScheduleForm(request.POST or None)
        return self._answer(request, form, None, _("New schedule"))

    def edit_view(self, request: HttpRequest, schedule_id: str) -> HttpResponse:
        """Ask for a schedule's changes, and show when it would fire."""
        require(request, PERMISSION)
        schedule = get_object_or_404(Schedule, pk=schedule_id)
        form = ScheduleForm(request.POST or None, initial=_initial(request, schedule))
        return self._answer(request, form, schedule, _("Change this schedule"))

    def run_view(self, request: HttpRequest, schedule_id: str) -> HttpResponse:
        """Send a schedule's event now."""
        require(request, PERMISSION)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        schedule = get_object_or_404(Schedule, pk=schedule_id)
        actor = actor_of(request)
        event_id = attempt(
            request,
            lambda: client.run_schedule(schedule.pk, actor=actor),
            _("Its event was sent; its plan stays as it is."),
        )
        if event_id:
            return HttpResponseRedirect(reverse("admin:workflows_event_change", args=[event_id]))
        return HttpResponseRedirect(self.page_of(schedule.pk))

    def switch_view(self, request: HttpRequest, schedule_id: str) -> HttpResponse:
        """Switch a schedule on or off, as the form's field says."""
        require(request, PERMISSION)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        schedule = get_object_or_404(Schedule, pk=schedule_id)
        enabled, actor = request.POST.get("enabled") == "1", actor_of(request)
        attempt(
            request,
            lambda: client.change_schedule(schedule.pk, enabled=enabled, actor=actor),
            _("Switched on.") if enabled else _("Switched off."),
        )
        return HttpResponseRedirect(self.page_of(schedule.pk))

    def remove_view(self, request: HttpRequest, schedule_id: str) -> HttpResponse:
        """Ask why, then delete a schedule."""
        require(request, PERMISSION)
        schedule = get_object_or_404(Schedule, pk=schedule_id)
        return act_with_reason(
            request,
            partial(client.delete_schedule, schedule.pk),
            site=self.admin_site,
            title=_("Delete this schedule"),
            template="workflows/delete_schedule.html",
            shown={"schedule": schedule},
            done=_("Deleted; the events that it has sent stay."),
            then=HttpResponseRedirect(reverse("admin:workflows_schedule_changelist")),
        )

    def _answer(
        self, request: HttpRequest, form: "ScheduleForm", schedule: Schedule | None, title: str
    ) -> HttpResponse:
        """Save what is right, unless only its firings were asked for; else show the form."""
        coming: list[datetime] = []
        if request.method == "POST" and form.is_valid():
            asked = form.asked()
            try:
                if schedule is not None and not sees_all(request):
                    asked["event_data"] = unmasked(asked["event_data"], schedule.event_data)
                coming = client.next_firings(Schedule(**asked), FIRINGS_SHOWN)
                if "preview" not in request.POST:
                    saved = self._save(request, asked, schedule, form.cleaned_data["reason"])
                    return HttpResponseRedirect(self.page_of(saved.pk))
            except (InvalidSchedule, InvalidEvent, MisplacedMaskError) as error:
                form.add_error(None, str(error))
        context = {**self.admin_site.each_context(request), "title": title}
        context |= {"form": form, "schedule": schedule, "coming": coming}
        return render(request, "workflows/edit_schedule.html", context)

    def _save(
        self, request: HttpRequest, asked: dict[str, Any], schedule: Schedule | None, reason: str
    ) -> Schedule:
        actor = actor_of(request)
        if schedule is None:
            return client.create_schedule(**asked, actor=actor, reason=reason)
        return client.change_schedule(schedule.pk, **asked, actor=actor, reason=reason)

    @admin.display(description=gettext_lazy("state"))
    def state(self, schedule: Schedule) -> str:
        """Show whether it fires."""
        return display.badge(state_of(schedule))

    @admin.display(description=gettext_lazy("plan"))
    def plan(self, schedule: Schedule) -> str:
        """Show when it fires, in words."""
        return plan_of(schedule)

    @admin.display(description=gettext_lazy("next"))
    def next_(self, schedule: Schedule) -> str:
        """Show when it fires next, or should have fired."""
        overdue = overdue_of(schedule)
        return display.overdue(overdue) if overdue else display.moment(schedule.due_at)

    @admin.display(description=gettext_lazy("last"))
    def last_(self, schedule: Schedule) -> str:
        """Show what it sent last."""
        if schedule.last_fired_at is None:
            return display.NOTHING
        said = display.link("event", schedule.last_event_id, display.ago(schedule.last_fired_at))
        planned_at = getattr(schedule, "last_planned_at", None)
        if planned_at is None:  # pruning has deleted the event
            return said
        fired = Firing(planned_at, schedule.last_fired_at)
        return format_html("{} {}", said, display.lateness(fired.late_by))


class ScheduleForm(forms.Form):
    """Asks when, and what is sent then."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=200)
    cron = forms.CharField(
        label=gettext_lazy("Cron line"),
        required=False,
        help_text=gettext_lazy(
            "Minute, hour, day, month, weekday, as in 0 9 * * MON-FRI; or a moment below."
        ),
    )
    at = forms.DateTimeField(
        label=gettext_lazy("Or once, at"),
        required=False,
        help_text=gettext_lazy("In UTC, as in 2027-01-31 12:00."),
    )
    tz = forms.CharField(
        label=gettext_lazy("Time zone of the cron line"), initial="UTC", max_length=100
    )
    event_name = forms.CharField(label=gettext_lazy("Event"), max_length=256)
    event_data = forms.CharField(
        label=gettext_lazy("Its data"),
        initial="{}",
        widget=forms.Textarea(attrs={"rows": 6, "class": "wf-short", "spellcheck": "false"}),
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"), required=False, max_length=LONGEST_REASON
    )

    def clean_event_data(self) -> Any:
        """Read the data as JSON."""
        try:
            return json.loads(self.cleaned_data["event_data"])
        except ValueError as error:
            raise forms.ValidationError(_("This is no JSON.")) from error

    def asked(self) -> dict[str, Any]:
        """Return what `client.create_schedule` takes."""
        names = ("name", "cron", "at", "tz", "event_name", "event_data")
        asked = {name: self.cleaned_data[name] for name in names}
        return asked | {"cron": asked["cron"] or None}


def from_code() -> list[CodeSchedule]:
    """Return the crons that workflows declare: there are not many."""
    rows = list(CronSchedule.objects.filter(fires_at__isnull=False).order_by("workflow", "line"))
    paused = set(
        RegisteredWorkflow.objects.filter(paused_at__isnull=False).values_list("id", flat=True)
    )
    return [_from_code(row, is_paused=row.workflow in paused) for row in rows]


def _from_code(row: CronSchedule, *, is_paused: bool) -> CodeSchedule:
    coming = firings(row.line, zone=row.tz, after=row.scheduled_at)
    upcoming = [row.scheduled_at, *(next(coming) for _ in range(FIRINGS_SHOWN - 1))]
    last, fired = latest_of_code(row)
    zone = ZoneInfo(row.tz)
    return CodeSchedule(
        row,
        in_words(row.line),
        [at.astimezone(zone) for at in upcoming],
        last,
        fired,
        None if is_paused else overdue_of_code(row),  # a paused one fires nothing, on purpose
        is_paused,
    )


def state_of(schedule: Schedule) -> str:
    """Say whether a schedule fires."""
    if not schedule.enabled:
        return "off"
    return "active" if schedule.due_at else "over"


def plan_of(schedule: Schedule) -> str:
    """Say when a schedule fires."""
    if schedule.cron is None:
        return _("once, %s UTC") % f"{schedule.at:%d %b %Y %H:%M}"
    return f"{in_words(schedule.cron)} ({schedule.tz})"


def _last_firing(schedule: Schedule) -> Firing | None:
    event = Event.objects.filter(pk=schedule.last_event_id).only("ts", "received_at").first()
    return Firing(event.ts, event.received_at) if event else None


def _may_manage(request: HttpRequest) -> bool:
    return request.user.has_perm(f"workflows.{PERMISSION}")


def _initial(request: HttpRequest, schedule: Schedule) -> dict[str, Any]:
    return {
        "name": schedule.name,
        "cron": schedule.cron,
        "at": schedule.at,
        "tz": schedule.tz,
        "event_name": schedule.event_name,
        "event_data": json.dumps(
            masked_for(request, schedule.event_data), indent=2, ensure_ascii=False
        ),
    }
