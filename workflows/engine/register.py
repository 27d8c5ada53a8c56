"""Register workflows: what this code declares becomes rows, which routing reads.

The newest cluster's word counts: in a rolling deploy a child that an old cluster restarts must
not undo what the new one has declared.
"""

import json
from collections.abc import Collection, Container
from datetime import datetime, timedelta

from workflows.clock import clock
from workflows.definitions.registry import Registry
from workflows.engine.catalogue import raise_revision
from workflows.engine.schedule import schedule_crons
from workflows.engine.transactions import transaction
from workflows.models import Catalogue, CronSchedule, RegisteredWorkflow, Worker

RETIRE_AFTER = timedelta(minutes=10)


def register_workflows(
    registry: Registry, *, declared_at: datetime, without_crons: Container[str] = ()
) -> None:
    """Write the rows of workflows that are new, or that newer code declares otherwise.

    Args:
        registry: the workflows that this code declares.
        declared_at: when the cluster was started whose code this is.
        without_crons: the ids of workflows whose crons do not fire, as in a test.
    """
    with transaction("register"):
        lock_catalogue()
        rows = {row.id: row for row in RegisteredWorkflow.objects.all()}
        is_changed = False
        for workflow in registry:
            declaration = workflow.declaration()
            row = rows.get(workflow.id)
            if row is None or _is_news(row, declaration, workflow.name, declared_at):
                RegisteredWorkflow.objects.update_or_create(
                    id=workflow.id,
                    defaults={
                        "name": workflow.name,
                        "declaration": declaration,
                        "declared_at": declared_at,
                        "retired_at": None,
                        "unknown_since": None,
                    },
                )
                if workflow.id not in without_crons:
                    schedule_crons(workflow)
                is_changed = True
        if is_changed:
            raise_revision()


def retire_unknown() -> None:
    """Retire the workflows that no live worker has known for a while: events start them no longer.

    The while spans restarts: an event sent during one must still start its run.
    """
    now = clock.now()
    known = _known_to_workers(now)
    active = RegisteredWorkflow.objects.active()
    unknown = active.exclude(pk__in=known)
    if active.filter(pk__in=known, unknown_since__isnull=False).exists():
        with transaction("know again"):
            active.filter(pk__in=known).update(unknown_since=None)
            raise_revision()
    if not unknown.exists():
        return
    with transaction("retire"):
        lock_catalogue()
        if unknown.filter(unknown_since=None).update(unknown_since=now):
            raise_revision()  # admission leaves their runs alone
        retired = unknown.filter(unknown_since__lte=now - RETIRE_AFTER)
        ids = list(retired.values_list("id", flat=True))
        if ids:
            RegisteredWorkflow.objects.filter(pk__in=ids).update(retired_at=now)
            CronSchedule.objects.filter(workflow__in=ids).update(fires_at=None)
            raise_revision()


def _is_news(
    row: RegisteredWorkflow, declaration: object, name: str, declared_at: datetime
) -> bool:
    is_newer = declared_at >= row.declared_at
    is_other = row.name != name or json.dumps(row.declaration) != json.dumps(declaration)
    return row.retired_at is not None or (is_newer and is_other)


def _known_to_workers(now: datetime) -> set[str]:
    lists: Collection[list[str]] = Worker.objects.alive(now).values_list("workflows", flat=True)
    return {id_ for known in lists for id_ in known}


def lock_catalogue() -> None:
    """Let nobody else change registered workflows until the transaction's end."""
    Catalogue.objects.get_or_create(pk=1)
    Catalogue.objects.select_for_update().get(pk=1)
