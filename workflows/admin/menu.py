"""The menu: the operators' screens, then the project's own, as far as each may be seen."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

DASHBOARD = "admin:index"

# Group, then title, the page's name and the permission without which it is left out.
GROUPS: tuple[tuple[Any, tuple[tuple[Any, str, str | None], ...]], ...] = (
    (
        _("Work"),
        (
            (_("Dashboard"), DASHBOARD, None),
            (_("Runs"), "admin:workflows_run_changelist", "view_run"),
            (_("Events"), "admin:workflows_event_changelist", "view_event"),
            (
                _("Workflows"),
                "admin:workflows_registeredworkflow_changelist",
                "view_registeredworkflow",
            ),
            (_("Schedules"), "admin:workflows_schedule_changelist", "view_schedule"),
        ),
    ),
    (
        _("Platform"),
        (
            (_("Workers and queue"), "admin:workflows_worker_changelist", "view_worker"),
            (
                _("Bulk operations"),
                "admin:workflows_bulkoperation_changelist",
                "view_bulkoperation",
            ),
            (_("Event keys"), "admin:workflows_eventkey_changelist", "view_eventkey"),
            (_("Audit log"), "admin:workflows_operatoraction_changelist", "view_operatoraction"),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the menu."""

    title: str
    url: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Lines of the menu under a title."""

    title: str
    entries: list[Entry]


def menu_for(request: HttpRequest, apps: list[dict[str, Any]]) -> list[Group]:
    """Return the menu of an operator; `apps` is what Django's admin would list."""
    groups = [Group(str(title), list(_ours(request, entries))) for title, entries in GROUPS]
    groups += [Group(str(app["name"]), list(_theirs(request, app))) for app in apps]
    return [group for group in groups if group.entries]


def _ours(
    request: HttpRequest, entries: tuple[tuple[Any, str, str | None], ...]
) -> Iterator[Entry]:
    user: User | AnonymousUser = request.user
    for title, name, permission in entries:
        if permission is None or user.has_perm(f"workflows.{permission}"):
            url = reverse(name)
            is_current = request.path == url if name == DASHBOARD else request.path.startswith(url)
            yield Entry(str(title), url, is_current)


def _theirs(request: HttpRequest, app: dict[str, Any]) -> Iterator[Entry]:
    if app["app_label"] == "workflows":
        return
    for model in app["models"]:
        url = model["admin_url"]
        if url:
            yield Entry(str(model["name"]), url, request.path.startswith(url))
