"""Workflows: what workers know, and what starts them."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from workflows.admin import display
from workflows.admin.big_tables import ReadOnlyAdmin
from workflows.models import RegisteredWorkflow


@admin.register(RegisteredWorkflow)
class RegisteredWorkflowAdmin(ReadOnlyAdmin[RegisteredWorkflow]):
    """The list of workflows, and a workflow's page."""

    list_display = ("name", "id", "triggers", "queue", "retries", "state", "runs_")
    ordering = ("id",)
    sortable_by = ()
    exact_search = ("id", "name")
    fields = ("name", "id", "triggers", "queue", "retries", "state", "runs_", "declaration_")
    readonly_fields = fields

    class Media:
        css = {"all": ("workflows/operators.css",)}

    @admin.display(description=_("triggers"))
    def triggers(self, workflow: RegisteredWorkflow) -> str:
        """Show what starts it."""
        return (
            ", ".join(_trigger(each) for each in workflow.declaration["triggers"]) or "invoked only"
        )

    @admin.display(description=_("queue"))
    def queue(self, workflow: RegisteredWorkflow) -> str:
        """Show the queue of its runs."""
        return str(workflow.declaration["queue"])

    @admin.display(description=_("retries"))
    def retries(self, workflow: RegisteredWorkflow) -> str:
        """Show how many extra attempts a step has."""
        return str(workflow.declaration["retries"])

    @admin.display(description=_("state"))
    def state(self, workflow: RegisteredWorkflow) -> str:
        """Show whether workers know it."""
        if workflow.retired_at:
            return display.badge("retired")
        return display.badge("unknown" if workflow.unknown_since else "active")

    @admin.display(description=_("runs"))
    def runs_(self, workflow: RegisteredWorkflow) -> str:
        """Link to its runs."""
        url = reverse("admin:workflows_run_changelist")
        return format_html('<a href="{}?workflow={}">{}</a>', url, workflow.pk, _("runs"))

    @admin.display(description=_("declaration"))
    def declaration_(self, workflow: RegisteredWorkflow) -> str:
        """Show all that the code declares."""
        return display.pretty_json(workflow.declaration)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tell whether the operator may look."""
        return request.user.has_perm("workflows.view_registeredworkflow")


def _trigger(trigger: dict[str, Any]) -> str:
    if trigger["kind"] == "cron":
        return f"{trigger['cron']} ({trigger['tz']})"
    condition = f" if {trigger['if']}" if trigger["if"] else ""
    return f"{trigger['event']}{condition}"
