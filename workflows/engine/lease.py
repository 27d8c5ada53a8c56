"""A worker's one lease: begun with the process, renewed while it lives, given back at its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F

from workflows.clock import clock
from workflows.conf import configuration
from workflows.engine.transactions import transaction
from workflows.ids import new_id
from workflows.models import Run, RunStatus, Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a worker is, for operators and for those who take over what it held."""

    host: str
    pid: int
    cluster: str
    queues: Sequence[str] | None
    workflows: list[str]
    threads: int


def begin_lease(identity: Identity) -> Worker:
    """Make a worker, with a lease from now on."""
    now = clock.now()
    with transaction("begin lease"):
        return Worker.objects.create(
            id=new_id(),
            host=identity.host,
            pid=identity.pid,
            cluster=identity.cluster,
            queues=None if identity.queues is None else list(identity.queues),
            workflows=identity.workflows,
            threads=identity.threads,
            started_at=now,
            beat_at=now,
            lease_until=now + configuration().lease,
        )


def renew_lease(worker_id: str, *, busy: int) -> datetime | None:
    """Move the lease's end on; return it, or None where the worker was given up meanwhile."""
    now = clock.now()
    until = now + configuration().lease
    with transaction("renew lease"):
        renewed = (
            Worker.objects.alive(now)
            .filter(pk=worker_id)
            .update(lease_until=until, beat_at=now, busy=busy)
        )
    return until if renewed else None


def give_back(worker_id: str) -> int:
    """End a worker that stops in good order: what it still holds is queued again."""
    with transaction("give back"):
        Worker.objects.filter(pk=worker_id).delete()
        return queue_again(worker_id)


def let_go(run_id: str, worker_id: str) -> None:
    """Free the slot of a run that was cancelled while this worker had it in a body."""
    with transaction("let go"):
        Run.objects.filter(pk=run_id, worker_id=worker_id, status=RunStatus.CANCELLED).update(
            worker_id=None
        )


def queue_again(worker_id: str) -> int:
    """Queue the runs that a worker held; free the slots of those that were cancelled meanwhile."""
    held = Run.objects.filter(worker_id=worker_id).order_by("id").select_for_update(no_key=True)
    ids = list(held.values_list("id", flat=True))
    Run.objects.filter(pk__in=ids, status=RunStatus.CANCELLED).update(worker_id=None)
    return Run.objects.filter(pk__in=ids, status=RunStatus.RUNNING).update(
        status=RunStatus.QUEUED, worker_id=None, fence=F("fence") + 1
    )
