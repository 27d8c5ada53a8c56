"""Bulk operations: retry, replay or cancel every run that matches a filter, in chunks.

What one acts on is fixed when it begins: no run that was made later, and none that failed, or
ended, later. A chunk and the place that it has reached are one transaction, so that each run is
dealt with once, whoever dies meanwhile and however many workers look.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import DataError, IntegrityError
from django.db import transaction as django_transaction
from django.db.models import Count, Max, Q, QuerySet

from workflows.clock import clock
from workflows.definitions.rates import interval_of
from workflows.engine.audit import CODE, Actor, note_action, note_each
from workflows.engine.cancel import cancel_in_transaction
from workflows.engine.replay import replay_in_transaction
from workflows.engine.retry import retry_in_transaction
from workflows.engine.run_filter import RunFilter
from workflows.engine.sql import sql
from workflows.engine.transactions import transaction
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.errors import OperationEnded, RunStateError, WorkflowsError
from workflows.ids import new_id
from workflows.models import BulkKind, BulkOperation, BulkStatus, Run, RunStatus
from workflows.models.operator_action import LONGEST_NAME
from workflows.models.run import ENDED, UNENDED

CHUNK = 50  # runs; on SQLite a chunk holds the write lock
PACE_OF_CHUNKS = timedelta(seconds=1)  # a slow rate is kept by smaller chunks
MOST_SAMPLES = 20
LONGEST_SAMPLE = 300  # characters

ACTIONS = {
    BulkKind.RETRY: "retry_run",
    BulkKind.REPLAY: "replay_run",
    BulkKind.CANCEL: "cancel_run",
}


@dataclass(frozen=True, slots=True)
class MatchingGroup:
    """Runs of one workflow, with one error, on which an operation would act."""

    workflow: str
    count: int
    last_run: str
    error: str


def count_matching(kind: BulkKind | str, filter: RunFilter, most: int | None = 10_000) -> int:
    """Count the runs on which an operation would act now, up to `most`; None: all."""
    return _eligible(BulkKind(kind), filter)[:most].count()


def outline_matching(
    kind: BulkKind | str, filter: RunFilter, most: int = 20
) -> list[MatchingGroup]:
    """Return the largest groups of runs on which an operation would act now."""
    groups = _eligible(BulkKind(kind), filter).values("workflow", "fingerprint")
    counted = groups.annotate(count=Count("pk"), last=Max("pk"))
    found = list(counted.order_by("-count", "workflow")[:most])
    last = Run.objects.only("error").in_bulk([group["last"] for group in found])
    return [
        MatchingGroup(
            group["workflow"], group["count"], group["last"], _in_short(last[group["last"]].error)
        )
        for group in found
    ]


def start_bulk_operation(
    kind: BulkKind | str,
    filter: RunFilter,
    *,
    rate: str | None = None,
    most: int | None = None,
    reason: str | None = None,
    actor: Actor | None = None,
) -> BulkOperation:
    """Begin to retry, replay or cancel the runs that match now; workers carry it out.

    Args:
        kind: `retry` takes failed runs up again where they failed, `replay` starts ended ones
            anew from their top, `cancel` cancels what has not ended.
        filter: which runs.
        rate: such as "100/m"; None: as fast as workers can.
        most: acts on so many at most; None: on all.
        reason: why, for the audit log; of cancelled runs also shown with the run.
        actor: who asks, for the audit log; None: the project's own code.

    Raises:
        InvalidRate: the rate is none.
    """
    if rate is not None:
        interval_of(rate)
    actor = actor or CODE
    now = clock.now()
    with transaction("start bulk operation"):
        operation = BulkOperation.objects.create(
            id=new_id(),
            kind=BulkKind(kind),
            filter=filter.as_json(),
            rate=rate,
            most=most,
            reason=reason or "",
            actor_kind=actor.kind,
            actor=actor.name[:LONGEST_NAME],
            user_id=actor.user_id,
            created_at=now,
            next_at=now,
            last_run=_newest_run(),
        )
        details = {"kind": operation.kind, "filter": operation.filter, "rate": rate, "most": most}
        _note("start_bulk_operation", operation, actor, reason, details)
    wake_workers_after_commit()
    return operation


def abort_bulk_operation(
    operation_id: str, *, reason: str | None = None, actor: Actor | None = None
) -> BulkOperation:
    """End an operation before its time: what it has done stays done.

    Raises:
        BulkOperation.DoesNotExist: there is no such operation.
        OperationEnded: it has ended already.
    """
    with transaction("abort bulk operation"):
        aborted = BulkOperation.objects.filter(pk=operation_id, status=BulkStatus.RUNNING).update(
            status=BulkStatus.ABORTED, ended_at=clock.now(), next_at=None
        )
        operation = BulkOperation.objects.get(pk=operation_id)
        if not aborted:
            message = f"The bulk operation {operation_id} has {operation.status} already."
            raise OperationEnded(message)
        details = {"done": operation.done, "total": operation.total}
        _note("abort_bulk_operation", operation, actor, reason, details)
    return operation


def carry_out_operations() -> int:
    """Carry out a chunk of each operation that is due; return how many there were."""
    due = BulkOperation.objects.due(clock.now()).order_by("next_at")
    return sum(carry_out_chunk(operation) for operation in due[:CHUNK])


def carry_out_chunk(operation: BulkOperation) -> bool:
    """Deal with the next runs of an operation; return False where somebody else has done so.

    The runs are looked for before the transaction, which may take a while where few of many
    match, and which must not hold SQLite's write lock.
    """
    if operation.total is None:
        return _count(operation)
    run_ids = _next_runs(operation)
    with transaction("bulk"):
        locked = BulkOperation.objects.select_for_update(skip_locked=True)
        held = locked.filter(pk=operation.pk, cursor=operation.cursor, next_at__isnull=False)
        operation_now = held.first()
        if operation_now is None:
            return False
        if not run_ids:
            _finish(operation_now)
        else:
            _advance(operation_now, run_ids)
        return True


@dataclass(slots=True)
class Outcome:
    """What came of the runs of a chunk."""

    done: list[str] = field(default_factory=list)
    skipped: int = 0
    errors: int = 0
    samples: list[dict[str, str]] = field(default_factory=list)


def _in_short(error: Any) -> str:
    return f"{error['name']}: {error['message']}"[:LONGEST_SAMPLE] if error else ""


def _count(operation: BulkOperation) -> bool:
    matching = _matching(operation)
    total = (matching[: operation.most] if operation.most else matching).count()
    counted = BulkOperation.objects.filter(pk=operation.pk, total=None, next_at__isnull=False)
    return bool(counted.update(total=total))


def _next_runs(operation: BulkOperation) -> list[str]:
    left = CHUNK if operation.most is None else operation.most - operation.dealt_with
    coming = _matching(operation).filter(pk__gt=operation.cursor).order_by("pk")
    return list(coming.values_list("pk", flat=True)[: max(0, min(left, _chunk_of(operation)))])


def _chunk_of(operation: BulkOperation) -> int:
    if operation.rate is None:
        return CHUNK
    return min(CHUNK, max(1, PACE_OF_CHUNKS // interval_of(operation.rate)))


def _advance(operation: BulkOperation, run_ids: Sequence[str]) -> None:
    """Deal with runs, and write in the same transaction that this was done."""
    outcome = _deal_with(operation, run_ids)
    operation.cursor = run_ids[-1]
    operation.done += len(outcome.done)
    operation.skipped += outcome.skipped
    operation.errors += outcome.errors
    operation.samples = [*operation.samples, *outcome.samples][:MOST_SAMPLES]
    operation.next_at = clock.now()
    if operation.rate is not None:
        operation.next_at += interval_of(operation.rate) * len(run_ids)
    operation.save(
        update_fields=["cursor", "done", "skipped", "errors", "samples", "next_at"],
    )
    note_each(
        ACTIONS[BulkKind(operation.kind)],
        "run",
        outcome.done,
        actor=actor_of(operation),
        reason=operation.reason,
        details={"bulk_operation": operation.pk},
    )


def _finish(operation: BulkOperation) -> None:
    operation.status = BulkStatus.FINISHED
    operation.ended_at, operation.next_at = clock.now(), None
    operation.save(update_fields=["status", "ended_at", "next_at"])


def _deal_with(operation: BulkOperation, run_ids: Sequence[str]) -> Outcome:
    """Act on each run that still matches; one that cannot be acted on harms no other."""
    _lock(run_ids)
    still = set(_matching(operation).filter(pk__in=run_ids).values_list("pk", flat=True))
    act = ACTS[BulkKind(operation.kind)]
    outcome = Outcome()
    for run_id in run_ids:
        if run_id not in still:
            outcome.skipped += 1
            continue
        try:
            with django_transaction.atomic():
                act(operation, run_id)
            outcome.done.append(run_id)
        except RunStateError as error:
            outcome.skipped += 1
            outcome.samples.append(_sample(run_id, error))
        except (WorkflowsError, IntegrityError, DataError) as error:
            outcome.errors += 1
            outcome.samples.append(_sample(run_id, error))
    return outcome


def _lock(run_ids: Sequence[str]) -> None:
    """Lock the runs, and the callers to which their ends are told, in ascending order."""
    callers = Run.objects.filter(pk__in=run_ids, parent__isnull=False)
    sql().lock_runs([*run_ids, *callers.values_list("parent_id", flat=True)])


def _sample(run_id: str, error: Exception) -> dict[str, str]:
    return {"run": run_id, "message": f"{type(error).__name__}: {error}"[:LONGEST_SAMPLE]}


def _retry(_: BulkOperation, run_id: str) -> None:
    if not retry_in_transaction(run_id):
        raise RunStateError("It has not failed any more.")


def _replay(_: BulkOperation, run_id: str) -> None:
    replay_in_transaction(run_id)


def _cancel(operation: BulkOperation, run_id: str) -> None:
    if not cancel_in_transaction(run_id, reason=operation.reason or None):
        raise RunStateError("It has ended meanwhile.")


ACTS: dict[BulkKind, Callable[[BulkOperation, str], None]] = {
    BulkKind.RETRY: _retry,
    BulkKind.REPLAY: _replay,
    BulkKind.CANCEL: _cancel,
}


def _matching(operation: BulkOperation) -> QuerySet[Run]:
    """Return the runs that matched when the operation began, and still do."""
    kind = BulkKind(operation.kind)
    runs = _eligible(kind, RunFilter.from_json(operation.filter)).filter(pk__lte=operation.last_run)
    if kind == BulkKind.CANCEL:
        return runs
    return runs.filter(ended_at__lte=operation.created_at)


def _eligible(kind: BulkKind, filter: RunFilter) -> QuerySet[Run]:
    return filter.runs().filter(_STATES[kind])


_STATES = {
    BulkKind.RETRY: Q(status=RunStatus.FAILED),
    BulkKind.REPLAY: Q(status__in=ENDED),
    BulkKind.CANCEL: Q(status__in=UNENDED),
}


def actor_of(operation: BulkOperation) -> Actor:
    """Return who asked for an operation."""
    return Actor(operation.actor_kind, operation.actor, operation.user_id)  # type: ignore[arg-type]


def _newest_run() -> str:
    return Run.objects.order_by("-pk").values_list("pk", flat=True).first() or ""


def _note(
    action: str,
    operation: BulkOperation,
    actor: Actor | None,
    reason: str | None,
    details: dict[str, Any],
) -> None:
    note_action(action, "bulk_operation", operation.pk, actor=actor, reason=reason, details=details)
