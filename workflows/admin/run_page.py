"""A run's page: where it stands and why, its timeline, and tabs with all that is known of it."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from workflows.admin.acting import require
from workflows.admin.situation import situation_of
from workflows.admin.timeline import step_name, timeline_of
from workflows.models import Attempt, OperatorAction, Run, RunStatus
from workflows.models.run import ENDED, UNENDED
from workflows.resources import redacted, run_resource

MOST_RELATED = 50  # runs that are listed beside a run

TABS = (
    ("input", gettext_lazy("Input")),
    ("output", gettext_lazy("Output")),
    ("error", gettext_lazy("Error")),
    ("history", gettext_lazy("History")),
    ("actions", gettext_lazy("Operator actions")),
    ("raw", gettext_lazy("Raw JSON")),
)


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened to a run."""

    at: datetime
    what: str


class RunPages:
    """The views of one run."""

    def page(self, request: HttpRequest, run: Run, /) -> dict[str, Any]:
        """Return what a run's page shows."""
        return run_page(request, run)

    def live_view(self, request: HttpRequest, run_id: str) -> HttpResponse:
        """Give the part of the page that changes while the run goes on."""
        require(request, "view_run")
        run = get_object_or_404(Run.objects.select_related("event"), pk=run_id)
        response = render(request, "workflows/run_live.html", run_page(request, run))
        response["Cache-Control"] = "no-store"
        return response


def run_page(request: HttpRequest, run: Run) -> dict[str, Any]:
    """Return what a run's page shows; the buttons follow permission and state."""
    user = request.user
    has_ended = run.status in ENDED
    tab = request.GET.get("tab", "input")
    sees_payloads = user.has_perm("workflows.view_payload")
    return {
        "run": run,
        "situation": situation_of(run),
        "timeline": timeline_of(run, shows_all=request.GET.get("steps") == "all"),
        "is_active": not has_ended,
        "sees_payloads": sees_payloads,
        "may_retry": run.status == RunStatus.FAILED and user.has_perm("workflows.retry_run"),
        "may_replay": has_ended and user.has_perm("workflows.replay_run"),
        "may_cancel": run.status in UNENDED and user.has_perm("workflows.cancel_run"),
        "children": run.children.order_by("id")[:MOST_RELATED],
        "replays": run.replays.order_by("id")[:MOST_RELATED],
        "tabs": TABS,
        "tab": tab,
        "query": request.GET.urlencode(),
        **_tab(run, tab, sees_payloads=sees_payloads),
    }


def _tab(run: Run, tab: str, *, sees_payloads: bool) -> dict[str, Any]:
    """Read what one tab shows, and not what the others would."""
    if tab == "history":
        return {"history": history_of(run)}
    if tab == "actions":
        return {"actions": actions_on(run)}
    if tab == "raw":
        resource = run_resource(run)
        return {"raw": asdict(resource if sees_payloads else redacted(resource))}
    return {}


def actions_on(run: Run) -> list[OperatorAction]:
    """Return what operators did with a run, the latest first."""
    actions = OperatorAction.objects.filter(object_type="run", object_id=run.pk)
    return list(actions.order_by("-id")[:MOST_RELATED])


def history_of(run: Run) -> list[Moment]:
    """Return what happened to a run, in its order."""
    moments = [
        Moment(run.event.received_at, _("Event %(name)s was received") % {"name": run.event.name}),
        Moment(run.created_at, _("The run was queued")),
    ]
    if run.started_at:
        moments.append(Moment(run.started_at, _("A worker started it")))
    for step in run.steps.order_by("started_at"):
        name = step_name(step)
        moments.append(Moment(step.started_at, _("Step %(step)s began") % {"step": name}))
        if step.ended_at:
            said = {"step": name, "status": step.status}
            moments.append(Moment(step.ended_at, _("Step %(step)s %(status)s") % said))
    for attempt in Attempt.objects.filter(run_id=run.pk):
        said = {"number": str(attempt.number), "error": attempt.error["name"]}
        moments.append(Moment(attempt.ended_at, _("Attempt %(number)s failed: %(error)s") % said))
    for action in actions_on(run):
        said = {"actor": action.actor, "action": action.action.replace("_", " ")}
        moments.append(Moment(action.at, _("%(actor)s: %(action)s") % said))
    if run.ended_at:
        moments.append(Moment(run.ended_at, _("The run %(status)s") % {"status": run.status}))
    return sorted(moments, key=lambda moment: moment.at)
