"""Rescue what dead workers held: queue it again, and end the run that kills its workers.

Dozens of runs share a process, so one death tells little: each run that it held is a suspect.
From its second death on a run is executed alone, in an emptied process, and only deaths alone
count against it. So poison ends, and its neighbours are never condemned.
"""

import logging
from collections.abc import Collection

from django.db.models import F, QuerySet

from workflows.clock import clock
from workflows.conf import configuration
from workflows.engine.ends import follow_up, lock_with_callers
from workflows.engine.transactions import transaction
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.models import Run, RunStatus, Worker
from workflows.models.run import SUSPECT_AFTER

BATCH = 500  # runs

logger = logging.getLogger("workflows.rescue")


def rescue_expired() -> int:
    """Take over from workers whose lease has ended; return how many runs go on."""
    now = clock.now()
    if not Worker.objects.lost(now).exists() and not _orphaned().exists():
        return 0
    with transaction("rescue"):
        lost = Worker.objects.lost(now).order_by("id").select_for_update(skip_locked=True)
        worker_ids = list(lost.values_list("id", flat=True))
        return _bury(worker_ids) + _queue_lost(_orphaned())


def rescue_workers(worker_ids: Collection[str]) -> int:
    """Take over at once from workers that are known to be dead; return how many runs go on."""
    with transaction("rescue"):
        return _bury(worker_ids)


def _bury(worker_ids: Collection[str]) -> int:
    Worker.objects.filter(pk__in=worker_ids).delete()
    return _queue_lost(Run.objects.filter(worker_id__in=worker_ids)) if worker_ids else 0


def _orphaned() -> QuerySet[Run]:
    """Runs held by a worker that has no row: it took them at the moment at which it was buried."""
    return Run.objects.held().exclude(worker_id__in=Worker.objects.values("id"))


def _queue_lost(runs: QuerySet[Run]) -> int:
    ids = list(runs.order_by("id").values_list("id", flat=True)[:BATCH])
    if not ids:
        return 0
    lock_with_callers(ids)
    lost = runs.filter(pk__in=ids)  # asked again: others may have been faster
    lost.filter(status=RunStatus.CANCELLED).update(worker_id=None)
    lost.filter(status=RunStatus.RUNNING, losses__gte=SUSPECT_AFTER).update(
        lonely_losses=F("lonely_losses") + 1
    )
    _fail_poison(lost)
    rescued = lost.filter(status=RunStatus.RUNNING).update(
        status=RunStatus.QUEUED, worker_id=None, fence=F("fence") + 1, losses=F("losses") + 1
    )
    logger.warning("run.rescued count=%s", rescued)
    wake_workers_after_commit()
    return rescued


def _fail_poison(lost: QuerySet[Run]) -> None:
    """End the runs whose own doing their workers' deaths must be."""
    deaths = configuration().max_worker_losses
    error = {
        "name": "WorkerLost",
        "message": f"{deaths} workers died while they executed this run and nothing else. "
        "Look for a crash of the interpreter, too much memory, or os._exit in its steps.",
        "traceback": "",
    }
    poisonous = lost.filter(status=RunStatus.RUNNING, lonely_losses__gte=deaths)
    poison = list(poisonous.values_list("id", flat=True))
    Run.objects.filter(pk__in=poison).update(
        status=RunStatus.FAILED,
        worker_id=None,
        fence=F("fence") + 1,
        losses=F("losses") + 1,
        ended_at=clock.now(),
        error=error,
    )
    follow_up(poison)
