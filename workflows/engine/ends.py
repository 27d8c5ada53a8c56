"""What follows from the ends of runs, in the same transaction.

Callers are answered, system events are sent, and waits are forgotten.
"""

from collections.abc import Collection, Sequence
from typing import Any

from workflows.clock import clock
from workflows.definitions.events import RUN_CANCELLED, RUN_FAILED, RUN_FINISHED
from workflows.engine.catalogue import ABOUT_ENDS, latest_catalogue
from workflows.engine.envelopes import envelope
from workflows.engine.failure import Failure
from workflows.engine.resume import end_wait
from workflows.engine.rows import EventRow, TakenRun
from workflows.engine.sql import sql
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.ids import new_id
from workflows.models import Run, RunStatus, StepOp, Wait
from workflows.serialisation import encode

WAITING_OPS = (StepOp.WAIT_FOR_EVENT, StepOp.WAIT_FOR_SIGNAL)
SPECIAL_EVENTS = {RunStatus.FAILED: RUN_FAILED, RunStatus.CANCELLED: RUN_CANCELLED}


def follow_up(run_ids: Sequence[str]) -> None:
    """Do what follows from the ends of runs, which the caller's transaction has just written."""
    for run in Run.objects.filter(pk__in=run_ids).order_by("id").select_related("event"):
        Wait.objects.filter(run=run).delete()
        _answer_caller(run)
        _tell(run)


def lock_with_callers(run_ids: Collection[str]) -> None:
    """Lock runs that may end now, and those that invoked them, in ascending order.

    Every transaction that writes to several runs locks them in this order, so that no two wait
    for each other.
    """
    callers = Run.objects.filter(pk__in=run_ids, parent_id__isnull=False)
    sql().lock_runs([*run_ids, *callers.values_list("parent_id", flat=True)])


def someone_listens(workflow: str) -> bool:
    """Tell whether the end of a workflow's run interests any workflow or wait."""
    catalogue = latest_catalogue()
    return (
        workflow in catalogue.failure_workflows
        or any(catalogue.routes_for(name) for name in ABOUT_ENDS)
        or catalogue.ends_are_awaited
    )


def needs_follow_up(run: TakenRun) -> bool:
    """Tell whether anything follows from the end of a run that a worker holds."""
    route = latest_catalogue().targets.get(run.workflow)
    return (
        run.parent_step is not None
        or (route is not None and bool(route.cancel_on))
        or any(row.op in WAITING_OPS for row in run.steps.values())
    )


def _answer_caller(run: Run) -> None:
    """Give the step that invoked a run its output, or its error."""
    if run.parent_id is None or run.parent_step is None:
        return
    if run.status == RunStatus.COMPLETED:
        end_wait(run.parent_id, run.parent_step, output=run.output)
    else:
        end_wait(run.parent_id, run.parent_step, error=_error_for_caller(run))


def _error_for_caller(run: Run) -> Failure:
    if run.status == RunStatus.FAILED:
        error: Failure = run.error
        return error
    name = "RunCancelled" if run.status == RunStatus.CANCELLED else "RunSkipped"
    reason = run.reason or "no reason was given"
    message = f"The invoked run {run.pk} of {run.workflow} was {run.status}: {reason}."
    return Failure(name=name, message=message, traceback="")


def _tell(run: Run) -> None:
    """Send the system events about a run's end, where anybody listens."""
    if run.status == RunStatus.SKIPPED or not someone_listens(run.workflow):
        return
    if run.event.name in ABOUT_ENDS:
        return  # a run that a system event started sends none, so that there is no end of them
    special = SPECIAL_EVENTS.get(RunStatus(run.status))
    names = [RUN_FINISHED, special] if special else [RUN_FINISHED]
    data = encode(_data(run))
    sql().insert_events([_row(name, data, run.pk) for name in names])
    wake_workers_after_commit()


def _row(name: str, data: str, cause: str) -> EventRow:
    now = clock.now()
    return EventRow(
        id=new_id(),
        name=name,
        data=data,
        external_id=None,
        ts=now,
        received_at=now,
        due_at=now,
        user=None,
        v=None,
        cause=cause,
    )


def _data(run: Run) -> dict[str, Any]:
    return {
        "runId": run.pk,
        "workflow": run.workflow,
        "status": str(run.status),
        "output": run.output,
        "error": run.error,
        "event": envelope(run.event),
    }
