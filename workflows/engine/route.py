"""Route events: which workflows each one starts, which waits it ends, its place in their order.

Conditions are evaluated before the lock is taken. Under the lock an event is given its
position, and with it, in the same transaction, come its runs. Whoever finds the lock taken
goes on with other work: somebody else is routing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from workflows.clock import clock, milliseconds
from workflows.definitions.events import RUN_FAILED
from workflows.engine.catalogue import Catalogue, Route, catalogue_of
from workflows.engine.envelopes import envelope_of_row
from workflows.engine.failure import Failure
from workflows.engine.resume import end_wait
from workflows.engine.rows import RunRow, UnroutedEvent
from workflows.engine.sql import sql
from workflows.engine.transactions import transaction
from workflows.engine.waits import end_waits_for, route_waits, waits_for_events
from workflows.ids import new_ids
from workflows.models import Event, Run, RunStatus, RunTag, Wait
from workflows.models.run_tag import LONGEST_VALUE

BATCH = 500  # events; routes in well under the 50 ms for which the lock may be held
NO_TAGS = "{}"
DEDUPLICATION_PERIOD = timedelta(hours=24)


@dataclass(frozen=True)
class Candidate:
    """An event with the workflows that it starts, unless it is a repeat."""

    event: UnroutedEvent
    routes: Sequence[Route] = ()

    @cached_property
    def envelope(self) -> dict[str, Any]:
        """The event as expressions see it; read only where there are expressions."""
        return envelope_of_row(self.event)


def route_events() -> int:
    """Route a batch of due events and new waits; return how many."""
    pulse = sql().pulse()
    catalogue = catalogue_of(pulse.revision)
    events = sql().unrouted_events(now=clock.now(), limit=BATCH)
    if not events and not pulse.has_unrouted_waits:
        return 0
    candidates = {event.id: candidate(event, catalogue) for event in events}
    with transaction("route"):
        if sql().engine_lock() != catalogue.revision:
            return 0
        routed_waits = route_waits() if pulse.has_unrouted_waits else 0
        positioned = set(sql().position_events([event.id for event in events])) if events else set()
        # In the order of `events`: the database returns what it updated in any order.
        fresh = _route_positioned(
            [candidates[event.id] for event in events if event.id in positioned]
        )
        if fresh and (pulse.has_waits or Wait.objects.exists()):
            found = Event.objects.in_bulk([candidate.event.id for candidate in fresh])
            end_waits_for(found[candidate.event.id] for candidate in fresh)
    return len(positioned) + routed_waits


def candidate(event: UnroutedEvent, catalogue: Catalogue) -> Candidate:
    """Find the workflows that an event starts: each once, though several of its triggers match."""
    found: dict[str, Route] = {}
    matched = Candidate(event)
    for route in _routes_for(event, catalogue):
        if route.workflow not in found and _holds(route, matched):
            found[route.workflow] = route
    return Candidate(event, tuple(found.values()))


def _routes_for(event: UnroutedEvent, catalogue: Catalogue) -> list[Route]:
    """Return the triggers that fit; an event with a target has but that one."""
    if event.target is not None:
        target = catalogue.targets.get(event.target)
        return [target] if target else []
    routes = catalogue.routes_for(event.name)
    if event.name == RUN_FAILED:
        failed = json.loads(event.data)["workflow"]
        if failed in catalogue.failure_workflows:
            routes.append(catalogue.targets[catalogue.failure_workflows[failed]])
    return routes


def _holds(route: Route, matched: Candidate) -> bool:
    return route.condition is None or route.condition.truth(event=matched.envelope)


def _route_positioned(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Write the runs of routed events; return those that repeat none."""
    now = clock.now()
    repeats = _link_repeats([candidate.event for candidate in candidates], now)
    fresh = [candidate for candidate in candidates if candidate.event.id not in repeats]
    starts = [(candidate, route) for candidate in fresh for route in candidate.routes]
    if starts:
        ids = new_ids(len(starts))
        _start_runs([(id_, *start) for id_, start in zip(ids, starts, strict=True)], now)
    _refuse_unknown_targets(fresh)
    return fresh


def _start_runs(starts: Sequence[tuple[str, Candidate, Route]], now: datetime) -> None:
    depths = _depths([candidate.event for _, candidate, _ in starts])
    rows = [
        _run(id_, start, route, now, depths.get(start.event.cause or "", -1) + 1)
        for id_, start, route in starts
    ]
    sql().insert_runs(rows)
    _add_tags(rows)
    _add_cancel_rules(starts, now)


def _depths(events: Sequence[UnroutedEvent]) -> dict[str, int]:
    """Return how many invocations lie above each run that invokes one here."""
    callers = {event.cause for event in events if event.cause and event.cause_step}
    if not callers:
        return {}
    return dict(Run.objects.filter(pk__in=callers).values_list("id", "depth"))


def _run(id_: str, start: Candidate, route: Route, now: datetime, depth: int) -> RunRow:
    is_invoked = start.event.cause_step is not None
    return RunRow(
        id=id_,
        workflow=route.workflow,
        event_id=start.event.id,
        status=RunStatus.QUEUED,
        reason=None,
        queue=route.queue,
        admitted=True,
        rank=milliseconds(now),
        created_at=now,
        ended_at=None,
        replay_of_id=None,
        parent_id=start.event.cause if is_invoked else None,
        parent_step=start.event.cause_step,
        depth=depth if is_invoked else 0,
        expires_at=_after(now, route.start_within_ms),
        finish_within_ms=route.finish_within_ms,
        tags=_tags(start, route),
    )


def _after(now: datetime, wait_ms: int | None) -> datetime | None:
    return None if wait_ms is None else now + timedelta(milliseconds=wait_ms)


def _tags(start: Candidate, route: Route) -> str:
    if not route.tags:
        return NO_TAGS
    values = {name: tag.evaluate(event=start.envelope) for name, tag in route.tags}
    return json.dumps({name: str(value) for name, value in values.items() if value is not None})


def _add_tags(rows: Sequence[RunRow]) -> None:
    """Let operators find the new runs by their tags."""
    tags = [
        RunTag(run_id=row.id, name=name, value=value[:LONGEST_VALUE])
        for row in rows
        if row.tags != NO_TAGS
        for name, value in json.loads(row.tags).items()
    ]
    RunTag.objects.bulk_create(tags)


def _add_cancel_rules(starts: Sequence[tuple[str, Candidate, Route]], now: datetime) -> None:
    """Let events that come later cancel the new runs."""
    rules = []
    for run_id, start, route in starts:
        for rule in route.cancel_on:
            waits = waits_for_events(
                run_id,
                start.envelope,
                [rule.event],
                step_key=None,
                condition=rule.condition,
                looks_back=False,
            )
            for wait in waits:
                wait.is_routed = True
                wait.expires_at = _after(now, rule.timeout_ms)
            rules += waits
    Wait.objects.bulk_create(rules)


def _refuse_unknown_targets(candidates: Sequence[Candidate]) -> None:
    """Answer the steps that invoke a workflow that nobody has registered."""
    for candidate in candidates:
        event = candidate.event
        if event.target and not candidate.routes and event.cause and event.cause_step:
            message = f"No worker has registered a workflow {event.target!r}."
            error = Failure(name="UnknownWorkflow", message=message, traceback="")
            end_wait(event.cause, event.cause_step, error=error)


def _link_repeats(events: Sequence[UnroutedEvent], now: datetime) -> set[str]:
    """Link each event whose own id was seen within 24 hours to the first; return their ids."""
    named = [event for event in events if event.external_id is not None]
    if not named:
        return set()
    originals = _originals({event.external_id for event in named if event.external_id}, now)
    repeats: dict[str, str] = {}
    for event in named:
        original = originals.setdefault(event.external_id, event.id)
        if original != event.id:
            repeats[event.id] = original
    for repeat, original in sorted(repeats.items()):
        Event.objects.filter(pk=repeat).update(duplicate_of=original)
    return set(repeats)


def _originals(external_ids: set[str], now: datetime) -> dict[str | None, str]:
    """Return, for each own id, the routed event that bore it first within the period.

    The events of this batch have a position already, so the first of them is found here too.
    """
    seen = (
        Event.objects.filter(
            external_id__in=external_ids,
            position__isnull=False,
            duplicate_of=None,
            due_at__gt=now - DEDUPLICATION_PERIOD,
        )
        .order_by("-position")
        .values_list("external_id", "id")
    )
    return dict(seen)
