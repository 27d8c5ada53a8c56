"""Take runs: lease admitted ones to a worker, with their events and stored steps."""

from collections.abc import Sequence
from datetime import timedelta

from workflows.clock import clock
from workflows.engine.failure import Failure, as_text
from workflows.engine.rows import StepRow, TakenRun
from workflows.engine.sql import sql
from workflows.engine.transactions import transaction
from workflows.models import Run, StepOp, StepStatus, Wait
from workflows.models.run import SUSPECT_AFTER

INVOKE_TIMEOUT = Failure(
    name="InvokeTimeout",
    message="The invoked run did not end within the timeout; it goes on.",
    traceback="",
)


def take_runs(
    worker_id: str, *, queues: Sequence[str], unknown: Sequence[str], limit: int
) -> list[TakenRun]:
    """Lease up to `limit` runs of these queues, but of no workflow that is unknown here."""
    return _take(worker_id, queues=queues, unknown=unknown, limit=limit, suspects=False)


def take_suspect(
    worker_id: str, *, queues: Sequence[str], unknown: Sequence[str]
) -> TakenRun | None:
    """Lease one run that may be what killed its workers: for a worker that holds nothing else."""
    taken = _take(worker_id, queues=queues, unknown=unknown, limit=1, suspects=True)
    return taken[0] if taken else None


def suspect_waits() -> bool:
    """Tell whether a suspected run waits for a worker that holds nothing else."""
    return Run.objects.takeable().filter(losses__gte=SUSPECT_AFTER).exists()


def _take(
    worker_id: str, *, queues: Sequence[str], unknown: Sequence[str], limit: int, suspects: bool
) -> list[TakenRun]:
    taken: list[TakenRun] = []
    with transaction("take"):
        now = clock.now()
        for queue in queues:
            if len(taken) < limit:
                taken += sql().take_runs(
                    worker_id=worker_id,
                    queue=queue,
                    unknown=unknown,
                    now=now,
                    limit=limit - len(taken),
                    suspects=suspects,
                )
        _begin_timeouts([run for run in taken if run.finish_within_ms and run.started_at == now])
        _bring_steps([run for run in taken if run.fence > 1])
    return taken


def _begin_timeouts(started: Sequence[TakenRun]) -> None:
    """Let the time begin within which runs that start just now must finish."""
    for run in started:
        within = timedelta(milliseconds=run.finish_within_ms or 0)
        Run.objects.filter(pk=run.id).update(expires_at=run.started_at + within)


def _bring_steps(resumed: Sequence[TakenRun]) -> None:
    """Give the runs that were taken before their stored steps; a first take has none to read."""
    if not resumed:
        return
    runs = {run.id: run for run in resumed}
    rows = sql().steps_of(list(runs))
    timed_out = [_timed_out(row) for row in rows if _is_over(row)]
    if timed_out:
        sql().upsert_steps(timed_out)
        for row in timed_out:
            Wait.objects.of_step(row.run_id, row.key).delete()
    for row in [*rows, *timed_out]:
        runs[row.run_id].steps[row.key] = row


def _is_over(row: StepRow) -> bool:
    """Tell whether a wait's time is over. Its run's row is locked, so nothing else ends it now."""
    return row.status == StepStatus.WAITING and row.due_at is not None and row.due_at <= clock.now()


def _timed_out(row: StepRow) -> StepRow:
    """Return a step that nothing came for: a wait gives None, an invocation an error."""
    is_invocation = row.op == StepOp.INVOKE
    return row._replace(
        status=StepStatus.FAILED if is_invocation else StepStatus.COMPLETED,
        output=None if is_invocation else "null",
        error=as_text(INVOKE_TIMEOUT) if is_invocation else None,
        attempts=1,
        ended_at=clock.now(),
        due_at=None,
    )
