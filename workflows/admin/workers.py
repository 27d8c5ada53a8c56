"""Workers: which are alive, and what they have in hand."""

from datetime import timedelta

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from workflows.admin import display
from workflows.admin.big_tables import ReadOnlyAdmin
from workflows.clock import clock
from workflows.models import Run, Worker

MOST_SHOWN = 20  # runs
GREEN = timedelta(seconds=15)
AMBER = timedelta(seconds=60)


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin[Worker]):
    """The list of workers."""

    list_display = ("host", "pid", "beat", "busy_", "queues_", "started", "runs_")
    sortable_by = ()
    exact_search = ("id", "host")
    search_help_text = _("A host's name")
    fields = ("host", "pid", "cluster", "beat", "busy_", "queues_", "started", "runs_")
    readonly_fields = fields

    class Media:
        css = {"all": ("workflows/operators.css",)}

    @admin.display(description=_("last beat"))
    def beat(self, worker: Worker) -> str:
        """Show how long ago it was heard of."""
        silence = clock.now() - worker.beat_at
        state = "alive" if silence < GREEN else "late" if silence < AMBER else "lost"
        rows = [(display.badge(state), display.moment(worker.beat_at))]
        return format_html_join("", "{} {}", rows)

    @admin.display(description=_("busy"))
    def busy_(self, worker: Worker) -> str:
        """Show how many of its threads were at work at the last beat."""
        return f"{worker.busy} / {worker.threads}"

    @admin.display(description=_("queues"))
    def queues_(self, worker: Worker) -> str:
        """Show the queues that it serves."""
        return ", ".join(worker.queues) if worker.queues else "all"

    @admin.display(description=_("started"))
    def started(self, worker: Worker) -> str:
        """Show since when it works."""
        return display.moment(worker.started_at)

    @admin.display(description=_("runs in hand"))
    def runs_(self, worker: Worker) -> str:
        """Show some of the runs that it holds."""
        held = Run.objects.filter(worker_id=worker.pk).order_by("id")[:MOST_SHOWN]
        rows = ((display.link("run", run.pk), run.workflow) for run in held.only("id", "workflow"))
        return format_html_join("", "<div>{} {}</div>", rows) or "–"
