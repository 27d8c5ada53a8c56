"""Lists that stay fast with a million rows: no unbounded count, search by exact columns only."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar, cast

from django.contrib import admin
from django.contrib.admin import SimpleListFilter, helpers
from django.contrib.admin.options import IS_POPUP_VAR, TO_FIELD_VAR
from django.contrib.admin.utils import unquote
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _

from workflows import ids
from workflows.admin.display import MOST_COUNTED
from workflows.clock import clock, milliseconds

PERIODS = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
}

Row = TypeVar("Row", bound=Model)


class CappedPaginator(Paginator[Any]):
    """Counts no further than 10,000 rows, which is as far as anybody pages."""

    @cached_property
    def count(self) -> int:
        """Return how many rows there are, up to the cap."""
        rows = cast("QuerySet[Any]", self.object_list)
        return rows.order_by()[:MOST_COUNTED].count()

    @property
    def is_capped(self) -> bool:
        """Tell whether there may be more rows than were counted."""
        return self.count >= MOST_COUNTED


class ReadOnlyAdmin(admin.ModelAdmin[Row]):
    """Operators look; only the engine writes."""

    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # they would count every choice of every filter
    paginator = CappedPaginator
    ordering = ("-id",)
    sortable_by = ()
    exact_search: Sequence[str] = ("id",)
    search_fields = ("id",)
    search_help_text = _("An id, whole")
    change_list_template = "admin/workflows/change_list.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: rows are made by the engine."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: rows are changed by the engine."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: rows are deleted by pruning."""
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Row]", search_term: str
    ) -> tuple["QuerySet[Row]", bool]:
        """Find rows of which a column is the term: an index finds these among any number."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if "\x00" in term:  # no text column can hold it, and PostgreSQL refuses to look
            return queryset.none(), False
        for column in self.exact_search:
            found = queryset.filter(**{column: term})
            if found.exists():
                return found, False
        return queryset.none(), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, or the very row whose id was searched for."""
        term = request.GET.get("q", "").strip().upper()
        if len(term) == ids.LENGTH and not {IS_POPUP_VAR, TO_FIELD_VAR} & request.GET.keys():
            is_seen = self.has_view_permission(request)
            if is_seen and self.get_queryset(request).filter(pk=term).exists():
                return HttpResponseRedirect(self.page_of(term))
        return super().changelist_view(request, extra_context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a row's page."""
        row: Row | None = QuerySet(self.model).filter(pk=unquote(object_id)).first()
        context = self.page(request, row) if row is not None else {}
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), **context}
        )

    def page(self, request: HttpRequest, row: Row, /) -> dict[str, Any]:
        """Return what a row's page shows besides what Django's own does."""
        return {}

    @admin.display(description=mark_safe('<input type="checkbox" id="action-toggle">'))
    def action_checkbox(self, obj: Row) -> SafeString:
        """Draw a row's box without the template that Django would render for each."""
        return format_html(
            '<input type="checkbox" name="{}" value="{}" class="action-select" aria-label="{}">',
            helpers.ACTION_CHECKBOX_NAME,
            obj.pk,
            _("Select this row"),
        )

    def page_of(self, pk: str) -> str:
        """Return the address of a row's page."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return reverse(name, args=[pk])

    def sees_payloads(self, request: HttpRequest) -> bool:
        """Tell whether the operator may see data, outputs and tracebacks."""
        return request.user.has_perm("workflows.view_payload")


class ChoiceFilter(SimpleListFilter):
    """One choice of some: as chips where they are few, else in a drop-down list."""

    is_short = True

    def value(self) -> str | None:
        """Return what is chosen; a NUL, which no text column can hold, chooses nothing."""
        chosen = super().value()
        return None if chosen is None or "\x00" in chosen else chosen


class PeriodFilter(ChoiceFilter):
    """Rows of the last minutes, hours or days, found by their ids, which ascend with time."""

    title = _("time")
    parameter_name = "period"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [(name, name) for name in PERIODS]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        """Leave out what is older."""
        period = PERIODS.get(self.value() or "")
        return queryset if period is None else queryset.filter(pk__gte=_first_id(period))


def _first_id(period: timedelta) -> str:
    """Return the smallest id that can have been made since then."""
    return ids.first_at(milliseconds(clock.now() - period))
