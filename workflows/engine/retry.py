"""Retry a failed run: take it up again where it failed, with all of its retries anew."""

from django.db.models import F

from workflows.engine.wakeup import wake_workers_after_commit
from workflows.models import Run, RunStatus, Step, StepStatus


def retry_in_transaction(run_id: str) -> bool:
    """Queue a failed run again where it failed; return False where it has not failed.

    Steps that failed before, and whose error the workflow caught, stay as they are.
    """
    run = (
        Run.objects.select_for_update(no_key=True)
        .filter(pk=run_id, status=RunStatus.FAILED)
        .first()
    )
    if run is None:
        return False
    Step.objects.filter(run_id=run_id, key=run.attempt_step, status=StepStatus.FAILED).update(
        status=StepStatus.RETRYING, ended_at=None, due_at=F("ended_at"), forgiven=F("attempts")
    )
    Run.objects.filter(pk=run_id).update(
        status=RunStatus.QUEUED,
        admitted=True,
        ended_at=None,
        error=None,
        attempt=0,
        attempt_step=None,
        losses=0,
        lonely_losses=0,
    )
    wake_workers_after_commit()
    return True
