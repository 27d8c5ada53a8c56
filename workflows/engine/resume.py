"""Resume runs: what a suspended step waited for has happened."""

from typing import Any

from django.db.models import Max

from workflows.clock import clock
from workflows.engine.failure import Failure
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.models import Run, RunStatus, Step, StepOp, StepStatus, Wait
from workflows.models.run import SUSPENDED, UNENDED, UNLESS_IN_A_LANE

ROOM_FOR_A_SLICE = 100_000  # sequence numbers; a slice takes a few for each of its steps


def end_wait(  # noqa: PLR0913  an answer has as many parts
    run_id: str,
    step_key: str,
    *,
    op: StepOp,
    output: Any = None,
    error: Failure | None = None,
    ended_by: str | None = None,
    invocation: str | None = None,
) -> bool:
    """Give a waiting step its result, or its error, and let its run go on.

    Must be called in a transaction. A failed run that is retried goes on with what it had
    invoked: so that is answered meanwhile, too.

    Args:
        run_id: the run.
        step_key: the step.
        op: what the step must be: changed code may have made another of it.
        output: its result.
        error: its error, instead of a result.
        ended_by: the event that the step waited for.
        invocation: the event of the run that the step must wait for: it may have timed out, and
            been retried, and have invoked another one.

    Returns:
        False where the step does not wait for this any more.
    """
    status = lock_run(run_id)
    is_retriable = status == RunStatus.FAILED and op == StepOp.INVOKE
    if status not in UNENDED and not is_retriable:
        return False
    waiting = Step.objects.filter(run_id=run_id, key=step_key, status=StepStatus.WAITING, op=op)
    ended = waiting.filter(invocation=invocation).update(
        status=StepStatus.FAILED if error else StepStatus.COMPLETED,
        output=None if error else output,
        error=error,
        sequence=_next_sequence(run_id, is_running=status == RunStatus.RUNNING),
        attempts=1,
        ended_at=clock.now(),
        due_at=None,
        ended_by=ended_by,
    )
    if not ended:
        return False
    Wait.objects.of_step(run_id, step_key).delete()
    wake_run(run_id)
    return True


def wake_run(run_id: str) -> None:
    """Queue a suspended run; one that is running just now will not suspend."""
    woken = Run.objects.filter(pk=run_id, status__in=SUSPENDED).update(
        status=RunStatus.QUEUED, due_at=None, admitted=UNLESS_IN_A_LANE
    )
    if not woken:
        Run.objects.filter(pk=run_id, status=RunStatus.RUNNING).update(is_woken=True)
    wake_workers_after_commit()


def lock_run(run_id: str) -> str | None:
    """Lock a run's row until the transaction's end; return its status."""
    locked = Run.objects.filter(pk=run_id).select_for_update(no_key=True)
    return locked.values_list("status", flat=True).first()


def _next_sequence(run_id: str, *, is_running: bool) -> int:
    """Return the next place in the order of results.

    While the run is running it is one after all that this slice of it will give: the result
    reaches the code in the next slice, so on every replay it must come later, too.
    """
    last = Step.objects.filter(run_id=run_id).aggregate(last=Max("sequence"))["last"] or 0
    return last + (ROOM_FOR_A_SLICE if is_running else 1)
