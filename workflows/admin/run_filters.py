"""What narrows the list of runs down."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from workflows.admin.big_tables import PERIODS, ChoiceFilter
from workflows.clock import clock
from workflows.engine.run_filter import RunFilter
from workflows.models import RegisteredWorkflow, Run, RunStatus
from workflows.models.run import ENDED


class StatusFilter(ChoiceFilter):
    """Runs of one status."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the statuses."""
        return [(status.value, status.label) for status in RunStatus]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Run]") -> "QuerySet[Run]":
        """Leave out the others."""
        status = self.value()
        if not status:
            return queryset
        if status in ENDED and request.GET.get(WorkflowFilter.parameter_name):
            # One index has the ended runs of each workflow. Without a workflow, another index has
            # all that is asked for, unless this is: then each row would have to be looked at.
            queryset = queryset.filter(ended_at__isnull=False)
        return queryset.filter(status=status)


class WorkflowFilter(ChoiceFilter):
    """Runs of one workflow; the choices come from the small table of workflows."""

    title = _("workflow")
    parameter_name = "workflow"
    is_short = False

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the workflows."""
        ids = RegisteredWorkflow.objects.order_by("id").values_list("id", flat=True)
        return [(id_, id_) for id_ in ids]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Run]") -> "QuerySet[Run]":
        """Leave out the others."""
        return queryset.filter(workflow=self.value()) if self.value() else queryset


class ErrorFilter(ChoiceFilter):
    """Runs that failed by one error; which, the dashboard's list of errors says."""

    title = _("error")
    parameter_name = "fingerprint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the one that is asked for, so that it can be taken away again."""
        asked = request.GET.get(self.parameter_name)
        return [(asked, f"error {asked}")] if asked else []

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Run]") -> "QuerySet[Run]":
        """Leave out the others."""
        return queryset.filter(fingerprint=self.value()) if self.value() else queryset


def filter_of(query: Mapping[str, str]) -> RunFilter:
    """Return the filter that the list's address asks for, with its period as a moment.

    Raises:
        InvalidFilter: what is searched for is neither a tag nor an event's id.
    """
    period = PERIODS.get(query.get("period", ""))
    term = query.get("q", "").strip()
    return RunFilter(
        workflow=query.get("workflow") or None,
        status=query.get("status") or None,
        fingerprint=query.get("fingerprint") or None,
        since=None if period is None else clock.now() - period,
        tag=term if ":" in term else None,
        event=term if term and ":" not in term else None,
    )


def filter_in_words(given: Mapping[str, str]) -> str:
    """Say which runs a filter means."""
    return ", ".join(f"{name} {value}" for name, value in given.items()) or str(_("all runs"))
