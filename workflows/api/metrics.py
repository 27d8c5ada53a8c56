"""`GET /metrics`: the platform in numbers, for Prometheus.

Every number is read from the database, so that it does not matter which web process is asked;
totals are rows of their own and what waits is counted up to a bound, so that a million runs cost
no more than a thousand. `docs/observability.md` has them all.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import accumulate
from typing import Any

from django.db.models import QuerySet, Sum
from drf_spectacular.utils import OpenApiResponse, extend_schema
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from workflows.api.access import OperatorView
from workflows.api.schema import answers
from workflows.clock import clock
from workflows.engine import meters
from workflows.models import Event, MetricTotal, MinuteBacklog, Run, RunStatus, Worker
from workflows.models.run import UNENDED

COUNTED_UP_TO = 10_000  # rows of each kind
LOOKED_AT = 100  # queued runs: among the oldest some may have been there before

HISTOGRAMS = {
    meters.RUN_SECONDS: (
        "workflows_run_seconds",
        "Time from the start to the end of runs.",
        ("workflow",),
    ),
    meters.START_DELAY: (
        "workflows_start_delay_seconds",
        "Time from the creation to the start of runs.",
        ("workflow",),
    ),
    meters.STEP_SECONDS: (
        "workflows_step_seconds",
        "Time that the bodies of steps took.",
        ("workflow", "op"),
    ),
    meters.ADMISSION_SECONDS: (
        "workflows_admission_seconds",
        "Time that turns of admission took.",
        (),
    ),
}


class TextRenderer(BaseRenderer):
    """Leaves the text as it is."""

    media_type = "text/plain"
    format = "txt"
    charset = None

    def render(self, data: Any, *_: Any, **__: Any) -> bytes:
        """Return the text, or a refusal as JSON."""
        return data if isinstance(data, bytes) else JSONRenderer().render(data)


class AlwaysText(BaseContentNegotiation):
    """Answers in Prometheus's format, whatever is accepted."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Return the only one."""
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        """Return the only one."""
        return renderers[0], renderers[0].media_type


class MetricsView(OperatorView):
    """`GET /metrics`."""

    permission = "workflows.view_run"
    renderer_classes = [TextRenderer]
    content_negotiation_class = AlwaysText

    @extend_schema(
        operation_id="metrics",
        responses={
            (200, "text/plain"): OpenApiResponse(str, description="Prometheus's text format."),
            **answers(None),
        },
    )
    def get(self, request: Request) -> Response:
        """Return all metrics."""
        registry = CollectorRegistry()
        registry.register(Platform())
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    def handle_exception(self, exc: Exception) -> Response:
        """Answer a refusal in JSON, as every call does."""
        response = super().handle_exception(exc)
        response.content_type = "application/json"
        return response


class Platform(Collector):
    """All metrics."""

    def collect(self) -> Iterator[Metric]:
        """Read and give them."""
        now = clock.now()
        totals = list(MetricTotal.objects.order_by("metric", "workflow", "label", "bucket"))
        yield runs_by_result(totals)
        yield from (histogram(totals, metric) for metric in HISTOGRAMS)
        yield waiting_runs()
        yield waiting_runs_by_workflow()
        yield waiting_events(now)
        yield oldest_due(now)
        yield from workers(now)


def runs_by_result(totals: Iterable[MetricTotal]) -> Metric:
    """Return how many runs have ended."""
    family = CounterMetricFamily(
        "workflows_runs", "Runs that have ended.", labels=["workflow", "result"]
    )
    for total in totals:
        if total.metric == meters.RUNS:
            family.add_metric([total.workflow, total.label], total.count)
    return family


def histogram(totals: Iterable[MetricTotal], metric: str) -> Metric:
    """Return the distribution of durations, for each workflow."""
    name, description, labels = HISTOGRAMS[metric]
    buckets: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0] * (len(meters.EDGES) + 1))
    sums: dict[tuple[str, ...], float] = defaultdict(float)
    for total in totals:
        if total.metric == metric:
            key = (total.workflow, total.label)[: len(labels)]
            buckets[key][total.bucket] += total.count
            sums[key] += total.total_ms / 1000
    family = HistogramMetricFamily(name, description, labels=labels)
    edges = [*(str(float(edge)) for edge in meters.EDGES), "+Inf"]
    for key, counts in buckets.items():
        up_to = list(zip(edges, accumulate(counts), strict=True))
        family.add_metric(key, up_to, sums[key])
    return family


def waiting_runs() -> Metric:
    """Return how many runs have not ended, by status: each status up to a bound."""
    family = GaugeMetricFamily(
        "workflows_unended_runs",
        f"Runs that have not ended, by status; at most {COUNTED_UP_TO} are counted.",
        labels=["status"],
    )
    for status in UNENDED:
        family.add_metric([status], capped(Run.objects.filter(status=status)))
    return family


def waiting_runs_by_workflow() -> Metric:
    """Return what each workflow's backlog was when it was last sampled."""
    family = GaugeMetricFamily(
        "workflows_backlog_runs", "Queued runs, as of the last full minute.", labels=["workflow"]
    )
    last = MinuteBacklog.objects.order_by("-minute").values("minute")[:1]
    rows = MinuteBacklog.objects.filter(minute=last).values_list("workflow")
    for workflow, queued in rows.annotate(n=Sum("queued")).order_by("workflow"):
        family.add_metric([workflow], queued)
    return family


def waiting_events(now: datetime) -> Metric:
    """Return how many events wait to be routed, up to a bound."""
    family = GaugeMetricFamily(
        "workflows_unrouted_events",
        f"Due events that are not routed yet; at most {COUNTED_UP_TO} are counted.",
    )
    family.add_metric([], capped(Event.objects.due(now)))
    return family


def oldest_due(now: datetime) -> Metric:
    """Return for how long the oldest of each kind has been due; 0 where none is."""
    family = GaugeMetricFamily(
        "workflows_oldest_due_seconds",
        "For how long the oldest unrouted event, unstarted run, or suspended run has been due.",
        labels=["kind"],
    )
    event = Event.objects.due(now).order_by("due_at").values_list("due_at", flat=True).first()
    timer = Run.objects.due(now).order_by("due_at").values_list("due_at", flat=True).first()
    for kind, since in (("event", event), ("run", _oldest_unstarted()), ("timer", timer)):
        family.add_metric([kind], (now - since).total_seconds() if since else 0)
    return family


def _oldest_unstarted() -> datetime | None:
    queued = Run.objects.filter(status=RunStatus.QUEUED, gathering=None).order_by("id")
    oldest = queued.values_list("created_at", "started_at")[:LOOKED_AT]
    return next((created for created, started in oldest if started is None), None)


def workers(now: datetime) -> Iterator[Metric]:
    """Return how many workers there are, and how busy they are."""
    alive = list(Worker.objects.alive(now).values_list("threads", "busy"))
    for name, description, value in (
        ("workflows_workers_alive", "Worker processes that hold their lease.", len(alive)),
        ("workflows_worker_threads", "Their threads.", sum(threads for threads, _ in alive)),
        ("workflows_worker_busy", "Runs in their hands.", sum(busy for _, busy in alive)),
    ):
        yield GaugeMetricFamily(name, description, value=value)


def capped(rows: "QuerySet[Any]") -> int:
    """Count rows up to the bound."""
    return rows.order_by()[:COUNTED_UP_TO].count()
