"""A worker's one lease: begun with the process, renewed while it lives, given back at its end."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, QuerySet

from workflows.clock import clock
from workflows.conf import configuration
from workflows.engine.transactions import transaction
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.ids import new_id
from workflows.models import Run, RunStatus, Worker
from workflows.models.run import UNLESS_IN_A_LANE


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
        return _queue_again(Run.objects.filter(worker_id=worker_id))


def give_back_forgotten(worker_id: str, *, in_hand: Collection[str]) -> int:
    """Queue again what a worker holds by its rows, but does not have in hand.

    A take whose answer was lost with its connection may have been committed all the same. And a
    run that was cancelled during a body keeps its slot until that has ended.
    """
    held = Run.objects.filter(worker_id=worker_id).values_list("id", flat=True)
    forgotten = [run_id for run_id in held if run_id not in in_hand]
    if not forgotten:
        return 0
    with transaction("give back forgotten"):
        return _queue_again(Run.objects.filter(pk__in=forgotten, worker_id=worker_id))


def _queue_again(held: QuerySet[Run]) -> int:
    """Queue runs that a worker held; free the slots of those that were cancelled meanwhile."""
    locked = held.order_by("id").select_for_update(no_key=True)
    ids = list(locked.values_list("id", flat=True))
    Run.objects.filter(pk__in=ids, status=RunStatus.CANCELLED).update(worker_id=None)
    returned = Run.objects.filter(pk__in=ids, status=RunStatus.RUNNING).update(
        status=RunStatus.QUEUED,
        admitted=UNLESS_IN_A_LANE,
        worker_id=None,
        fence=F("fence") + 1,
    )
    if ids:
        wake_workers_after_commit()
    return returned
