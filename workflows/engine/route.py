"""Route events: which workflows each one starts, which waits it ends, its place in their order.

Conditions are evaluated before the lock is taken. Under the lock an event is given its
position, and with it, in the same transaction, come its runs. Whoever finds the lock taken
goes on with other work: somebody else is routing.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from operator import attrgetter
from typing import Any

from workflows.clock import clock, milliseconds, moment_after
from workflows.definitions.events import RUN_FAILED
from workflows.engine.admit import News, admit_runs, blocked_lanes_wait
from workflows.engine.cancel_rules import cancel_rules
from workflows.engine.catalogue import Catalogue, Route, catalogue_of, current_catalogue
from workflows.engine.dealing import LaneRow
from workflows.engine.ends import follow_up, someone_listens
from workflows.engine.envelopes import envelope_of_row
from workflows.engine.failure import Failure
from workflows.engine.gate_rules import Marks
from workflows.engine.gates import Judgement, Start, Verdict, judge
from workflows.engine.gather import Window, close_due_windows
from workflows.engine.lanes import leave_for_next_turn, open_lanes
from workflows.engine.limits import Placement, head_start_ms
from workflows.engine.resume import end_wait
from workflows.engine.rows import Pulse, RunRow, UnroutedEvent, place_by
from workflows.engine.scan_start import ScanStart
from workflows.engine.sql import sql
from workflows.engine.sql.statements import SLOW_SENDERS
from workflows.engine.tags import NO_TAGS, add_tags, tags_of
from workflows.engine.transactions import transaction
from workflows.engine.waits import end_waits_for, route_waits
from workflows.ids import new_ids
from workflows.models import Event, Run, RunStatus, RunTag, StepOp, Wait

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BATCH = 500  # events; routes in well under the 50 ms for which the lock may be held
DEDUPLICATION_PERIOD = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a new run stands: its lane, if anything limits it, and its head start."""

    placement: Placement | None = None
    head_start_ms: int = 0


NOWHERE = Place()


@dataclass(frozen=True)
class Candidate:
    """An event with the workflows that it starts, unless it is a repeat."""

    event: UnroutedEvent
    routes: Sequence[Route] = ()
    marks: Mapping[str, Marks] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)

    @cached_property
    def envelope(self) -> dict[str, Any]:
        """The event as expressions see it; read only where there are expressions."""
        return envelope_of_row(self.event)

    def place_of(self, workflow: str) -> Place:
        """Return where the run of a workflow stands."""
        return self.places.get(workflow, NOWHERE)


class RouteStart(ScanStart[UnroutedEvent, datetime]):
    """Where a process begins to look for events: early enough for transactions of some seconds."""

    def __init__(self) -> None:
        """Begin without a hint."""
        # No event is due before its `ts`, nor before there was an engine.
        super().__init__(key=lambda event: max(event.ts, EPOCH) - SLOW_SENDERS)


@dataclass(frozen=True, slots=True)
class Seen:
    """What there was to do when somebody looked: a batch of due events, and the rest."""

    events: Sequence[UnroutedEvent]
    pulse: Pulse


def look(start: RouteStart | None = None) -> Seen:
    """Look for what there is to do: with the first scan for events, which are the most of it.

    Args:
        start: where to begin to look for events; None: at the beginning.
    """
    pulse: Pulse | None = None

    def due_events(*, start: datetime | None) -> Sequence[UnroutedEvent]:
        nonlocal pulse
        if pulse is not None:
            return sql().unrouted_events(now=clock.now(), limit=BATCH, start=start)
        pulse, events = sql().look(now=clock.now(), limit=BATCH, start=start)
        return events

    events = (start or RouteStart()).scan(due_events)
    assert pulse is not None  # each scan looks at least once
    return Seen(events, pulse)


def route_events(seen: Seen | None = None) -> int:
    """Route a batch of due events and new waits; return how many.

    Args:
        seen: what there is to do, seen just now; None: to be looked for here.
    """
    seen = seen or look()
    events, pulse = seen.events, seen.pulse
    catalogue = catalogue_of(pulse.revision)
    may_admit = pulse.may_admit or bool(catalogue.unsettled)
    has_other_work = pulse.has_unrouted_waits or pulse.has_due_windows or may_admit
    if not events and not has_other_work:
        return 0
    candidates = {event.id: candidate(event, catalogue) for event in events}
    with transaction("route"):
        under_lock = sql().engine_lock()
        if under_lock is None or under_lock.revision != catalogue.revision:
            return 0
        closed = close_due_windows(catalogue, clock.now()) if pulse.has_due_windows else 0
        routed_waits = route_waits() if pulse.has_unrouted_waits else 0
        positioned = set(sql().position_events([event.id for event in events])) if events else set()
        # In the order of `events`: the database returns what it updated in any order.
        fresh, touched = _route_positioned(
            [candidates[event.id] for event in events if event.id in positioned], catalogue
        )
        if fresh and (under_lock.has_waits or routed_waits):
            found = Event.objects.in_bulk([candidate.event.id for candidate in fresh])
            end_waits_for(found[candidate.event.id] for candidate in fresh)
        admitted = 0
        # What has been gathered is among the arrivals once its window is closed.
        may_have_closed = bool(closed) or any(candidate.marks for candidate in fresh)
        if may_admit or touched or may_have_closed:
            news = News(
                pulse.has_arrivals or may_have_closed,
                pulse.has_active_lanes,
                pulse.has_blocked_lanes,
            )
            admitted = admit_runs(catalogue, news=news, touched=touched)
    return len(positioned) + routed_waits + closed + admitted


def route_at_once(event: UnroutedEvent) -> None:
    """Route one event in the caller's transaction, which has stored it and waits for its turn."""
    under_lock = sql().engine_lock(waits=True)
    assert under_lock is not None  # it has waited
    catalogue = catalogue_of(under_lock.revision)
    sql().position_events([event.id])
    _, touched = _route_positioned([candidate(event, catalogue)], catalogue)
    leave_for_next_turn(touched, now=clock.now())


def look_again(*, after: timedelta = timedelta()) -> int:
    """Let admission look at blocked lanes though nothing tells that a slot was freed.

    That is told by counting slots, which a cancelled sleeper, for one, does not change.

    Args:
        after: only where it has not looked for so long.

    Returns:
        How many runs were admitted.
    """
    if not blocked_lanes_wait(since=after):
        return 0
    catalogue = current_catalogue()
    with transaction("look again"):
        under_lock = sql().engine_lock()
        if under_lock is None or under_lock.revision != catalogue.revision:
            return 0
        return admit_runs(catalogue)


def candidate(event: UnroutedEvent, catalogue: Catalogue) -> Candidate:
    """Find the workflows that an event starts: each once, though several of its triggers match."""
    found: dict[str, Route] = {}
    matched = Candidate(event)
    for route in _routes_for(event, catalogue):
        if route.workflow not in found and _holds(route, matched):
            found[route.workflow] = route
    routes = tuple(found.values())
    return Candidate(event, routes, _marks(routes, matched), _places(routes, matched, catalogue))


def _marks(routes: Iterable[Route], matched: Candidate) -> dict[str, Marks]:
    """Return what the gates of the workflows that have any need of the event."""
    return {
        route.workflow: route.gates.marks(matched.envelope)
        for route in routes
        if route.gates is not None
    }


def _places(routes: Iterable[Route], matched: Candidate, catalogue: Catalogue) -> dict[str, Place]:
    """Return where the event's runs would stand, where that is anywhere."""
    places = {route.workflow: _place(route, matched, catalogue) for route in routes}
    return {workflow: place for workflow, place in places.items() if place is not NOWHERE}


def _place(route: Route, matched: Candidate, catalogue: Catalogue) -> Place:
    """Return where a run of this event would stand."""
    regime = catalogue.regime_of(route.workflow)
    if regime is None and route.priority is None:
        return NOWHERE
    placement = regime.placement(matched.envelope) if regime else None
    head_start = head_start_ms(route.priority, matched.envelope) if route.priority else 0
    return Place(placement, head_start)


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


def _route_positioned(
    candidates: Sequence[Candidate], catalogue: Catalogue
) -> tuple[list[Candidate], list[LaneRow]]:
    """Write the runs of routed events.

    Returns:
        The events that repeat none, and the lanes that are idle no longer.
    """
    touched: list[LaneRow] = []
    now = clock.now()
    repeats = _link_repeats([candidate.event for candidate in candidates], now)
    fresh = [candidate for candidate in candidates if candidate.event.id not in repeats]
    starts = [(candidate, route) for candidate in fresh for route in candidate.routes]
    if starts:
        ids = new_ids(len(starts))
        new = [NewRun(id_, *start) for id_, start in zip(ids, starts, strict=True)]
        touched = _start_runs(new, catalogue, now)
    _refuse_unknown_targets(fresh)
    return fresh, touched


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that is to be written, with all that its row is made of.

    Attributes:
        id: its id.
        start: the event that it has.
        route: its workflow.
        verdict: what the gates of its workflow, if it has any, have decided.
    """

    id: str
    start: Candidate
    route: Route
    verdict: Verdict | None = None

    @property
    def place(self) -> Place:
        """Where it stands: one that may not start stands nowhere."""
        if self.verdict is not None and not self.verdict.may_start:
            return NOWHERE
        return self.start.place_of(self.route.workflow)


def _start_runs(new: Sequence[NewRun], catalogue: Catalogue, now: datetime) -> list[LaneRow]:
    """Write the runs that the gates let be; return the lanes that were idle until now."""
    judged = _judged(new, catalogue, now)
    by_id = {each.id: each for each in new}
    gated = [
        NewRun(id_, by_id[verdict.start].start, by_id[verdict.start].route, verdict)
        for id_, verdict in judged.runs.items()
    ]
    free = [each for each in new if each.route.gates is None]
    written = sorted([*free, *gated], key=attrgetter("id"))
    touched = _write_runs(written, now) if written else []
    if judged.superseded:
        _supersede([(window, by_id[window.starts_with or ""]) for window in judged.superseded])
    return touched


def _judged(new: Sequence[NewRun], catalogue: Catalogue, now: datetime) -> Judgement:
    """Ask the gates of those workflows that have some."""
    gated = [
        Start(each.id, each.start.event, each.route.gates, each.start.marks[each.route.workflow])
        for each in new
        if each.route.gates is not None
    ]
    return judge(gated, catalogue, now) if gated else Judgement()


def _write_runs(new: Sequence[NewRun], now: datetime) -> list[LaneRow]:
    """Write runs, and what belongs to them; return the lanes that were idle until now."""
    depths = _depths([each.start.event for each in new])
    rows = [_row(each, now, depths.get(each.start.event.cause or "", -1) + 1) for each in new]
    touched = open_lanes([each.place.placement for each in new if each.place.placement], now=now)
    sql().insert_runs(rows)
    add_tags([(row.id, row.tags) for row in rows])
    ended = {row.id for row in rows if row.ended_at is not None}
    _add_cancel_rules([(each, now) for each in new if each.id not in ended])
    follow_up([row.id for row in rows if row.id in ended and _interests_somebody(row)])
    return touched


def _interests_somebody(row: RunRow) -> bool:
    return row.parent_step is not None or someone_listens(row.workflow)


def _supersede(windows: Sequence[tuple[Window, NewRun]]) -> None:
    """Give debounced runs, which have not started, their latest event, and what comes of it."""
    runs = [window.run_id for window, _ in windows]
    tags = [tags_of(latest.route, latest.start.envelope) for _, latest in windows]
    Run.objects.bulk_update(
        [
            Run(pk=window.run_id, event_id=latest.start.event.id, tags=json.loads(its))
            for (window, latest), its in zip(windows, tags, strict=True)
        ],
        ["event", "tags"],
    )
    RunTag.objects.filter(run__in=runs).delete()
    add_tags(list(zip(runs, tags, strict=True)))
    Wait.objects.filter(run__in=runs).delete()
    _add_cancel_rules(
        [(replace(latest, id=window.run_id), window.opened_at) for window, latest in windows]
    )


def _depths(events: Sequence[UnroutedEvent]) -> dict[str, int]:
    """Return how many invocations lie above each run that invokes one here."""
    callers = {event.cause for event in events if event.cause and event.cause_step}
    if not callers:
        return {}
    return dict(Run.objects.filter(pk__in=callers).values_list("id", "depth"))


def _row(new: NewRun, now: datetime, depth: int) -> RunRow:
    start, route = new.start, new.route
    is_invoked = start.event.cause_step is not None
    place = new.place
    placement = place.placement
    rank = milliseconds(now) - place.head_start_ms
    is_held = placement is not None and placement.is_held
    first_limit, second_limit = placement.limits if placement else (None, None)
    row = RunRow(
        id=new.id,
        workflow=route.workflow,
        event_id=start.event.id,
        status=RunStatus.QUEUED,
        reason=None,
        queue=route.queue,
        admitted=placement is None,
        rank=rank,
        place=place_by(rank),
        lane_id=placement.lane if placement else None,
        first_limit=first_limit,
        second_limit=second_limit,
        counts_while_active=placement is not None and placement.counts_while_active,
        is_in_line=placement is not None,
        created_at=now,
        ended_at=None,
        replay_of_id=None,
        parent_id=start.event.cause if is_invoked else None,
        parent_step=start.event.cause_step,
        depth=depth if is_invoked else 0,
        expires_at=None if is_held else moment_after(now, route.start_within_ms),
        start_left_ms=route.start_within_ms if is_held else None,
        finish_within_ms=route.finish_within_ms,
        tags=tags_of(route, start.envelope) if route.tags else NO_TAGS,
    )
    return row if new.verdict is None else _judged_row(row, new.verdict)


def _judged_row(row: RunRow, verdict: Verdict) -> RunRow:
    """Return a new run as the gates let it be: one whose events are gathered is not due yet."""
    if verdict.may_start:
        return row._replace(singleton=verdict.singleton)
    window = verdict.window
    return row._replace(
        status=verdict.status,
        reason=verdict.reason,
        ended_at=None if verdict.status == RunStatus.QUEUED else row.created_at,
        admitted=False,
        expires_at=None if verdict.gathers else row.expires_at,
        singleton=verdict.singleton,
        gathered=None if window is None else window.kind,
        gathering=verdict.gathers,
        due_at=window.due_at if window and verdict.gathers else None,
    )


def _add_cancel_rules(runs: Sequence[tuple[NewRun, datetime]]) -> None:
    """Let events that come later cancel the runs, each of which is so old."""
    rules = [
        rule
        for new, since in runs
        if new.route.cancel_on
        for rule in cancel_rules(new.id, new.start.envelope, new.route, since=since)
    ]
    if rules:
        Wait.objects.bulk_create(rules)


def _refuse_unknown_targets(candidates: Sequence[Candidate]) -> None:
    """Answer the steps that invoke a workflow that nobody has registered."""
    for candidate in candidates:
        event = candidate.event
        if event.target and not candidate.routes and event.cause and event.cause_step:
            message = f"No worker has registered a workflow {event.target!r}."
            error = Failure(name="UnknownWorkflow", message=message, traceback="")
            end_wait(
                event.cause,
                event.cause_step,
                op=StepOp.INVOKE,
                error=error,
                invocation=event.id,
            )


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
