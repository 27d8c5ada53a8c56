"""Where a run stands, in words: why it has not started yet, what it waits for and until when."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from workflows.admin.timeline import step_name, wait_in_words
from workflows.models import Run, RunStatus, Step, StepOp, StepStatus, Wait
from workflows.resources import reason_of

MOST_NAMED = 5  # steps


@dataclass(frozen=True, slots=True)
class Situation:
    """One thing that a run waits for, or why it is as it is.

    Attributes:
        text: what, in words.
        until: when the run goes on, or gives up waiting.
        run_id: the run that it waits for, or for the like of which it was skipped.
    """

    text: str
    until: datetime | None = None
    run_id: str | None = None


def situation_of(run: Run) -> list[Situation]:
    """Say why a run does not go on: at most two queries."""
    if run.status in (RunStatus.SLEEPING, RunStatus.WAITING):
        return _suspended(run)
    reason = reason_of(run)
    if reason is None:
        return []
    text = {
        RunStatus.QUEUED: _("Has not gone on yet: %(reason)s")
        if run.started_at
        else _("Has not started yet: %(reason)s"),
        RunStatus.SKIPPED: _("Skipped: %(reason)s"),
        RunStatus.CANCELLED: _("Cancelled: %(reason)s"),
    }.get(RunStatus(run.status), "%(reason)s")
    return [Situation(text % {"reason": reason})]


def _suspended(run: Run) -> list[Situation]:
    waits: dict[str | None, list[Wait]] = {}
    for wait in Wait.objects.filter(run=run, step_key__isnull=False).order_by("id"):
        waits.setdefault(wait.step_key, []).append(wait)
    unended = run.steps.filter(ended_at=None).order_by("sequence")[:MOST_NAMED]
    found = [_of_step(step, waits.get(step.key, [])) for step in unended]
    if not found and run.due_at:  # the code between steps failed
        found = [Situation(_("Is tried again"), run.due_at)]
    return found


def _of_step(step: Step, waits: list[Wait]) -> Situation:
    said = {"step": step_name(step), "what": _(" or ").join(wait_in_words(wait) for wait in waits)}
    if step.status == StepStatus.RETRYING:
        text = _("Step %(step)s failed, and is tried again") % said
    elif step.status == StepStatus.SLEEPING:
        text = _("Step %(step)s sleeps") % said
    elif step.op == StepOp.INVOKE:
        text = _("Step %(step)s waits for the run that it invoked") % said
    elif waits:
        text = _("Step %(step)s waits for %(what)s") % said
    else:
        text = _("Step %(step)s waits") % said
    return Situation(text, step.due_at)
