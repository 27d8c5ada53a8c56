"""Workflows: what starts them, what limits them and who waits for it, and what became of them."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from workflows.admin import display
from workflows.admin.big_tables import ChoiceFilter, ReadOnlyAdmin
from workflows.admin.figures import (
    SPANS,
    backlog,
    durations,
    frame,
    queued_by_workflow,
    recent_by_workflow,
    results,
)
from workflows.admin.limits import limit_lines, short
from workflows.admin.workflow_actions import WorkflowActions
from workflows.engine.waiting import limits_in_use
from workflows.models import CronSchedule, OperatorAction, RegisteredWorkflow, Run

MOST_SHOWN = 15  # runs, or operator actions, on a workflow's page
LONGEST_TRIGGERS = 80  # characters in the list
STATES: dict[str, dict[str, Any]] = {
    "active": {"retired_at": None, "unknown_since": None, "paused_at": None},
    "paused": {"retired_at": None, "paused_at__isnull": False},
    "unknown": {"retired_at": None, "unknown_since__isnull": False},
    "retired": {"retired_at__isnull": False},
}


class StateFilter(ChoiceFilter):
    """Workflows in one state."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the states."""
        return [(state, state) for state in STATES]

    def queryset(
        self, request: HttpRequest, queryset: "QuerySet[RegisteredWorkflow]"
    ) -> "QuerySet[RegisteredWorkflow]":
        """Leave out the others."""
        state = STATES.get(self.value() or "")
        return queryset if state is None else queryset.filter(**state)


class WorkflowList(ChangeList):
    """The workflows of a page, with their figures of the last day."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page's workflows, then the figures of all."""
        super().get_results(request)
        workflows: list[Any] = list(self.result_list)
        recent = recent_by_workflow([workflow.pk for workflow in workflows])
        queued = queued_by_workflow()
        for workflow in workflows:
            workflow.recent = recent.get(workflow.pk)
            workflow.queued = queued.get(workflow.pk)
        self.result_list = workflows


@admin.register(RegisteredWorkflow)
class RegisteredWorkflowAdmin(WorkflowActions, ReadOnlyAdmin[RegisteredWorkflow]):
    """The list of workflows, and a workflow's page; its buttons are in the class above."""

    list_display = (
        "id_",
        "state",
        "triggers",
        "runs_24h",
        "failed_share",
        "p95",
        "backlog_",
        "limits",
    )
    list_display_links = ("id_",)
    list_filter = (StateFilter,)
    ordering = ("id",)
    search_help_text = _("A part of the id or the name")
    change_form_template = "admin/workflows/registeredworkflow/change_form.html"

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[RegisteredWorkflow]", search_term: str
    ) -> tuple["QuerySet[RegisteredWorkflow]", bool]:
        """Find workflows by a part of their id or name: there are not many."""
        term = search_term.strip().replace("\x00", "")
        found = queryset.filter(id__icontains=term) | queryset.filter(name__icontains=term)
        return found, False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Use a list that knows the workflows' figures."""
        return WorkflowList

    def get_urls(self) -> list[URLPattern]:
        """Add a workflow's buttons."""
        view = self.admin_site.admin_view
        name = "workflows_registeredworkflow"
        return [
            path("<path:workflow_id>/pause/", view(self.pause_view), name=f"{name}_pause"),
            path("<path:workflow_id>/resume/", view(self.resume_view), name=f"{name}_resume"),
            path("<path:workflow_id>/invoke/", view(self.invoke_view), name=f"{name}_invoke"),
            path("<path:workflow_id>/override/", view(self.override_view), name=f"{name}_override"),
            path("<path:workflow_id>/reset/", view(self.reset_view), name=f"{name}_reset"),
            *super().get_urls(),
        ]

    def page(self, request: HttpRequest, workflow: RegisteredWorkflow, /) -> dict[str, Any]:
        """Return what a workflow's page shows."""
        runs = Run.objects.filter(workflow=workflow.pk).select_related("event")
        actions = OperatorAction.objects.filter(object_type="workflow", object_id=workflow.pk)
        user = request.user
        over = frame(request.GET.get("period", ""), workflow.pk)
        return {
            "workflow": workflow,
            "over": over,
            "spans": list(SPANS),
            "state": state_of(workflow),
            "triggers": triggers_of(workflow),
            "lines": limit_lines(workflow.declaration, workflow.overrides),
            "crons": CronSchedule.objects.filter(workflow=workflow.pk, fires_at__isnull=False),
            "runs": runs.defer("output", "error", "event__data").order_by("-id")[:MOST_SHOWN],
            "actions": actions.order_by("-id")[:MOST_SHOWN],
            "may_pause": workflow.paused_at is None and user.has_perm("workflows.pause_workflow"),
            "may_resume": workflow.paused_at is not None
            and user.has_perm("workflows.pause_workflow"),
            "waiting": limits_in_use(workflow.pk),
            "charts": [results(over)[0], backlog(over), *durations(over)],
            "may_invoke": workflow.retired_at is None and user.has_perm("workflows.send_event"),
            "may_override": user.has_perm("workflows.override_workflow"),
        }

    @admin.display(description=_("triggers"))
    def triggers(self, workflow: RegisteredWorkflow) -> str:
        """Show what starts it."""
        said = ", ".join(triggers_of(workflow)) or str(_("invoked only"))
        return display.shortened(said, LONGEST_TRIGGERS)

    @admin.display(description=_("limits"))
    def limits(self, workflow: RegisteredWorkflow) -> str:
        """Show what limits it; overrides take the place of the code's own."""
        return short({**workflow.declaration, **_not_none(workflow.overrides)})

    @admin.display(description=_("workflow"))
    def id_(self, workflow: RegisteredWorkflow) -> str:
        """Show the id, cut where it is very long."""
        return display.shortened(workflow.pk, display.LONGEST_LINK)

    @admin.display(description=_("runs, 24 h"))
    def runs_24h(self, workflow: Any) -> str:
        """Show how many runs ended in the last day's whole hours."""
        return f"{workflow.recent.ended:,}" if workflow.recent else ""

    @admin.display(description=_("failed"))
    def failed_share(self, workflow: Any) -> str:
        """Show how many of these failed."""
        return f"{workflow.recent.failed_share:.1f} %" if workflow.recent else ""

    @admin.display(description=_("p95"))
    def p95(self, workflow: Any) -> str:
        """Show what 95 of a hundred runs did not exceed."""
        high = workflow.recent and workflow.recent.high
        return display.duration(timedelta(seconds=high)) if high else ""

    @admin.display(description=_("backlog"))
    def backlog_(self, workflow: Any) -> str:
        """Show what was queued when the last minute ended."""
        return f"{workflow.queued:,}" if workflow.queued else ""

    @admin.display(description=_("state"))
    def state(self, workflow: RegisteredWorkflow) -> str:
        """Show whether its runs start, and whether workers know it."""
        return display.badge(state_of(workflow))


def state_of(workflow: RegisteredWorkflow) -> str:
    """Say whether a workflow's runs start."""
    if workflow.retired_at:
        return "retired"
    if workflow.paused_at:
        return "paused"
    return "unknown" if workflow.unknown_since else "active"


def triggers_of(workflow: RegisteredWorkflow) -> list[str]:
    """Say what starts a workflow."""
    return [_trigger(each) for each in workflow.declaration["triggers"]]


def _trigger(trigger: dict[str, Any]) -> str:
    if trigger["kind"] == "cron":
        return f"{trigger['cron']} ({trigger['tz']})"
    condition = f" if {trigger['if']}" if trigger["if"] else ""
    return f"{trigger['event']}{condition}"


def _not_none(overrides: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [] if name == "concurrency" and not value else value
        for name, value in overrides.items()
    }
