"""The audit log: who did what, to what, why, and what came of it."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from workflows.admin import display
from workflows.admin.big_tables import ChoiceFilter, PeriodFilter, ReadOnlyAdmin
from workflows.admin.redaction import masked
from workflows.models import ActorKind, OperatorAction

PAGES = {
    "run": "run",
    "event": "event",
    "workflow": "registeredworkflow",
    "event_key": "eventkey",
    "schedule": "schedule",
    "bulk_operation": "bulkoperation",
}


class ActorFilter(ChoiceFilter):
    """What was done in one way: by people, tokens, commands, or code."""

    title = _("by")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the ways."""
        return [(kind.value, kind.label) for kind in ActorKind]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Leave out the others."""
        return queryset.filter(actor_kind=self.value()) if self.value() else queryset


@admin.register(OperatorAction)
class OperatorActionAdmin(ReadOnlyAdmin[OperatorAction]):
    """The audit log, newest first."""

    list_display = ("when", "actor", "how", "what", "about", "reason", "result")
    list_display_links = ("what",)
    list_filter = (PeriodFilter, ActorFilter)
    exact_search = ("object_id", "actor", "action")
    search_help_text = _("Who, a thing's whole id, or an action")
    fields = ("when", "actor", "how", "what", "about", "reason", "result", "details_")
    readonly_fields = fields

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the log under its own name."""
        return super().changelist_view(
            request, {**(extra_context or {}), "heading": _("Audit log")}
        )

    @admin.display(description=_("when"))
    def when(self, action: OperatorAction) -> str:
        """Show when it was done."""
        return display.moment(action.at)

    @admin.display(description=_("how"))
    def how(self, action: OperatorAction) -> str:
        """Show how they acted."""
        return str(action.get_actor_kind_display())

    @admin.display(description=_("action"))
    def what(self, action: OperatorAction) -> str:
        """Show what was done."""
        return action.action.replace("_", " ")

    @admin.display(description=_("object"))
    def about(self, action: OperatorAction) -> str:
        """Show to what it was done."""
        page = PAGES.get(action.object_type)
        said = f"{action.object_type.replace('_', ' ')} {action.object_id}"
        return display.link(page, action.object_id, said) if page else said

    @admin.display(description=_("details"))
    def details_(self, action: OperatorAction) -> str:
        """Show what it changed."""
        return display.pretty_json(masked(action.details))
