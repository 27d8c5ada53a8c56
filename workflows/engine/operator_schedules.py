"""Operators' schedules: add, change, delete, run and fire them; each firing sends one event."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from workflows.clock import clock
from workflows.definitions.cron import firings, require_zone
from workflows.definitions.events import Event
from workflows.definitions.triggers import Cron
from workflows.engine.audit import Actor, note_action
from workflows.engine.rows import EventRow
from workflows.engine.send import EARLIEST, LATEST, event_rows
from workflows.engine.sql import sql
from workflows.engine.transactions import transaction
from workflows.engine.wakeup import wake_workers_after_commit
from workflows.errors import InvalidEvent, InvalidSchedule, InvalidWorkflow
from workflows.ids import new_id
from workflows.models import Schedule
from workflows.models.schedule import LONGEST_NAME

AT_ONCE = 100  # schedules
CHANGEABLE = ("name", "cron", "at", "tz", "event_name", "event_data", "enabled")
PLAN = {"cron", "at", "tz", "enabled"}
MOST_FIRINGS = 100


def create_schedule(  # noqa: PLR0913  a schedule has as many sides
    *,
    name: str,
    event_name: str,
    event_data: Mapping[str, Any] | None = None,
    cron: str | None = None,
    at: datetime | None = None,
    tz: str = "UTC",
    enabled: bool = True,
    actor: Actor | None = None,
    reason: str | None = None,
) -> Schedule:
    """Add a schedule that sends an event by a cron line, or at one moment.

    Args:
        name: by which operators know it.
        event_name: the event's.
        event_data: its data, in the wire form.
        cron: five fields, as `Cron` takes them; or:
        at: one moment in the future; one without a zone is meant in `tz`.
        tz: the zone whose clock it means.
        enabled: whether it fires.
        actor: who asks, for the audit log; None: the project's own code.
        reason: why, for the audit log.

    Raises:
        InvalidSchedule: the plan is wrong.
        InvalidEvent: the event is.
    """
    given = Schedule(
        id=new_id(),
        name=name,
        cron=cron,
        at=at,
        tz=tz,
        event_name=event_name,
        event_data={} if event_data is None else event_data,
        enabled=enabled,
        created_at=clock.now(),
    )
    schedule = _planned(_checked(given))
    _require_future(schedule, {"at": at})
    with transaction("create schedule"):
        schedule.save(force_insert=True)
        _note("create_schedule", schedule, actor, reason, shown(schedule))
    wake_workers_after_commit()
    return schedule


def change_schedule(
    schedule_id: str,
    *,
    actor: Actor | None = None,
    reason: str | None = None,
    **changes: Any,
) -> Schedule:
    """Change a schedule; one that is switched on fires nothing of what it missed.

    Args:
        schedule_id: the schedule.
        actor: who asks, for the audit log; None: the project's own code.
        reason: why, for the audit log.
        changes: what is to be otherwise, named as `create_schedule` does. A cron line takes the
            place of a moment, and the other way round.

    Raises:
        Schedule.DoesNotExist: there is no such schedule.
        InvalidSchedule: the plan would be wrong; nothing is changed.
        InvalidEvent: the event would be.
    """
    _require_changeable(changes)
    with transaction("change schedule"):
        schedule = Schedule.objects.select_for_update().get(pk=schedule_id)
        before = shown(schedule)
        for field, value in _with_one_plan(changes).items():
            setattr(schedule, field, value)
        _checked(schedule)
        if changes.keys() & PLAN:
            _planned(schedule)
        _require_future(schedule, changes)
        schedule.save()
        after = shown(schedule)
        changed = {
            field: [before[field], after[field]] for field in after if before[field] != after[field]
        }
        _note("change_schedule", schedule, actor, reason, changed)
    wake_workers_after_commit()
    return schedule


def delete_schedule(
    schedule_id: str, *, actor: Actor | None = None, reason: str | None = None
) -> None:
    """Delete a schedule; the events that it has sent stay.

    Raises:
        Schedule.DoesNotExist: there is no such schedule.
    """
    with transaction("delete schedule"):
        schedule = Schedule.objects.select_for_update().get(pk=schedule_id)
        _note("delete_schedule", schedule, actor, reason, shown(schedule))
        schedule.delete()


def run_schedule(schedule_id: str, *, actor: Actor | None = None, reason: str | None = None) -> str:
    """Send a schedule's event now; its plan stays as it is. Return the event's id.

    Raises:
        Schedule.DoesNotExist: there is no such schedule.
        InvalidEvent: its event no longer fits the class of its name.
    """
    with transaction("run schedule"):
        schedule = Schedule.objects.select_for_update().get(pk=schedule_id)
        event_id = _send(schedule, ts=clock.now())
        schedule.save(update_fields=["last_fired_at", "last_event_id"])
        _note("run_schedule", schedule, actor, reason, {"event": event_id})
    return event_id


def next_firings(schedule: Schedule, count: int = 3) -> list[datetime]:
    """Return when a schedule fires next, were it switched on, in UTC: also of an unsaved one.

    Raises:
        InvalidSchedule: the plan is wrong.
    """
    now = clock.now()
    cron = _cron_of(schedule)
    if cron is None:
        at = _moment(schedule)
        return [at] if at > now else []
    coming = firings(cron.line, zone=cron.tz, after=now)
    return list(islice(coming, min(count, MOST_FIRINGS)))


def fire_operators_schedules() -> int:
    """Send the events of schedules whose time has come; return how many."""
    due = Schedule.objects.due(clock.now()).order_by("due_at")
    return sum(_fire(pk) for pk in due.values_list("pk", flat=True)[:AT_ONCE])


def moment_of_firing(cron: Cron, planned: datetime, *, jitter: timedelta = timedelta()) -> datetime:
    """Return the moment for which a cron fires now: of those that it missed the last one.

    One whose jitter may still delay it is not missed: its turn comes.
    """
    just_before = planned - timedelta(microseconds=1)
    latest = clock.now() - jitter
    missed = cron.last_between(just_before, latest) if latest > just_before else None
    return missed or planned


def shown(schedule: Schedule) -> dict[str, Any]:
    """Return what operators set of a schedule, as JSON."""
    return {
        "name": schedule.name,
        "cron": schedule.cron,
        "at": schedule.at and schedule.at.isoformat(),
        "tz": schedule.tz,
        "event_name": schedule.event_name,
        "event_data": schedule.event_data,
        "enabled": schedule.enabled,
    }


def _fire(pk: str) -> int:
    with transaction("fire schedule"):
        locked = Schedule.objects.due(clock.now()).select_for_update(skip_locked=True)
        schedule = locked.filter(pk=pk).first()
        if schedule is None or schedule.due_at is None:
            return 0
        cron = _cron_of(schedule)
        ts = moment_of_firing(cron, schedule.due_at) if cron else schedule.due_at
        _insert(schedule, ts=ts)
        schedule.due_at = cron.next_after(clock.now()) if cron else None
        schedule.save(update_fields=["due_at", "last_fired_at", "last_event_id"])
        return 1


def _send(schedule: Schedule, *, ts: datetime) -> str:
    """Send the event as it is checked today: whoever asks is there to read why it is refused."""
    event_rows([Event(name=schedule.event_name, data=schedule.event_data)])
    return _insert(schedule, ts=ts)


def _insert(schedule: Schedule, *, ts: datetime) -> str:
    """Store the event as it was checked when it was planned: a firing is never refused.

    Where it no longer fits its class, its runs fail and say so.
    """
    now = clock.now()
    event = EventRow(
        id=new_id(),
        name=schedule.event_name,
        data=json.dumps(schedule.event_data),
        external_id=None,
        ts=ts,
        received_at=now,
        due_at=now,
        user=None,
        v=None,
    )
    sql().insert_events([event])
    wake_workers_after_commit()
    schedule.last_fired_at, schedule.last_event_id = now, event.id
    return event.id


def _checked(schedule: Schedule) -> Schedule:
    """Tidy a schedule; raise where it is wrong."""
    _require_name(schedule.name)
    if (schedule.cron is None) == (schedule.at is None):
        message = "A schedule has either a cron line or a moment (at)."
        raise InvalidSchedule(message)
    cron = _cron_of(schedule)
    if cron is None:
        schedule.at = _moment(schedule)
    else:
        schedule.cron = cron.line
    if not isinstance(schedule.event_data, dict):
        message = f"An event's data is an object, not {schedule.event_data!r:.100}."
        raise InvalidEvent(message)
    [row] = event_rows([Event(name=schedule.event_name, data=schedule.event_data)])
    schedule.event_data = json.loads(row.data)
    return schedule


def _require_name(name: object) -> None:
    if not isinstance(name, str) or not 0 < len(name.strip()) <= len(name) <= LONGEST_NAME:
        message = f"A schedule's name has 1 to {LONGEST_NAME} characters, not {name!r:.250}."
        raise InvalidSchedule(message)
    if not name.isprintable():
        message = f"A schedule's name has printable characters only, unlike {name!r:.250}."
        raise InvalidSchedule(message)


def _planned(schedule: Schedule) -> Schedule:
    """Write when a schedule fires next; a moment that is over is never made up."""
    coming = next_firings(schedule, 1) if schedule.enabled else []
    schedule.due_at = coming[0] if coming else None
    return schedule


def _cron_of(schedule: Schedule) -> Cron | None:
    if schedule.cron is None:
        return None
    try:
        return Cron(schedule.cron, tz=schedule.tz).checked()
    except InvalidWorkflow as error:
        raise InvalidSchedule(str(error)) from error


def _moment(schedule: Schedule) -> datetime:
    """Return a schedule's one moment, in UTC; one without a zone is meant in the schedule's."""
    at = schedule.at
    if not isinstance(at, datetime):
        message = f"A schedule's moment (at) is a datetime, not {at!r:.100}."
        raise InvalidSchedule(message)
    zone = ZoneInfo(_require_zone(schedule.tz))
    at = at.replace(tzinfo=zone) if at.tzinfo is None else at
    if not EARLIEST <= at < LATEST:
        message = f"A schedule's moment lies from 1980 up to 2100; {at.isoformat()} does not."
        raise InvalidSchedule(message)
    return at.astimezone(UTC)


def _require_zone(tz: object) -> str:
    try:
        return require_zone(tz)
    except InvalidWorkflow as error:
        raise InvalidSchedule(str(error)) from error


def _require_changeable(changes: Mapping[str, Any]) -> None:
    unknown = sorted(changes.keys() - set(CHANGEABLE))
    if unknown:
        message = f"A schedule has no {unknown[0]!r} to change: there are {', '.join(CHANGEABLE)}."
        raise InvalidSchedule(message)


def _with_one_plan(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Let a new cron line take the place of a moment, and the other way round."""
    changes = dict(changes)
    if changes.get("cron") is not None:
        changes.setdefault("at", None)
    elif changes.get("at") is not None:
        changes.setdefault("cron", None)
    return changes


def _require_future(schedule: Schedule, changes: Mapping[str, Any]) -> None:
    """Refuse a new moment that is over: nothing would ever come of it."""
    if schedule.enabled and schedule.due_at is None and changes.get("at") is not None:
        message = f"The moment {schedule.at} is over: a schedule's lies in the future."
        raise InvalidSchedule(message)


def _note(
    action: str,
    schedule: Schedule,
    actor: Actor | None,
    reason: str | None,
    details: Mapping[str, Any],
) -> None:
    note_action(action, "schedule", schedule.pk, actor=actor, reason=reason, details=details)
