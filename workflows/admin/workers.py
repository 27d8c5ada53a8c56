"""Workers and queue: what is due and in hand, which workers are alive, and what they work on."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _

from workflows.admin import display, figures
from workflows.admin.big_tables import ReadOnlyAdmin
from workflows.admin.queue import queue_now, throughput_now
from workflows.clock import clock
from workflows.models import Run, Worker

CHARTED = "1h"
MOST_SHOWN = 5  # runs of a worker
GREEN = timedelta(seconds=15)
AMBER = timedelta(seconds=60)


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin[Worker]):
    """The list of workers, under what the queue holds."""

    list_display = ("beat", "host", "pid", "busy_", "queues_", "started", "runs_")
    list_display_links = ("host",)
    exact_search = ("id", "host")
    search_help_text = _("A host's name")
    fields = (
        "host",
        "pid",
        "cluster",
        "beat",
        "busy_",
        "queues_",
        "workflows_",
        "started",
        "runs_",
    )
    readonly_fields = fields
    change_list_template = "admin/workflows/worker/change_list.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the queue above the workers."""
        over = figures.frame(CHARTED)
        context = {
            "heading": _("Workers and queue"),
            "queue": queue_now(),
            "throughput": throughput_now(),
            "charts": [figures.results(over)[0], figures.backlog(over)],
        }
        return super().changelist_view(request, {**(extra_context or {}), **context})

    @admin.display(description=_("last beat"))
    def beat(self, worker: Worker) -> str:
        """Show how long ago it was heard of."""
        silence = clock.now() - worker.beat_at
        state = "alive" if silence < GREEN else "late" if silence < AMBER else "lost"
        return format_html("{} {}", display.badge(state), display.moment(worker.beat_at))

    @admin.display(description=_("busy"))
    def busy_(self, worker: Worker) -> str:
        """Show how many of its threads were at work at the last beat."""
        return f"{worker.busy} of {worker.threads}"

    @admin.display(description=_("queues"))
    def queues_(self, worker: Worker) -> str:
        """Show the queues that it serves."""
        return ", ".join(worker.queues) if worker.queues else "all"

    @admin.display(description=_("workflows"))
    def workflows_(self, worker: Worker) -> str:
        """Show the workflows that it knows."""
        return ", ".join(worker.workflows)

    @admin.display(description=_("started"))
    def started(self, worker: Worker) -> str:
        """Show since when it works."""
        return display.moment(worker.started_at)

    @admin.display(description=_("runs in hand"))
    def runs_(self, worker: Worker) -> str:
        """Show some of the runs that it holds."""
        held = Run.objects.filter(worker_id=worker.pk).order_by("id").only("id", "workflow")
        rows = ((display.link("run", run.pk, run.workflow),) for run in held[:MOST_SHOWN])
        return format_html_join(" ", "{}", rows)
