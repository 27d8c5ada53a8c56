"""Cancel rules: which events cancel a run, kept as waits for as long as it has not ended."""

from datetime import datetime, timedelta
from typing import Any

from workflows.clock import clock
from workflows.engine.catalogue import Route, current_catalogue
from workflows.engine.envelopes import envelope
from workflows.engine.waits import waits_for_events
from workflows.models import Run, Wait


def cancel_rules(
    run_id: str, own_event: dict[str, Any], route: Route, *, since: datetime
) -> list[Wait]:
    """Return the rules of one run; each may end some time after `since`, the run's creation."""
    rules = []
    for rule in route.cancel_on:
        waits = waits_for_events(
            run_id,
            own_event,
            [rule.event],
            step_key=None,
            condition=rule.condition,
            looks_back=False,
        )
        for wait in waits:
            wait.is_routed = True
            wait.expires_at = _after(since, rule.timeout_ms)
        rules += waits
    return rules


def follow_cancel_rules(run_id: str) -> None:
    """Let events cancel a run that was not started by routing: a retry, or a replay."""
    run = Run.objects.select_related("event").get(pk=run_id)
    route = current_catalogue().targets.get(run.workflow)
    if route is None or not route.cancel_on:
        return
    rules = cancel_rules(run.pk, envelope(run.event), route, since=run.created_at)
    now = clock.now()
    Wait.objects.filter(run=run, step_key=None).delete()
    Wait.objects.bulk_create(
        [rule for rule in rules if rule.expires_at is None or rule.expires_at > now]
    )


def _after(moment: datetime, wait_ms: int | None) -> datetime | None:
    return None if wait_ms is None else moment + timedelta(milliseconds=wait_ms)
