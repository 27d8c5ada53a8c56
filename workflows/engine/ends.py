"""What follows from the ends of runs, in the same transaction.

Callers are answered, system events are sent, and waits are forgotten.
"""

from collections.abc import Collection, Sequence
from typing import Any

from workflows.clock import clock
from workflows.definitions.events import RUN_CANCELLED, RUN_FAILED, RUN_FINISHED
from workflows.engine.catalogue import ABOUT_ENDS, current_catalogue, latest_catalogue
from workflows.engine.envelopes import envelope
from workflows.engine.failure import Failure
from workflows.engine.resume import end_wait
from workflows.engine.rows import EventRow, TakenRun
from workflows.engine.sql import sql
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.ids import new_id
from workflows.models import GatheredEvent, Run, RunStatus, StepOp, Wait
from workflows.models.step import WAITING_OPS
from workflows.serialisation import encode

SPECIAL_EVENTS = {RunStatus.FAILED: RUN_FAILED, RunStatus.CANCELLED: RUN_CANCELLED}


def follow_up(run_ids: Sequence[str]) -> None:
    """Do what follows from the ends of runs, which the caller's transaction has just written."""
    if not run_ids:
        return
    current_catalogue()  # a process that takes no runs would else never learn who listens
    for run in Run.objects.filter(pk__in=run_ids).order_by("id").select_related("event"):
        Wait.objects.filter(run=run).delete()
        _answer_callers(run)
        _tell(run)


def lock_with_callers(run_ids: Collection[str]) -> None:
    """Lock runs that may end now, and those that invoked them, in ascending order.

    Every transaction that writes to several runs locks them in this order, so that no two wait
    for each other.
    """
    callers = Run.objects.filter(pk__in=run_ids, parent_id__isnull=False)
    invocations = callers_of_gathered(run_ids)
    sql().lock_runs(
        [
            *run_ids,
            *callers.values_list("parent_id", flat=True),
            *(caller for _, caller, _ in invocations),
        ]
    )


def callers_of_gathered(run_ids: Collection[str]) -> list[tuple[str, str, str]]:
    """Return the steps whose events runs have gathered: each event, its caller and the step."""
    invoking = GatheredEvent.objects.filter(run__in=run_ids, event__cause_step__isnull=False)
    rows = invoking.values_list("event_id", "event__cause", "event__cause_step")
    return [
        (event_id, caller, step)
        for event_id, caller, step in rows.order_by("event__cause", "pk")
        if caller is not None and step is not None
    ]


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
        or run.gathered is not None
        or (route is not None and bool(route.cancel_on))
        or any(row.op in WAITING_OPS for row in run.steps.values())
    )


def _answer_callers(run: Run) -> None:
    """Give the steps that invoked a run, or whose events it gathered, its output or its error."""
    callers = [(run.event_id, run.parent_id, run.parent_step)]
    if run.gathered is not None:
        callers += callers_of_gathered([run.pk])
    is_completed = run.status == RunStatus.COMPLETED
    for event_id, caller, step in dict.fromkeys(callers):
        if caller is None or step is None:
            continue
        end_wait(
            caller,
            step,
            op=StepOp.INVOKE,
            output=run.output if is_completed else None,
            error=None if is_completed else _error_for_caller(run),
            invocation=event_id,
        )


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
    if not someone_listens(run.workflow):
        return
    events = _events_about(run)
    if events:
        sql().insert_events(events)
        wake_workers_after_commit()


def _events_about(run: Run) -> list[EventRow]:
    """Return the system events about a run's end.

    A run that a system event started sends none, so that there is no end of them; only its own
    `on_failure` is told.
    """
    data = encode(_data(run))
    if run.event.name in ABOUT_ENDS:
        handler = latest_catalogue().failure_workflows.get(run.workflow)
        has_failed = run.status == RunStatus.FAILED
        return [_row(RUN_FAILED, data, run.pk, handler)] if has_failed and handler else []
    special = SPECIAL_EVENTS.get(RunStatus(run.status))
    names = [RUN_FINISHED, special] if special else [RUN_FINISHED]
    return [_row(name, data, run.pk) for name in names]


def _row(name: str, data: str, cause: str, target: str | None = None) -> EventRow:
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
        target=target,
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
