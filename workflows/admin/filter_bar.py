"""The bar above a list: search, drop-down lists and chips, as one form that needs no script."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR, ChangeList
from django.http import HttpRequest

NEVER_KEPT = (PAGE_VAR, SEARCH_VAR)


@dataclass(frozen=True, slots=True)
class Select:
    """A drop-down list."""

    title: str
    name: str
    options: list[tuple[str, str]]
    chosen: str


@dataclass(frozen=True, slots=True)
class Chips:
    """Choices that are links."""

    title: str
    choices: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class FilterBar:
    """What stands above a list; `kept` goes along when the form is sent."""

    selects: list[Select]
    chips: list[Chips]
    kept: list[tuple[str, str]]
    is_filtered: bool


@dataclass(frozen=True, slots=True)
class Pages:
    """Where in the list the operator is."""

    first: int
    last: int
    total: int
    is_capped: bool
    newer: str | None
    older: str | None


def filter_bar(changes: ChangeList, request: HttpRequest) -> FilterBar:
    """Return the bar of a list."""
    specs: list[Any] = list(changes.filter_specs)
    selects = [_select(spec) for spec in specs if not spec.is_short]
    chips = [Chips(str(spec.title), list(spec.choices(changes))) for spec in specs if spec.is_short]
    names = {select.name for select in selects}
    kept = [pair for pair in _given(request) if pair[0] not in (*names, *NEVER_KEPT)]
    return FilterBar(selects, chips, kept, any(name != PAGE_VAR for name, _ in _given(request)))


def pages(changes: ChangeList) -> Pages:
    """Return where in the list the operator is, and how to get on."""
    page = changes.paginator.get_page(changes.page_num)
    shown = len(changes.result_list)
    first = page.start_index() if shown else 0
    newer = changes.page_num - 1 if page.has_previous() else None
    older = changes.page_num + 1 if page.has_next() else None
    return Pages(
        first=first,
        last=first + shown - 1 if shown else 0,
        total=changes.result_count,
        is_capped=changes.paginator.is_capped,
        newer=changes.get_query_string({PAGE_VAR: newer}) if newer else None,
        older=changes.get_query_string({PAGE_VAR: older}) if older else None,
    )


def _select(spec: Any) -> Select:
    options = [(str(value), str(title)) for value, title in spec.lookup_choices]
    return Select(str(spec.title), spec.parameter_name, options, spec.value() or "")


def _given(request: HttpRequest) -> Iterator[tuple[str, str]]:
    for name, values in request.GET.lists():
        for value in values:
            yield name, value
