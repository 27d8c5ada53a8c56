"""Rescue what dead workers held: queue it again, and end the run that kills its workers.

Dozens of runs share a process, so one death tells little: each run that it held is a suspect.
From its second death on a run is executed alone, in a process of its own, and only deaths alone
count against it. So poison ends, and its neighbours are never condemned. Nor is a run that gets
on between deaths: what was done before cannot have been what killed.
"""

import logging
from collections import Counter
from collections.abc import Collection

from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from workflows.clock import clock
from workflows.conf import configuration
from workflows.engine.ends import follow_up, lock_with_callers
from workflows.engine.failure import Failure
from workflows.engine.fingerprint import fingerprint_of
from workflows.engine.sql import sql
from workflows.engine.transactions import transaction
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.models import Run, RunStatus, Step, Worker
from workflows.models.run import SUSPECT_AFTER, UNLESS_IN_A_LANE

BATCH = 500  # runs

logger = logging.getLogger("workflows.rescue")


def rescue_expired() -> int:
    """Take over from workers whose lease has ended; return how many runs go on."""
    now = clock.now()
    if not Worker.objects.lost(now).exists() and not sql().without_worker():
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
    return Run.objects.filter(worker_id__in=sql().without_worker())


def _queue_lost(runs: QuerySet[Run]) -> int:
    # A process that is stopped in the middle of a commit keeps its runs locked: others go on.
    locked = runs.order_by("id").select_for_update(skip_locked=True, no_key=True)
    held = dict(locked.values_list("id", "worker_id")[:BATCH])
    if not held:
        return 0
    ids = list(held)
    those_alone = [worker_id for worker_id, count in Counter(held.values()).items() if count == 1]
    lost = Run.objects.filter(pk__in=ids)
    lost.filter(status=RunStatus.CANCELLED).update(worker_id=None)
    _clear_those_that_got_on(lost)
    suspects = lost.filter(status=RunStatus.RUNNING, losses__gte=SUSPECT_AFTER)
    suspects.filter(worker_id__in=those_alone).update(lonely_losses=F("lonely_losses") + 1)
    _fail_poison(lost)
    rescued = lost.filter(status=RunStatus.RUNNING).update(
        status=RunStatus.QUEUED,
        admitted=UNLESS_IN_A_LANE,
        worker_id=None,
        fence=F("fence") + 1,
        losses=F("losses") + 1,
    )
    logger.warning("run.rescued count=%s", rescued)
    wake_workers_after_commit()
    return rescued


def _clear_those_that_got_on(lost: QuerySet[Run]) -> None:
    """Forget the deaths of runs that have ended another step since the last one."""
    of_run = Step.objects.filter(run_id=OuterRef("pk"), ended_at__isnull=False).order_by()
    steps_ended = Coalesce(
        Subquery(of_run.values("run_id").annotate(n=Count("key")).values("n")), 0
    )
    got_on = lost.alias(steps_ended=steps_ended).filter(steps_ended__gt=F("lost_after_steps"))
    got_on.update(losses=0, lonely_losses=0, lost_after_steps=steps_ended)


def _fail_poison(lost: QuerySet[Run]) -> None:
    """End the runs whose own doing their workers' deaths must be."""
    deaths = configuration().max_worker_losses
    error = Failure(
        name="WorkerLost",
        message=f"{deaths} workers died while they executed this run and nothing else. "
        "Look for a crash of the interpreter, too much memory, or os._exit in its steps.",
        traceback="",
    )
    poisonous = lost.filter(status=RunStatus.RUNNING, lonely_losses__gte=deaths)
    poison = list(poisonous.values_list("id", flat=True))
    if not poison:
        return
    lock_with_callers(poison)
    Run.objects.filter(pk__in=poison).update(
        status=RunStatus.FAILED,
        worker_id=None,
        fence=F("fence") + 1,
        losses=F("losses") + 1,
        ended_at=clock.now(),
        error=error,
        fingerprint=fingerprint_of(error),
    )
    follow_up(poison)
    logger.error("run.killed_its_workers runs=%s deaths=%s", ",".join(poison), deaths)
