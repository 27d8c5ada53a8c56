"""Lists that stay fast with a million rows: no unbounded count, search by exact columns only."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar, cast

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from workflows import ids
from workflows.clock import clock, milliseconds

MOST_COUNTED = 10_000
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


class ReadOnlyAdmin(admin.ModelAdmin[Row]):
    """Operators look; only the engine writes."""

    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # they would count every choice of every filter
    paginator = CappedPaginator
    ordering = ("-id",)
    exact_search: Sequence[str] = ("id",)
    search_fields = ("id",)
    search_help_text = _("An id, whole")

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
        for column in self.exact_search:
            found = queryset.filter(**{column: term})
            if found.exists():
                return found, False
        return queryset.none(), False

    def sees_payloads(self, request: HttpRequest) -> bool:
        """Tell whether the operator may see data, outputs and tracebacks."""
        return request.user.has_perm("workflows.view_payload")


class PeriodFilter(SimpleListFilter):
    """Rows of the last minutes, hours or days, found by their ids, which ascend with time."""

    title = _("time")
    parameter_name = "period"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [(name, f"last {name}") for name in PERIODS]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        """Leave out what is older."""
        period = PERIODS.get(self.value() or "")
        return queryset if period is None else queryset.filter(pk__gte=_first_id(period))


def _first_id(period: timedelta) -> str:
    """Return the smallest id that can have been made since then."""
    return ids.first_at(milliseconds(clock.now() - period))
