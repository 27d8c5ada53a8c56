"""Runs: find them by status, workflow, time, id or business key; act on those that are selected."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from workflows import client
from workflows.admin import display
from workflows.admin.acting import ReasonForm, actor_of, require
from workflows.admin.big_tables import PeriodFilter, ReadOnlyAdmin
from workflows.admin.bulk_operations import OWN_PERMISSION, start_address
from workflows.admin.dashboard import dashboard
from workflows.admin.run_actions import RunActions
from workflows.admin.run_filters import ErrorFilter, StatusFilter, WorkflowFilter
from workflows.admin.run_page import RunPages
from workflows.errors import RunStateError
from workflows.models import BulkKind, Run, RunStatus, RunTag
from workflows.models.run import ENDED, UNENDED

LONGEST_KEY = 40  # characters of a business key in the list
SENSIBLE = {
    BulkKind.RETRY: (RunStatus.FAILED,),
    BulkKind.REPLAY: ENDED,
    BulkKind.CANCEL: UNENDED,
}
MOST_LISTED = 20  # of the runs that are about to be cancelled


@admin.register(Run)
class RunAdmin(RunPages, RunActions, ReadOnlyAdmin[Run]):
    """The list of runs; a run's page and what can be done there are in the two classes above."""

    list_display = (
        "state",
        "short_id",
        "workflow_link",
        "event_name",
        "tags_",
        "queued",
        "delay",
        "time_taken",
        "attempt",
    )
    list_display_links = ("short_id",)
    list_filter = (StatusFilter, PeriodFilter, WorkflowFilter, ErrorFilter)
    list_select_related = ("event",)
    exact_search = ("id", "event_id", "gathered_events__event_id")
    search_help_text = gettext_lazy("Run id, event id, or key:value")
    actions = ("retry_selected", "cancel_selected")
    change_list_template = "admin/workflows/run/change_list.html"
    change_form_template = "admin/workflows/run/change_form.html"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Run]":
        """Leave the wide columns in the database."""
        rows = super().get_queryset(request)
        return rows.defer("output", "error", "event__data", "event__user")

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Run]", search_term: str
    ) -> tuple["QuerySet[Run]", bool]:
        """Find runs by a tag too, written `key:value`."""
        name, separator, value = search_term.strip().partition(":")
        if separator and "\x00" not in search_term:
            tagged = RunTag.objects.filter(name=name, value=value).order_by("-run_id")
            latest = tagged.values("run_id")[: display.MOST_COUNTED]  # a common key has half of all
            return queryset.filter(pk__in=latest), False
        return super().get_search_results(request, queryset, search_term)

    def get_urls(self) -> list[URLPattern]:
        """Add a run's buttons, and the part of its page that is looked at again and again."""
        view = self.admin_site.admin_view
        return [
            path("dashboard/", view(self.dashboard_view), name="workflows_run_dashboard"),
            path("<path:run_id>/retry/", view(self.retry_view), name="workflows_run_retry"),
            path("<path:run_id>/cancel/", view(self.cancel_view), name="workflows_run_cancel"),
            path("<path:run_id>/replay/", view(self.replay_view), name="workflows_run_replay"),
            path("<path:run_id>/live/", view(self.live_view), name="workflows_run_live"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, with what can be done to all that match, where that makes sense."""
        context = {"bulk": list(_bulk_links(request))}
        return super().changelist_view(request, {**(extra_context or {}), **context})

    def dashboard_view(self, request: HttpRequest) -> HttpResponse:
        """Give the part of the dashboard that changes."""
        require(request, "view_run")
        return render(request, "workflows/dashboard.html", {"board": dashboard(request)})

    @admin.display(description=gettext_lazy("status"))
    def state(self, run: Run) -> str:
        """Show the status."""
        return display.badge(run.status)

    @admin.display(description=gettext_lazy("run"))
    def short_id(self, run: Run) -> str:
        """Show the id's end, which tells it apart."""
        return display.short_id(run.pk)

    @admin.display(description=gettext_lazy("workflow"))
    def workflow_link(self, run: Run) -> str:
        """Show the workflow."""
        return display.link("registeredworkflow", run.workflow)

    @admin.display(description=gettext_lazy("event"))
    def event_name(self, run: Run) -> str:
        """Show the event."""
        return display.link("event", run.event_id, run.event.name)

    @admin.display(description=gettext_lazy("key"))
    def tags_(self, run: Run) -> str:
        """Show the business keys; each leads to all runs that bear it."""
        here = reverse("admin:workflows_run_changelist")
        keys = [f"{name}:{value}" for name, value in run.tags.items()]
        links = ((here, urlencode({"q": key}), display.shortened(key, LONGEST_KEY)) for key in keys)
        return format_html_join(" ", '<a href="{}?{}">{}</a>', links)

    @admin.display(description=gettext_lazy("queued"))
    def queued(self, run: Run) -> str:
        """Show how long ago it was made."""
        return display.moment(run.created_at)

    @admin.display(description=gettext_lazy("start delay"))
    def delay(self, run: Run) -> str:
        """Show how long it waited for its start."""
        return display.duration(run.started_at - run.created_at if run.started_at else None)

    @admin.display(description=gettext_lazy("time"))
    def time_taken(self, run: Run) -> str:
        """Show how long it took."""
        return display.between(run.started_at, run.ended_at)

    @admin.action(description=gettext_lazy("Retry"), permissions=["retry"])
    def retry_selected(self, request: HttpRequest, runs: "QuerySet[Run]") -> None:
        """Take the failed ones up again, and say how many those were."""
        actor = actor_of(request)
        self._act_on_all(request, runs, lambda id_: client.retry_run(id_, actor=actor))

    @admin.action(description=gettext_lazy("Cancel..."), permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, runs: "QuerySet[Run]") -> HttpResponse | None:
        """Ask for a reason, then cancel those that have not ended."""
        form = ReasonForm(request.POST if "reason" in request.POST else None)
        if not form.is_valid():
            return render(
                request, "workflows/cancel_runs.html", self._confirmation(request, runs, form)
            )
        actor, reason = actor_of(request), form.cleaned_data["reason"]
        self._act_on_all(
            request, runs, lambda id_: client.cancel_run(id_, reason=reason, actor=actor)
        )
        return None

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Tell whether the operator may retry."""
        return request.user.has_perm("workflows.retry_run")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Tell whether the operator may cancel."""
        return request.user.has_perm("workflows.cancel_run")

    def _confirmation(
        self, request: HttpRequest, runs: "QuerySet[Run]", form: ReasonForm
    ) -> dict[str, Any]:
        chosen = list(runs)
        return {
            **self.admin_site.each_context(request),
            "title": _("Cancel runs"),
            "form": form,
            "chosen": chosen,
            "listed": chosen[:MOST_LISTED],
            "unended": sum(run.status in UNENDED for run in chosen),
        }

    def _act_on_all(
        self, request: HttpRequest, runs: "QuerySet[Run]", act: Callable[[str], Run]
    ) -> None:
        refusals = []
        ids = list(runs.order_by("id").values_list("pk", flat=True))
        for run_id in ids:
            try:
                act(run_id)
            except RunStateError as error:
                refusals.append(str(error))
        acted = len(ids) - len(refusals)
        text = ngettext("Done with %(count)s run.", "Done with %(count)s runs.", acted)
        self.message_user(request, text % {"count": acted}, messages.SUCCESS)
        if refusals:
            text = _("%(count)s left as they are: %(first)s")
            self.message_user(
                request, text % {"count": len(refusals), "first": refusals[0]}, messages.WARNING
            )


def _bulk_links(request: HttpRequest) -> Iterator[tuple[str, str]]:
    """Give what may be done to all that match: only where the filter is about such runs."""
    status = request.GET.get("status") or ("failed" if "fingerprint" in request.GET else "")
    user = request.user
    for kind, statuses in SENSIBLE.items():
        own = OWN_PERMISSION[kind]
        may = user.has_perm("workflows.bulk_run") and user.has_perm(f"workflows.{own}")
        if may and status in statuses:
            yield kind.label, start_address(kind, request.GET.urlencode())
