"""Take runs: lease admitted ones to a worker, with their events and stored steps."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from operator import attrgetter

from workflows.clock import clock
from workflows.engine.failure import Failure, as_text
from workflows.engine.rows import StepRow, TakenRun
from workflows.engine.scan_start import ScanStart
from workflows.engine.sql import sql
from workflows.engine.transactions import transaction
from workflows.models import GatheredEvent, GatherKind, Run, StepOp, StepStatus, Wait

INVOKE_TIMEOUT = Failure(
    name="InvokeTimeout",
    message="The invoked run did not end within the timeout; it goes on.",
    traceback="",
)


class TakeStarts(dict[str, ScanStart[TakenRun, int]]):
    """Where a process begins to look for the runs of each queue."""

    def __missing__(self, queue: str) -> ScanStart[TakenRun, int]:
        self[queue] = ScanStart(key=attrgetter("place"))
        return self[queue]


def take_runs(
    worker_id: str,
    *,
    queues: Sequence[str],
    unknown: Sequence[str],
    revision: int,
    limit: int,
    starts: TakeStarts | None = None,
) -> list[TakenRun]:
    """Lease up to `limit` runs of these queues, but of no workflow that is unknown here.

    Args:
        worker_id: who takes them.
        queues: in this order.
        unknown: the ids of workflows.
        revision: of the catalogue that tells this; where there is another by now, none is taken.
        limit: how many.
        starts: where to begin to look; None: at the beginning.
    """
    return _take(
        worker_id,
        queues=queues,
        unknown=unknown,
        revision=revision,
        limit=limit,
        suspects=False,
        starts=TakeStarts() if starts is None else starts,
    )


def take_suspect(
    worker_id: str, *, queues: Sequence[str], unknown: Sequence[str], revision: int
) -> TakenRun | None:
    """Lease one run that may be what killed its workers: for a worker that holds nothing else."""
    taken = _take(
        worker_id,
        queues=queues,
        unknown=unknown,
        revision=revision,
        limit=1,
        suspects=True,
        starts=TakeStarts(),
    )
    return taken[0] if taken else None


def suspect_waits(*, queues: Sequence[str], unknown: Sequence[str]) -> bool:
    """Tell whether a suspected run waits for a worker that holds nothing else."""
    return sql().suspect_waits(queues=queues, unknown=unknown)


def _take(  # noqa: PLR0913  a take has as many sides
    worker_id: str,
    *,
    queues: Sequence[str],
    unknown: Sequence[str],
    revision: int,
    limit: int,
    suspects: bool,
    starts: TakeStarts,
) -> list[TakenRun]:
    taken: list[TakenRun] = []
    with transaction("take"):
        sql().plan_by_indexes()
        now = clock.now()
        for queue in queues:
            if len(taken) < limit:
                taken += starts[queue].scan(
                    partial(
                        sql().take_runs,
                        worker_id=worker_id,
                        queue=queue,
                        unknown=unknown,
                        revision=revision,
                        now=now,
                        limit=limit - len(taken),
                        suspects=suspects,
                    )
                )
        _begin_timeouts([run for run in taken if run.finish_within_ms and run.started_at == now])
        _bring_steps([run for run in taken if run.fence > 1])
        _bring_batches([run for run in taken if run.gathered == GatherKind.BATCH])
    return taken


def _begin_timeouts(started: Sequence[TakenRun]) -> None:
    """Let the time begin within which runs that start just now must finish."""
    for run in started:
        within = timedelta(milliseconds=run.finish_within_ms or 0)
        Run.objects.filter(pk=run.id).update(expires_at=run.started_at + within)


def _bring_batches(batched: Sequence[TakenRun]) -> None:
    """Give the runs that gathered a batch all its events, in their order."""
    if not batched:
        return
    runs = {run.id: run for run in batched}
    gathered = GatheredEvent.objects.filter(run__in=runs).order_by("pk").select_related("event")
    for row in gathered:
        runs[row.run_id].batch.append(row.event)


def _bring_steps(resumed: Sequence[TakenRun]) -> None:
    """Give the runs that were taken before their stored steps; a first take has none to read."""
    if not resumed:
        return
    runs = {run.id: run for run in resumed}
    for row in sql().steps_of(list(runs)):
        runs[row.run_id].steps[row.key] = row
    timed_out = [row for run in resumed for row in _timed_out_steps(run)]
    if timed_out:
        sql().upsert_steps(timed_out)
    for row in timed_out:
        Wait.objects.of_step(row.run_id, row.key).delete()
        runs[row.run_id].steps[row.key] = row


def _timed_out_steps(run: TakenRun) -> list[StepRow]:
    """Return the waits that are over, as results that come after those that are stored."""
    last = max((row.sequence for row in run.steps.values()), default=0)
    over = [row for row in run.steps.values() if _is_over(row)]
    over.sort(key=lambda row: (row.due_at or row.started_at, row.sequence))
    return [_timed_out(row, last + place) for place, row in enumerate(over, start=1)]


def _is_over(row: StepRow) -> bool:
    """Tell whether a wait's time is over. Its run's row is locked, so nothing else ends it now."""
    return row.status == StepStatus.WAITING and row.due_at is not None and row.due_at <= clock.now()


def _timed_out(row: StepRow, sequence: int) -> StepRow:
    """Return a step that nothing came for: a wait gives None, an invocation an error."""
    is_invocation = row.op == StepOp.INVOKE
    return row._replace(
        sequence=sequence,
        status=StepStatus.FAILED if is_invocation else StepStatus.COMPLETED,
        output=None if is_invocation else "null",
        error=as_text(INVOKE_TIMEOUT) if is_invocation else None,
        attempts=1,
        ended_at=clock.now(),
        due_at=None,
    )
