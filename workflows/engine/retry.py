"""Retry a failed run: take it up again where it failed, with all of its retries anew."""

from datetime import datetime, timedelta

from django.db.models import F

from workflows.clock import clock
from workflows.engine.cancel_rules import follow_cancel_rules
from workflows.engine.singleton import as_the_only_active
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.models import Run, RunStatus, Step, StepStatus
from workflows.models.step import WAITING_OPS


def retry_in_transaction(run_id: str) -> bool:
    """Queue a failed run again where it failed; return False where it has not failed.

    Steps that failed before, and whose error the workflow caught, stay as they are. The time
    within which the run must finish begins anew.

    Raises:
        RunStateError: another run of its singleton key is active.
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
    # The waits for events and signals ended with the run, and begin anew.
    Step.objects.filter(run_id=run_id, op__in=WAITING_OPS, status=StepStatus.WAITING).delete()
    with as_the_only_active(run.singleton, action="retried"):
        Run.objects.filter(pk=run_id).update(
            status=RunStatus.QUEUED,
            admitted=False,  # admission finds it: it needs slots again
            is_in_line=False,
            is_let_in=False,
            ended_at=None,
            error=None,
            fingerprint=None,
            attempt=0,
            attempt_step=None,
            attempt_sequence=run.attempt_sequence if run.attempt_step else 0,
            losses=0,
            lonely_losses=0,
            expires_at=_finishes_before(run),
        )
    follow_cancel_rules(run_id)
    wake_workers_after_commit()
    return True


def _finishes_before(run: Run) -> datetime | None:
    if run.finish_within_ms is None:
        return None
    return clock.now() + timedelta(milliseconds=run.finish_within_ms)
