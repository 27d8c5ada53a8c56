"""Resume runs: what a suspended step waited for has happened."""

from typing import Any

from django.db.models import Max

from workflows.clock import clock
from workflows.engine.failure import Failure
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.models import Run, RunStatus, Step, StepStatus, Wait
from workflows.models.run import SUSPENDED


def end_wait(
    run_id: str, step_key: str, *, output: Any = None, error: Failure | None = None
) -> bool:
    """Give a waiting step its result, or its error, and let its run go on.

    Must be called in a transaction. Returns False where the step waits no longer: it timed out,
    or something else has ended its wait.
    """
    lock_run(run_id)
    ended = Step.objects.filter(run_id=run_id, key=step_key, status=StepStatus.WAITING).update(
        status=StepStatus.FAILED if error else StepStatus.COMPLETED,
        output=None if error else output,
        error=error,
        sequence=_next_sequence(run_id),
        attempts=1,
        ended_at=clock.now(),
        due_at=None,
    )
    if not ended:
        return False
    Wait.objects.of_step(run_id, step_key).delete()
    wake_run(run_id)
    return True


def wake_run(run_id: str) -> None:
    """Queue a suspended run; one that is running just now will not suspend."""
    woken = Run.objects.filter(pk=run_id, status__in=SUSPENDED).update(
        status=RunStatus.QUEUED, due_at=None
    )
    if not woken:
        Run.objects.filter(pk=run_id, status=RunStatus.RUNNING).update(is_woken=True)
    wake_workers_after_commit()


def lock_run(run_id: str) -> None:
    """Lock a run's row until the transaction's end."""
    list(Run.objects.filter(pk=run_id).select_for_update(no_key=True).values_list("pk"))


def _next_sequence(run_id: str) -> int:
    last = Step.objects.filter(run_id=run_id).aggregate(last=Max("sequence"))["last"]
    return (last or 0) + 1
