"""Bulk operations: begin one for all that matches a filter, watch how far it is, abort it."""

import json
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from workflows import client
from workflows.admin import display
from workflows.admin.acting import LONGEST_REASON, act_with_reason, actor_of, require
from workflows.admin.big_tables import ReadOnlyAdmin
from workflows.admin.run_filters import filter_in_words, filter_of
from workflows.engine.run_filter import RunFilter
from workflows.errors import InvalidFilter, InvalidRate
from workflows.models import BulkKind, BulkOperation, BulkStatus

OWN_PERMISSION = {
    BulkKind.RETRY: "retry_run",
    BulkKind.REPLAY: "replay_run",
    BulkKind.CANCEL: "cancel_run",
}
ASKS_FOR_NUMBER_ABOVE = 1_000  # runs
WHAT_IT_DOES = {
    BulkKind.RETRY: gettext_lazy("Failed runs are taken up again where they failed."),
    BulkKind.REPLAY: gettext_lazy("Ended runs are started anew, as runs of their own."),
    BulkKind.CANCEL: gettext_lazy("Runs that have not ended are cancelled, for good."),
}


@admin.register(BulkOperation)
class BulkOperationAdmin(ReadOnlyAdmin[BulkOperation]):
    """The list of bulk operations, and an operation's page."""

    list_display = ("what", "status_", "progress", "filter_", "actor", "reason", "when")
    list_display_links = ("what",)
    change_form_template = "admin/workflows/bulkoperation/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the form that begins one, and an operation's buttons."""
        view, name = self.admin_site.admin_view, "workflows_bulkoperation"
        return [
            path("start/", view(self.start_view), name=f"{name}_start"),
            path("<str:operation_id>/abort/", view(self.abort_view), name=f"{name}_abort"),
            path("<str:operation_id>/live/", view(self.live_view), name=f"{name}_live"),
            *super().get_urls(),
        ]

    def start_view(self, request: HttpRequest) -> HttpResponse:
        """Show how many runs it would be, and ask why; then let workers begin."""
        kind = _kind_of(request)
        require(request, "bulk_run")
        require(request, OWN_PERMISSION[kind])
        asked = _filter_of(request)
        matching = client.count_matching(kind, asked)
        form = StartForm(request.POST or None, kind=kind, asked=asked, matching=matching)
        if request.method == "POST" and form.is_valid():
            try:
                operation = client.start_bulk_operation(
                    kind,
                    asked,
                    rate=form.cleaned_data["rate"] or None,
                    reason=form.cleaned_data["reason"],
                    actor=actor_of(request),
                )
                return HttpResponseRedirect(self.page_of(operation.pk))
            except InvalidRate as error:
                form.add_error("rate", str(error))
        context = {
            **self.admin_site.each_context(request),
            "title": _("%s all that match") % kind.label,
            "form": form,
            "kind": kind,
            "does": WHAT_IT_DOES[kind],
            "filter_words": filter_in_words(asked.as_json()),
            "matching": matching,
            "groups": client.outline_matching(kind, asked),
            "sees_payloads": self.sees_payloads(request),
        }
        return render(request, "workflows/start_bulk_operation.html", context)

    def abort_view(self, request: HttpRequest, operation_id: str) -> HttpResponse:
        """Ask why, then end an operation before its time."""
        operation = get_object_or_404(BulkOperation, pk=operation_id)
        require(request, "bulk_run")
        require(request, OWN_PERMISSION[BulkKind(operation.kind)])
        return act_with_reason(
            request,
            partial(client.abort_bulk_operation, operation.pk),
            site=self.admin_site,
            title=_("Abort this operation"),
            template="workflows/abort_bulk_operation.html",
            shown={"operation": operation},
            done=_("Aborted: what it has done stays done."),
            then=HttpResponseRedirect(self.page_of(operation.pk)),
        )

    def live_view(self, request: HttpRequest, operation_id: str) -> HttpResponse:
        """Give the part of the page that changes while the operation goes on."""
        require(request, "view_bulkoperation")
        operation = get_object_or_404(BulkOperation, pk=operation_id)
        return render(request, "workflows/bulk_operation_live.html", _page(request, operation))

    def page(self, request: HttpRequest, operation: BulkOperation, /) -> dict[str, Any]:
        """Return what an operation's page shows."""
        return _page(request, operation)

    @admin.display(description=gettext_lazy("operation"))
    def what(self, operation: BulkOperation) -> str:
        """Show what is done to each run."""
        return str(operation.get_kind_display())

    @admin.display(description=gettext_lazy("state"))
    def status_(self, operation: BulkOperation) -> str:
        """Show where it stands."""
        return display.badge(operation.status)

    @admin.display(description=gettext_lazy("progress"))
    def progress(self, operation: BulkOperation) -> str:
        """Show how far it is."""
        total = display.NOTHING if operation.total is None else operation.total
        return format_html("{} {} / {}", progress_bar(operation), operation.dealt_with, total)

    @admin.display(description=gettext_lazy("which runs"))
    def filter_(self, operation: BulkOperation) -> str:
        """Show the filter in words."""
        return filter_in_words(operation.filter)

    @admin.display(description=gettext_lazy("begun"))
    def when(self, operation: BulkOperation) -> str:
        """Show when it was begun."""
        return display.moment(operation.created_at)


class StartForm(forms.Form):
    """Asks why, how fast, and above a thousand runs for their number."""

    filter = forms.CharField(widget=forms.HiddenInput)
    kind = forms.CharField(widget=forms.HiddenInput)
    number = forms.IntegerField(
        label=gettext_lazy("How many runs is this about?"),
        help_text=gettext_lazy("Type the number that is shown above."),
    )
    rate = forms.CharField(
        label=gettext_lazy("Rate"),
        required=False,
        help_text=gettext_lazy("Such as 100/m; empty: as fast as workers can."),
    )
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=LONGEST_REASON)

    def __init__(self, data: Any, *, kind: BulkKind, asked: RunFilter, matching: int) -> None:
        super().__init__(data, initial={"filter": json.dumps(asked.as_json()), "kind": kind.value})
        self._matching = matching
        if matching <= ASKS_FOR_NUMBER_ABOVE:
            del self.fields["number"]

    def clean_number(self) -> int:
        """Refuse another number than the one that is shown."""
        number: int = self.cleaned_data["number"]
        if number != self._matching:
            raise forms.ValidationError(_("It is about %s runs.") % self._matching)
        return number


def progress_bar(operation: BulkOperation) -> SafeString:
    """Draw how far an operation is; the figures stand beside it."""
    share = 100 * operation.dealt_with / operation.total if operation.total else 0
    if operation.status == BulkStatus.FINISHED:
        share = 100
    return format_html(
        '<svg class="wf-progress wf-{}" width="100" height="8" aria-hidden="true">'
        '<rect x="0" y="0" width="{}%" height="8"></rect></svg>',
        operation.status,
        f"{share:.1f}",
    )


def _page(request: HttpRequest, operation: BulkOperation) -> dict[str, Any]:
    user = request.user
    own = OWN_PERMISSION[BulkKind(operation.kind)]
    is_running = operation.status == BulkStatus.RUNNING
    may = user.has_perm("workflows.bulk_run") and user.has_perm(f"workflows.{own}")
    return {
        "operation": operation,
        "bar": progress_bar(operation),
        "filter_words": filter_in_words(operation.filter),
        "is_running": is_running,
        "may_abort": is_running and may,
    }


def _kind_of(request: HttpRequest) -> BulkKind:
    given = request.POST.get("kind") or request.GET.get("kind", "")
    return BulkKind(given) if given in BulkKind.values else BulkKind.RETRY


def _filter_of(request: HttpRequest) -> RunFilter:
    """Read the filter that the form has kept, or else that of the list."""
    try:
        if request.method == "POST":
            return RunFilter.from_json(json.loads(request.POST.get("filter", "")))
        return filter_of(request.GET)
    except (InvalidFilter, ValueError, TypeError):
        return RunFilter(event="")  # what cannot be read matches nothing


def start_address(kind: BulkKind, query: str) -> str:
    """Return the address of the form that begins an operation on what a list shows."""
    return f"{reverse('admin:workflows_bulkoperation_start')}?kind={kind.value}&{query}"
