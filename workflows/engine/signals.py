"""Signals: a name for which one run at a time can wait, and that anybody can send."""

from typing import Any

from django.db import IntegrityError
from django.db import transaction as django_transaction

from workflows.engine.resume import end_wait
from workflows.engine.rows import StepRow, TakenRun
from workflows.engine.sql import sql
from workflows.engine.store import may_write
from workflows.engine.transactions import transaction
from workflows.errors import LeaseLost, SignalTaken
from workflows.ids import new_id
from workflows.models import StepOp, Wait


def wait_for_signal(run: TakenRun, row: StepRow, signal: str) -> None:
    """Store that a step waits for a signal, in the caller's transaction.

    Raises:
        SignalTaken: another step waits for it already.
        LeaseLost: the run is in other hands.
    """
    if not may_write(run, sql().lock_runs([run.id]).get(run.id)):
        raise LeaseLost
    try:
        with django_transaction.atomic():
            Wait.objects.create(
                id=new_id(),
                run_id=run.id,
                step_key=row.key,
                signal=signal,
                lookup="",
                is_routed=True,
            )
    except IntegrityError as error:
        message = f"Another run already waits for the signal {signal!r}: one waiter for a name."
        raise SignalTaken(message) from error
    sql().upsert_steps([row])


def send_signal(signal: str, data: Any) -> str | None:
    """Give a signal's data to the run that waits for it, in the caller's transaction.

    Returns:
        The run's id; None where nobody waits.
    """
    with transaction("signal"):
        tried: set[str] = set()
        # Unlocked: whoever ends a wait locks its run first, and only then its other rows.
        while wait := Wait.objects.filter(signal=signal).exclude(pk__in=tried).first():
            key = wait.step_key or ""
            if end_wait(wait.run_id, key, op=StepOp.WAIT_FOR_SIGNAL, output=data):
                return str(wait.run_id)
            tried.add(wait.pk)  # it ended at this moment; another may have taken its place
        return None
