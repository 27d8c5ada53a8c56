"""Pause and resume workflows, and override their limits: in the caller's transaction.

Nothing but the workflow's row is written here. Every host reads it by the catalogue's revision
before its next round; admission then puts the runs that are there under what has changed.
"""

from typing import Any

from workflows.clock import clock
from workflows.engine.catalogue import raise_revision
from workflows.engine.overrides import require_overrides
from workflows.engine.register import lock_catalogue
from workflows.engine.schedule import skip_missed_firings
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.models import RegisteredWorkflow


def pause_in_transaction(workflow_id: str, *, by: str, reason: str | None) -> bool:
    """Let no run of a workflow start, or go on; return False where it is paused already."""
    return _change(
        RegisteredWorkflow.objects.filter(pk=workflow_id, paused_at=None),
        paused_at=clock.now(),
        paused_by=by,
        pause_reason=reason,
    )


def resume_in_transaction(workflow_id: str) -> bool:
    """Let a workflow's runs start and go on again; return False where it is not paused."""
    paused = RegisteredWorkflow.objects.filter(pk=workflow_id, paused_at__isnull=False)
    is_resumed = _change(paused, paused_at=None, paused_by=None, pause_reason=None)
    if is_resumed:
        skip_missed_firings(workflow_id)
    return is_resumed


def override_in_transaction(workflow_id: str, overrides: object) -> dict[str, Any]:
    """Set what holds in the place of the code's own values; return what held before.

    Raises:
        InvalidWorkflow: an override is wrong; nothing has changed.
        RegisteredWorkflow.DoesNotExist: there is no such workflow.
    """
    checked = require_overrides(workflow_id, overrides)
    lock_catalogue()
    before: dict[str, Any] = RegisteredWorkflow.objects.get(pk=workflow_id).overrides
    _change(RegisteredWorkflow.objects.filter(pk=workflow_id), overrides=checked)
    return before


def _change(workflows: Any, **news: Any) -> bool:
    lock_catalogue()
    is_changed = bool(workflows.update(**news))
    if is_changed:
        raise_revision()
        wake_workers_after_commit()
    return is_changed
