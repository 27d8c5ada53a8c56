"""Whether the platform lives, and whether it is ready: for load balancers, open to all."""

from datetime import timedelta

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from workflows.clock import clock
from workflows.models import Worker

WORKERS_WITHIN = timedelta(minutes=1)

_is_migrated = False


@require_safe
def health(_: HttpRequest) -> JsonResponse:
    """`GET /healthz`: this process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def readiness(_: HttpRequest) -> JsonResponse:
    """`GET /readyz`: 200 where runs are executed; else 503 and what is missing."""
    missing = whats_missing()
    if missing:
        return JsonResponse({"status": "unavailable", "missing": missing}, status=503)
    return JsonResponse({"status": "ready"})


def whats_missing() -> list[str]:
    """Return what keeps the platform from working."""
    try:
        if not is_migrated():
            return ["migrations: run manage.py migrate"]
        alive = Worker.objects.filter(beat_at__gt=clock.now() - WORKERS_WITHIN)
        return (
            []
            if alive.exists()
            else ["workers: none was heard of for a minute; run manage.py qcluster"]
        )
    except DatabaseError:
        return ["database: it does not answer"]


def is_migrated() -> bool:
    """Tell whether all migrations are applied; once they are, that is not asked again."""
    global _is_migrated  # noqa: PLW0603  it never becomes false again
    if not _is_migrated:
        executor = MigrationExecutor(connection)
        _is_migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _is_migrated
