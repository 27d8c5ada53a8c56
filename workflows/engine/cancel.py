"""Cancel runs: final at once, for whoever holds them too."""

from django.db.models import F

from workflows.clock import clock
from workflows.engine.catalogue import latest_catalogue
from workflows.engine.ends import follow_up, lock_with_callers
from workflows.engine.transactions import transaction
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.models import Run, RunStatus
from workflows.models.run import UNENDED

EXPIRED_AT_ONCE = 200  # runs


def cancel_in_transaction(run_id: str, *, reason: str | None) -> bool:
    """Cancel a run in the caller's transaction; return False where it had ended.

    The raised fence keeps its worker from storing anything more. The run bears that worker's id
    until the body that it is in has ended, and so keeps its slot.
    """
    lock_with_callers([run_id])
    cancelled = Run.objects.filter(pk=run_id, status__in=UNENDED).update(
        status=RunStatus.CANCELLED,
        reason=reason,
        ended_at=clock.now(),
        due_at=None,
        is_in_line=False,
        gathering=None,
        fence=F("fence") + 1,
    )
    if cancelled:
        follow_up([run_id])
        wake_workers_after_commit()  # it may have held a slot
    return bool(cancelled)


def expire_runs() -> int:
    """Cancel the runs whose timeout is over; return how many."""
    now = clock.now()
    expired = Run.objects.expired(now).order_by("expires_at")
    # The time within which a run must start stands still while its workflow is paused.
    expired = expired.exclude(started_at=None, workflow__in=latest_catalogue().paused)
    runs = list(expired.values_list("id", "started_at")[:EXPIRED_AT_ONCE])
    return sum(_expire(run_id, is_started=started_at is not None) for run_id, started_at in runs)


def _expire(run_id: str, *, is_started: bool) -> int:
    which = "finish" if is_started else "start"
    with transaction("expire"):
        still_expired = (
            Run.objects.expired(clock.now())
            .select_for_update(no_key=True)
            .filter(pk=run_id, started_at__isnull=not is_started)
        )
        if not still_expired.exists():
            return 0
        return int(cancel_in_transaction(run_id, reason=f"timeouts.{which} is over"))
