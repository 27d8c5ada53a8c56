"""Runs: find them, see what they did, cancel and retry them."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from workflows import client
from workflows.admin import display
from workflows.admin.big_tables import PeriodFilter, ReadOnlyAdmin
from workflows.admin.timeline import timeline_of
from workflows.errors import RunStateError
from workflows.models import RegisteredWorkflow, Run, RunStatus, RunTag
from workflows.models.run import ENDED, UNENDED
from workflows.resources import reason_of

CANCEL_FORM = "workflows/confirm_cancel.html"


class WorkflowFilter(SimpleListFilter):
    """Runs of one workflow; the choices come from the small table of workflows."""

    title = gettext_lazy("workflow")
    parameter_name = "workflow"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the workflows."""
        ids = RegisteredWorkflow.objects.order_by("id").values_list("id", flat=True)
        return [(id_, id_) for id_ in ids]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Run]") -> "QuerySet[Run]":
        """Leave out the others."""
        return queryset.filter(workflow=self.value()) if self.value() else queryset


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin[Run]):
    """The list of runs, and a run's page."""

    list_display = (
        "state",
        "short_id",
        "workflow_id",
        "event_name",
        "tags_",
        "queued",
        "delay",
        "time_taken",
        "attempt",
    )
    list_display_links = ("short_id",)
    list_filter = ("status", WorkflowFilter, PeriodFilter)
    list_select_related = ("event",)
    sortable_by = ()
    exact_search = ("id", "event_id")
    search_help_text = gettext_lazy("A run's or an event's id, or a tag as key:value")
    actions = ("retry_selected", "cancel_selected")
    change_form_template = "admin/workflows/run/change_form.html"

    class Media:
        css = {"all": ("workflows/operators.css",)}
        js = ("workflows/live.js",)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Run]":
        """Leave the wide columns in the database."""
        return super().get_queryset(request).defer("output", "error", "event__data")

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Run]", search_term: str
    ) -> tuple["QuerySet[Run]", bool]:
        """Find runs by a tag too, written `key:value`."""
        name, separator, value = search_term.strip().partition(":")
        if separator:
            tagged = RunTag.objects.filter(name=name, value=value).values("run_id")
            return queryset.filter(pk__in=tagged), False
        return super().get_search_results(request, queryset, search_term)

    @admin.display(description=gettext_lazy("status"))
    def state(self, run: Run) -> str:
        """Show the status."""
        return display.badge(run.status)

    @admin.display(description=gettext_lazy("run"))
    def short_id(self, run: Run) -> str:
        """Show the id's beginning, which is its time, and its end, which tells it apart."""
        return f"{run.pk[:6]}…{run.pk[-6:]}"

    @admin.display(description=gettext_lazy("workflow"))
    def workflow_id(self, run: Run) -> str:
        """Show the workflow."""
        return run.workflow

    @admin.display(description=gettext_lazy("event"))
    def event_name(self, run: Run) -> str:
        """Show the event."""
        return display.link("event", run.event_id, run.event.name)

    @admin.display(description=gettext_lazy("key"))
    def tags_(self, run: Run) -> str:
        """Show the business keys."""
        return ", ".join(f"{name}:{value}" for name, value in run.tags.items()) or "–"

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
        both = run.started_at and run.ended_at
        return display.duration(run.ended_at - run.started_at if both else None)  # type: ignore[operator]

    @admin.action(description=gettext_lazy("Retry failed runs"), permissions=["retry"])
    def retry_selected(self, request: HttpRequest, runs: "QuerySet[Run]") -> None:
        """Take the failed ones up again, and say how many those were."""
        self._act_on_all(request, runs, client.retry_run, _("retried"))

    @admin.action(description=gettext_lazy("Cancel..."), permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, runs: "QuerySet[Run]") -> HttpResponse | None:
        """Ask for a reason, then cancel those that have not ended."""
        if "reason" not in request.POST:
            return render(request, CANCEL_FORM, self._confirmation(request, list(runs)))
        reason = request.POST["reason"]
        self._act_on_all(
            request, runs, lambda id_: client.cancel_run(id_, reason=reason), _("cancelled")
        )
        return None

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Tell whether the operator may retry."""
        return request.user.has_perm("workflows.retry_run")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Tell whether the operator may cancel."""
        return request.user.has_perm("workflows.cancel_run")

    def get_urls(self) -> list[URLPattern]:
        """Add a run's buttons, and the part of its page that is looked at again and again."""
        view = self.admin_site.admin_view
        return [
            path(
                "<path:run_id>/retry/",
                view(require_POST(self.retry_view)),
                name="workflows_run_retry",
            ),
            path("<path:run_id>/cancel/", view(self.cancel_view), name="workflows_run_cancel"),
            path("<path:run_id>/live/", view(self.live_view), name="workflows_run_live"),
            *super().get_urls(),
        ]

    def retry_view(self, request: HttpRequest, run_id: str) -> HttpResponse:
        """Retry one run."""
        if not self.has_retry_permission(request):
            raise PermissionDenied
        return self._act_on_one(request, run_id, client.retry_run, _("The run goes on."))

    def cancel_view(self, request: HttpRequest, run_id: str) -> HttpResponse:
        """Ask for a reason, then cancel one run."""
        if not self.has_cancel_permission(request):
            raise PermissionDenied
        if request.method != "POST" or "reason" not in request.POST:
            run = get_object_or_404(Run, pk=unquote(run_id))
            return render(request, CANCEL_FORM, self._confirmation(request, [run]))
        reason = request.POST["reason"]
        cancel = lambda id_: client.cancel_run(id_, reason=reason)  # noqa: E731  one expression
        return self._act_on_one(request, run_id, cancel, _("The run is cancelled."))

    def live_view(self, request: HttpRequest, run_id: str) -> HttpResponse:
        """Give the part of the page that changes while the run goes on."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = get_object_or_404(Run.objects.select_related("event"), pk=unquote(run_id))
        response = render(request, "workflows/run_live.html", self._page(request, run))
        response["Cache-Control"] = "no-store"
        return response

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a run's page."""
        run = Run.objects.select_related("event").filter(pk=unquote(object_id)).first()
        context = self._page(request, run) if run else {}
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), **context}
        )

    def _page(self, request: HttpRequest, run: Run) -> dict[str, Any]:
        return {
            "run": run,
            "timeline": timeline_of(run),
            "reason": reason_of(run),
            "is_active": run.status not in ENDED,
            "sees_payloads": self.sees_payloads(request),
            "may_retry": run.status == RunStatus.FAILED and self.has_retry_permission(request),
            "may_cancel": run.status in UNENDED and self.has_cancel_permission(request),
            "children": run.children.order_by("id")[:50],
            "replays": run.replays.order_by("id")[:50],
        }

    def _confirmation(self, request: HttpRequest, runs: list[Run]) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "title": _("Cancel runs"),
            "opts": self.opts,
            "runs": runs,
            "unended": sum(run.status in UNENDED for run in runs),
            "is_action": request.method == "POST",
        }

    def _act_on_one(
        self, request: HttpRequest, run_id: str, act: Callable[[str], Run], done: str
    ) -> HttpResponse:
        run = get_object_or_404(Run, pk=unquote(run_id))
        try:
            act(run.pk)
            self.message_user(request, done, messages.SUCCESS)
        except RunStateError as error:
            self.message_user(request, str(error), messages.ERROR)
        return HttpResponseRedirect(reverse("admin:workflows_run_change", args=[run.pk]))

    def _act_on_all(
        self, request: HttpRequest, runs: "QuerySet[Run]", act: Callable[[str], Run], done: str
    ) -> None:
        refused = []
        ids = list(runs.values_list("pk", flat=True))
        for run_id in ids:
            try:
                act(run_id)
            except RunStateError as error:
                refused.append(str(error))
        acted = len(ids) - len(refused)
        self.message_user(
            request,
            _("%(count)s run(s) %(done)s.") % {"count": acted, "done": done},
            messages.SUCCESS,
        )
        if refused:
            text = _("%(count)s left as they are: %(first)s")
            self.message_user(
                request, text % {"count": len(refused), "first": refused[0]}, messages.WARNING
            )
