"""Waits for events: how they are found by the events that end them, and by which look-back finds.

A wait is stored with a look-up: a hash of the event's name and, where its condition demands an
equality, of the value that both events must share. So an arriving event finds the few waits
that it may end among any number of others; the whole condition then decides.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from workflows.definitions.expressions import (
    EVENT_AND_ASYNC,
    Expression,
    arriving_key,
    compile_expression,
)
from workflows.engine.cancel import cancel_in_transaction
from workflows.engine.catalogue import ABOUT_ENDS, raise_revision
from workflows.engine.envelopes import envelope
from workflows.engine.resume import end_wait
from workflows.ids import new_ids
from workflows.models import Event, MatchPath, Step, StepOp, Wait

LOOK_BACK_AT_ONCE = 500  # events
WAITS_AT_ONCE = 500

_known_paths: set[tuple[str, str]] = set()


def waits_for_events(
    run_id: str,
    own_event: dict[str, Any],
    names: Sequence[str],
    *,
    step_key: str | None,
    condition: str | None,
    looks_back: bool,
) -> list[Wait]:
    """Return the unrouted waits of a step, or of a cancel rule: one for each name of an event."""
    return [
        Wait(
            id=id_,
            run_id=run_id,
            step_key=step_key,
            event_name=name,
            lookup=_lookup_of_wait(name, own_event, condition),
            condition=condition,
            looks_back=looks_back,
        )
        for id_, name in zip(new_ids(len(names)), names, strict=True)
    ]


def route_waits() -> int:
    """Let new waits take part, after looking back for them; return how many. Under the lock."""
    waits = list(
        Wait.objects.unrouted().order_by("id").select_related("run__event")[:WAITS_AT_ONCE]
    )
    for wait in waits:
        if wait.looks_back:
            _look_back(wait)
    Wait.objects.filter(pk__in=[wait.pk for wait in waits]).update(is_routed=True)
    return len(waits)


def end_waits_for(events: Iterable[Event]) -> None:
    """End the waits, and the runs, that routed events end, in the events' order. Under the lock."""
    events = list(events)
    lookups = _lookups(events)
    found: dict[str, list[Wait]] = defaultdict(list)
    every = {lookup for of_event in lookups.values() for lookup in of_event}
    waits = Wait.objects.filter(is_routed=True, event_name__isnull=False, lookup__in=every)
    for wait in waits.order_by("id").select_related("run__event"):
        found[wait.lookup].append(wait)
    for event in events:
        _end_waits_for_one(event, [wait for lookup in lookups[event.pk] for wait in found[lookup]])


def _end_waits_for_one(event: Event, waits: Sequence[Wait]) -> None:
    resumed: set[str] = set()
    for wait in waits:
        if wait.run_id in resumed or not _holds(wait, event):
            continue
        if wait.step_key is None:
            _cancel_by_rule(wait, event)
        elif _end_by(event, wait.run_id, wait.step_key):
            resumed.add(wait.run_id)  # one event ends at most one wait of a run


def _end_by(event: Event, run_id: str, step_key: str) -> bool:
    return end_wait(
        run_id,
        step_key,
        op=StepOp.WAIT_FOR_EVENT,
        output=envelope(event),
        ended_by=event.pk,
    )


def _cancel_by_rule(wait: Wait, event: Event) -> None:
    if wait.expires_at is None or event.due_at <= wait.expires_at:
        cancel_in_transaction(wait.run_id, reason=f"cancelled by event {event.name} {event.pk}")


def _holds(wait: Wait, event: Event) -> bool:
    """Tell whether an event ends a wait: it came after the run's own, and fits the condition."""
    own = wait.run.event
    if event.position is None or own.position is None or event.position <= own.position:
        return False
    if wait.condition is None:
        return True
    return _compiled(wait.condition).truth(event=envelope(own), async_=envelope(event))


def _look_back(wait: Wait) -> None:
    """End a wait by the earliest event that has come since the run's own, if there is one."""
    used = _events_that_ended_waits(wait.run_id)
    if wait.run.gathered is not None:
        used.update(wait.run.gathered_events.values_list("event_id", flat=True))  # its own events
    last = wait.run.event.position or 0
    while events := list(
        Event.objects.filter(name=wait.event_name, position__gt=last, duplicate_of=None).order_by(
            "position"
        )[:LOOK_BACK_AT_ONCE]
    ):
        for event in events:
            if event.pk not in used and _holds(wait, event):
                _end_by(event, wait.run_id, wait.step_key or "")
                return
        last = events[-1].position or last


def _events_that_ended_waits(run_id: str) -> set[str]:
    ended = Step.objects.filter(run_id=run_id, op=StepOp.WAIT_FOR_EVENT, output__isnull=False)
    return {step.output["id"] for step in ended if step.output}


def _lookups(events: Sequence[Event]) -> dict[str, list[str]]:
    """Return, for each event, the look-ups of the waits that it may end."""
    paths: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for known in MatchPath.objects.filter(event_name__in={event.name for event in events}):
        paths[known.event_name].append(tuple(json.loads(known.path)))
    return {
        event.pk: [
            _lookup(event.name, path, arriving_key(path, envelope(event)) if path else "")
            for path in paths[event.name]
        ]
        for event in events
    }


def _lookup_of_wait(name: str, own_event: dict[str, Any], condition: str | None) -> str:
    equalities = _compiled(condition).equalities if condition else ()
    if not equalities:
        _know_path(name, ())
        return _lookup(name)
    equality = equalities[0]
    _know_path(name, equality.path)
    return _lookup(name, equality.path, equality.own_key(own_event))


def _know_path(name: str, path: tuple[str, ...]) -> None:
    """Let routing know by which path events of a name are looked up."""
    known = (name, json.dumps(path))
    if known not in _known_paths:
        _, is_new = MatchPath.objects.get_or_create(event_name=name, path=known[1])
        if is_new and name in ABOUT_ENDS:
            raise_revision()  # ends of runs are told of only where somebody listens
        _known_paths.add(known)


def forget_paths() -> None:
    """Ask the database again: for tests, whose database forgets."""
    _known_paths.clear()


def _lookup(name: str, path: tuple[str, ...] = (), key: str = "") -> str:
    text = json.dumps([name, path, key])
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _compiled(condition: str) -> Expression:
    return compile_expression(condition, variables=EVENT_AND_ASYNC)
